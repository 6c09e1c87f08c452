//! `pm run FILE`: the first process of a container.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{SOON, Sandbox, finish, kill, start_time, wait_until};

#[test]
fn one_app_prints_as_it_is_and_its_status_is_that_of_the_command() {
    for (end, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$$$", 137)] {
        let sandbox = Sandbox::new();
        sandbox.ecosystem(&format!(
            "[[apps]]\nname = \"job\"\ncommand = \"sh -c 'echo one; echo two; sleep 0.5; printf three; {end}'\"\nrestart = \"never\"\n"
        ));
        let output = sandbox.pm(&["run", "ecosystem.toml"]).code(code);
        assert_eq!(output.stdout, "one\ntwo\nthree\n", "{output}");
        assert!(sandbox.processes().is_empty(), "left: {:#?}", sandbox.processes());
    }
}

#[test]
fn of_several_apps_the_first_that_fails_says_the_status_once_all_have_ended() {
    let sandbox = Sandbox::new();
    let app = |name: &str, script: &str| {
        format!("[[apps]]\nname = \"{name}\"\ncommand = \"sh -c '{script}'\"\nrestart = \"never\"\n")
    };
    let all = app("fine", "echo hello; sleep 3") + &app("late", "sleep 2; exit 5") + &app("early", "sleep 0.5; exit 4");
    sandbox.ecosystem(&all);
    let output = sandbox.pm(&["run"]).code(4);
    assert!(output.stdout.contains("fine/0  | hello\n"), "{output}");
    assert!(sandbox.processes().is_empty());
}

#[test]
fn a_signal_stops_the_apps_in_order_and_the_next_run_starts_them_again() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let sandbox = Sandbox::new();
        let app = |name: &str, more: &str| {
            format!(
                "[[apps]]\nname = \"{name}\"\ncommand = \"sh -c 'trap \\\"echo end {name} >> log; exit 0\\\" TERM INT; echo up; while :; do sleep 0.05; done'\"\nready = {{ log = \"up\" }}\n{more}\n"
            )
        };
        sandbox.ecosystem(&(app("db", "") + &app("api", "depends_on = { db = \"ready\" }")));
        let child = sandbox.start(&["run", "ecosystem.toml"]);
        let app = sandbox.pid("api/0");
        // A daemon that dies is none of the container's business.
        sandbox.kill_daemon();
        assert_eq!(sandbox.pid("api/0"), app);
        sandbox.pm(&["run", "ecosystem.toml"]).code(1).says(&["already running", "PM_HOME"]);
        kill(child.id(), signal);
        finish(child, "pm run").ok();
        assert_eq!(sandbox.read("log"), "end api\nend db\n", "dependents first");
        assert!(sandbox.processes().is_empty(), "left: {:#?}", sandbox.processes());
        // As after a restart of the container: nobody has stopped the apps by hand.
        let child = sandbox.start(&["run", "ecosystem.toml"]);
        sandbox.pid("api/0");
        // From outside, as by `docker exec`.
        sandbox.pm(&["shutdown"]).ok();
        finish(child, "pm run").ok();
    }
}

#[test]
fn a_file_that_is_wrong_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = 7\n");
    sandbox.pm(&["run", "ecosystem.toml"]).code(65).says(&["command"]);
    assert!(sandbox.processes().is_empty(), "left: {:#?}", sandbox.processes());
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"/no/such/program\"\nrestart = \"never\"\n");
    sandbox.pm(&["run", "ecosystem.toml"]).says(&["/no/such/program"]);
    assert!(sandbox.processes().is_empty(), "left: {:#?}", sandbox.processes());
}

/// `pm run` as process 1 of a pid namespace.
fn container(sandbox: &Sandbox) -> Child {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.arg(env!("CARGO_BIN_EXE_pm")).args(["run", "ecosystem.toml"]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("PM_HOME", sandbox.home());
    command.current_dir(sandbox.path("")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn as_process_1_it_reaps_what_is_left_to_it_and_ends_with_the_app() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh -c 'echo up; while ! test -e stop; do sleep 0.05; done; exit 9'\"\nrestart = \"never\"\n");
    let mut child = container(&sandbox);
    let has_ended = |child: &mut Child| child.try_wait().unwrap().is_some();
    wait_until("the app runs, or nobody may make a namespace", SOON, || {
        sandbox.log_text("api", "out", 0) == b"up\n" || has_ended(&mut child)
    });
    if has_ended(&mut child) && sandbox.log_text("api", "out", 0).is_empty() {
        eprintln!("NOT RUN: this machine lets nobody make a namespace");
        return;
    }
    // Without its anchor the daemon is an orphan of process 1: it starts another anchor and leaves.
    let daemon = sandbox.daemon_pid();
    kill(sandbox.anchor_pid(), libc::SIGKILL);
    wait_until("the next daemon has taken over", SOON, || {
        sandbox.processes().iter().any(|process| process.is_daemon() && process.pid != daemon)
    });
    wait_until("what ended is reaped", SOON, || {
        start_time(daemon).is_none() && !Path::new(&format!("/proc/{daemon}")).exists()
    });
    sandbox.file("stop", "");
    let output = finish(child, "unshare").code(9);
    assert_eq!(output.stdout, "up\n", "{output}");
}
