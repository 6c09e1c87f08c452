//! The daemon is killed hundreds of times while apps crash and write: nothing is lost, nothing is doubled.

use std::time::{Duration, Instant};

use crate::support::{
    Counts, Numbered, Random, SOON, Sandbox, children, kill, pause_between_faults, start_time, wait_for, wait_until,
};

const KILLS: u32 = 200;
const APPS: usize = 6;
/// A machine under load may start daemons slowly; the counts below say how far it came.
const TIME_MAX: Duration = Duration::from_mins(4);

#[test]
fn two_hundred_kills_lose_and_double_nothing() {
    let sandbox = Sandbox::new();
    let apps = Numbered::several(APPS, 40);
    let ecosystem: String = apps.iter().map(|app| app.toml(&sandbox, "restart_delay = \"20ms\"")).collect();
    sandbox.ecosystem(&ecosystem);
    sandbox.pm(&["apply", "--detach"]).ok();

    let anchor = sandbox.anchor_pid();
    let mut daemon = sandbox.daemon_pid();
    let mut random = Random(0x5DEE_CE66);
    let began = Instant::now();
    let mut kills = 0;
    let mut back_after = Vec::new();
    while kills < KILLS && began.elapsed() < TIME_MAX {
        pause_between_faults(Duration::from_micros(200 + random.below(39_800)));
        kill(daemon, libc::SIGKILL);
        let killed = Instant::now();
        kills += 1;
        let old = daemon;
        daemon = wait_for("the next daemon lives", SOON, || next_daemon(anchor, old));
        back_after.push(killed.elapsed());
    }
    assert_eq!(sandbox.anchor_pid(), anchor, "the anchor lives on");
    sandbox.pm(&["stop", "all"]).ok();

    let mut counts = Counts::default();
    for app in &apps {
        counts += app.check(&sandbox);
        let shown = sandbox.instance(&format!("{}/0", app.name)).unwrap();
        let (starts, counted) = (app.starts(&sandbox).len() as u64, shown.restarts + 1);
        // The last process may have been stopped before it could write its start down.
        assert!(counted == starts || counted == starts + 1, "{}: {starts} starts, {counted} by pm", app.name);
    }
    back_after.sort_unstable();
    eprintln!(
        "{kills} kills, {} starts each once, {} exit codes each once, {} log bytes exact; a new daemon after {:?} (median)",
        counts.starts,
        counts.exits,
        counts.log_bytes,
        back_after[back_after.len() / 2],
    );
    assert!(kills >= KILLS / 2, "only {kills} kills in {TIME_MAX:?}");
    assert!(counts.starts > 10 * APPS, "the apps hardly ran: {counts:?}");
}

/// The anchor's child that is a `pm daemon` and not the old one. An app that has not executed its program yet still
/// bears the daemon's name, but never has threads.
fn next_daemon(anchor: u32, old: u32) -> Option<u32> {
    children(anchor).into_iter().find(|pid| {
        let args = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let is_daemon = args.split(|byte| *byte == 0).nth(1) == Some(b"daemon");
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        *pid != old && is_daemon && threads > 1 && start_time(*pid).is_some()
    })
}

#[test]
fn a_killed_daemon_touches_no_process() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 20\n");
    let before = sandbox.list();
    for _ in 0..10 {
        sandbox.kill_daemon();
        assert_eq!(sandbox.list(), before);
    }
    assert_eq!(sandbox.app_processes().len(), 20);
}

#[test]
fn an_exit_while_no_daemon_lives_is_known_to_the_next() {
    let sandbox = Sandbox::new();
    let script = "#!/bin/sh\nwhile [ ! -e go ]; do :; done\nexit 7\n";
    sandbox.file("waits.sh", script);
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh waits.sh\"\nrestart = \"never\"\n");
    sandbox.pm(&["apply"]).ok();
    let (api, daemon) = (sandbox.pid("api/0"), sandbox.daemon_pid());
    // Stopped, it lives and looks at nothing; then it dies without ever having looked.
    kill(daemon, libc::SIGSTOP);
    sandbox.file("go", "");
    wait_for("the app has ended", SOON, || start_time(api).is_none().then_some(()));
    kill(daemon, libc::SIGKILL);
    sandbox.wait_phase("api/0", "errored");
    assert_eq!(sandbox.starts_of("api/0"), 1);
    sandbox.pm(&["why", "api"]).ok().says(&["exit code 7"]);
}

#[test]
fn an_apply_that_lost_its_daemon_is_finished_by_the_next() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 50\n");
    sandbox.pm(&["list"]).ok();
    let applying = sandbox.start(&["apply"]);
    wait_for("some of them run", SOON, || (sandbox.app_processes().len() > 5).then_some(()));
    sandbox.kill_daemon();
    let _ = crate::support::finish(applying, "pm apply");
    wait_for("all of them run", SOON, || (sandbox.app_processes().len() == 50).then_some(()));
    sandbox.pm(&["apply"]).ok();
    assert_eq!(sandbox.app_processes().len(), 50);
}

#[test]
fn output_that_was_switched_on_by_an_apply_goes_on_after_the_daemon() {
    let sandbox = Sandbox::new();
    let file = |disabled: bool| {
        let command = "sh -c 'while :; do echo line; sleep 0.01; done'";
        format!("[[apps]]\nname = \"api\"\ncommand = \"{command}\"\ndisable_logs = {disabled}\n")
    };
    sandbox.ecosystem(&file(true));
    sandbox.pm(&["apply"]).ok();
    sandbox.ecosystem(&file(false));
    sandbox.pm(&["apply"]).ok();
    let first = sandbox.pid("api/0");
    kill(first, libc::SIGKILL);
    wait_until("another process runs", SOON, || sandbox.pid("api/0") != first);
    sandbox.kill_daemon();
    sandbox.pid("api/0");
    let before = sandbox.log_text("api", "out", 0).len();
    wait_until("its log grows", SOON, || sandbox.log_text("api", "out", 0).len() > before);
}
