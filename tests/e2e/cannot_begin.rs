//! A daemon that cannot begin: the first answer says why, within a second, and the anchor can be ended all the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::{Output, SOON, Sandbox, kill, run, wait_until};

/// The reason has to be in the answer within this.
const AT_ONCE: Duration = Duration::from_secs(1);
const APP: &str = "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n";

fn journal(sandbox: &Sandbox) -> PathBuf {
    sandbox.home().join("state/desired.journal")
}

/// Makes the state one of a newer version.
fn make_newer(journal: &Path) {
    let text = fs::read_to_string(journal).unwrap();
    let (head, rest) = text.split_once('\n').unwrap();
    let newer = head.replace('1', "999");
    assert_ne!(head, newer, "the header names its format");
    fs::write(journal, format!("{newer}\n{rest}")).unwrap();
}

#[track_caller]
fn told_at_once(sandbox: &Sandbox, args: &[&str]) -> Output {
    let began = Instant::now();
    let output = sandbox.pm(args);
    assert!(began.elapsed() < AT_ONCE, "{:?} until the answer of {output}", began.elapsed());
    output.code(69)
}

/// A way to keep a daemon from beginning.
struct Obstacle {
    name: &'static str,
    put: fn(&Sandbox),
    remove: fn(&Sandbox),
    words: &'static [&'static str],
}

const OBSTACLES: [Obstacle; 3] = [
    Obstacle {
        name: "a folder in the place of the state",
        put: |sandbox| {
            fs::rename(journal(sandbox), sandbox.path("kept")).unwrap();
            fs::create_dir(journal(sandbox)).unwrap();
        },
        remove: |sandbox| {
            fs::remove_dir(journal(sandbox)).unwrap();
            fs::rename(sandbox.path("kept"), journal(sandbox)).unwrap();
        },
        words: &["desired.journal", "not a regular file"],
    },
    Obstacle {
        name: "a folder in the place of the table",
        put: |sandbox| {
            fs::remove_file(sandbox.home().join("run/table")).unwrap();
            fs::create_dir(sandbox.home().join("run/table")).unwrap();
        },
        remove: |sandbox| fs::remove_dir(sandbox.home().join("run/table")).unwrap(),
        words: &["table", "directory"],
    },
    Obstacle {
        name: "a state of a newer version",
        put: |sandbox| {
            fs::copy(journal(sandbox), sandbox.path("kept")).unwrap();
            make_newer(&journal(sandbox));
        },
        remove: |sandbox| fs::rename(sandbox.path("kept"), journal(sandbox)).unwrap(),
        words: &["has format 999"],
    },
];

#[test]
fn the_reason_is_in_the_first_answer_and_never_out_of_date() {
    for obstacle in &OBSTACLES {
        let sandbox = Sandbox::applied(APP);
        let pid = sandbox.pid("api/0");
        let (daemon, anchor) = (sandbox.daemon_pid(), sandbox.anchor_pid());
        (obstacle.put)(&sandbox);
        kill(daemon, libc::SIGKILL);
        for command in [&["list"][..], &["apply"], &["stop", "api"], &["daemon", "status"], &["daemon", "restart"]] {
            let output = told_at_once(&sandbox, command).says(&["the daemon cannot start", "pm shutdown"]);
            output.says(obstacle.words);
        }
        assert_eq!(sandbox.anchor_pid(), anchor, "{}: the anchor holds the app", obstacle.name);
        (obstacle.remove)(&sandbox);
        // Nothing has to be waited for, and nothing to be done, once the cause is gone.
        let began = Instant::now();
        assert_eq!(sandbox.pid("api/0"), pid, "{}: the app is the same", obstacle.name);
        assert!(began.elapsed() < AT_ONCE, "{}: {:?}", obstacle.name, began.elapsed());
        // And the way is free for the next one: killed, it is there again as if nothing had been.
        sandbox.kill_daemon();
        assert_eq!(sandbox.pid("api/0"), pid);
    }
}

#[test]
fn a_first_daemon_that_cannot_begin_says_why_and_the_next_command_is_not_kept_from_starting_one() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(APP);
    sandbox.pm(&["list"]).ok();
    sandbox.pm(&["shutdown"]).ok();
    for obstacle in &OBSTACLES[2..] {
        (obstacle.put)(&sandbox);
        told_at_once(&sandbox, &["apply"]).says(obstacle.words);
        told_at_once(&sandbox, &["list"]).says(obstacle.words);
        // There is nothing to keep: the anchor does not stay.
        wait_until("the anchor has left", SOON, || sandbox.processes().is_empty());
        told_at_once(&sandbox, &["apply"]).says(obstacle.words);
        (obstacle.remove)(&sandbox);
        sandbox.pm(&["apply"]).ok();
    }
}

