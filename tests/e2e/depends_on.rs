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

/// `mig` fails `times` times before it succeeds; `api` needs it.
fn retried(times: u32, policy: &str) -> (Sandbox, &'static str) {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"mig\"\nkind = \"task\"\nrestart = \"on-failure\"\n{policy}\n\
         shell = true\ncommand = '''echo x >> tries; [ $(wc -l < tries) -gt {times} ] || exit 5; until [ -e open ]; do sleep 0.02; done'''\n\
         [[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ndepends_on = {{ mig = \"completed\" }}\n"
    ));
    (sandbox, "api")
}

#[test]
fn a_task_that_is_tried_again_is_waited_for() {
    let (sandbox, api) = retried(3, "");
    let apply = sandbox.start(&["apply"]);
    wait_until("the fourth try", SOON, || sandbox.starts_of("mig/0") == 4);
    wait_until("it says of what it waits", SOON, || {
        sandbox.pm(&["why", api]).ok().stdout.contains("for mig to be completed: it is still running")
    });
    sandbox.file("open", "");
    finish(apply, "pm apply").ok().says(&["api waits for mig to be completed"]);
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "running");
}

#[test]
fn a_task_that_is_given_up_bars_what_needs_it() {
    let (sandbox, api) = retried(99, "max_restarts = 3");
    sandbox.pm(&["apply"]).code(6).says(&["gave up after 3 unstable starts", "skipped", api]);
    assert!(sandbox.app_processes().is_empty());
}

#[test]
fn a_task_that_is_started_alone_wakes_what_it_had_barred() {
    let (sandbox, api) = retried(3, "max_restarts = 2");
    sandbox.pm(&["apply"]).code(6);
    sandbox.file("open", "");
    sandbox.pm(&["start", "mig"]).ok();
    sandbox.wait_phase(&format!("{api}/0"), "running");
}

#[test]
fn what_was_skipped_starts_as_soon_as_the_other_has_recovered_by_itself() {
    let sandbox = Sandbox::new();
    sandbox.file("db.sh", "test -e works || { sleep 0.1; exit 1; }\necho READY\nexec sleep 1000\n");
    sandbox.ecosystem(
        r#"
        [[apps]]
        name = "db"
        command = "sh db.sh"
        ready = { log = "READY" }
        [[apps]]
        name = "api"
        command = "sleep 1000"
        depends_on = { db = "ready" }
        "#,
    );
    sandbox.pm(&["apply"]).code(6).says(&["skipped", "api"]);
    let why = sandbox.pm(&["why", "api"]).ok();
    assert!(why.stdout.contains("it depends on db, which is not ready yet"), "{why}");
    assert!(why.stdout.contains("it is started as soon as that has happened"), "{why}");
    sandbox.file("works", "");
    // Far sooner than the look that comes every half minute.
    wait_until("both run", SOON, || {
        ["db/0", "api/0"].iter().all(|id| sandbox.instance(id).is_some_and(|one| one.phase == "running"))
    });
}
