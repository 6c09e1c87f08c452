//! `MAINPID=`: a server that replaces its own binary, as nginx and gunicorn do on SIGUSR2, goes on as the same instance.

use crate::support::{SOON, Sandbox, children, kill, kill_both_now, run, start_time, wait_for, wait_until};

/// On SIGUSR2 it starts a successor, as nginx does: with an environment of its own. The old one leaves when the file `leave`
/// is there; the last one writes whom SIGTERM has reached.
const MASTER: &str = r#"
import os, signal, socket, sys, threading
def say(text):
    name = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect("\0" + name[1:] if name[0] == "@" else name)
        notify.send(text.encode())
def upgrade(*_):
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, *sys.argv, "new"], {"NOTIFY_SOCKET": os.environ["NOTIFY_SOCKET"]})
def bye(*_):
    with open("bye", "a") as file:
        file.write(f"{os.getpid()}\n")
    os._exit(0)
signal.signal(signal.SIGUSR2, upgrade)
signal.signal(signal.SIGTERM, bye)
is_new = sys.argv[-1] == "new"
say(f"MAINPID={os.getpid()}\nREADY=1" if is_new else "READY=1")
open(f"up-{os.getpid()}", "w").close()
while is_new or not os.path.exists("leave"):
    signal.sigtimedwait([], 0.005)
"#;

fn master() -> Sandbox {
    master_under("")
}

/// With a daemon that dies at a place in its code.
fn master_under(killpoint: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let script = sandbox.file("master.py", MASTER);
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"web\"\ncommand = \"python3 {}\"\nready = {{ notify = true }}\n",
        script.display()
    ));
    run(sandbox.command(&["apply"]).env("PM_KILLPOINT", killpoint)).ok();
    sandbox
}

fn is_gone(pid: u32) -> bool {
    start_time(pid).is_none()
}

/// Has the master replace itself; the pid of the new one, once the list shows it.
fn upgrade(sandbox: &Sandbox, old: u32) -> u32 {
    kill(old, libc::SIGUSR2);
    wait_for("the new process is the main one", SOON, || {
        sandbox.instance("web/0").and_then(|web| web.pid).filter(|pid| *pid != old)
    })
}

#[test]
fn the_app_goes_on_with_the_process_that_it_names() {
    let sandbox = master();
    let old = sandbox.pid("web/0");
    let new = upgrade(&sandbox, old);
    assert!(!is_gone(old), "the old one leaves when it likes");
    sandbox.file("leave", "");
    wait_until("the old one is gone", SOON, || is_gone(old));
    sandbox.pm(&["events", "web"]).ok().says(&[&format!("goes on with process {new} as its main process")]);
    sandbox.kill_daemon();
    assert_eq!(sandbox.wait_phase("web/0", "running").pid, Some(new));
    kill_both_now(&sandbox);
    assert_eq!(sandbox.wait_phase("web/0", "running").pid, Some(new));
    assert_eq!(sandbox.starts_of("web/0"), 1);
    sandbox.pm(&["apply"]).ok().says(&["nothing to do"]);
    sandbox.pm(&["stop", "web"]).ok();
    assert_eq!(sandbox.read("bye"), format!("{new}\n"), "the stop signal reaches it, once");
    assert!(is_gone(new));
    sandbox.pm(&["events", "web"]).ok().says(&["stopped"]);
}

#[test]
fn a_stop_during_the_change_asks_both_once() {
    let sandbox = master();
    let old = sandbox.pid("web/0");
    let new = upgrade(&sandbox, old);
    sandbox.pm(&["stop", "web"]).ok();
    let mut asked: Vec<u32> = sandbox.read("bye").lines().map(|line| line.parse().unwrap()).collect();
    asked.sort_unstable();
    let mut both = vec![old, new];
    both.sort_unstable();
    assert_eq!(asked, both);
    assert!(is_gone(old) && is_gone(new));
}

