//! Sockets that stay open whatever the processes behind them do.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::support::{SOON, Sandbox, finish, fixture, kill, wait_for, wait_until};

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn ecosystem(sandbox: &Sandbox, address: SocketAddr, version: u32, rest: &str) {
    sandbox.ecosystem(&format!(
        "[[apps]]\nname = \"web\"\nscript = \"{}\"\nlisten = [\"{address}\"]\ninstances = 2\n\
         ready = {{ log = \"^up$\" }}\nupdate = {{ min_healthy_time = \"0s\" }}\n{rest}\n\
         [apps.env]\nVERSION = \"{version}\"\nSLOW_ANSWER = \"0.2\"\nSLOW_START = \"0.1\"\n",
        fixture("listens.py")
    ));
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, SOON)?;
    connection.set_read_timeout(Some(SOON))?;
    connection.write_all(b"ping")?;
    let mut text = String::new();
    connection.read_to_string(&mut text)?;
    if text.is_empty() { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(text) }
}

#[test]
fn no_request_fails_while_processes_are_replaced_again_and_again() {
    let (sandbox, address) = (Sandbox::new(), free_address());
    ecosystem(&sandbox, address, 0, "");
    sandbox.pm(&["apply"]).ok();
    let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (is_over, answered) = (Arc::clone(&is_over), Arc::clone(&answered));
            std::thread::spawn(move || -> Result<(), String> {
                while !is_over.load(Ordering::Relaxed) {
                    ask(address).map_err(|error| error.to_string())?;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        })
        .collect();
    for version in 1..=3 {
        sandbox.pm(&["reload", "web"]).ok();
        ecosystem(&sandbox, address, version, "");
        sandbox.pm(&["apply"]).ok();
        assert!(ask(address).unwrap().starts_with(&version.to_string()));
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        assert_eq!(client.join().unwrap(), Ok(()), "after {} answers", answered.load(Ordering::Relaxed));
    }
    assert!(answered.load(Ordering::Relaxed) > 50, "{answered:?}");
}

#[test]
fn an_update_that_moves_to_another_address_goes_back_whatever_else_happens() {
    let (sandbox, old, new) = (Sandbox::new(), free_address(), free_address());
    let file = |address: SocketAddr, bad: &str| {
        format!(
            "[[apps]]\nname = \"web\"\nshell = true\ninstances = 2\nlisten = [\"{address}\"]\nready.log = \"^up$\"\n\
             command = '''[ \"$PM_INSTANCE\" != \"$VERSION\" ] || exit 3; exec python3 {}'''\n\
             update = {{ min_healthy_time = \"500ms\" }}\nenv = {{ VERSION = \"{bad}\" }}\n\
             [[apps]]\nname = \"other\"\ncommand = \"sleep 1000\"\n",
            fixture("listens.py")
        )
    };
    sandbox.ecosystem(&file(old, "none"));
    sandbox.pm(&["apply"]).ok();
    sandbox.ecosystem(&file(new, "1"));
    let applying = sandbox.start(&["apply"]);
    wait_until("the first slot answers at the new address", SOON, || ask(new).is_ok());
    // Another command ends meanwhile; it must not close what the update may go back to.
    sandbox.pm(&["restart", "other"]).ok();
    let failed = finish(applying, "pm apply").code(6);
    let failed = failed.says(&["web/1", "exit code 3", "rolled back to the old version"]);
    assert!(!failed.stderr.contains("| up"), "that was printed by the process before:\n{}", failed.stderr);
    wait_until("all run", SOON, || sandbox.list().iter().filter(|row| row.phase == "running").count() == 3);
    assert!(ask(old).unwrap().starts_with("none"));
}

#[test]
fn what_is_stopped_in_an_update_is_not_listened_for() {
    let (sandbox, old) = (Sandbox::new(), free_address());
    ecosystem(&sandbox, old, 0, "");
    sandbox.pm(&["apply"]).ok();
    let slow = "update.min_healthy_time = \"60s\"";
    let text = std::fs::read_to_string(sandbox.path("ecosystem.toml")).unwrap();
    let text = text.replace("project = \"shop\"\n", "");
    sandbox.ecosystem(
        &text.replace("update = { min_healthy_time = \"0s\" }", slow).replace("VERSION = \"0\"", "VERSION = \"1\""),
    );
    sandbox.pm(&["apply", "--detach"]).ok();
    wait_until("it has begun", SOON, || sandbox.list().len() == 3);
    sandbox.pm(&["stop", "web"]).ok();
    wait_until("nobody listens", SOON, || TcpListener::bind(old).is_ok());
}

#[test]
fn who_connects_while_nobody_is_there_is_answered_by_the_next_process() {
    let (sandbox, address) = (Sandbox::new(), free_address());
    ecosystem(&sandbox, address, 1, "");
    sandbox.pm(&["apply"]).ok();
    for slot in ["web/0", "web/1"] {
        kill(sandbox.pid(slot), libc::SIGKILL);
    }
    assert!(ask(address).unwrap().starts_with('1'));
    // Nor does the death of the daemon close it, with or without processes behind it.
    kill(sandbox.pid("web/0"), libc::SIGKILL);
    sandbox.kill_daemon();
    assert!(ask(address).unwrap().starts_with('1'));
}

#[test]
fn the_socket_outlives_daemon_and_anchor_in_the_processes_behind_it() {
    let (sandbox, address) = (Sandbox::new(), free_address());
    ecosystem(&sandbox, address, 1, "");
    sandbox.pm(&["apply"]).ok();
    let (anchor, daemon) = (sandbox.anchor_pid(), sandbox.daemon_pid());
    kill(daemon, libc::SIGSTOP);
    kill(anchor, libc::SIGKILL);
    kill(daemon, libc::SIGKILL);
    wait_until("both are gone", SOON, || !sandbox.processes().iter().any(|process| process.is_pm));
    assert!(ask(address).unwrap().starts_with('1'));
    // A new process gets the socket that the other one still has.
    let before = sandbox.pid("web/0");
    kill(before, libc::SIGKILL);
    wait_until("it runs again", SOON, || {
        sandbox.instance("web/0").is_some_and(|row| row.phase == "running" && row.pid != Some(before))
    });
    sandbox.pm(&["reload", "web"]).ok();
    assert!(ask(address).unwrap().starts_with('1'));
}

#[test]
fn a_stopped_app_is_not_listened_for() {
    let (sandbox, address) = (Sandbox::new(), free_address());
    ecosystem(&sandbox, address, 1, "");
    sandbox.pm(&["apply"]).ok();
    sandbox.pm(&["stop", "web"]).ok();
    wait_until("connections are refused", SOON, || {
        ask(address).is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    });
    sandbox.pm(&["start", "web"]).ok();
    assert!(ask(address).unwrap().starts_with('1'));
}

#[test]
fn an_address_that_somebody_else_has_is_named() {
    let (sandbox, other) = (Sandbox::new(), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = other.local_addr().unwrap();
    ecosystem(&sandbox, address, 1, "");
    sandbox.pm(&["apply"]).code(6).says(&[
        &format!("cannot listen on `{address}`"),
        "Address already in use",
        &format!("(process {}) listens there", std::process::id()),
    ]);
    drop(other);
    sandbox.pm(&["apply"]).ok();
    let answer = wait_for("an answer", Duration::from_secs(10), || ask(address).ok());
    assert!(answer.starts_with('1'));
}

/// The same port on every address of the machine.
fn everywhere(address: SocketAddr) -> SocketAddr {
    ([0, 0, 0, 0], address.port()).into()
}

#[test]
fn the_host_of_an_address_can_be_changed_there_and_back() {
    let (sandbox, narrow) = (Sandbox::new(), free_address());
    let elsewhere: SocketAddr = ([127, 0, 0, 2], narrow.port()).into();
    ecosystem(&sandbox, narrow, 0, "");
    sandbox.pm(&["apply"]).ok();
    ecosystem(&sandbox, everywhere(narrow), 1, "");
    sandbox.pm(&["plan"]).ok().says(&["roll 2, all at once, brief gap"]);
    sandbox.pm(&["apply"]).ok();
    for address in [narrow, elsewhere] {
        assert!(ask(address).unwrap().starts_with('1'));
    }
    ecosystem(&sandbox, narrow, 2, "");
    sandbox.pm(&["apply"]).ok();
    assert!(ask(narrow).unwrap().starts_with('2'));
    assert_eq!(ask(elsewhere).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    // The next daemon finds the same.
    sandbox.kill_daemon();
    ecosystem(&sandbox, everywhere(narrow), 3, "");
    sandbox.pm(&["apply"]).ok();
    assert!(ask(elsewhere).unwrap().starts_with('3'));
}

/// Two copies; the one whose slot is `bad` does not come up. The second one takes its time to end.
fn half_bad(address: SocketAddr, bad: &str) -> String {
    format!(
        "[[apps]]\nname = \"web\"\nshell = true\ninstances = 2\nlisten = [\"{address}\"]\nready.log = \"^up$\"\n\
         command = '''[ \"$PM_INSTANCE\" != \"$VERSION\" ] || exit 3; exec python3 {}'''\n\
         update = {{ min_healthy_time = \"100ms\" }}\nenv = {{ VERSION = \"{bad}\" }}\n\
         hooks.pre_stop = '''[ \"$PM_INSTANCE\" = 0 ] || sleep 2'''\n",
        fixture("listens.py")
    )
}

fn all_run_at(sandbox: &Sandbox, narrow: SocketAddr) {
    let is_running = |row: &crate::support::InstanceView| row.phase == "running";
    wait_until("both run at the old address", SOON, || {
        let elsewhere = ask(([127, 0, 0, 2], narrow.port()).into());
        let is_refused = elsewhere.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
        is_refused && sandbox.list().iter().filter(|row| is_running(row)).count() == 2
    });
    assert!(ask(narrow).unwrap().starts_with("none"));
}

#[test]
fn an_update_to_another_host_goes_back_to_the_old_one() {
    let (sandbox, narrow) = (Sandbox::new(), free_address());
    sandbox.ecosystem(&half_bad(narrow, "none"));
    sandbox.pm(&["apply"]).ok();
    sandbox.ecosystem(&half_bad(everywhere(narrow), "1"));
    sandbox.pm(&["apply"]).code(6).says(&["web/1", "exit code 3", "rolled back to the old version"]);
    all_run_at(&sandbox, narrow);
}

#[test]
fn an_update_to_another_host_goes_back_when_the_daemon_dies_in_the_gap() {
    let (sandbox, narrow) = (Sandbox::new(), free_address());
    sandbox.ecosystem(&half_bad(narrow, "none"));
    sandbox.pm(&["apply"]).ok();
    sandbox.ecosystem(&half_bad(everywhere(narrow), "1"));
    sandbox.pm(&["apply", "--detach"]).ok();
    sandbox.wait_phase("web/0", "stopped");
    sandbox.kill_daemon();
    all_run_at(&sandbox, narrow);
}

#[test]
fn a_host_that_somebody_else_has_taken_leaves_the_old_one_as_it_was() {
    let (sandbox, narrow) = (Sandbox::new(), free_address());
    let _other = TcpListener::bind(("127.0.0.2", narrow.port())).unwrap();
    ecosystem(&sandbox, narrow, 0, "");
    sandbox.pm(&["apply"]).ok();
    ecosystem(&sandbox, everywhere(narrow), 1, "");
    sandbox.pm(&["apply"]).code(6).says(&["Address already in use", "rolled back to the old version"]);
    wait_until("both run", SOON, || sandbox.list().iter().filter(|row| row.phase == "running").count() == 2);
    assert!(ask(narrow).unwrap().starts_with('0'));
}

#[test]
fn a_port_that_pm_holds_for_another_app_is_named_with_that_app() {
    let (sandbox, narrow) = (Sandbox::new(), free_address());
    let app = |name: &str, address: SocketAddr, rest: &str| {
        format!("[[apps]]\nname = \"{name}\"\ncommand = \"sleep 1000\"\nlisten = [\"{address}\"]\n{rest}\n")
    };
    let second = app("second", everywhere(narrow), "autostart = false");
    sandbox.ecosystem(&format!("{}{second}", app("first", narrow, "")));
    sandbox.pm(&["apply"]).ok();
    sandbox.pm(&["start", "second"]).code(6).says(&["pm keeps", "`shop:first`", "stop that app"]);
    // Another project is told before anything is stored.
    sandbox.file("other.toml", format!("project = \"other\"\n{}", app("third", narrow, "")));
    for (verb, code) in [("plan", 0), ("apply", 5)] {
        sandbox.pm(&[verb, "other.toml"]).code(code).says(&["`other:third`", "`shop:first`", "pm delete shop:first"]);
    }
    sandbox.pm(&["stop", "first"]).ok();
    sandbox.pm(&["start", "second"]).ok();
}

#[test]
fn a_unix_socket_that_cannot_be_opened_is_explained() {
    let sandbox = Sandbox::new();
    sandbox.file("taken", "mine");
    for (path, words) in [("no/x.sock", "does not exist; create it"), ("taken", "a file that is not a socket")] {
        sandbox.ecosystem(&format!("[[apps]]\nname = \"web\"\ncommand = \"sleep 1000\"\nlisten = [\"unix:{path}\"]\n"));
        sandbox.pm(&["apply"]).code(6).says(&["cannot listen on", words, "use another path"]);
    }
    assert_eq!(sandbox.read("taken"), "mine");
}

/// Prints what `sd_listen_fds_with_names(3)` needs to know.
const SAYS_WHAT_IT_GETS: &str = "import os, threading\nprint(os.environ['LISTEN_PID'] == str(os.getpid()), os.environ['LISTEN_FDNAMES'], flush=True)\nthreading.Event().wait()\n";

#[test]
fn a_command_of_a_shell_finds_its_own_number_and_names_of_its_choice() {
    let sandbox = Sandbox::new();
    let (one, other) = (free_address(), free_address());
    let script = sandbox.file("says.py", SAYS_WHAT_IT_GETS).display().to_string();
    let app = |name: &str, line: &str, more: &str| {
        format!(
            "[[apps]]\nname = \"{name}\"\nshell = true\ncommand = \"{line}\"\nready.log = \"^(True|False)\"\n{more}\n"
        )
    };
    sandbox.ecosystem(&format!(
        "{}{}",
        app("named", &format!("python3 {script} 2>&1"), &format!("listen = [\"{one}\"]\nsocket_names = [\"http\"]")),
        app(
            "twins",
            &format!("cd / && python3 {script}"),
            &format!("listen = [\"{other}\", \"unix:a/s\", \"unix:b/s\"]")
        ),
    ));
    for folder in ["a", "b"] {
        std::fs::create_dir(sandbox.path(folder)).unwrap();
    }
    sandbox.pm(&["apply"]).ok();
    sandbox.pm(&["logs", "named", "-n", "5"]).ok().says(&["True http"]);
    sandbox.pm(&["logs", "twins", "-n", "5"]).ok().says(&[&format!("True tcp-{}:s:s-2", other.port())]);
    sandbox.ecosystem(&app("named", "sleep 1000", &format!("listen = [\"{one}\"]\nsocket_names = [\"a\", \"b c\"]")));
    let refused = sandbox.pm(&["check"]);
    assert_ne!(refused.status, 0);
    refused.says(&["`b c` cannot be the name of a socket", "2 names for 1 sockets of `listen`"]);
}
