//! Daemon and anchor are killed together while apps start: every app runs once, and nothing survives a shutdown.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{Random, SOON, Sandbox, kill_both, pause_between_faults, variable_of, wait_until};

const COPIES: usize = 50;
const ROUNDS: u32 = 16;
/// An apply of fifty takes about so long; the kills fall anywhere into it.
const SPREAD_MICROSECONDS: u64 = 60_000;

/// How many processes each copy has, as the kernel shows them.
fn processes_by_copy(sandbox: &Sandbox) -> BTreeMap<String, Vec<u32>> {
    let mut copies: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for app in sandbox.app_processes() {
        if let Some(copy) = variable_of(app.pid, "PM_INSTANCE") {
            copies.entry(copy).or_default().push(app.pid);
        }
    }
    copies
}

#[test]
fn every_app_runs_once_and_nothing_survives_a_shutdown() {
    let mut random = Random(0x0DD_BA11);
    for round in 0..ROUNDS {
        let sandbox = Sandbox::new();
        let file = format!("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = {COPIES}\n");
        sandbox.ecosystem(&file);
        sandbox.pm(&["list"]).ok();
        let pids = (sandbox.anchor_pid(), sandbox.daemon_pid());
        let applying = sandbox.start(&["apply", "--detach"]);
        pause_between_faults(Duration::from_micros(random.below(SPREAD_MICROSECONDS)));
        kill_both(&sandbox, pids);
        let _ = crate::support::finish(applying, "pm apply");
        // Perhaps the kill was faster than the first apply: a person says it again.
        sandbox.pm(&["apply"]).ok();
        let copies = processes_by_copy(&sandbox);
        assert_eq!(copies.len(), COPIES, "round {round}: {copies:?}");
        let doubled: Vec<_> = copies.iter().filter(|(_, pids)| pids.len() != 1).collect();
        assert!(doubled.is_empty(), "round {round}: copies that run twice: {doubled:?}");
        let listed: Vec<u32> = sandbox.list().into_iter().filter_map(|instance| instance.pid).collect();
        assert!(copies.values().flatten().all(|pid| listed.contains(pid)), "round {round}: not in the list");
        sandbox.pm(&["shutdown"]).ok();
        wait_until("nothing is left", SOON, || sandbox.processes().is_empty());
    }
}
