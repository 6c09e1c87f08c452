//! A process that stops being good is replaced, and the reason is told.

use crate::ready::server;
use crate::support::{SOON, Sandbox, start_time, wait_until};

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

#[test]
fn what_a_probe_leaves_behind_ends_with_it_and_holds_up_no_stop() {
    probe_leaves_nothing("");
    // Without the environment by which it is known.
    probe_leaves_nothing("env -i ");
}

fn probe_leaves_nothing(way: &str) {
    let sandbox = Sandbox::new();
    // Each one leaves a process in a session of its own that does not mind being asked to end, and hangs when `hang` is there.
    sandbox.ecosystem(&r#"
        [[apps]]
        name = "web"
        command = "sleep 1000"
        kill_timeout = "60s"
        [apps.health]
        exec = '''WAY setsid -f sh -c 'trap "" TERM; echo $$$$ >> left; exec sleep 1000'; sleep 0.1; test -e hang && { echo x > hangs; sleep 1000; }; true'''
        interval = "1s"
        timeout = "1s"
        failures = 1000
        "#.replace("WAY ", way));
    sandbox.pm(&["apply"]).ok();
    let left = || sandbox.read("left").lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>();
    wait_until("several probes have left something", SOON, || left().len() > 2);
    wait_until("nothing of the first ones is left", SOON, || left()[..2].iter().all(|pid| start_time(*pid).is_none()));
    sandbox.file("hang", "");
    wait_until("one hangs", SOON, || sandbox.path("hangs").exists());
    let began = std::time::Instant::now();
    sandbox.pm(&["stop", "web"]).ok();
    assert!(began.elapsed() < SOON, "it has cost the whole time to end");
    wait_until("nothing is left", SOON, || left().iter().all(|pid| start_time(*pid).is_none()));
    assert_eq!(sandbox.pm(&["list", "--json"]).ok().json()["apps"][0]["force_kills"].as_u64().unwrap_or(0), 0);
}
