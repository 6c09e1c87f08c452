//! Daemon and anchor are killed together: the apps go on, and the next command finds them instead of doubling them.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd as _;

use crate::support::{Process, SOON, Sandbox, kill, kill_both_now as kill_both, start_time, wait_for, wait_until};

#[test]
fn a_dead_anchor_alone_is_replaced_and_touches_no_app() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 3\n");
    let (before, anchor) = (sandbox.list(), sandbox.anchor_pid());
    kill(anchor, libc::SIGKILL);
    wait_until("there is another anchor", SOON, || {
        sandbox.processes().iter().any(|process| process.is_pm && process.pid != anchor && process.args[1] == "anchor")
    });
    assert_eq!(sandbox.list(), before);
    sandbox.pm(&["restart", "api/0"]).ok();
    assert_ne!(sandbox.list()[0].pid, before[0].pid, "the new anchor is the parent of new processes");
}

/// A daemon that begins has nobody who would start its successor: the one before it goes on until there is one.
#[test]
fn anchors_that_die_as_soon_as_they_are_there_are_replaced() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 3\n");
    let before = sandbox.list();
    let mut killed = Vec::new();
    for _ in 0..5 {
        let anchor = wait_for("there is another anchor", SOON, || {
            let mut found = sandbox.processes().into_iter().filter(Process::is_anchor).map(|process| process.pid);
            found.find(|pid| !killed.contains(pid))
        });
        kill(anchor, libc::SIGKILL);
        killed.push(anchor);
    }
    // This command starts none.
    wait_until("a daemon answers", SOON, || sandbox.pm(&["daemon", "status"]).status == 0);
    assert_eq!(sandbox.list(), before);
    assert!(!killed.contains(&sandbox.anchor_pid()));
}

/// How an app has ended that waited for a file `go`, whose anchor (and daemon) had died before, as `pm why` tells it.
fn told_end(code: u32, is_daemon_killed: bool) -> String {
    let sandbox = Sandbox::applied(&format!(
        "[[apps]]\nname = \"api\"\nrestart = \"never\"\ncommand = \"sh -c 'while [ ! -e go ]; do sleep 0.01; done; exit {code}'\"\n",
    ));
    if is_daemon_killed {
        kill_both(&sandbox);
    } else {
        let anchor = sandbox.anchor_pid();
        kill(anchor, libc::SIGKILL);
        wait_until("there is another anchor", SOON, || {
            sandbox.processes().iter().any(|process| process.is_anchor() && process.pid != anchor)
        });
    }
    sandbox.pid("api/0");
    sandbox.file("go", "");
    wait_until("it has ended", SOON, || {
        let phase = sandbox.instance("api/0").unwrap().phase;
        phase == "errored" || phase == "done"
    });
    sandbox.pm(&["why", "api"]).ok().stdout
}

#[test]
fn the_exit_code_of_an_app_from_before_a_dead_anchor_is_known_where_the_kernel_tells() {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(|word| word.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap(), numbers.next().unwrap());
    for (code, is_daemon_killed) in [(7, false), (7, true), (0, false)] {
        let why = told_end(code, is_daemon_killed);
        // An older kernel tells only while the process has not been reaped.
        let is_unknown_fine = version < (6, 15) && why.contains("ended with an unknown exit status");
        assert!(is_unknown_fine || why.contains(&format!("ended with exit code {code}")), "{why}");
    }
}

#[test]
fn apps_are_adopted_with_their_pids_and_counters() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 3\n");
    let before = sandbox.list();
    kill_both(&sandbox);
    assert_eq!(sandbox.list(), before);
    assert_eq!(sandbox.app_processes().iter().filter(|app| is_sleep(app)).count(), 3);
    sandbox.pm(&["plan", "--detailed-exitcode"]).ok();
}

#[test]
fn an_adopted_app_is_watched_restarted_and_stopped_like_any_other() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let first = sandbox.pid("api/0");
    kill_both(&sandbox);
    assert_eq!(sandbox.pid("api/0"), first);
    kill(first, libc::SIGKILL);
    wait_until("another process runs", SOON, || sandbox.pid("api/0") != first);
    sandbox.pm(&["stop", "api"]).ok();
    assert_eq!(sandbox.app_processes(), []);
}

#[test]
fn an_app_that_ended_in_the_gap_is_started_again() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let first = sandbox.pid("api/0");
    kill_both(&sandbox);
    kill(first, libc::SIGKILL);
    wait_until("it is gone", SOON, || start_time(first).is_none());
    assert_ne!(sandbox.pid("api/0"), first);
}

#[test]
fn output_of_the_gap_is_not_lost() {
    let sandbox = Sandbox::applied(
        "[[apps]]\nname = \"api\"\ncommand = '''sh -c \"echo before; while [ ! -e go ]; do sleep 0.01; done; echo in the gap; touch said; exec sleep 1000\"'''\n",
    );
    wait_until("the first line is there", SOON, || sandbox.log_text("api", "out", 0) == b"before\n");
    kill_both(&sandbox);
    sandbox.file("go", "");
    wait_until("the app has spoken", SOON, || sandbox.path("said").exists());
    sandbox.pid("api/0");
    wait_until("both lines are there", SOON, || sandbox.log_text("api", "out", 0) == b"before\nin the gap\n");
}

