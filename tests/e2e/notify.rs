//! Apps that say by themselves how they are: `sd_notify` and Node's messages.

use crate::support::{SOON, Sandbox, has_any, kill, wait_until};

/// A program that waits for the files `1`, `2`, … and then says the next of `messages` on its `NOTIFY_SOCKET`.
fn sayer(sandbox: &Sandbox, messages: &[&str]) -> String {
    let script = sandbox.file(
        "say.py",
        r#"
import os, socket, sys, threading
name = os.environ["NOTIFY_SOCKET"]
socket_ = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
socket_.connect("\0" + name[1:] if name[0] == "@" else name)
for number, message in enumerate(sys.argv[1:], 1):
    while not os.path.exists(str(number)):
        threading.Event().wait(0.005)
    socket_.send(message.replace("|", "\n").encode())
threading.Event().wait()
"#,
    );
    format!("command = \"python3 {} '{}'\"\n", script.display(), messages.join("' '"))
}

#[test]
fn it_is_ready_when_it_says_so_and_its_status_is_shown() {
    let sandbox = Sandbox::new();
    let app = sayer(&sandbox, &["STATUS=loading|MAINPID=1", "READY=1|STATUS=serving 3 users"]);
    sandbox.ecosystem(&format!("[[apps]]\nname = \"daemon\"\n{app}ready = {{ notify = true }}\n"));
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("it says what it waits for", SOON, || {
        sandbox.pm(&["list"]).ok().stdout.contains("starting: has not said READY=1 yet")
    });
    sandbox.file("1", "");
    wait_until("its status is known", SOON, || {
        has_any(&sandbox.pm(&["list", "--json"]).ok().json(), "says", "loading")
    });
    assert_eq!(sandbox.instance("daemon/0").unwrap().phase, "starting");
    sandbox.pm(&["list"]).ok().says(&["starting: has not said READY=1 yet (says: loading)"]);
    sandbox.pm(&["why", "daemon"]).ok().says(&["it says of itself: loading"]);
    sandbox.file("2", "");
    sandbox.wait_phase("daemon/0", "running");
    sandbox.pm(&["list"]).ok().says(&["running: serving 3 users"]);
    sandbox.kill_daemon();
    sandbox.pm(&["list"]).ok().says(&["running: serving 3 users"]);
    sandbox.pm(&["events", "daemon"]).ok().says(&["MAINPID=1", "refused", "is ready after"]);
}

#[test]
fn what_it_says_while_no_daemon_lives_is_not_lost() {
    let sandbox = Sandbox::new();
    let app = sayer(&sandbox, &["READY=1"]);
    sandbox.ecosystem(&format!("[[apps]]\nname = \"daemon\"\n{app}ready = {{ notify = true }}\n"));
    sandbox.pm(&["apply", "--detach"]).ok();
    sandbox.wait_pid("daemon/0");
    let daemon = sandbox.daemon_pid();
    kill(daemon, libc::SIGSTOP);
    sandbox.file("1", "");
    kill(daemon, libc::SIGKILL);
    sandbox.wait_phase("daemon/0", "running");
    assert_eq!(sandbox.starts_of("daemon/0"), 1);
}

#[test]
fn it_gets_more_time_if_it_asks_for_it() {
    let sandbox = Sandbox::new();
    let app = sayer(&sandbox, &["EXTEND_TIMEOUT_USEC=60000000", "READY=1"]);
    sandbox.file("1", "");
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"daemon\"\n{app}restart = \"never\"\nready = {{ notify = true, timeout = \"3s\" }}\n"
    ));
    sandbox.pm(&["apply", "--detach"]).ok();
    let left = || {
        let list = sandbox.pm(&["list", "--json"]).ok().json();
        list["apps"][0]["ready_within_ms"].as_u64().unwrap_or(0)
    };
    wait_until("the deadline has moved", SOON, || left() > 10_000);
    sandbox.file("2", "");
    sandbox.wait_phase("daemon/0", "running");
}

#[test]
fn a_watchdog_that_is_not_fed_restarts() {
    let sandbox = Sandbox::new();
    let app = sayer(&sandbox, &["READY=1"]);
    sandbox.file("1", "");
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"daemon\"\n{app}ready = {{ notify = true }}\nhealth = {{ notify = true, interval = \"400ms\", failures = 1 }}\n"
    ));
    sandbox.pm(&["apply"]).ok();
    wait_until("it is replaced", SOON, || sandbox.starts_of("daemon/0") > 1);
    sandbox.pm(&["events", "daemon"]).ok().says(&["has not said WATCHDOG=1 for 400ms"]);
}

#[test]
fn a_node_app_says_ready_and_is_asked_to_end_by_message() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "app.js",
        r"
const fs = require('fs');
process.on('message', message => {
  if (message === 'shutdown') { fs.writeFileSync('bye', 'asked by message'); process.exit(0); }
});
process.on('SIGTERM', () => { fs.writeFileSync('bye', 'asked by signal'); process.exit(0); });
const look = setInterval(() => { if (fs.existsSync('go')) { clearInterval(look); process.send('ready'); } }, 5);
setInterval(() => {}, 1000);
",
    );
    sandbox.ecosystem(
        r#"
        [[apps]]
        name = "node"
        script = "app.js"
        wait_ready = true
        shutdown_with_message = true
        "#,
    );
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("it says what it waits for", SOON, || {
        sandbox.pm(&["list"]).ok().stdout.contains("starting: has not sent the message `ready` yet")
    });
    sandbox.kill_daemon();
    sandbox.file("go", "");
    sandbox.wait_phase("node/0", "running");
    sandbox.pm(&["stop", "node"]).ok();
    assert_eq!(sandbox.read("bye"), "asked by message");
}
