//! A process that stops being good is replaced, and the reason is told.

use crate::ready::server;
use crate::support::{SOON, Sandbox, wait_until};

#[test]
fn failing_health_restarts_with_the_reason() {
    let sandbox = Sandbox::new();
    let server = server(&sandbox, "0");
    sandbox.ecosystem(&format!(
        r#"
        [[apps]]
        name = "web"
        {server}
        ready = {{ tcp = "${{PORT}}" }}
        health = {{ http = "http://127.0.0.1:${{PORT}}/", interval = "200ms", failures = 2 }}
        "#
    ));
    sandbox.pm(&["apply"]).ok();
    let pid = sandbox.pid("web/0");
    sandbox.file("status", "503");
    wait_until("it is replaced", SOON, || sandbox.instance("web/0").is_some_and(|web| web.restarts > 0));
    std::fs::remove_file(sandbox.path("status")).unwrap();
    wait_until("the next one is good", SOON, || {
        sandbox.instance("web/0").is_some_and(|web| web.phase == "running" && web.pid != Some(pid))
    });
    sandbox
        .pm(&["events", "web"])
        .ok()
        .says(&["failed its health probe (2 in a row): HTTP 503", "unhealthy: HTTP 503"]);
}

#[test]
fn what_is_given_up_as_unhealthy_says_so_to_people_and_to_its_hook() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        r#"
        [[apps]]
        name = "sick"
        shell = true
        command = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
        health = { exec = "echo no disk; exit 1", interval = "300ms", failures = 2 }
        max_restarts = 2
        exp_backoff_restart_delay = "10ms"
        hooks = { on_give_up = "echo $PM_REASON >reason" }
        "#,
    );
    sandbox.pm(&["apply", "--detach"]).ok();
    sandbox.wait_phase("sick/0", "errored");
    let words = "the last one was stopped as unhealthy: exit code 1";
    sandbox.pm(&["list"]).ok().says(&[words]);
    sandbox.pm(&["why", "sick"]).ok().says(&[words]);
    wait_until("its hook knows, too", SOON, || sandbox.read("reason").contains(words));
    sandbox.kill_daemon();
    sandbox.pm(&["list"]).ok().says(&[words]);
}

#[test]
fn a_roll_that_turns_unhealthy_goes_back_with_the_last_words_of_the_probe() {
    let sandbox = Sandbox::new();
    let file = |health: &str| {
        format!(
            r#"
            [[apps]]
            name = "web"
            shell = true
            command = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
            env = {{ HEALTH = "{health}" }}
            health = {{ exec = "exit $HEALTH", interval = "150ms", failures = 2 }}
            update = {{ min_healthy_time = "2s" }}
            "#
        )
    };
    sandbox.ecosystem(&file("0"));
    sandbox.pm(&["apply"]).ok();
    sandbox.ecosystem(&file("7"));
    sandbox.pm(&["apply"]).code(6).says(&["web/0 is unhealthy: exit code 7", "rolled back to the old version"]);
}

#[test]
fn with_action_none_trouble_is_only_shown_until_it_is_over() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        r#"
        [[apps]]
        name = "calm"
        command = "sleep 1000"
        health = { exec = "test ! -e bad", interval = "150ms", failures = 1, action = "none" }
        "#,
    );
    sandbox.pm(&["apply"]).ok();
    let pid = sandbox.pid("calm/0");
    sandbox.file("bad", "");
    let told = |fact: &str| sandbox.events_of("calm").iter().any(|event| event.fact == fact);
    wait_until("it is shown", SOON, || sandbox.pm(&["list"]).ok().stdout.contains("unhealthy: "));
    sandbox.pm(&["why", "calm"]).ok().says(&["its health probe failed"]);
    std::fs::remove_file(sandbox.path("bad")).unwrap();
    wait_until("it is over", SOON, || told("healthy"));
    assert_eq!(sandbox.pid("calm/0"), pid, "nobody touched it");
}
