//! `self_heal`: what differs is put right without an apply, whatever dies in between; what a user stopped stays stopped.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::history::{entries, told};
use crate::support::{Sandbox, run, wait_until};

/// A file has to be the same for ten seconds, and is looked at every five; a daemon that was killed begins anew.
const HEALED: Duration = Duration::from_mins(1);

/// Two apps that read a file when they start, in a project that heals itself.
fn file(mode: &str) -> String {
    let app = |name: &str| {
        format!(
            "[[apps]]\nname = \"{name}\"\nshell = true\ncommand = '''cat app.conf; exec sleep 1000'''\n\
             instances = 1\nrestart_on = [\"app.conf\"]\nupdate = {{ min_healthy_time = \"0s\" }}\n"
        )
    };
    format!("self_heal = \"{mode}\"\noverride_grace = \"1s\"\n{}{}", app("api"), app("web"))
}

fn applied(mode: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("app.conf", "one\n");
    sandbox.ecosystem(&file(mode));
    sandbox.pm(&["apply"]).ok();
    sandbox
}

/// The steps of `pm why` about self-healing, of one copy.
fn heal_of(sandbox: &Sandbox, id: &str) -> Option<Value> {
    let all = sandbox.pm(&["list", "-A", "--json"]).ok().json();
    let row = all["apps"].as_array().unwrap().iter().find(|row| row["id"].as_str().unwrap().ends_with(id))?;
    row["status"]["next"].as_array().unwrap().iter().find(|step| step["is"] == "heal").cloned()
}

/// Whether the newest entry of the history is one of self-healing that ended well.
fn is_healed(sandbox: &Sandbox) -> bool {
    let newest = &entries(sandbox)[0];
    newest["origin"] == "self_heal" && newest["result"] == "applied"
}

#[test]
fn a_changed_file_replaces_what_runs_and_nothing_that_a_user_stopped() {
    let sandbox = applied("config");
    sandbox.pm(&["stop", "web"]).ok();
    sandbox.pm(&["scale", "api", "2"]).ok();
    let before = sandbox.wait_pid("api/0");
    fs::write(sandbox.path("app.conf"), "two\n").unwrap();
    wait_until("it is announced", HEALED, || heal_of(&sandbox, "api/0").is_some());
    sandbox
        .pm(&["status"])
        .says(&["app.conf changed since the last apply", "self_heal replaces its processes, not before"]);
    sandbox.pm(&["why", "api/0"]).ok().says(&["self_heal replaces its processes, not before"]);
    // What is announced is what an apply would do.
    sandbox.pm(&["plan"]).says(&["restart_on", "api"]);
    assert!(heal_of(&sandbox, "web/0").is_none(), "a user stopped it");

    wait_until("it is put right", HEALED, || is_healed(&sandbox));
    assert_ne!(sandbox.pid("api/0"), before);
    assert_eq!(String::from_utf8(sandbox.log_text("api", "out", 0)).unwrap(), "one\ntwo\n");
    assert_eq!(told(&sandbox)[0].split(' ').skip(1).collect::<Vec<_>>(), ["self_heal", "applied", "healthy", "~api"]);
    assert_eq!(entries(&sandbox)[0]["by"], Value::Null);
    sandbox.pm(&["history"]).ok().says(&["self_heal"]);
    sandbox.pm(&["events"]).ok().says(&["(self_heal)"]);
    let list = sandbox.list();
    assert!(list.iter().all(|one| !one.id.ends_with("web/0") || one.phase == "stopped"), "{list:?}");
    assert_eq!(list.iter().filter(|one| one.phase == "running").count(), 2, "what a user scaled stays: {list:?}");
    // Nothing is left to do about it: by itself, or by an apply.
    assert!(heal_of(&sandbox, "api/0").is_none());
    sandbox.pm(&["plan", "--only", "api", "--keep-overrides", "--detailed-exitcode"]).code(0);
}

