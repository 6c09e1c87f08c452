//! `pm status` says in two words how a project stands, and what is behind them; both are derived each time.

use std::fs;

use serde_json::Value;

use crate::history::{app, apply};
use crate::support::{SOON, Sandbox, wait_until};

/// The only project.
fn row(sandbox: &Sandbox) -> Value {
    sandbox.pm(&["status", "--json"]).ok().json()["projects"][0].clone()
}

/// `out_of_sync suspended api:stopped`.
fn words(sandbox: &Sandbox) -> String {
    let row = row(sandbox);
    let mut words = vec![row["sync"].as_str().unwrap().to_owned(), row["health"].as_str().unwrap().to_owned()];
    for app in row["apps"].as_array().unwrap() {
        for deviation in app["deviations"].as_array().into_iter().flatten() {
            words.push(format!("{}:{}", app["app"].as_str().unwrap(), deviation["is"].as_str().unwrap()));
        }
    }
    words.join(" ")
}

fn code(sandbox: &Sandbox) -> i32 {
    sandbox.pm(&["status", "--exit-code"]).status
}

#[test]
fn what_operators_changed_is_shown_until_an_apply() {
    let sandbox = Sandbox::new();
    sandbox.pm(&["status"]).ok().says(&["no projects yet"]);
    sandbox.pm(&["status", "--exit-code"]).code(0);
    sandbox.pm(&["status", "nobody"]).code(1).says(&["no project `nobody`", "pm projects"]);
    let two = app("api", "1").replace("update", "instances = 2\nupdate");
    sandbox.ecosystem(&format!("{two}{}", app("web", "1")));
    sandbox.pm(&["apply"]).ok();
    assert_eq!((words(&sandbox), code(&sandbox)), ("synced healthy".into(), 0));
    let last = row(&sandbox)["last_change"].clone();
    assert_eq!((&last["generation"], &last["origin"]), (&1.into(), &"apply".into()), "{last}");
    assert!(last["by"]["name"].is_string() && last["at"].is_u64(), "{last}");

    sandbox.pm(&["scale", "api", "3"]).ok();
    assert_eq!((words(&sandbox), code(&sandbox)), ("out_of_sync healthy api:scaled".into(), 2));
    sandbox.pm(&["stop", "web"]).ok();
    assert_eq!((words(&sandbox), code(&sandbox)), ("out_of_sync suspended api:scaled web:stopped".into(), 2));
    sandbox.pm(&["status"]).ok().says(&[
        "out of sync",
        "suspended",
        "api: scaled to 3",
        "the file says 2",
        "web: stopped by",
    ]);
    // A new daemon says the same.
    sandbox.kill_daemon();
    assert_eq!(words(&sandbox), "out_of_sync suspended api:scaled web:stopped");
    sandbox.pm(&["apply"]).ok();
    assert_eq!((words(&sandbox), code(&sandbox)), ("synced healthy".into(), 0));
    sandbox.pm(&["stop", "api/1"]).ok();
    assert_eq!(words(&sandbox), "out_of_sync suspended api:slots_stopped");
    sandbox.pm(&["stop", "web", "--hold"]).ok();
    sandbox.pm(&["apply"]).ok();
    assert_eq!(words(&sandbox), "out_of_sync suspended web:stopped");
    sandbox.pm(&["status"]).ok().says(&["held", "pm unhold"]);
}

#[test]
fn a_failed_rollout_and_a_crash_loop_are_told_apart() {
    let sandbox = Sandbox::new();
    apply(&sandbox, &[("api", "1")]).ok();
    apply(&sandbox, &[("api", "bad")]).code(6);
    wait_until("it is rolled back", SOON, || words(&sandbox) == "out_of_sync healthy api:rollout_failed");
    assert_eq!(code(&sandbox), 2);
    sandbox.pm(&["status"]).ok().says(&["api: its last rollout failed and was rolled back"]);
    assert_eq!(row(&sandbox)["apps"][0]["deviations"][0]["is_rolled_back"], true);
    // What never ran cannot be rolled back.
    apply(&sandbox, &[("api", "1"), ("new", "bad")]).code(6);
    let health = || row(&sandbox)["health"].as_str().unwrap().to_owned();
    wait_until("it is given up", SOON, || health() == "degraded");
    assert_eq!(code(&sandbox), 6);
    sandbox.pm(&["status"]).ok().says(&["new: errored"]);
}

#[test]
fn a_rollback_is_shown_as_a_pin_and_a_changed_script_as_stale() {
    let sandbox = Sandbox::new();
    let script = sandbox.file("server.sh", "exec sleep 1000\n");
    let file = |version: &str| {
        format!(
            "[[apps]]\nname = \"api\"\nscript = \"server.sh\"\ninterpreter = \"sh\"\nenv = {{ VERSION = \"{version}\" }}\n\
             update = {{ min_healthy_time = \"0s\" }}\n"
        )
    };
    for version in ["1", "2"] {
        sandbox.ecosystem(&file(version));
        sandbox.pm(&["apply"]).ok();
    }
    sandbox.pm(&["rollback"]).ok();
    assert_eq!(words(&sandbox), "synced healthy");
    let shown = row(&sandbox);
    assert_eq!((&shown["pins"][0]["app"], &shown["pins"][0]["generation"]), (&"api".into(), &1.into()), "{shown}");
    assert_eq!(shown["last_change"]["origin"], "rollback");
    sandbox.pm(&["status"]).ok().says(&["api: pinned by a rollback to generation 1"]);
    sandbox.pm(&["list"]).ok().says(&["pinned by a rollback: api"]);
    assert_eq!(sandbox.pm(&["list", "--json"]).ok().json()["apps"][0]["pinned_to"], 1);
    sandbox.pm(&["describe", "api"]).ok().says(&["pinned", "by a rollback to generation 1"]);
    // The clock of files is coarser than that of processes: the change has to be later by both.
    wait_until("the file is newer", SOON, || {
        fs::write(&script, "exec sleep 1001\n").unwrap();
        words(&sandbox) == "out_of_sync healthy api:stale"
    });
    sandbox.pm(&["status"]).ok().says(&["server.sh changed", "after its process was started"]);
    sandbox.pm(&["restart", "api"]).ok();
    assert_eq!(words(&sandbox), "synced healthy");
}

#[test]
fn after_a_shutdown_everything_is_suspended() {
    let sandbox = Sandbox::new();
    apply(&sandbox, &[("api", "1"), ("web", "1")]).ok();
    sandbox.pm(&["shutdown"]).ok();
    assert_eq!(words(&sandbox), "out_of_sync suspended api:shut_down web:shut_down");
    sandbox.pm(&["status"]).ok().says(&["api, web: stopped by `pm shutdown`"]);
    assert_eq!(code(&sandbox), 2);
}
