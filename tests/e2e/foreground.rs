//! `pm daemon run`: the main process of a service unit or a container.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{SOON, Sandbox, finish, kill, run, start_time, wait_until};

const APP: &str = "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n";

/// A service manager that waits for `READY=1`.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(sandbox: &Sandbox) -> Self {
        let path = sandbox.path("notify");
        let _not_there = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self { socket, path }
    }

    #[track_caller]
    fn hears(&self, message: &str) {
        let mut bytes = [0; 100];
        let length = self.socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{message} is not told: {error}"));
        assert_eq!(String::from_utf8_lossy(&bytes[..length]), message);
    }
}

/// `pm daemon run`, once it is ready.
fn foreground(sandbox: &Sandbox) -> (Child, Manager) {
    let manager = Manager::new(sandbox);
    let child = sandbox.command(&["daemon", "run"]).env("NOTIFY_SOCKET", &manager.path).spawn().unwrap();
    manager.hears("READY=1");
    (child, manager)
}

#[test]
fn it_stays_with_its_caller_and_a_signal_stops_everything_in_order() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let sandbox = Sandbox::new();
        sandbox.ecosystem(APP);
        let (child, manager) = foreground(&sandbox);
        assert_eq!(sandbox.anchor_pid(), child.id(), "the process that was started is the one that stays");
        sandbox.pm(&["apply"]).ok();
        let app = sandbox.pid("api/0");
        kill(child.id(), signal);
        manager.hears("STOPPING=1");
        finish(child, "pm daemon run").ok();
        assert_eq!(start_time(app), None, "the app has been stopped");
        assert!(sandbox.processes().is_empty(), "left: {:#?}", sandbox.processes());

        // A stop of the service is no stop of the apps by a person: they run again with it.
        let (child, _manager) = foreground(&sandbox);
        sandbox.pid("api/0");
        sandbox.pm(&["shutdown"]).ok();
        finish(child, "pm daemon run").ok();
    }
}

#[test]
fn a_second_one_is_refused_with_the_reason() {
    let sandbox = Sandbox::new();
    let (child, _manager) = foreground(&sandbox);
    let home = sandbox.home();
    sandbox.pm(&["daemon", "run"]).code(1).says(&[
        "is already running for",
        home.to_str().unwrap(),
        "pm daemon status",
    ]);
    sandbox.pm(&["daemon", "stop"]).ok();
    finish(child, "pm daemon run").ok();
    // One in the background is in the way as well.
    sandbox.pm(&["list"]).ok();
    sandbox.pm(&["daemon", "run"]).code(1).says(&["is already running for"]);
}

#[test]
fn killed_it_leaves_the_apps_alone_and_the_next_one_takes_them_over() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(APP);
    let (mut child, _manager) = foreground(&sandbox);
    sandbox.pm(&["apply"]).ok();
    let app = sandbox.pid("api/0");
    // The daemon alone: as ever.
    sandbox.kill_daemon();
    assert_eq!(sandbox.pid("api/0"), app);
    // KillMode=process: only the main process is killed, and the unit is started again.
    kill(child.id(), libc::SIGKILL);
    child.wait().unwrap();
    wait_until("the daemon has left, too", SOON, || !sandbox.processes().iter().any(|process| process.is_pm));
    let (child, _manager) = foreground(&sandbox);
    assert_eq!(sandbox.pid("api/0"), app);
    kill(child.id(), libc::SIGTERM);
    finish(child, "pm daemon run").ok();
}

#[test]
fn what_keeps_it_from_beginning_is_on_standard_error_and_in_the_exit_code() {
    let sandbox = Sandbox::new();
    sandbox.pm(&["list"]).ok();
    sandbox.pm(&["shutdown"]).ok();
    let journal = sandbox.home().join("state/desired.journal");
    fs::remove_file(&journal).unwrap();
    fs::create_dir(&journal).unwrap();
    sandbox.pm(&["daemon", "run"]).code(1).says(&["the daemon cannot start", "desired.journal"]);
    let file = sandbox.file("file", "");
    run(sandbox.command(&["daemon", "run"]).env("PM_HOME", file)).code(1).says(&["cannot use folder", "file"]);
}

#[test]
fn internal_words_are_in_no_help_and_say_what_is_meant_instead() {
    let sandbox = Sandbox::new();
    for args in [&["anchor"][..], &["anchor", "--help"], &["anchor", "--home", "/tmp"]] {
        sandbox.pm(args).code(64).says(&["is started by `pm` itself", "pm daemon run"]);
    }
    sandbox.pm(&["daemon", "run", "--inherited"]).code(1).says(&["pm daemon run"]);
    sandbox.pm(&["daemon", "run", "--help"]).ok().says(&["foreground"]);
    sandbox.pm(&["daemon", "run", "now"]).code(64);
    for args in [&["--help"][..], &["daemon", "--help"], &["daemon", "run", "--help"]] {
        let help = sandbox.pm(args).ok().stdout;
        for word in ["  anchor", "--inherited", "--ready-fd", "--foreground"] {
            assert!(!help.contains(word), "`{word}` is in the output of {args:?}");
        }
    }
    assert!(sandbox.processes().is_empty());
}

/// As process 1 of a container: no init is there to reap what the apps leave behind, or to pass signals on.
#[test]
fn as_the_first_process_of_a_container_it_reaps_what_is_left_behind() {
    let sandbox = Sandbox::new();
    let orphan = sandbox.path("orphan").display().to_string();
    sandbox.ecosystem(&format!("[[apps]]\nname = \"api\"\ncommand = \"sh -c '(setsid sh -c \\\"echo x > {orphan}; sleep 0.01\\\" &) ; sleep 1000'\"\n"));
    let manager = Manager::new(&sandbox);
    let pm = sandbox.command(&[]).get_program().to_owned();
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(pm)
        .args(["daemon", "run"]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("PM_HOME", sandbox.home());
    command.env("NOTIFY_SOCKET", &manager.path).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    manager.socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    if manager.socket.recv(&mut [0; 100]).is_err() {
        eprintln!("NOT RUN: this machine lets nobody make a namespace");
        kill(child.id(), libc::SIGKILL);
        let _output = finish(child, "unshare");
        return;
    }
    sandbox.pm(&["apply"]).ok();
    wait_until("the app leaves something behind", SOON, || sandbox.path("orphan").exists());
    let anchor = sandbox.anchor_pid();
    wait_until("what was left behind is reaped", SOON, || {
        crate::support::children(anchor).iter().all(|pid| start_time(*pid).is_some())
    });
    kill(anchor, libc::SIGTERM);
    finish(child, "pm daemon run").ok();
}