#[test]
fn what_a_user_scaled_is_undone_after_its_grace_and_a_stop_never() {
    let sandbox = applied("full");
    sandbox.pm(&["stop", "web"]).ok();
    sandbox.pm(&["scale", "api", "3"]).ok();
    sandbox.pm(&["status"]).says(&["api: scaled to 3 by a user, the file says 1; self_heal restores 1"]);
    let count = || sandbox.list().iter().filter(|one| one.phase == "running").count();
    wait_until("one copy is left", HEALED, || count() == 1);
    wait_until("it is synced but for the stop", HEALED, || {
        let text = sandbox.pm(&["status", "--json"]).ok().json();
        let apps = text["projects"][0]["apps"].as_array().unwrap().clone();
        let sync: Vec<_> = apps.iter().map(|app| app["sync"].as_str().unwrap().to_owned()).collect();
        sync == ["synced", "out_of_sync"]
    });
    // Once more, soon after: that waits.
    sandbox.pm(&["scale", "api", "2"]).ok();
    let heal = heal_of(&sandbox, "api/0").expect("it is announced");
    let now = sandbox.pm(&["status", "--json"]).ok().json()["now"].as_u64().unwrap();
    assert!(heal["when"]["at"].as_u64().unwrap() > now + 20_000, "{heal} at {now}");
    assert!(sandbox.instance("web/0").is_none_or(|one| one.phase == "stopped"));
}

#[test]
fn a_daemon_that_dies_while_it_puts_something_right_has_a_successor_that_ends_it() {
    for place in ["heal.decided:1", "heal.kept:1", "desired.kept:2"] {
        let sandbox = Sandbox::new();
        sandbox.file("app.conf", "one\n");
        sandbox.ecosystem(&file("config"));
        run(sandbox.command(&["apply"]).env("PM_KILLPOINT", place));
        sandbox.pm(&["apply"]).ok();
        let daemon = sandbox.daemon_pid();
        let before = [sandbox.wait_pid("api/0"), sandbox.wait_pid("web/0")];
        fs::write(sandbox.path("app.conf"), "two\n").unwrap();
        wait_until(&format!("{place}: it is put right"), HEALED * 2, || is_healed(&sandbox));
        if place.starts_with("heal") {
            assert_ne!(sandbox.daemon_pid(), daemon, "{place}: nobody died");
        }
        let after = [sandbox.pid("api/0"), sandbox.pid("web/0")];
        assert!(before[0] != after[0] && before[1] != after[1], "{place}: {before:?} {after:?}");
        for app in ["api", "web"] {
            let text = String::from_utf8(sandbox.log_text(app, "out", 0)).unwrap();
            assert_eq!(text, "one\ntwo\n", "{place}: one new process, not more");
        }
        let healed = told(&sandbox).iter().filter(|line| line.contains("self_heal")).count();
        assert_eq!(healed, 1, "{place}: {:?}", told(&sandbox));
    }
}

#[test]
fn contents_that_fail_are_rolled_back_and_not_tried_again_until_they_change() {
    let sandbox = Sandbox::new();
    sandbox.file("app.conf", "good\n");
    sandbox.ecosystem(
        "self_heal = \"config\"\n[[apps]]\nname = \"api\"\nshell = true\nrestart_on = [\"app.conf\"]\nmax_restarts = 0\n\
         command = '''grep -q good app.conf || [ -e again ] || { echo bad; touch again; exit 3; }; exec sleep 1000'''\n\
         update = { min_healthy_time = \"0s\" }\n",
    );
    sandbox.pm(&["apply"]).ok();
    fs::write(sandbox.path("app.conf"), "bad\n").unwrap();
    wait_until("it has failed", HEALED, || {
        heal_of(&sandbox, "api/0").is_some_and(|heal| heal["when"]["is"] == "failed")
    });
    sandbox.wait_phase("api/0", "running");
    sandbox
        .pm(&["status"])
        .says(&["its last rollout failed and was rolled back", "those with these contents have failed"]);
    wait_until("the history says so", HEALED, || {
        let newest = entries(&sandbox)[0].clone();
        newest["origin"] == "self_heal" && newest["result"] == "failed"
    });
    // The daemon dies: its successor knows that, too.
    sandbox.kill_daemon();
    wait_until("the next daemon has looked", HEALED, || {
        heal_of(&sandbox, "api/0").is_some_and(|heal| heal["when"]["is"] == "failed")
    });
    assert_eq!(entries(&sandbox).len(), 2);
    fs::write(sandbox.path("app.conf"), "good again\n").unwrap();
    wait_until("what is new is tried", HEALED * 2, || {
        heal_of(&sandbox, "api/0").is_some_and(|heal| heal["when"]["is"] == "at") || is_healed(&sandbox)
    });
}

#[test]
fn another_mode_is_a_change_that_the_plan_shows() {
    let sandbox = applied("off");
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
    sandbox.ecosystem(&file("full"));
    sandbox.pm(&["plan", "--detailed-exitcode"]).code(2).says(&["self_heal: \"off\" -> \"full\""]);
    sandbox.pm(&["apply"]).ok().says(&["self_heal: \"off\" -> \"full\"", "saved"]);
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}
