//! `pm signal`: to the main process, and to nobody else.

use crate::support::{SOON, Sandbox, start_time, wait_until};

/// Writes down each signal that it gets, as does its child.
const LISTENER: &str = r#"
trap 'echo HUP >> got' HUP
trap 'echo USR2 >> got' USR2
trap 'echo RT >> got' RTMIN+3
sh -c 'trap "echo child >> got" HUP; echo up; while :; do sleep 0.05; done' &
while :; do wait; done
"#;

fn listening() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("app.sh", LISTENER);
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"bash app.sh\"\nready.log = \"^up\"\ninstances = 2\nrestart = \"always\"\n");
    sandbox.pm(&["apply"]).ok();
    sandbox
}

fn got(sandbox: &Sandbox) -> Vec<String> {
    sandbox.read("got").lines().map(str::to_owned).collect()
}

#[test]
fn every_way_to_write_a_signal_reaches_the_main_process_and_nothing_below_it() {
    let sandbox = listening();
    let pid = sandbox.pid("api/1");
    for (at, (way, text)) in [
        ("HUP", "HUP"),
        ("sighup", "HUP"),
        ("1", "HUP"),
        ("USR2", "USR2"),
        ("12", "USR2"),
        ("RTMIN+3", "RT"),
        ("37", "RT"),
    ]
    .into_iter()
    .enumerate()
    {
        sandbox.pm(&["signal", way, "api/1"]).ok().says(&["sent to shop:api/1", &format!("(process {pid})")]);
        wait_until("it is there", SOON, || got(&sandbox).len() > at);
        assert_eq!(got(&sandbox)[at], text, "{way}");
    }
    let all = sandbox.pm(&["signal", "HUP", "api", "--json"]).ok().json();
    assert_eq!((all["signal"].as_str(), all["number"].as_i64()), (Some("SIGHUP"), Some(1)));
    assert_eq!(all["sent"][1], serde_json::json!({"instance": "shop:api/1", "pid": pid}));
    wait_until("both copies have it", SOON, || got(&sandbox).len() == 9);
    assert!(!got(&sandbox).contains(&"child".to_owned()));
    assert_eq!((sandbox.pid("api/1"), sandbox.starts_of("api/1")), (pid, 1));
    sandbox.pm(&["events", "api"]).ok().says(&["got SIGHUP in process", "got SIGRTMIN+3"]);
}

#[test]
fn what_is_no_signal_and_who_does_not_run_is_told() {
    let sandbox = listening();
    for text in ["HUPP", "0", "65", "32", "RTMIN+31"] {
        sandbox.pm(&["signal", text, "api"]).code(64).says(&["is no signal"]);
    }
    sandbox.pm(&["signal", "HUP", "nobody"]).code(1).says(&["nobody"]);
    sandbox.pm(&["stop", "api/1"]).ok();
    let partly = sandbox.pm(&["signal", "HUP", "api"]).code(1);
    partly.says(&["sent to shop:api/0", "not sent to shop:api/1: it does not run"]);
    let data = sandbox.pm(&["signal", "HUP", "api/1", "--json"]).code(1).json();
    assert_eq!(data["failed"], serde_json::json!([{"instance": "shop:api/1", "why": "not_running"}]));
}

#[test]
fn one_that_ends_by_it_has_ended_on_its_own() {
    let sandbox = listening();
    let pid = sandbox.pid("api/0");
    sandbox.pm(&["signal", "KILL", "api/0"]).ok();
    wait_until("it was started again", SOON, || sandbox.starts_of("api/0") == 2);
    assert!(start_time(pid).is_none());
    sandbox.pm(&["events", "api"]).ok().says(&["ended on its own with"]);
}

#[test]
fn a_stopped_process_goes_on_when_it_is_told_to() {
    let sandbox = listening();
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", sandbox.pid("api/0"))).unwrap_or_default();
    sandbox.pm(&["signal", "STOP", "api/0"]).ok();
    wait_until("it is suspended", SOON, || state().contains(") T "));
    sandbox.pm(&["signal", "CONT", "api/0"]).ok();
    wait_until("it goes on", SOON, || !state().contains(") T "));
}
