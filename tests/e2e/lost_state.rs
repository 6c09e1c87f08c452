//! The state is gone altogether: what runs is found by what it says of itself, and never doubled.

use std::fs;

use crate::support::{SOON, Sandbox, start_time, wait_until};

const TWO: &str = "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 2\n";
const OLD: &str = "[[apps]]\nname = \"old\"\ncommand = \"sleep 2000\"\n";

/// `api/0`, `api/1` and `old/0` run, and the next daemon has found nothing but garbage where the state was.
fn lost() -> Sandbox {
    let sandbox = Sandbox::applied(&format!("{TWO}{OLD}"));
    for name in ["desired.journal", "desired.journal.prev"] {
        fs::write(sandbox.home().join("state").join(name), "garbage").unwrap();
    }
    sandbox.kill_daemon();
    sandbox
}

fn sleeps(sandbox: &Sandbox) -> usize {
    sandbox.app_processes().iter().filter(|app| app.args.first().is_some_and(|word| word.ends_with("sleep"))).count()
}

#[test]
fn what_runs_is_listed_and_the_next_command_says_what_happened() {
    let sandbox = lost();
    let list = sandbox.pm(&["list", "-A"]).ok();
    assert!(list.stderr.contains("warning: the state file was unreadable"), "{list}");
    assert!(list.stderr.contains("shop:api/0, shop:api/1, shop:old/0"), "{list}");
    assert_eq!(list.stdout.matches("running, spec lost").count(), 3, "{list}");
    let again = sandbox.pm(&["list", "-A"]).ok();
    assert_eq!(again.stderr, "", "once is enough");
    sandbox.pm(&["why", "old"]).ok().says(&["its spec was lost"]);
    sandbox.pm(&["restart", "old"]).code(64).says(&["its spec was lost", "apply the file"]);
    sandbox.kill_daemon();
    assert_eq!(sandbox.list().len(), 3, "the next daemon finds it just so");
    assert_eq!(sleeps(&sandbox), 3);
}

#[test]
fn an_apply_takes_over_what_it_declares_and_never_doubles_it() {
    let sandbox = lost();
    let before = ["api/0", "api/1", "old/0"].map(|id| sandbox.pid(id));
    sandbox.ecosystem(TWO);
    sandbox.pm(&["apply"]).ok().says(&["its spec was lost", "roll 2", "old is running"]);
    for (id, old) in [("api/0", before[0]), ("api/1", before[1])] {
        assert_ne!(sandbox.pid(id), old, "{id} runs what the file says");
        assert_eq!(start_time(old), None, "{id} is replaced, not doubled");
    }
    assert_eq!(sandbox.pid("old/0"), before[2], "nobody declares it, and nobody ended it");
    assert_eq!(sleeps(&sandbox), 3);
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
    sandbox.pm(&["delete", "old"]).ok();
    assert_eq!((sandbox.instance("old/0"), sleeps(&sandbox)), (None, 2));
}

#[test]
fn stop_and_shutdown_reach_it() {
    let sandbox = lost();
    sandbox.pm(&["stop", "old"]).ok();
    assert_eq!(sandbox.instance("old/0").unwrap().phase, "stopped");
    assert_eq!(sleeps(&sandbox), 2);
    sandbox.pm(&["shutdown"]).ok();
    assert_eq!(sandbox.app_processes(), []);
    assert_eq!(sandbox.list(), [], "what is lost and ended is forgotten");
}

#[test]
fn a_copy_of_the_state_lies_beside_it_and_is_used() {
    let sandbox = Sandbox::applied(TWO);
    let copy = sandbox.home().join("state/desired.journal.prev");
    sandbox.kill_daemon();
    let before = sandbox.list();
    wait_until("there is a copy", SOON, || copy.exists());
    fs::write(sandbox.home().join("state/desired.journal"), "garbage").unwrap();
    sandbox.kill_daemon();
    let list = sandbox.pm(&["list"]).ok();
    assert!(list.stderr.contains("warning: the state file was damaged: an older copy is used"), "{list}");
    assert_eq!(sandbox.list(), before);
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn files_that_are_gone_are_told_like_files_that_are_broken() {
    for copy in [None, Some("garbage")] {
        let sandbox = Sandbox::applied(TWO);
        let state = sandbox.home().join("state");
        let before = ["api/0", "api/1"].map(|id| sandbox.pid(id));
        fs::remove_file(state.join("desired.journal")).unwrap();
        match copy {
            Some(text) => fs::write(state.join("desired.journal.prev"), text).unwrap(),
            None => drop(fs::remove_file(state.join("desired.journal.prev"))),
        }
        sandbox.kill_daemon();
        let list = sandbox.pm(&["list", "-A"]).ok();
        assert!(list.stderr.contains("warning: the state file was"), "{copy:?}: {list}");
        assert!(list.stderr.contains("apply again"), "{copy:?}: {list}");
        assert_eq!(["api/0", "api/1"].map(|id| sandbox.pid(id)), before);
        sandbox.pm(&["apply"]).ok();
        assert_eq!(sleeps(&sandbox), 2);
    }
}

/// The file looks whole: only the number of changes, kept beside it, says that one is missing.
#[test]
fn a_file_that_lost_its_last_change_is_told_and_what_that_declared_runs_on() {
    let sandbox = Sandbox::applied(TWO);
    sandbox.ecosystem(&format!("{TWO}{OLD}"));
    sandbox.pm(&["apply"]).ok();
    let before = ["api/0", "api/1", "old/0"].map(|id| sandbox.pid(id));
    let journal = sandbox.home().join("state/desired.journal");
    let text = fs::read_to_string(&journal).unwrap();
    let ends: Vec<usize> =
        text.match_indices("\"commit\"").map(|(at, _)| at + text[at..].find('\n').unwrap()).collect();
    fs::write(&journal, &text[..=ends[ends.len() - 2]]).unwrap();
    sandbox.kill_daemon();
    let list = sandbox.pm(&["list", "-A"]).ok();
    assert!(list.stderr.contains("warning: the state file was truncated"), "{list}");
    assert_eq!(["api/0", "api/1", "old/0"].map(|id| sandbox.pid(id)), before);
    sandbox.pm(&["apply"]).ok();
    assert_eq!(sleeps(&sandbox), 3);
}