#[test]
fn output_of_the_gap_is_found_although_only_a_child_still_has_the_pipe() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "parent.sh",
        "(while [ ! -e go ]; do sleep 0.01; done; echo in the gap; touch said; exec sleep 1000) &\nexec >/dev/null 2>&1\ntouch silent\nwait\n",
    );
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh parent.sh\"\n");
    sandbox.pm(&["apply"]).ok();
    wait_until("the parent has closed its output", SOON, || sandbox.path("silent").exists());
    kill_both(&sandbox);
    sandbox.file("go", "");
    wait_until("the child has spoken", SOON, || sandbox.path("said").exists());
    sandbox.pid("api/0");
    wait_until("its line is there", SOON, || sandbox.log_text("api", "out", 0) == b"in the gap\n");
}

#[test]
fn last_words_of_the_gap_are_found_although_the_main_process_is_gone() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "parent.sh",
        "(while [ ! -e go ]; do sleep 0.01; done; echo last words; touch said; while [ ! -e end ]; do sleep 0.01; done) &\nwait\n",
    );
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh parent.sh\"\nrestart = \"never\"\n");
    sandbox.pm(&["apply"]).ok();
    let main = sandbox.pid("api/0");
    kill_both(&sandbox);
    kill(main, libc::SIGKILL);
    sandbox.file("go", "");
    wait_until("the child has spoken", SOON, || sandbox.path("said").exists());
    sandbox.pm(&["list"]).ok();
    wait_until("its line is there", SOON, || sandbox.log_text("api", "out", 0) == b"last words\n");
    sandbox.file("end", "");
    wait_until("the child has ended", SOON, || sandbox.app_processes().is_empty());
}

/// `fcntl(2)`; not in `libc`.
const F_SETSIG: i32 = 10;

/// Lets whoever executes this file wait, until it is dropped (or for `lease-break-time`, 45 seconds).
fn hang(program: &std::path::Path) -> File {
    let file = OpenOptions::new().read(true).write(true).open(program).unwrap();
    // SAFETY: no pointers are passed. The signal of a broken lease is one that is ignored by default.
    unsafe {
        assert_eq!(libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG), 0);
        assert_eq!(libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK), 0);
    }
    file
}

/// Lets an app hang between its creation and its program, and kills both. Returns what keeps it there, and its process.
fn killed_during_a_start(sandbox: &Sandbox) -> (File, u32) {
    let program = sandbox.path("slow");
    std::fs::copy("/bin/sleep", &program).unwrap();
    sandbox.ecosystem(&format!("[[apps]]\nname = \"api\"\ncommand = \"{} 1000\"\n", program.display()));
    sandbox.pm(&["list"]).ok();
    let (anchor, daemon) = (sandbox.anchor_pid(), sandbox.daemon_pid());
    let lease = hang(&program);
    sandbox.pm(&["apply", "--detach"]).ok();
    let children = || std::fs::read_to_string(format!("/proc/{anchor}/task/{anchor}/children")).unwrap();
    let hanging = wait_for("a start that hangs", SOON, || {
        let pids = children();
        pids.split_whitespace().map(|pid| pid.parse().unwrap()).find(|pid: &u32| *pid != daemon)
    });
    kill(daemon, libc::SIGSTOP);
    kill(anchor, libc::SIGKILL);
    kill(daemon, libc::SIGKILL);
    wait_until("both are gone", SOON, || start_time(anchor).is_none() && start_time(daemon).is_none());
    (lease, hanging)
}

#[test]
fn a_start_that_hangs_before_it_executes_keeps_nobody_from_taking_over() {
    let sandbox = Sandbox::new();
    let (lease, hanging) = killed_during_a_start(&sandbox);
    sandbox.pm(&["list"]).ok().says(&["api/0"]);
    wait_until("the start that hung was ended, since its row gets another one", SOON, || start_time(hanging).is_none());
    drop(lease);
    sandbox.pid("api/0");
    assert_eq!(sandbox.app_processes().len(), 1);
}

#[test]
fn a_start_that_only_takes_its_time_goes_on() {
    let sandbox = Sandbox::new();
    let (lease, slow) = killed_during_a_start(&sandbox);
    let mut list = sandbox.start(&["list"]);
    let is_daemon_there = || sandbox.processes().iter().any(|process| process.is_daemon() && process.pid != slow);
    wait_until("the next daemon looks around", SOON, is_daemon_there);
    drop(lease);
    list.wait().unwrap();
    assert_eq!(sandbox.pid("api/0"), slow);
    assert_eq!(sandbox.instance("api/0").unwrap().restarts, 0);
}

fn is_sleep(process: &Process) -> bool {
    process.args.first().is_some_and(|word| word.ends_with("sleep"))
}

#[test]
fn a_shutdown_finds_what_the_dead_have_left() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\ninstances = 3\n");
    kill_both(&sandbox);
    sandbox.pm(&["shutdown"]).ok();
    wait_until("nothing is left", SOON, || sandbox.processes().is_empty());
    sandbox.pm(&["shutdown"]).ok().says(&["no daemon is running"]);
}
