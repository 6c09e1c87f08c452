//! Apps that say by themselves how they are: `sd_notify` and Node's messages.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::support::{SOON, Sandbox, has_any, is_root, kill, kill_both_now, ordinary, wait_until};

/// A program that waits for the files `1`, `2`, … and then says the next of `messages` on its `NOTIFY_SOCKET`.
fn sayer(sandbox: &Sandbox, messages: &[&str]) -> String {
    let script = sandbox.file(
        "say.py",
        r#"
import os, socket, sys, threading
name = os.environ["NOTIFY_SOCKET"]
for number, message in enumerate(sys.argv[1:], 1):
    while not os.path.exists(str(number)):
        threading.Event().wait(0.005)
    socket_ = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    socket_.connect("\0" + name[1:] if name[0] == "@" else name)
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
        sandbox.pm(&["list"]).ok().stdout.contains("starting: has not sent READY=1 yet")
    });
    sandbox.file("1", "");
    wait_until("its status is known", SOON, || {
        has_any(&sandbox.pm(&["list", "--json"]).ok().json(), "status_text", "loading")
    });
    assert_eq!(sandbox.instance("daemon/0").unwrap().phase, "starting");
    sandbox.pm(&["list"]).ok().says(&["starting: has not sent READY=1 yet (status: loading)"]);
    sandbox.pm(&["why", "daemon"]).ok().says(&["its status text is: loading"]);
    sandbox.file("2", "");
    sandbox.wait_phase("daemon/0", "running");
    sandbox.pm(&["list"]).ok().says(&["running: serving 3 users"]);
    sandbox.kill_daemon();
    sandbox.pm(&["list"]).ok().says(&["running: serving 3 users"]);
    sandbox.pm(&["events", "daemon"]).ok().says(&["MAINPID=1", "refused", "became ready after"]);
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
fn a_long_message_keeps_its_ready() {
    let sandbox = Sandbox::new();
    let long = format!("X_LONG={}|READY=1", "x".repeat(20_000));
    let app = sayer(&sandbox, &[&long]);
    sandbox.file("1", "");
    sandbox.ecosystem(&format!("[[apps]]\nname = \"daemon\"\n{app}ready = {{ notify = true }}\n"));
    sandbox.pm(&["apply"]).ok();
    assert_eq!(sandbox.instance("daemon/0").unwrap().phase, "running");
}

const KILL_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(500);

#[test]
fn it_gets_more_time_to_end_if_it_asks_for_it() {
    let sandbox = Sandbox::new();
    let script = sandbox.file(
        "slow.py",
        r#"
import os, signal, socket, threading
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect(os.environ["NOTIFY_SOCKET"])
        notify.send(text.encode())
def end(*_):
    say("STOPPING=1\nEXTEND_TIMEOUT_USEC=60000000")
    while not os.path.exists("end"):
        threading.Event().wait(0.005)
    open("ended", "w").close()
    os._exit(0)
signal.signal(signal.SIGTERM, end)
say("READY=1")
while True:
    signal.pause()
"#,
    );
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"slow\"\ncommand = \"python3 {}\"\nready = {{ notify = true }}\nkill_timeout = \"500ms\"\n",
        script.display()
    ));
    sandbox.pm(&["apply"]).ok();
    sandbox.pm(&["stop", "slow", "--detach"]).ok();
    // Its time to end is over by far when a second one has been planned and has passed.
    let is_stopping = || sandbox.instance("slow/0").is_some_and(|slow| slow.phase == "stopping");
    let began = std::time::Instant::now();
    wait_until("its planned time is over twice", SOON, || {
        assert!(is_stopping(), "it was killed");
        began.elapsed() > 2 * KILL_TIMEOUT
    });
    sandbox.kill_daemon();
    wait_until("its planned time is over once more", SOON, || {
        assert!(is_stopping(), "the next daemon killed it");
        began.elapsed() > 4 * KILL_TIMEOUT
    });
    sandbox.file("end", "");
    sandbox.wait_phase("slow/0", "stopped");
    assert!(sandbox.path("ended").exists(), "it was not killed");
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
    sandbox.pm(&["events", "daemon"]).ok().says(&["has not sent WATCHDOG=1 for 400ms"]);
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

/// Our own user, named: for an app with a user the socket has an abstract name.
fn by_user() -> String {
    let name = if is_root() { "root".to_owned() } else { ordinary("-un") };
    format!("user = \"{name}\"\n")
}

#[test]
fn nobody_can_take_the_name_of_its_socket_first() {
    let sandbox = Sandbox::open_to_all();
    let app = sayer(&sandbox, &["READY=1"]);
    sandbox.file("1", "");
    let own_user = by_user();
    let text = format!("[[apps]]\nname = \"daemon\"\n{app}{own_user}ready = {{ notify = true }}\n");
    sandbox.ecosystem(&text);
    // Every name that a row and a process of it could give, in the hands of somebody else.
    let folder = sandbox.home().join("run/notify");
    let taken: Vec<UnixDatagram> = (0..8)
        .flat_map(|row| (0..8).map(move |incarnation| format!("{row}.{incarnation}")))
        .map(|name| {
            let path = folder.join(name).display().to_string();
            let name = &path.as_bytes()[path.len().saturating_sub(100)..];
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap()
        })
        .collect();
    sandbox.pm(&["apply"]).ok();
    sandbox.wait_phase("daemon/0", "running");
    drop(taken);
}

#[test]
fn it_is_heard_by_the_name_it_knows_after_both_were_killed() {
    let sandbox = Sandbox::open_to_all();
    let app = sayer(&sandbox, &["READY=1", "STATUS=still here"]);
    sandbox.file("1", "");
    let own_user = by_user();
    sandbox.ecosystem(&format!("[[apps]]\nname = \"daemon\"\n{app}{own_user}ready = {{ notify = true }}\n"));
    sandbox.pm(&["apply"]).ok();
    kill_both_now(&sandbox);
    sandbox.wait_phase("daemon/0", "running");
    sandbox.file("2", "");
    wait_until("what it says is heard", SOON, || sandbox.pm(&["list"]).ok().stdout.contains("still here"));
    assert_eq!(sandbox.starts_of("daemon/0"), 1);
}