#[test]
fn what_it_says_while_no_daemon_looks_is_heard_by_the_next_one() {
    let sandbox = master();
    let old = sandbox.pid("web/0");
    let daemon = sandbox.daemon_pid();
    kill(daemon, libc::SIGSTOP);
    kill(old, libc::SIGUSR2);
    let new = wait_for("the new one has spoken", SOON, || {
        children(old).into_iter().find(|pid| sandbox.path(&format!("up-{pid}")).exists())
    });
    sandbox.file("leave", "");
    wait_until("the anchor has reaped the old one", SOON, || is_gone(old));
    kill(daemon, libc::SIGKILL);
    assert_eq!(sandbox.wait_phase("web/0", "running").pid, Some(new));
    assert_eq!(sandbox.starts_of("web/0"), 1);
    sandbox.pm(&["events", "web"]).ok().says(&[&format!("goes on with process {new}")]);
}

#[test]
fn a_daemon_that_dies_in_the_middle_leaves_the_rest_to_the_next_one() {
    let sandbox = master_under("row.next_main:1");
    let (old, daemon) = (sandbox.pid("web/0"), sandbox.daemon_pid());
    let new = upgrade(&sandbox, old);
    assert_ne!(sandbox.daemon_pid(), daemon, "it died there");
    sandbox.file("leave", "");
    wait_until("the old one is gone", SOON, || is_gone(old));
    assert_eq!(sandbox.wait_phase("web/0", "running").pid, Some(new));
    assert_eq!(sandbox.starts_of("web/0"), 1);
}

#[test]
fn the_end_of_the_new_one_is_the_end_of_the_process() {
    for leaves_first in [true, false] {
        let sandbox = master();
        let old = sandbox.pid("web/0");
        let new = upgrade(&sandbox, old);
        if leaves_first {
            sandbox.file("leave", "");
            wait_until("the old one is gone", SOON, || is_gone(old));
            std::fs::remove_file(sandbox.path("leave")).unwrap();
        }
        kill(new, libc::SIGKILL);
        wait_until("there is another start", SOON, || sandbox.starts_of("web/0") == 2);
        wait_until("nothing is left of the first one", SOON, || is_gone(old) && is_gone(new));
        let third = sandbox.wait_phase("web/0", "running").pid.unwrap();
        assert!(![0, old, new].contains(&third));
    }
}

#[test]
fn a_process_of_somebody_else_is_refused() {
    let sandbox = Sandbox::new();
    let script = sandbox.file(
        "say.py",
        r#"
import os, socket, sys, threading
with open("whom") as file:
    whom = file.read().split()
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(os.environ["NOTIFY_SOCKET"])
for pid in whom:
    notify.send(f"MAINPID={pid}".encode())
notify.send(b"READY=1")
threading.Event().wait()
"#,
    );
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"other\"\ncommand = \"sleep 1000\"\n[[apps]]\nname = \"liar\"\ncommand = \"python3 {}\"\n\
         autostart = false\nready = {{ notify = true }}\n",
        script.display()
    ));
    sandbox.pm(&["apply"]).ok();
    let other = sandbox.pid("other/0");
    let stranger = std::process::id();
    let whom = [1, stranger, other, sandbox.daemon_pid(), sandbox.anchor_pid(), u32::MAX / 2];
    let no_pids = ["abc", "0", "-5", "99999999999"];
    sandbox.file("whom", format!("{} {}", whom.map(|pid| pid.to_string()).join(" "), no_pids.join(" ")));
    sandbox.pm(&["start", "liar"]).ok();
    let events = sandbox.pm(&["events", "liar"]).ok().stdout;
    for pid in whom {
        assert!(events.contains(&format!("its MAINPID={pid} was refused")), "{pid}: {events}");
    }
    for text in no_pids {
        assert!(events.contains(&format!("its MAINPID={text} was refused: it is no process id")), "{text}: {events}");
    }
    assert_eq!(sandbox.pid("other/0"), other);
    sandbox.pm(&["stop", "liar"]).ok();
    assert_eq!(sandbox.pid("other/0"), other, "nobody else was touched");
}
