//! Stopping an app stops everything that it started, however it hides.

use std::time::{Duration, Instant};

use crate::support::{SOON, Sandbox, fixture, kill, wait_until};

fn file(script: &str) -> String {
    format!("[[apps]]\nname = \"api\"\nscript = {:?}\nkill_timeout = \"500ms\"\n", fixture(script))
}

#[test]
fn an_app_that_ignores_the_signal_is_killed_at_the_deadline() {
    let sandbox = Sandbox::applied(&file("ignores_term.sh"));
    wait_until("it ignores the signal", SOON, || sandbox.log_text("api", "out", 0).starts_with(b"ready"));
    let began = Instant::now();
    sandbox.pm(&["stop", "api"]).ok();
    let took = began.elapsed();
    assert_eq!(sandbox.app_processes(), [], "the command returned, and something is left");
    assert!(took >= Duration::from_millis(500), "killed before its time was over: {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_child_in_a_session_of_its_own_is_found() {
    let sandbox = Sandbox::applied(&file("escapes.sh"));
    wait_until("it has escaped", SOON, || sandbox.log_text("api", "out", 0).starts_with(b"escaped"));
    assert!(sandbox.app_processes().len() >= 2, "{:?}", sandbox.app_processes());
    sandbox.pm(&["stop", "api"]).ok();
    assert_eq!(sandbox.app_processes(), []);
}

#[test]
fn what_a_crashed_app_left_behind_is_gone_before_the_next_one_starts() {
    let sandbox = Sandbox::new();
    let script = "setsid sleep 1000 & echo $! >>children; exit 1";
    sandbox.file("crash.sh", script);
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh crash.sh\"\nmax_restarts = 3\n");
    sandbox.pm(&["apply", "--detach"]).ok();
    sandbox.wait_phase("api/0", "errored");
    assert_eq!(sandbox.app_processes(), []);
}

#[test]
fn all_hundred_are_gone_when_the_command_returns() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 100\n");
    assert_eq!(sandbox.app_processes().len(), 100);
    sandbox.pm(&["stop", "all"]).ok();
    assert_eq!(sandbox.app_processes(), []);
}

#[test]
fn a_suspended_app_acts_on_the_signal_at_once() {
    let script = "sh -c 'setsid sh -c \"trap exit TERM; while :; do sleep 0.1; done\" & exec sleep 1000'";
    let app = format!("[[apps]]\nname = \"api\"\ncommand = {script:?}\nkill_timeout = \"60s\"\n");
    for scope in ["", "stop_scope = \"process\"\n"] {
        let sandbox = Sandbox::applied(&format!("{app}{scope}"));
        let is_shell = |sandbox: &Sandbox| sandbox.app_processes().len() >= 2;
        wait_until("both run", SOON, || is_shell(&sandbox));
        for process in sandbox.app_processes() {
            kill(process.pid, 19); // SIGSTOP
        }
        let began = Instant::now();
        sandbox.pm(&["stop", "api"]).ok();
        assert!(began.elapsed() < Duration::from_secs(20), "it was killed at the deadline");
        assert_eq!(sandbox.app_processes(), []);
    }
}
