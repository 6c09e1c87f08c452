//! Hooks run at their points, in bounded time, and hold nothing up for ever.

use std::time::{Duration, Instant};

use crate::support::{SOON, Sandbox, kill, wait_until};

fn file(command: &str, hooks: &str) -> String {
    format!("[[apps]]\nname = \"api\"\ncommand = {command:?}\n{hooks}\n")
}

#[test]
fn hooks_run_in_order_with_the_environment_of_the_app() {
    let note = |hook: &str| format!("{hook} = \"echo $PM_HOOK $PM_APP >>order\"");
    let hooks = format!("hooks = {{ {}, {}, {} }}", note("pre_start"), note("post_ready"), note("pre_stop"));
    let sandbox = Sandbox::applied(&file("sleep 1000", &hooks));
    wait_until("it has said that it is ready", SOON, || sandbox.read("order").contains("post_ready"));
    sandbox.pm(&["stop", "api"]).ok();
    assert_eq!(sandbox.read("order"), "pre_start api\npost_ready api\npre_stop api\n");
}

#[test]
fn a_failed_first_hook_is_a_failed_start_with_its_reason() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&file("sleep 1000", "hooks = { pre_start = \"echo no database; exit 3\" }"));
    sandbox.pm(&["apply"]).code(6).says(&["pre_start", "exit code 3"]);
    assert_eq!(sandbox.app_processes(), []);
    assert_eq!(sandbox.starts_of("api/0"), 0);
    wait_until("its output is in the error log", SOON, || sandbox.log_text("api", "error", 0) == b"no database\n");
}

#[test]
fn a_hook_that_hangs_is_killed_with_its_tree_and_the_stop_goes_on() {
    let hooks = "hooks = { pre_stop = \"sleep 1001 & setsid sleep 1002 & sleep 1003\", timeout = \"1s\" }";
    let sandbox = Sandbox::applied(&file("sleep 1000", hooks));
    let began = Instant::now();
    sandbox.pm(&["stop", "api"]).ok();
    assert!(began.elapsed() >= Duration::from_secs(1), "it had its time");
    wait_until("no process is left", SOON, || sandbox.app_processes().is_empty());
    let failed = sandbox.events_of("api").iter().any(|event| event.fact == "hook_failed");
    assert!(failed, "and that is told");
}

#[test]
fn a_stop_during_a_first_hook_ends_the_hook() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&file("sleep 1000", "hooks = { pre_start = \"sleep 1001\" }"));
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("the hook runs", SOON, || !sandbox.app_processes().is_empty());
    sandbox.pm(&["stop", "api"]).ok();
    wait_until("the hook is gone", SOON, || sandbox.app_processes().is_empty());
    assert_eq!(sandbox.starts_of("api/0"), 0);
}

#[test]
fn crashes_and_giving_up_are_told_to_their_hooks() {
    let hooks = "max_restarts = 2\nexp_backoff_restart_delay = \"10ms\"\nhooks = { on_crash = \"echo $PM_EXIT >>crashes\", on_give_up = \"echo $PM_REASON >gave_up\" }";
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&file("sh -c 'sleep 0.1; exit 7'", hooks));
    sandbox.pm(&["apply", "--detach"]).ok();
    sandbox.wait_phase("api/0", "errored");
    wait_until("both have run", SOON, || sandbox.read("gave_up").contains("unstable starts"));
    assert!(sandbox.read("crashes").starts_with("exit code 7\n"), "{}", sandbox.read("crashes"));
}

#[test]
fn a_daemon_that_dies_during_a_hook_leaves_none_behind_and_the_start_goes_on() {
    let sandbox = Sandbox::new();
    let hook = "[ -e second ] && exit 0; touch second; sleep 1001; sleep 1002";
    sandbox.ecosystem(&file("sleep 1000", &format!("hooks = {{ pre_start = {hook:?} }}")));
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("the hook runs", SOON, || sandbox.app_processes().iter().any(|one| one.args.contains(&"1001".into())));
    sandbox.kill_daemon();
    sandbox.wait_phase("api/0", "running");
    wait_until("only the app is left", SOON, || sandbox.app_processes().len() == 1);
}

#[test]
fn what_a_first_hook_says_while_no_daemon_lives_is_not_lost() {
    let sandbox = Sandbox::new();
    let hook = "echo one; touch begun; while [ ! -e go ]; do sleep 0.01; done; echo two; touch said; sleep 1000";
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\nhooks = {{ pre_start = '''{hook}''', timeout = \"1m\" }}\n"
    ));
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("the hook runs", SOON, || sandbox.path("begun").exists());
    let daemon = sandbox.daemon_pid();
    kill(daemon, libc::SIGSTOP);
    sandbox.file("go", "");
    wait_until("the hook has spoken", SOON, || sandbox.path("said").exists());
    kill(daemon, libc::SIGKILL);
    wait_until("both lines are there", SOON, || sandbox.log_text("api", "error", 0).starts_with(b"one\ntwo\n"));
}

#[test]
fn a_hook_that_hangs_is_shown_while_it_does() {
    let hooks = "hooks = { pre_start = \"[ -e go ] || sleep 1001\", pre_stop = \"sleep 1002\", timeout = \"40s\" }";
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&file("sleep 1000", hooks));
    let applying = sandbox.start(&["apply"]);
    wait_until("the list names it", SOON, || {
        sandbox.pm(&["list"]).ok().stdout.contains("starting: hook pre_start runs, ")
    });
    sandbox.pm(&["list"]).ok().says(&["of at most 40s"]);
    sandbox.pm(&["why", "api"]).ok().says(&["its hook `pre_start` has been running for", "once the hook"]);
    wait_until("it has hung for so long that it is worth a line", SOON, || {
        let row = sandbox.pm(&["list", "--json"]).ok().json()["apps"][0]["hook"].clone();
        row["hook"] == "pre_start" && row["runs_ms"].as_u64().is_some_and(|runs| runs > 1500)
    });
    sandbox.pm(&["stop", "api"]).ok();
    let applied = crate::support::finish(applying, "pm apply");
    assert!((applied.stdout.clone() + &applied.stderr).contains("api/0 waits for its hook `pre_start`"), "{applied}");
    sandbox.file("go", "");
    sandbox.pm(&["start", "api"]).ok();
    sandbox.pm(&["stop", "api", "--detach"]).ok();
    wait_until("the list names the other one", SOON, || {
        sandbox.pm(&["list"]).ok().stdout.contains("stopping: hook pre_stop runs, ")
    });
    let why = sandbox.pm(&["why", "api"]).ok().says(&["its hook `pre_stop`", "it is asked to stop once"]);
    assert!(!why.stdout.contains("it was asked to stop"), "{why}");
    let hook = sandbox.app_processes().into_iter().find(|one| one.args.contains(&"1002".into()));
    kill(hook.expect("the hook runs").pid, libc::SIGKILL);
    sandbox.wait_phase("api/0", "stopped");
}
