//! A full disk is said, survived, and forgotten once there is room.
//!
//! Only a real small file system gives ENOSPC, and mounting one needs root: as anybody else these tests say that
//! they did not run, and pass. Each mounts in a namespace of its own, which ends with the test's thread.

use std::ffi::CString;
use std::fs;
use std::path::Path;

use crate::support::{SOON, Sandbox, pause_between_faults, wait_until};

const FILE: &str = "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n";

/// Puts a small tmpfs onto `folder`, for this thread and what it starts. False = not allowed here.
fn mount_small(folder: &Path, bytes: u32) -> bool {
    fs::create_dir_all(folder).unwrap();
    let text = |text: &str| CString::new(text).unwrap();
    let (root, tmpfs, options) = (text("/"), text("tmpfs"), text(&format!("size={bytes},mode=0700")));
    let folder = text(folder.to_str().unwrap());
    // SAFETY: all pointers are to live C strings or null where mount(2) allows it; unshare(2) takes a number.
    let is_mounted = unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                std::ptr::null(),
                root.as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
            && libc::mount(tmpfs.as_ptr(), folder.as_ptr(), tmpfs.as_ptr(), 0, options.as_ptr().cast()) == 0
    };
    if !is_mounted {
        eprintln!("NOT RUN: mounting a small file system needs root; ENOSPC was not tried");
    }
    is_mounted
}

/// Fills the rest of the file system that `folder` is on, and returns the file that does.
fn fill(folder: &Path, but_for: u64) -> std::path::PathBuf {
    let ballast = folder.join("ballast");
    let mut chunk = 1 << 20;
    let mut text = Vec::new();
    while chunk >= 4096 {
        let longer = [text.as_slice(), &vec![b'x'; chunk]].concat();
        if fs::write(&ballast, &longer).is_ok() {
            text = longer;
        } else {
            chunk /= 2;
        }
    }
    let room = usize::try_from(but_for).unwrap();
    text.truncate(text.len().saturating_sub(room));
    fs::write(&ballast, &text).unwrap();
    ballast
}

#[test]
fn a_full_log_disk_makes_the_app_wait_and_loses_no_line() {
    let sandbox = Sandbox::new();
    let logs = sandbox.home().join("logs");
    if !mount_small(&logs, 8 << 20) {
        return;
    }
    let ballast = fill(&logs, 1 << 20);
    sandbox.ecosystem(
        "[[apps]]\nname = \"api\"\ncommand = \"sh -c 'seq 400000; exec sleep 1000'\"\non_log_full = \"block\"\nlog_rotate = { size = \"64M\", keep = 1 }\n",
    );
    sandbox.pm(&["apply"]).ok();
    wait_until("the full disk is an event", SOON, || {
        sandbox.events().iter().any(|event| event.fact == "log_disk_full")
    });
    let (pid, before) = (sandbox.pid("api/0"), sandbox.log_text("api", "out", 0).len());
    sandbox.kill_daemon();
    fs::remove_file(ballast).unwrap();
    let numbers: Vec<String> = (1..=400_000).map(|number: u32| number.to_string()).collect();
    let expected = numbers.join("\n") + "\n";
    wait_until("the log goes on", SOON, || sandbox.log_text("api", "out", 0).len() > before);
    wait_until("the log is complete", SOON, || sandbox.log_text("api", "out", 0).len() >= expected.len());
    assert!(sandbox.log_text("api", "out", 0) == expected.as_bytes(), "not the lines that were written");
    assert_eq!(sandbox.pid("api/0"), pid, "the app never noticed");
}

/// Takes longer than others: output is dropped after half a minute only.
#[test]
fn what_a_full_log_disk_has_cost_is_told_by_the_next_daemon_and_a_quiet_app_goes_on_when_there_is_room() {
    let sandbox = Sandbox::new();
    let logs = sandbox.home().join("logs");
    if !mount_small(&logs, 4 << 20) {
        return;
    }
    let ballast = fill(&logs, 16 << 10);
    let app = |name: &str, command: &str| {
        format!("[[apps]]\nname = \"{name}\"\ncommand = \"sh -c '{command}'\"\non_log_full = \"drop\"\n")
    };
    let loud = "n=0; while :; do n=$((n+1)); echo line $n of a flood; done";
    let quiet = "while :; do echo a line now and then; echo and to err >&2; sleep 0.2; done";
    sandbox.ecosystem(&(app("loud", loud) + &app("quiet", quiet)));
    sandbox.pm(&["apply"]).ok();
    wait_until("the disk is full", SOON, || {
        sandbox.events_of("loud").iter().any(|event| event.fact == "log_disk_full")
    });
    pause_between_faults(std::time::Duration::from_secs(33));
    sandbox.kill_daemon();
    wait_until("the next daemon tells", SOON, || {
        sandbox.events_of("loud").iter().any(|event| event.fact == "output_dropped")
    });
    sandbox.pm(&["stop", "loud"]).ok();
    pause_between_faults(std::time::Duration::from_secs(3));
    let before = sandbox.log_text("quiet", "out", 0).len();
    fs::remove_file(ballast).unwrap();
    let soon = std::time::Duration::from_secs(2);
    wait_until("the quiet app is heard", soon, || sandbox.log_text("quiet", "out", 0).len() > before);
    let text = sandbox.log_text("quiet", "error", 0);
    assert!(text.split(|byte| *byte == b'\n').all(|line| b"and to err".starts_with(line)));
}

