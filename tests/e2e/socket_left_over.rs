//! What a crash leaves in the run folder does not keep the next daemon from starting.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use crate::support::{SOON, Sandbox, kill, wait_until};

fn sockets(sandbox: &Sandbox) -> Vec<PathBuf> {
    let entries = fs::read_dir(sandbox.home().join("run")).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket())).map(|entry| entry.path()).collect()
}

fn die(sandbox: &Sandbox) {
    let (anchor, daemon) = (sandbox.anchor_pid(), sandbox.daemon_pid());
    // Held still, the anchor cannot start a new daemon between the two kills.
    kill(anchor, libc::SIGSTOP);
    kill(daemon, libc::SIGKILL);
    kill(anchor, libc::SIGKILL);
    wait_until("both are gone", SOON, || !sandbox.processes().iter().any(|process| process.is_pm));
}

#[test]
fn a_dead_socket_is_replaced() {
    let sandbox = Sandbox::new();
    sandbox.pm(&["list"]).ok();
    die(&sandbox);
    assert!(!sockets(&sandbox).is_empty(), "a kill leaves the socket behind");
    sandbox.pm(&["list"]).ok();
    sandbox.daemon_pid();
}

#[test]
fn a_file_where_the_socket_should_be_is_replaced_or_named() {
    let sandbox = Sandbox::new();
    sandbox.pm(&["list"]).ok();
    let socket = sockets(&sandbox).remove(0);
    die(&sandbox);
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "not a socket").unwrap();
    let output = sandbox.pm(&["list"]);
    let is_named = output.status == 69 && output.stderr.contains(socket.file_name().unwrap().to_str().unwrap());
    assert!(output.status == 0 || is_named, "{output}");
}

#[test]
fn a_shutdown_leaves_no_socket() {
    let sandbox = Sandbox::new();
    sandbox.pm(&["list"]).ok();
    sandbox.pm(&["shutdown"]).ok();
    assert_eq!(sockets(&sandbox), [] as [PathBuf; 0]);
}
