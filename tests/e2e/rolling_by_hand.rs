//! What people do while a rolling update is under way or paused: a stop acts at once, what has to wait says so, and the
//! end of an update is told.

use std::time::Instant;

use crate::support::{SOON, Sandbox, finish, wait_for, wait_until};

/// Three copies; `bad` ends in slot `ends` after a second. `extra` stands inside the app's table.
fn app(version: &str, ends: u32, min_healthy_time: &str, extra: &str) -> String {
    format!(
        "[[apps]]\nname = \"api\"\nshell = true\ninstances = 3\nenv = {{ VERSION = \"{version}\" }}\n\
         command = '''[ \"$VERSION\" != bad ] || [ \"$PM_INSTANCE\" != {ends} ] || {{ sleep 1; exit 3; }}; exec sleep 1000'''\n\
         update = {{ strategy = \"rolling\", min_healthy_time = \"{min_healthy_time}\" }}\n{extra}\n"
    )
}

fn is_rolling(sandbox: &Sandbox) -> bool {
    sandbox.pm(&["rollout", "status"]).ok().stdout.contains("api")
}

/// Begins a reload and pauses it after the first slot.
fn pause_a_reload(sandbox: &Sandbox) {
    sandbox.pm(&["reload", "api", "--detach"]).ok();
    wait_until("it has begun", SOON, || sandbox.list().len() == 4);
    sandbox.pm(&["rollout", "pause", "api"]).ok();
    wait_until("the slot is finished", SOON, || sandbox.list().len() == 3);
}

#[test]
fn a_stop_of_one_copy_waits_for_no_pause_and_what_waits_says_so() {
    let sandbox = Sandbox::applied(&app("1", 0, "300ms", ""));
    pause_a_reload(&sandbox);
    sandbox.pm(&["stop", "api/1", "--timeout", "20s"]).ok();
    assert_eq!(sandbox.instance("api/1").unwrap().phase, "stopped");
    sandbox.pm(&["rollout", "status"]).ok().says(&["paused"]);
    for command in [vec!["restart", "api"], vec!["apply"]] {
        let command = [command, vec!["--timeout", "1s"]].concat();
        sandbox.pm(&command).code(7).says(&["the rollout of api is paused; `pm rollout resume api`"]);
    }
    let applying = sandbox.start(&["apply"]);
    sandbox.pm(&["rollout", "resume", "api"]).ok();
    finish(applying, "pm apply").ok();
    wait_until("it is over", SOON, || !is_rolling(&sandbox));
    assert_eq!(sandbox.app_processes().len(), 3);
}

#[test]
fn a_stop_of_one_copy_leaves_the_others_to_their_update() {
    let sandbox = Sandbox::applied(&app("1", 0, "500ms", ""));
    let reloading = sandbox.start(&["reload", "api"]);
    let successor = wait_for("the first new process", SOON, || sandbox.instance("api/0+")?.pid);
    sandbox.pm(&["stop", "api/2"]).ok();
    assert_eq!(sandbox.instance("api/2").unwrap().phase, "stopped");
    assert_eq!(sandbox.starts_of("api/1"), 1, "its turn has not come");
    finish(reloading, "pm reload").ok();
    assert_eq!(sandbox.pid("api/0"), successor, "it was not thrown away");
    assert_eq!((sandbox.starts_of("api/0"), sandbox.starts_of("api/1"), sandbox.starts_of("api/2")), (2, 2, 1));
    let told = sandbox.pm(&["events", "api"]).ok().stdout;
    assert!(!told.lines().any(|line| line.contains("started") && line.contains("(stop by")), "{told}");
}

#[test]
fn a_stop_of_the_copy_under_way_takes_its_new_process_too() {
    let sandbox = Sandbox::applied(&app("1", 0, "1s", ""));
    sandbox.pm(&["reload", "api", "--detach"]).ok();
    wait_until("the first new process", SOON, || sandbox.instance("api/0+").is_some());
    sandbox.pm(&["stop", "api/0"]).ok();
    wait_until("the others are replaced", SOON, || {
        sandbox.starts_of("api/1") == 2 && sandbox.starts_of("api/2") == 2 && !is_rolling(&sandbox)
    });
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "stopped");
    assert_eq!((sandbox.list().len(), sandbox.app_processes().len()), (3, 2));
}