#[test]
fn a_full_state_disk_refuses_the_change_and_keeps_what_runs() {
    let sandbox = Sandbox::new();
    if !mount_small(&sandbox.home(), 16 << 20) {
        return;
    }
    sandbox.ecosystem(FILE);
    sandbox.pm(&["apply"]).ok();
    let before = sandbox.list();
    let (ballast, history) = (fill(&sandbox.home(), 0), crate::history::told(&sandbox));
    let changed = format!(
        "{FILE}env = {{ BIG = {:?} }}\n[[apps]]\nname = \"new\"\ncommand = \"sleep 2000\"\n",
        "x".repeat(20_000)
    );
    sandbox.ecosystem(&changed);
    sandbox.pm(&["apply"]).code(1).says(&["nothing was changed", "No space left"]);
    assert_eq!(sandbox.list(), before);
    assert_eq!(crate::history::told(&sandbox), history, "what was refused has no entry");
    sandbox.kill_daemon();
    assert_eq!(sandbox.list(), before, "a daemon can start while the disk is full");
    fs::remove_file(ballast).unwrap();
    sandbox.pm(&["apply"]).ok();
    sandbox.pid("new/0");
}

/// Two apps on a file system of their own, which is full; `None` = not allowed here.
fn on_a_full_disk() -> Option<Sandbox> {
    let sandbox = Sandbox::new();
    if !mount_small(&sandbox.home(), 16 << 20) {
        return None;
    }
    sandbox.ecosystem(&format!("{FILE}[[apps]]\nname = \"web\"\ncommand = \"sleep 2000\"\n"));
    sandbox.pm(&["apply"]).ok();
    fill(&sandbox.home(), 0);
    Some(sandbox)
}

#[test]
fn on_a_full_state_disk_everything_can_be_taken_down_and_that_is_remembered() {
    let Some(sandbox) = on_a_full_disk() else { return };
    let is_down = |id: &str| sandbox.instance(id).is_none_or(|instance| instance.pid.is_none());
    let taken_down = |args: &[&str]| {
        let output = sandbox.pm(args).ok();
        assert!(!output.to_string().contains("not remembered"), "{args:?}: {output}");
    };
    taken_down(&["stop", "api", "--hold"]);
    assert!(is_down("api/0"));
    sandbox.kill_daemon();
    wait_until("web is there", SOON, || sandbox.instance("web/0").is_some());
    assert!(is_down("api/0"), "the next daemon knows");
    taken_down(&["delete", "api"]);
    sandbox.pm(&["start", "web"]);
    taken_down(&["shutdown"]);
    sandbox.pm(&["list"]).ok();
    assert!(is_down("web/0") && sandbox.app_processes().is_empty(), "the next daemon starts nothing");
    taken_down(&["down"]);
    assert!(sandbox.list().is_empty());
}

/// As root with every right the limit is lifted; then the log grows beyond it.
#[test]
fn a_limit_of_the_size_of_files_is_a_full_disk_and_kills_no_daemon() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        "[[apps]]\nname = \"api\"\ncommand = \"sh -c 'seq 400000; exec sleep 1000'\"\nlog_rotate = { size = \"64M\", keep = 1 }\n",
    );
    let apply = sandbox.command(&["apply"]);
    let mut limited = std::process::Command::new("prlimit");
    limited.arg("--fsize=1500000:1500000").arg(apply.get_program()).args(apply.get_args());
    limited.current_dir(sandbox.path("")).env("PM_HOME", sandbox.home()).stdin(std::process::Stdio::null());
    limited.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    crate::support::run(&mut limited).ok();
    let daemon = sandbox.daemon_pid();
    wait_until("the limit is reached, and told", SOON, || {
        sandbox.log_text("api", "out", 0).len() > 1_500_000
            || sandbox.events_of("api").iter().any(|event| event.fact == "log_disk_full")
    });
    assert_eq!(sandbox.daemon_pid(), daemon);
    sandbox.pm(&["stop", "api"]).ok();
    assert_eq!(sandbox.daemon_pid(), daemon);
}

#[test]
fn a_delete_on_a_full_disk_has_its_entry_and_the_result_is_kept_once_there_is_room() {
    let Some(sandbox) = on_a_full_disk() else { return };
    sandbox.pm(&["delete", "web"]).ok();
    let newest = || crate::history::told(&sandbox).into_iter().next().unwrap_or_default();
    assert!(newest().starts_with("2 delete ") && newest().ends_with(" -web"), "{}", newest());
    sandbox.kill_daemon();
    assert!(newest().starts_with("2 delete "), "{}", newest());
    fs::remove_file(sandbox.home().join("ballast")).unwrap();
    sandbox.pm(&["restart", "api"]).ok();
    wait_until("the result is kept", SOON, || newest() == "2 delete applied healthy -web");
}
