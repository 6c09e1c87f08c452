//! A low limit of open files: whoever looks on takes nothing from the apps, their logs and the next command.

use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{SOON, Sandbox, kill, run, wait_until};

const APPS: usize = 12;
const VIEWERS: usize = 40;

/// Starts a daemon that may have so many files open.
fn limited(files: u64) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut first = sandbox.command(&["list"]);
    // SAFETY: setrlimit(2) may be called between fork and exec.
    unsafe {
        first.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: files, rlim_max: files };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        });
    }
    run(&mut first).ok();
    sandbox
}

fn apps(count: usize) -> String {
    let app = |n| {
        format!(
            "[[apps]]\nname = \"app{n}\"\nlog_rotate = {{ size = \"4K\", keep = 50 }}\n\
             command = \"sh -c 'fill=$(seq -s, 300); while :; do echo $fill; echo $fill >&2; sleep 0.05; done'\"\n"
        )
    };
    (0..count).map(app).collect()
}

#[test]
fn many_viewers_of_logs_with_many_segments_leave_a_way_in_and_harm_no_app() {
    let sandbox = limited(128);
    sandbox.ecosystem(&apps(APPS));
    sandbox.pm(&["apply"]).ok();
    let before = sandbox.list();
    let segment = sandbox.home().join("logs/shop/app0-out-0.log.9");
    wait_until("there are many segments", SOON, || segment.exists());
    let follow = |n: usize| {
        let all = ["logs", "-f", "--lines", "10000"];
        let one = format!("app{}", n % APPS);
        let mut command = sandbox.command(&all);
        if !n.is_multiple_of(4) {
            command.arg(one);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut viewers: Vec<_> = (0..VIEWERS).map(follow).collect();
    let began = Instant::now();
    let mut worst = Duration::ZERO;
    while began.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        assert_eq!(sandbox.list(), before);
        worst = worst.max(asked.elapsed());
    }
    assert!(worst < Duration::from_secs(2), "a command waited {worst:?}");
    sandbox.pm(&["restart", "app0"]).ok();
    let shown = sandbox.pm(&["logs", "app1", "--lines", "3"]).ok();
    assert_eq!(shown.stdout.lines().count(), 3, "{shown}");
    for n in 0..APPS {
        let log = sandbox.home().join(format!("logs/shop/app{n}-out-0.log"));
        let written = || std::fs::metadata(&log).and_then(|log| log.modified()).ok();
        let last = written();
        wait_until("every app is heard", SOON, || written() > last);
    }
    for viewer in &mut viewers {
        kill(viewer.id(), libc::SIGKILL);
        viewer.wait().unwrap();
    }
    sandbox.pm(&["logs", "app1", "--lines", "3"]).ok();
}

#[test]
fn more_apps_than_the_limit_allows_are_refused_with_the_reason_and_the_others_run_on() {
    let sandbox = limited(128);
    sandbox.ecosystem(&apps(60));
    let output = sandbox.pm(&["apply"]);
    assert_ne!(output.status, 0, "{output}");
    output.says(&["Too many open files", "ulimit -n"]);
    let running: Vec<_> = sandbox.list().into_iter().filter(|instance| instance.phase == "running").collect();
    assert!(running.len() >= 10, "{} run", running.len());
    let instance = running[0].clone();
    sandbox.pm(&["logs", instance.id.split('/').next().unwrap(), "--lines", "1"]).ok();
    assert_eq!(sandbox.instance(&instance.id), Some(instance));
}

#[test]
fn a_daemon_makes_room_for_descriptors_before_it_starts_apps() {
    // Where the kernel's table grows later, each of its steps holds up every start for ten milliseconds.
    for (limit, wanted) in [(256, 256), (4096, 4096)] {
        let sandbox = limited(limit);
        let status = std::fs::read_to_string(format!("/proc/{}/status", sandbox.daemon_pid())).unwrap();
        let room = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        assert!(room.trim().parse::<u64>().unwrap() >= wanted, "limit {limit}: {room}");
    }
}
