//! Daemon and anchor are killed together while apps start: every app runs once, and nothing survives a shutdown.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crate::support::{Random, SOON, Sandbox, kill_both, pause_between_faults, variable_of, wait_until};

const APPS: usize = 50;
const ROUNDS: u32 = 16;
/// An apply or a restart of fifty takes about so long; the kills fall anywhere into it.
const SPREAD_MICROSECONDS: u64 = 60_000;

fn fifty() -> Sandbox {
    let sandbox = Sandbox::new();
    let app = |number| format!("[[apps]]\nname = \"app{number}\"\ncommand = \"sleep 1000\"\n");
    sandbox.ecosystem(&(0..APPS).map(app).collect::<String>());
    sandbox
}

/// The processes of each app, as the kernel shows them.
fn processes_by_app(sandbox: &Sandbox) -> BTreeMap<String, Vec<u32>> {
    let mut apps: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for process in sandbox.app_processes() {
        if let Some(name) = variable_of(process.pid, "PM_APP") {
            apps.entry(name).or_default().push(process.pid);
        }
    }
    apps
}

/// Carries `command` out and kills both at a moment of its work.
fn interrupted(sandbox: &Sandbox, command: &[&str], random: &mut Random) {
    let pids = (sandbox.anchor_pid(), sandbox.daemon_pid());
    let mut working = sandbox.start(command);
    pause_between_faults(Duration::from_micros(random.below(SPREAD_MICROSECONDS)));
    // It would start the next daemon by itself.
    working.kill().unwrap();
    working.wait().unwrap();
    kill_both(sandbox, pids);
}

#[track_caller]
fn each_runs_once(sandbox: &Sandbox, round: u32) {
    let apps = processes_by_app(sandbox);
    assert_eq!(apps.len(), APPS, "round {round}: {apps:?}");
    let doubled: Vec<_> = apps.iter().filter(|(_, pids)| pids.len() != 1).collect();
    assert!(doubled.is_empty(), "round {round}: apps that run twice: {doubled:?}");
    let listed: Vec<u32> = sandbox.list().into_iter().filter_map(|instance| instance.pid).collect();
    assert!(apps.values().flatten().all(|pid| listed.contains(pid)), "round {round}: not in the list");
}

#[track_caller]
fn nothing_survives_a_shutdown(sandbox: &Sandbox) {
    sandbox.pm(&["shutdown"]).ok();
    wait_until("nothing is left", SOON, || sandbox.processes().is_empty());
}

#[test]
fn every_app_runs_once_and_nothing_survives_a_shutdown() {
    let mut random = Random(0x0DD_BA11);
    for round in 0..ROUNDS {
        let sandbox = fifty();
        sandbox.pm(&["list"]).ok();
        interrupted(&sandbox, &["apply", "--detach"], &mut random);
        // Perhaps the kill was faster than the first apply: a person says it again.
        sandbox.pm(&["apply"]).ok();
        each_runs_once(&sandbox, round);
        nothing_survives_a_shutdown(&sandbox);
    }
}

#[test]
fn the_same_while_all_are_restarted_again_and_again() {
    let mut random = Random(0xFEED);
    let sandbox = fifty();
    sandbox.pm(&["apply"]).ok();
    // A round is long: what was not restarted yet is rolled by the next daemon.
    for round in 0..ROUNDS / 3 {
        interrupted(&sandbox, &["restart", "all", "--detach"], &mut random);
        sandbox.pm(&["apply"]).ok();
        each_runs_once(&sandbox, round);
    }
    nothing_survives_a_shutdown(&sandbox);
}

#[test]
fn the_same_with_the_table_lost_and_with_the_state_lost_as_well() {
    let mut random = Random(0xACED);
    for round in 0..ROUNDS / 2 {
        let sandbox = fifty();
        sandbox.pm(&["list"]).ok();
        interrupted(&sandbox, &["apply", "--detach"], &mut random);
        fs::remove_file(sandbox.home().join("run/table")).unwrap();
        if round % 2 == 1 {
            fs::remove_dir_all(sandbox.home().join("state")).unwrap();
        }
        sandbox.pm(&["apply"]).ok();
        each_runs_once(&sandbox, round);
        nothing_survives_a_shutdown(&sandbox);
    }
}
