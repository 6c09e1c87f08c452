//! A start waits for what it depends on: for its process, for its readiness, or for its end.

use crate::support::{SOON, Sandbox, finish, wait_until};

#[test]
fn a_dependent_starts_when_the_other_is_ready_and_says_meanwhile_what_it_waits_for() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        r#"
        [[apps]]
        name = "db"
        command = "sleep 1000"
        ready = { exec = "test -e open || { echo still loading; exit 1; }" }
        [[apps]]
        name = "api"
        command = "sh -c 'test -e open && exec sleep 1000'"
        depends_on = { db = "ready" }
        "#,
    );
    let apply = sandbox.start(&["apply"]);
    wait_until("the list tells it", SOON, || {
        let list = sandbox.pm(&["list"]).ok().stdout;
        list.contains("for db to be ready") && list.contains("starting: exit code 1: still loading")
    });
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "waiting");
    sandbox.file("open", "");
    finish(apply, "pm apply").ok().says(&["api waits for db to be ready"]);
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "running");
}

#[test]
fn a_task_runs_to_its_end_before_what_needs_it() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        r#"
        [[apps]]
        name = "migrate"
        kind = "task"
        command = "sh -c 'sleep 0.3; touch migrated'"
        [[apps]]
        name = "api"
        command = "sh -c 'test -e migrated && exec sleep 1000'"
        depends_on = { migrate = "completed" }
        "#,
    );
    sandbox.pm(&["apply"]).ok();
    assert_eq!(sandbox.instance("migrate/0").unwrap().phase, "done");
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "running");
}

#[test]
fn what_needs_a_task_that_fails_is_left_out_with_the_reason() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        r#"
        [[apps]]
        name = "migrate"
        kind = "task"
        command = "sh -c 'exit 3'"
        [[apps]]
        name = "api"
        command = "sleep 1000"
        depends_on = { migrate = "completed" }
        "#,
    );
    sandbox.pm(&["apply"]).code(6).says(&["migrate", "exit code 3", "skipped", "api"]);
    assert!(sandbox.app_processes().is_empty());
}

#[test]
fn what_needs_an_app_that_is_never_ready_is_left_out() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        r#"
        [[apps]]
        name = "db"
        command = "sleep 1000"
        restart = "never"
        ready = { exec = "exit 1", timeout = "500ms" }
        [[apps]]
        name = "api"
        command = "sleep 1000"
        depends_on = { db = "ready" }
        "#,
    );
    sandbox.pm(&["apply"]).code(6).says(&["db", "was not ready after", "skipped"]);
    assert!(sandbox.app_processes().is_empty());
}
