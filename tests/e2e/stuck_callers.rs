//! What others do half: requests that never come, an anchor that was suspended, a folder whose name cannot be told.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use crate::support::{SOON, Sandbox, kill, run, wait_until};

/// More than there are places for.
const HALF_SENT: usize = 300;

#[test]
fn requests_that_never_come_hold_up_nobody() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let socket = sandbox.home().join("run/pm.sock");
    let half = |_| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        let head =
            "POST /v1/edit HTTP/1.1\r\nhost: pm\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
        // It may have to make way by now.
        let _ = stream.write_all(head.as_bytes());
        stream
    };
    let began = Instant::now();
    let streams: Vec<UnixStream> = (0..HALF_SENT).map(half).collect();
    for _ in 0..5 {
        sandbox.pm(&["list"]).ok().says(&["api"]);
    }
    assert!(began.elapsed() < SOON, "they were waited for");
    drop(streams);
    sandbox.pm(&["stop", "api"]).ok();
}

#[test]
fn an_anchor_that_was_suspended_is_told_of() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    let anchor = sandbox.anchor_pid();
    kill(anchor, libc::SIGSTOP);
    kill(sandbox.pid("api/0"), libc::SIGKILL);
    wait_until("it is told", SOON, || {
        sandbox.pm(&["events", "-A"]).ok().stdout.contains("the anchor does not record that processes have ended")
    });
    kill(anchor, libc::SIGCONT);
    wait_until("it goes on", SOON, || sandbox.starts_of("api/0") == 2);
    sandbox.wait_phase("api/0", "running");
}

#[test]
fn a_folder_whose_name_is_not_utf_8_is_said_to_be_that() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("").join(OsStr::from_bytes(b"bad\xff"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(
        folder.join("ecosystem.toml"),
        "project = \"x\"\n[[apps]]\nname = \"a\"\ncommand = \"sleep 1000\"\n",
    )
    .unwrap();
    for words in [&["check"][..], &["plan"], &["apply"], &["start", "sleep 1000", "--name", "q"]] {
        let refused = run(sandbox.command(words).current_dir(&folder));
        assert!(refused.status > 0, "{refused}");
        refused.says(&["is not UTF-8"]);
    }
    for words in [&["list"][..], &["stop", "all"], &["logs"], &["events"]] {
        let answer = run(sandbox.command(words).current_dir(&folder));
        assert!(!answer.to_string().contains("understand"), "{answer}");
    }
}
