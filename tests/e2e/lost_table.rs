//! The table of processes is lost or damaged while daemon and anchor are dead: nothing is doubled, and it is told.

use std::fs;

use crate::support::{SOON, Sandbox, kill_both_now, wait_until};

const TWO: &str = "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 3\n[[apps]]\nname = \"db\"\ncommand = \"sleep 2000\"\n";

fn sleeps(sandbox: &Sandbox) -> usize {
    sandbox.app_processes().iter().filter(|app| app.args.first().is_some_and(|word| word.ends_with("sleep"))).count()
}

fn flip(sandbox: &Sandbox, byte: usize) {
    let path = sandbox.home().join("run/table");
    let mut bytes = fs::read(&path).unwrap();
    bytes[byte] ^= 0x10;
    fs::write(&path, bytes).unwrap();
}

/// Everything is as it was: the same processes, once each, under the same names.
fn nothing_has_changed(damage: impl Fn(&Sandbox)) -> Sandbox {
    let sandbox = Sandbox::applied(TWO);
    sandbox.pm(&["restart", "api/1"]).ok();
    let before = sandbox.list();
    kill_both_now(&sandbox);
    damage(&sandbox);
    assert_eq!(sandbox.list(), before);
    assert_eq!(sleeps(&sandbox), 4);
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
    sandbox
}

#[test]
fn a_run_folder_that_was_cleaned_doubles_nothing_and_is_told() {
    let sandbox = nothing_has_changed(|sandbox| fs::remove_dir_all(sandbox.home().join("run")).unwrap());
    let told = sandbox.pm(&["events", "-A"]).ok();
    assert!(told.stdout.contains("4 processes"), "{told}");
    sandbox.pm(&["shutdown"]).ok();
    wait_until("nothing is left", SOON, || sandbox.processes().is_empty());
}

#[test]
fn a_run_folder_that_is_cleaned_under_living_processes_doubles_nothing() {
    let sandbox = Sandbox::applied(TWO);
    let (before, anchor, daemon) = (sandbox.list(), sandbox.anchor_pid(), sandbox.daemon_pid());
    fs::remove_dir_all(sandbox.home().join("run")).unwrap();
    assert_eq!(sandbox.list(), before);
    assert_eq!(sleeps(&sandbox), 4);
    assert_ne!((sandbox.anchor_pid(), sandbox.daemon_pid()), (anchor, daemon), "whom commands reach, and nobody else");
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
    sandbox.pm(&["shutdown"]).ok();
    wait_until("nothing is left", SOON, || sandbox.processes().is_empty());
}

#[test]
fn a_flipped_bit_in_the_head_or_in_a_row_doubles_nothing() {
    for byte in [0, 8, 20, 40, 63, 64 + 9, 64 + 168 + 60, 64 + 2 * 168 + 150] {
        nothing_has_changed(|sandbox| flip(sandbox, byte));
    }
}

#[test]
fn a_table_that_was_cut_doubles_nothing() {
    nothing_has_changed(|sandbox| {
        let table = fs::File::options().write(true).open(sandbox.home().join("run/table")).unwrap();
        table.set_len(64 + 168 + 20).unwrap();
    });
}

#[test]
fn with_the_state_lost_as_well_what_runs_is_listed_and_taken_over_by_the_next_apply() {
    let sandbox = Sandbox::applied(TWO);
    kill_both_now(&sandbox);
    fs::remove_file(sandbox.home().join("run/table")).unwrap();
    fs::remove_dir_all(sandbox.home().join("state")).unwrap();
    let list = sandbox.pm(&["list", "-A"]).ok();
    assert_eq!(list.stdout.matches("running, spec lost").count(), 4, "{list}");
    sandbox.pm(&["apply"]).ok();
    assert_eq!(sleeps(&sandbox), 4);
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn what_a_main_process_left_in_the_gap_is_ended_also_if_the_table_is_lost() {
    for is_table_lost in [false, true] {
        what_was_left_is_ended(is_table_lost);
    }
}

fn what_was_left_is_ended(is_table_lost: bool) {
    let sandbox = Sandbox::new();
    sandbox.file("app.sh", "setsid sleep 3000 &\necho up\nwait\n");
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh app.sh\"\n");
    sandbox.pm(&["apply"]).ok();
    wait_until("it is at work", SOON, || sandbox.log_text("api", "out", 0).starts_with(b"up"));
    let main = sandbox.pid("api/0");
    kill_both_now(&sandbox);
    crate::support::kill(main, libc::SIGKILL);
    if is_table_lost {
        fs::remove_file(sandbox.home().join("run/table")).unwrap();
    }
    sandbox.pid("api/0");
    wait_until("only the new one's child runs", SOON, || sleeps(&sandbox) == 1);
}
