//! The verbs by hand: what they do, and what the next apply makes of it.

use crate::support::{Sandbox, start_time};

const FILE: &str = "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 2\n";

#[test]
fn a_stopped_app_stays_stopped_until_a_person_applies() {
    let sandbox = Sandbox::applied(FILE);
    let pid = sandbox.pid("api/0");
    sandbox.pm(&["stop", "api"]).ok();
    assert_eq!(start_time(pid), None);
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "stopped");
    sandbox.pm(&["stop", "api"]).ok();
    sandbox.kill_daemon();
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "stopped", "a new daemon respects it");
    sandbox.pm(&["apply"]).ok().says(&["stopped by"]);
    sandbox.pid("api/0");
}

#[test]
fn a_held_app_survives_applies() {
    let sandbox = Sandbox::applied(FILE);
    sandbox.pm(&["stop", "api", "--hold"]).ok();
    sandbox.pm(&["apply"]).ok().says(&["held"]);
    assert_eq!(sandbox.instance("api/0").unwrap().phase, "stopped");
    sandbox.pm(&["start", "api"]).code(8).says(&["unhold"]);
    sandbox.pm(&["unhold", "api"]).ok();
    sandbox.pm(&["start", "api"]).ok();
    sandbox.pid("api/0");
}

#[test]
fn restart_replaces_every_process_or_just_one() {
    let sandbox = Sandbox::applied(FILE);
    let (first, second) = (sandbox.pid("api/0"), sandbox.pid("api/1"));
    sandbox.pm(&["restart", "api/1"]).ok();
    assert_eq!(sandbox.pid("api/0"), first);
    assert_ne!(sandbox.pid("api/1"), second);
    let second = sandbox.pid("api/1");
    sandbox.kill_daemon();
    assert_eq!((sandbox.pid("api/0"), sandbox.pid("api/1")), (first, second), "the next daemon knows of it");
    assert!(!sandbox.pm(&["events", "-A"]).ok().stdout.contains("damaged"), "the state can be read back");
    sandbox.pm(&["restart", "api"]).ok();
    assert_ne!(sandbox.pid("api/0"), first);
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn delete_takes_the_app_away_and_the_file_brings_it_back() {
    let sandbox = Sandbox::applied(FILE);
    sandbox.pm(&["delete", "api"]).ok();
    assert_eq!(sandbox.list(), []);
    assert_eq!(sandbox.app_processes(), []);
    sandbox.pm(&["apply"]).ok();
    assert_eq!(sandbox.list().len(), 2);
}

#[test]
fn a_script_can_be_started_without_a_file() {
    let sandbox = Sandbox::new();
    sandbox.file("job.sh", "#!/bin/sh\nexec sleep 1000\n");
    sandbox.pm(&["start", "job.sh", "--name", "job"]).ok();
    let list = sandbox.list();
    assert_eq!((list.len(), list[0].id.as_str(), list[0].phase.as_str()), (1, "job/0", "running"));
    sandbox.pm(&["stop", "job"]).ok();
    sandbox.pm(&["start", "job"]).ok();
    sandbox.pm(&["delete", "job"]).ok();
}

#[test]
fn shutdown_is_remembered() {
    let sandbox = Sandbox::applied(FILE);
    sandbox.pm(&["shutdown"]).ok();
    assert_eq!(sandbox.processes(), [], "nothing is left after a shutdown");
    assert!(sandbox.list().iter().all(|instance| instance.pid.is_none()), "looking starts no app");
    sandbox.pm(&["start", "all"]).ok();
    sandbox.pid("api/0");
}

#[test]
fn a_daemon_restart_touches_no_app_and_a_stop_is_refused_while_apps_run() {
    let sandbox = Sandbox::applied(FILE);
    let (daemon, before) = (sandbox.daemon_pid(), sandbox.list());
    sandbox.pm(&["daemon", "stop"]).code(8);
    sandbox.pm(&["daemon", "restart"]).ok();
    assert_ne!(sandbox.daemon_pid(), daemon);
    assert_eq!(sandbox.list(), before);
}

#[test]
fn daemon_status_names_both_processes() {
    let sandbox = Sandbox::applied(FILE);
    let status = sandbox.pm(&["daemon", "status", "--json"]).ok();
    for pid in [sandbox.daemon_pid(), sandbox.anchor_pid()] {
        assert!(status.stdout.contains(&pid.to_string()), "{pid} is missing in {status}");
    }
}