#[test]
fn a_stop_of_one_copy_in_an_update_that_fails_is_a_stop() {
    let sandbox = Sandbox::applied(&app("good", 1, "1500ms", ""));
    sandbox.ecosystem(&app("bad", 1, "1500ms", ""));
    let applying = sandbox.start(&["apply"]);
    wait_until("the second slot has its turn", SOON, || sandbox.instance("api/1+").is_some());
    sandbox.pm(&["stop", "api/2"]).ok().says(&["starts it again"]);
    assert_eq!(sandbox.instance("api/2").unwrap().phase, "stopped");
    finish(applying, "pm apply").code(6).says(&["exit code 3", "rolled back to the old version"]);
    assert_eq!(sandbox.instance("api/2").unwrap().phase, "stopped");
    assert_eq!(sandbox.app_processes().len(), 2);
    sandbox.pm(&["plan"]).ok().says(&["good", "bad"]);
}

#[test]
fn who_was_not_there_is_told_that_an_update_failed() {
    // In the second case, the copy before was replaced already.
    for (ends, after) in [(0, "; the old version kept running"), (1, "; rolled back to the old version")] {
        let sandbox = Sandbox::applied(&app("good", ends, "1500ms", ""));
        sandbox.ecosystem(&app("bad", ends, "1500ms", ""));
        sandbox.pm(&["apply", "--detach"]).ok();
        let sentence = format!("could not be rolled out: api/{ends} ended with exit code 3");
        let is_told = |text: &str| text.lines().any(|line| line.contains(&sentence) && line.ends_with(after));
        wait_until("it is told", SOON, || is_told(&sandbox.pm(&["events", "api"]).ok().stdout));
        let why = sandbox.pm(&["why", "api/1"]).ok().stdout;
        assert!(is_told(&why), "{why}");
    }
}

#[test]
fn a_stop_of_the_whole_app_ends_a_pause() {
    let sandbox = Sandbox::applied(&app("1", 0, "300ms", ""));
    pause_a_reload(&sandbox);
    sandbox.pm(&["stop", "api"]).ok();
    sandbox.pm(&["start", "api"]).ok();
    sandbox.pm(&["rollout", "status"]).ok().says(&["no rollout is in progress"]);
    sandbox.pm(&["reload", "api", "--timeout", "20s"]).ok();
}

#[test]
fn a_pause_ends_only_with_its_revision() {
    let sandbox = Sandbox::applied(&app("1", 0, "300ms", ""));
    pause_a_reload(&sandbox);
    let starts = || (0..3).map(|slot| sandbox.starts_of(&format!("api/{slot}"))).sum::<usize>();
    let before = starts();
    sandbox.ecosystem(&app("1", 0, "300ms", "kill_timeout = \"7s\""));
    sandbox.pm(&["apply", "--timeout", "1s"]).code(7).says(&["the rollout of api is paused"]);
    assert_eq!(starts(), before, "a live field needs no new process");
    sandbox.pm(&["rollout", "status"]).ok().says(&["paused"]);
    sandbox.ecosystem(&app("2", 0, "300ms", "kill_timeout = \"7s\""));
    sandbox.pm(&["apply"]).ok().says(&["the paused rollout of api ends"]);
    assert!(!is_rolling(&sandbox));
}

#[test]
fn a_restart_waits_until_new_processes_are_up_and_no_longer() {
    let sandbox = Sandbox::applied(&app("1", 0, "60s", ""));
    let before = sandbox.list();
    let began = Instant::now();
    sandbox.pm(&["restart", "api", "--timeout", "50s"]).ok();
    assert!(began.elapsed().as_secs() < 50, "{:?}", began.elapsed());
    let after = sandbox.list();
    assert!(after.iter().zip(&before).all(|(new, old)| new.id == old.id && new.pid != old.pid), "{after:?}");
}
