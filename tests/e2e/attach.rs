//! `pm attach` and `pm send --stdin`: lines for the standard input of an app.

use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};

use crate::support::{SOON, Sandbox, kill, kill_both_now, wait_until};

const ECHO: &str = "[[apps]]\nname = \"echo\"\ncommand = \"cat\"\nstdin = \"pipe\"\n";

fn log(sandbox: &Sandbox) -> String {
    String::from_utf8(sandbox.log_text("echo", "out", 0)).unwrap()
}

#[test]
fn a_line_reaches_the_app_whoever_was_killed_in_between() {
    let sandbox = Sandbox::applied(ECHO);
    let pid = sandbox.pid("echo/0");
    sandbox.pm(&["send", "echo", "--stdin", "first line"]).ok().says(&["sent to shop:echo/0"]);
    sandbox.kill_daemon();
    sandbox.pm(&["send", "echo", "--stdin", "second"]).ok();
    kill_both_now(&sandbox);
    assert_eq!(sandbox.pid("echo/0"), pid);
    sandbox.pm(&["send", "echo", "--stdin", ""]).ok();
    sandbox.pm(&["send", "echo", "--stdin", "third"]).ok();
    wait_until("all lines came back", SOON, || log(&sandbox) == "first line\nsecond\n\nthird\n");
    sandbox.pm(&["restart", "echo"]).ok();
    sandbox.pm(&["send", "echo", "--stdin", "to the next one"]).ok();
    wait_until("the next process has it", SOON, || log(&sandbox).ends_with("third\nto the next one\n"));
    sandbox.pm(&["stop", "echo"]).ok();
    let refused = sandbox.pm(&["send", "echo", "--stdin", "x"]);
    assert_ne!(refused.status, 0, "{refused}");
}

#[test]
fn a_pipe_that_nobody_reads_is_full_in_the_end_and_that_is_told() {
    let sandbox = Sandbox::applied(
        "[[apps]]\nname = \"deaf\"\ncommand = \"sleep 1000\"\nstdin = \"pipe\"\n\
         [[apps]]\nname = \"none\"\ncommand = \"sleep 1000\"\n",
    );
    let long = "x".repeat(4095);
    let mut sent = 0;
    let full = loop {
        let answer = sandbox.pm(&["send", "deaf", "--stdin", &long]);
        if answer.status != 0 {
            break answer;
        }
        sent += 1;
        assert!(sent <= 16, "a pipe holds 64 KiB");
    };
    full.says(&["not sent to shop:deaf/0: it does not read its standard input, and the pipe is full"]);
    let too_long = sandbox.pm(&["send", "deaf", "--stdin", &"x".repeat(4096)]);
    assert_eq!(too_long.status, 64, "{too_long}");
    sandbox.pm(&["send", "none", "--stdin", "x"]).says(&["not sent to shop:none/0: its standard input is no pipe"]);
    let refused = sandbox.pm(&["attach", "none"]);
    assert_eq!(refused.status, 1, "{refused}");
    refused.says(&["has no standard input", "stdin = \"pipe\""]);
}

fn attach(sandbox: &Sandbox) -> Child {
    let mut command = sandbox.command(&["attach", "echo"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Everything that it has printed, once it has ended.
fn end(mut child: Child) -> (String, String, Option<i32>) {
    let status = child.wait().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (out, err, status.code())
}

#[test]
fn two_terminals_are_attached_and_each_sees_what_the_app_answers() {
    let sandbox = Sandbox::applied(ECHO);
    let (mut one, mut other) = (attach(&sandbox), attach(&sandbox));
    let mut typed = (one.stdin.take().unwrap(), other.stdin.take().unwrap());
    for round in 0..20 {
        writeln!(typed.0, "one {round}").unwrap();
        writeln!(typed.1, "other {round}").unwrap();
    }
    wait_until("all of it came back", SOON, || log(&sandbox).lines().count() == 40);
    sandbox.pm(&["restart", "echo"]).ok();
    writeln!(typed.0, "after the restart").unwrap();
    wait_until("the new process answers", SOON, || log(&sandbox).ends_with("after the restart\n"));
    let text = log(&sandbox);
    for who in ["one", "other"] {
        let found: Vec<&str> = text.lines().filter(|line| line.starts_with(&format!("{who} "))).collect();
        assert_eq!(found, (0..20).map(|round| format!("{who} {round}")).collect::<Vec<_>>());
    }
    let pid = sandbox.pid("echo/0");
    drop(typed);
    kill(other.id(), libc::SIGINT);
    let (_, err, _) = end(one);
    assert!(err.contains("detached; the app continues"), "{err}");
    let (out, err, _) = end(other);
    assert!(out.contains("echo/0 | one 0\n") || out.contains("echo/0 | other 0\n"), "{out}");
    assert!(err.contains("detached; the app continues"), "{err}");
    assert_eq!(sandbox.pid("echo/0"), pid);
}
