//! A hundred first commands at once start one daemon.

use crate::support::{Process, Sandbox, finish};

#[test]
fn a_hundred_first_commands_share_one_daemon() {
    let sandbox = Sandbox::new();
    let children: Vec<_> = (0..100).map(|_| sandbox.start(&["list", "--json"])).collect();
    for child in children {
        finish(child, "pm list --json").ok().json();
    }
    let processes = sandbox.processes();
    let count = |is_it: fn(&Process) -> bool| processes.iter().filter(|process| is_it(process)).count();
    assert_eq!((count(Process::is_anchor), count(Process::is_daemon)), (1, 1), "{processes:#?}");
    assert_eq!(sandbox.events().iter().filter(|event| event.fact == "daemon_started").count(), 1);
}

#[test]
fn a_first_apply_and_a_first_list_at_once_both_work() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let children: Vec<_> = (0..10).map(|_| sandbox.start(&["apply"])).collect();
    for child in children {
        finish(child, "pm apply").ok();
    }
    assert_eq!(sandbox.app_processes().len(), 1);
}
