//! An app that keeps ending is started again, ever more patiently, and given up only if its file says so.

use std::time::Duration;

use crate::support::{SOON, Sandbox, fixture, kill, wait_until};

const LONG: Duration = Duration::from_mins(2);

fn file(rest: &str) -> String {
    format!("[[apps]]\nname = \"api\"\nscript = {:?}\nargs = [\"3\"]\n{rest}\n", fixture("exits.sh"))
}

#[test]
fn a_killed_app_is_back_at_once() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let pid = sandbox.pid("api/0");
    kill(pid, libc::SIGKILL);
    wait_until("another process runs", SOON, || sandbox.pid("api/0") != pid);
    assert_eq!(sandbox.instance("api/0").unwrap().restarts, 1);
}

#[test]
fn some_kills_in_a_row_are_no_crash_loop() {
    let slow = "exp_backoff_restart_delay = \"50s\"";
    let sandbox = Sandbox::applied(&format!("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n{slow}\n"));
    for restarts in 1..=5 {
        kill(sandbox.pid("api/0"), libc::SIGKILL);
        wait_until("it runs again", SOON, || {
            sandbox.instance("api/0").is_some_and(|api| api.restarts == restarts && api.phase == "running")
        });
    }
    sandbox.pm(&["why", "api"]).ok().says(&["up to 5 are followed by the next at once"]);
    let has_waited = || sandbox.pm(&["events", "api"]).ok().stdout.contains("before restart ");
    assert!(!has_waited());
    kill(sandbox.pid("api/0"), libc::SIGKILL);
    wait_until("the sixth waits", SOON, has_waited);
}

#[test]
fn a_crash_loop_slows_down() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&file(""));
    sandbox.pm(&["apply", "--detach"]).ok();
    let waiting = sandbox.wait_phase("api/0", "backoff");
    wait_until("it is tried again", SOON, || sandbox.instance("api/0").unwrap().restarts > waiting.restarts + 1);
    wait_until("the list says so", SOON, || sandbox.pm(&["list"]).ok().stdout.contains("backoff"));
    sandbox.pm(&["why", "api"]).ok().says(&["exit code 3"]);
    sandbox.pm(&["stop", "api"]).ok();
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "stopped", "a stop ends the waiting, too");
}

#[test]
fn after_max_restarts_it_is_errored_until_a_person_asks() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&file("max_restarts = 3\nexp_backoff_restart_delay = \"10ms\""));
    sandbox.pm(&["apply", "--detach"]).ok();
    sandbox.wait_phase("api/0", "errored");
    let starts = sandbox.starts_of("api/0");
    assert_eq!(starts, 3);
    sandbox.kill_daemon();
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "errored");
    assert_eq!(sandbox.starts_of("api/0"), starts, "a new daemon does not try");
    sandbox.pm(&["apply"]).code(6).says(&["api"]);
    assert!(sandbox.starts_of("api/0") > starts, "an apply by a person does");
}

#[test]
fn why_it_was_given_up_outlives_daemon_and_shutdown() {
    let crashing = file("max_restarts = 3\nexp_backoff_restart_delay = \"10ms\"");
    let missing = "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\nenv = { PATH = \"/nowhere\" }\n".to_owned();
    let gives_up = "gave up after 3 unstable starts in a row, the last one ended with exit code 3";
    for (file, failure) in [(crashing, gives_up), (missing, "cannot find `sleep`")] {
        let sandbox = Sandbox::new();
        sandbox.ecosystem(&file);
        sandbox.pm(&["apply", "--detach"]).ok();
        sandbox.wait_phase("api/0", "errored");
        sandbox.pm(&["list"]).ok().says(&[failure]);
        sandbox.kill_daemon();
        sandbox.pm(&["list"]).ok().says(&[failure]);
        sandbox.pm(&["shutdown"]).ok();
        // Nor does it depend on the journal of events.
        for events in ["events.jsonl", "events.jsonl.1"] {
            let _ = std::fs::remove_file(sandbox.home().join("state").join(events));
        }
        let list = sandbox.pm(&["list"]).ok();
        let is_told = list.stdout.contains(failure) || list.stdout.contains("the reason is no longer known");
        assert!(is_told && (failure != gives_up || list.stdout.contains(gives_up)), "{list}");
    }
}

#[test]
fn an_apply_tries_at_once_what_waits_and_says_so() {
    let sandbox = Sandbox::new();
    let dependent = "[[apps]]\nname = \"web\"\ncommand = \"sleep 1000\"\ndepends_on = [\"api\"]\n";
    sandbox.ecosystem(&format!("{}{dependent}", file("exp_backoff_restart_delay = \"60s\"")));
    sandbox.pm(&["apply"]).code(6);
    sandbox.wait_phase("api/0", "backoff");
    sandbox.pm(&["plan"]).ok().says(&["retrying without waiting for the backoff"]);
    let starts = sandbox.starts_of("api/0");
    sandbox.pm(&["apply"]).code(6).says(&["retrying without waiting for the backoff", "a dependency did not start"]);
    assert!(sandbox.starts_of("api/0") > starts, "it was not tried");
    assert!(sandbox.instance("web/0").is_none_or(|web| web.phase != "running"), "it needs what does not run");
}

#[test]
fn exits_that_count_as_done_are_not_restarted() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&file("stop_exit_codes = [3]"));
    sandbox.pm(&["apply"]).ok();
    sandbox.wait_phase("api/0", "done");
    assert_eq!(sandbox.starts_of("api/0"), 1);
}

#[test]
fn a_thousand_crashes_leave_memory_and_journal_bounded() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"false\"\nrestart_delay = \"1ms\"\n");
    sandbox.pm(&["apply", "--detach"]).ok();
    let restarts = || sandbox.instance("api/0").map_or(0, |instance| instance.restarts);
    wait_until("it is warm", LONG, || restarts() > 200);
    let before = resident(sandbox.daemon_pid());
    wait_until("it has crashed very often", LONG, || restarts() > 1200);
    let grown = resident(sandbox.daemon_pid()).saturating_sub(before);
    sandbox.pm(&["stop", "api"]).ok();
    assert!(grown < 1 << 20, "the daemon has grown by {grown} bytes");
    let state = std::fs::read_dir(sandbox.home().join("state")).unwrap().flatten();
    let largest = state.map(|entry| entry.metadata().map_or(0, |meta| meta.len())).max().unwrap_or(0);
    assert!(largest <= 5 << 20, "a file of {largest} bytes");
}

/// Resident memory in bytes.
/// Memory of its own, in bytes. Pages of its program come and go as the kernel likes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_stop_in_the_moment_of_a_start_that_ends_at_once_is_answered() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"true\"\ninstances = 20\nrestart_delay = \"1ms\"\n");
    sandbox.pm(&["apply", "--detach"]).ok();
    for _ in 0..15 {
        sandbox.pm(&["stop", "api", "--timeout", "8s"]).ok();
        sandbox.pm(&["start", "api", "--detach"]).ok();
    }
    sandbox.pm(&["stop", "api", "--timeout", "8s"]).ok();
    assert!(sandbox.app_processes().is_empty());
}
