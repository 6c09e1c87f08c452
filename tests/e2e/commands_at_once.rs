//! Twenty commands at once on one slow app that is watched and restarted by the clock, too: each ends in time, and
//! there is never one copy too many.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Sandbox, finish, wait_until};

const LONG: Duration = Duration::from_mins(1);

/// Slow to start, slow to stop.
const APP: &str = "trap 'sleep 0.2; exit 0' TERM\nsleep 0.2\necho up\nwhile :; do sleep 0.05; done\n";

#[test]
fn a_slow_app_is_never_there_twice_and_no_command_hangs() {
    storm("", 1);
}

#[test]
fn a_slow_app_with_the_new_process_first_is_never_there_three_times() {
    storm("update = { strategy = \"rolling\", min_healthy_time = \"100ms\" }\n", 2);
}

/// All of it at once on an app with these keys, of which so many copies may live at a time.
fn storm(keys: &str, copies_max: usize) {
    let sandbox = Sandbox::new();
    sandbox.file("slow-app.sh", APP);
    sandbox.file("source/main.js", "0");
    let hooks = "hooks = { pre_start = \"sleep 0.1\", pre_stop = \"sleep 0.1\" }";
    let sensors = "watch = [\"source\"]\nwatch_delay = \"20ms\"\ncron_restart = \"* * * * * *\"";
    let file = format!("[[apps]]\nname = \"api\"\ncommand = \"sh slow-app.sh\"\n{hooks}\n{sensors}\n{keys}");
    sandbox.ecosystem(&file);
    sandbox.pm(&["apply"]).ok();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(copies(&sandbox));
                crate::support::pause_between_faults(Duration::from_millis(3));
            }
            most
        });
        let saver = scope.spawn(|| {
            let mut saved = 0;
            while !is_over.load(Ordering::Relaxed) {
                saved += 1;
                sandbox.file("source/main.js", saved.to_string());
                crate::support::pause_between_faults(Duration::from_millis(50));
            }
        });
        let verbs: [&[&str]; 5] =
            [&["restart", "api"], &["stop", "api"], &["start", "api"], &["reload", "api"], &["apply"]];
        let began = Instant::now();
        let children: Vec<_> = (0..20).map(|number| sandbox.start(verbs[number % verbs.len()])).collect();
        let outputs: Vec<_> = children.into_iter().map(|child| finish(child, "one of twenty")).collect();
        assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
        is_over.store(true, Ordering::Relaxed);
        for output in outputs {
            // Done, overtaken by a later command, or busy: never a hang, never a crash.
            assert!([0, 1, 3].contains(&output.status), "{output}");
        }
        saver.join().unwrap();
        let most = watcher.join().unwrap();
        assert!((1..=copies_max).contains(&most), "{most} copies at once");
    });
    // Now the clock alone goes on, and what it renews comes back.
    sandbox.pm(&["start", "api", "--detach"]).ok();
    wait_until("the clock has renewed it", LONG, || renewals(&sandbox) > 0);
    sandbox.ecosystem(&file.replace("cron_restart", "# cron_restart"));
    wait_until("it is quiet", LONG, || sandbox.pm(&["apply"]).status == 0 && copies(&sandbox) == 1);
    let changes = || sandbox.pm(&["events", "api", "-n", "1000"]).ok().stdout.matches("main.js changed").count();
    let before = changes();
    sandbox.file("source/main.js", "saved at last");
    wait_until("the saved file counts", LONG, || changes() > before && copies(&sandbox) == 1);
}

/// How often the clock has replaced the process.
fn renewals(sandbox: &Sandbox) -> usize {
    sandbox.pm(&["events", "api", "-n", "1000"]).ok().stdout.matches("due at").count()
}

/// Main processes; the children of a shell that was just forked still bear its name, so the oldest generation counts.
fn copies(sandbox: &Sandbox) -> usize {
    let all = sandbox.app_processes();
    let is_copy = |pid: u32| all.iter().any(|one| one.pid == pid && one.args.iter().any(|word| word == "slow-app.sh"));
    let parent = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok()).unwrap_or(0)
    };
    all.iter().filter(|one| is_copy(one.pid) && !is_copy(parent(one.pid))).count()
}
