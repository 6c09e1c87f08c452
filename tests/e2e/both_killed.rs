//! Daemon and anchor are killed together: the apps go on, and the next command finds them instead of doubling them.

use crate::support::{Process, SOON, Sandbox, kill, start_time, wait_until};

fn kill_both(sandbox: &Sandbox) {
    // Each would start the other one again: the daemon must not move while the anchor dies.
    let (anchor, daemon) = (sandbox.anchor_pid(), sandbox.daemon_pid());
    kill(daemon, libc::SIGSTOP);
    kill(anchor, libc::SIGKILL);
    kill(daemon, libc::SIGKILL);
    wait_until("both are gone", SOON, || !sandbox.processes().iter().any(|process| process.is_pm));
}

#[test]
fn a_dead_anchor_alone_is_replaced_and_touches_no_app() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 3\n");
    let (before, anchor) = (sandbox.list(), sandbox.anchor_pid());
    kill(anchor, libc::SIGKILL);
    wait_until("there is another anchor", SOON, || {
        sandbox.processes().iter().any(|process| process.is_pm && process.pid != anchor && process.args[1] == "anchor")
    });
    assert_eq!(sandbox.list(), before);
    sandbox.pm(&["restart", "api/0"]).ok();
    assert_ne!(sandbox.list()[0].pid, before[0].pid, "the new anchor is the parent of new processes");
}

#[test]
fn apps_are_adopted_with_their_pids_and_counters() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 3\n");
    let before = sandbox.list();
    kill_both(&sandbox);
    assert_eq!(sandbox.list(), before);
    assert_eq!(sandbox.app_processes().iter().filter(|app| is_sleep(app)).count(), 3);
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn an_adopted_app_is_watched_restarted_and_stopped_like_any_other() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let first = sandbox.pid("api/0");
    kill_both(&sandbox);
    assert_eq!(sandbox.pid("api/0"), first);
    kill(first, libc::SIGKILL);
    wait_until("another process runs", SOON, || sandbox.pid("api/0") != first);
    sandbox.pm(&["stop", "api"]).ok();
    assert_eq!(sandbox.app_processes(), []);
}

#[test]
fn an_app_that_ended_in_the_gap_is_started_again() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let first = sandbox.pid("api/0");
    kill_both(&sandbox);
    kill(first, libc::SIGKILL);
    wait_until("it is gone", SOON, || start_time(first).is_none());
    assert_ne!(sandbox.pid("api/0"), first);
}

#[test]
fn output_of_the_gap_is_not_lost() {
    let sandbox = Sandbox::applied(
        "[[apps]]\nname = \"api\"\ncommand = '''sh -c \"echo before; while [ ! -e go ]; do sleep 0.01; done; echo in the gap; touch said; exec sleep 1000\"'''\n",
    );
    wait_until("the first line is there", SOON, || sandbox.log_text("api", "out", 0) == b"before\n");
    kill_both(&sandbox);
    sandbox.file("go", "");
    wait_until("the app has spoken", SOON, || sandbox.path("said").exists());
    sandbox.pid("api/0");
    wait_until("both lines are there", SOON, || sandbox.log_text("api", "out", 0) == b"before\nin the gap\n");
}

fn is_sleep(process: &Process) -> bool {
    process.args.first().is_some_and(|word| word.ends_with("sleep"))
}