#[test]
fn shutdown_ends_anchor_and_apps_although_no_daemon_can_begin() {
    for word in ["shutdown", "kill"] {
        let sandbox = Sandbox::new();
        // One that ends when it is asked, one that leaves something behind that does not hear.
        let deaf = sandbox.file("deaf.sh", "setsid sh -c \"trap '' TERM; touch ready; sleep 1000\" &\nsleep 1000");
        let deaf = deaf.display();
        sandbox
            .ecosystem(&format!("{APP}[[apps]]\nname = \"deaf\"\ncommand = \"sh {deaf}\"\nkill_timeout = \"200ms\"\n"));
        sandbox.pm(&["apply"]).ok();
        wait_until("it is deaf", SOON, || sandbox.path("ready").exists());
        let daemon = sandbox.daemon_pid();
        (OBSTACLES[2].put)(&sandbox);
        kill(daemon, libc::SIGKILL);
        told_at_once(&sandbox, &["list"]);
        sandbox.pm(&[word]).ok().says(&["has format 999", "all apps are stopped"]);
        assert!(sandbox.processes().is_empty(), "left: {:#?}", sandbox.processes());
        (OBSTACLES[2].remove)(&sandbox);
        // As it says: what was not stopped by a person runs again.
        wait_until("the app runs", SOON, || sandbox.instance("api/0").is_some_and(|api| api.pid.is_some()));
    }
}

#[test]
fn an_anchor_that_is_told_to_end_stops_the_apps_although_no_daemon_can_begin() {
    let sandbox = Sandbox::applied(APP);
    let (daemon, anchor) = (sandbox.daemon_pid(), sandbox.anchor_pid());
    (OBSTACLES[2].put)(&sandbox);
    kill(daemon, libc::SIGKILL);
    told_at_once(&sandbox, &["list"]);
    kill(anchor, libc::SIGTERM);
    wait_until("everything has ended", SOON, || sandbox.processes().is_empty());
}

#[test]
fn few_descriptors_are_named() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&[]);
    let program = command.get_program().to_owned();
    for hard in [16, 40, 63, 64] {
        command = std::process::Command::new("/bin/sh");
        command.args(["-c", &format!("ulimit -n {hard} && exec \"$0\" list")]).arg(&program);
        command.current_dir(sandbox.path("")).env("PM_HOME", sandbox.home());
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let began = Instant::now();
        let output = run(&mut command);
        assert!(began.elapsed() < AT_ONCE * 2, "{hard}: {:?}: {output}", began.elapsed());
        if output.status == 0 {
            sandbox.pm(&["shutdown"]).ok();
        } else {
            assert!(hard < 64, "{output}");
            output.code(69).says(&[&format!("(`ulimit -Hn`) is {hard}"), "at least 64"]);
        }
        wait_until("nothing is left", SOON, || sandbox.processes().is_empty());
    }
}

#[test]
fn a_low_limit_of_the_size_of_files_is_named() {
    let sandbox = Sandbox::new();
    let program = sandbox.command(&[]).get_program().to_owned();
    for hard in [0, 4096, 500_000] {
        let mut command = std::process::Command::new("prlimit");
        command.arg(format!("--fsize={hard}:{hard}")).arg(&program).arg("list");
        command.current_dir(sandbox.path("")).env("PM_HOME", sandbox.home());
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let output = run(&mut command);
        // Who may lift the limit does.
        if output.status == 0 {
            sandbox.pm(&["shutdown"]).ok();
        } else {
            output.code(69).says(&[&format!("(`ulimit -Hf`) is {hard} bytes"), "ulimit -Hf"]);
        }
        wait_until("nothing is left", SOON, || sandbox.processes().is_empty());
    }
}

#[test]
fn a_large_question_is_answered_too() {
    let sandbox = Sandbox::applied(APP);
    let daemon = sandbox.daemon_pid();
    let app = |number| {
        format!("[[apps]]\nname = \"a{number}\"\ncommand = \"sleep 1000\"\nenv = {{ X = \"{}\" }}\n", "x".repeat(400))
    };
    let text: String = (0..2000).map(app).collect();
    sandbox.ecosystem(&text);
    (OBSTACLES[2].put)(&sandbox);
    kill(daemon, libc::SIGKILL);
    sandbox.pm(&["apply", "--detach"]).code(69).says(&["has format 999"]);
    (OBSTACLES[2].remove)(&sandbox);
    sandbox.pm(&["list"]).ok();
}
