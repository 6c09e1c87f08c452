//! `pm dev` in a terminal: its keys work after it was suspended, and it shows how far the starts are below the logs.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use crate::support::{SOON, Sandbox, Terminal, kill, wait_until};

/// The terminal is that of the command, as for one that is started in a window.
fn in_a_window(command: &mut Command) -> (Terminal, Child) {
    // SAFETY: both calls may be made between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    Terminal::start(command, true)
}

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh -c 'echo up; exec sleep 1000'\"\nwatch = false\n");
    sandbox
}

#[track_caller]
fn says(terminal: &Terminal, words: &str) {
    wait_until(&format!("the terminal shows `{words}`"), SOON, || terminal.text().contains(words));
}

#[track_caller]
fn ends(mut child: Child, terminal: &Terminal) {
    let mut code = None;
    wait_until("`q` ends it", SOON, || {
        code = child.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.and_then(|status| status.code()), Some(0), "{}", terminal.text());
}

#[test]
fn keys_are_read_after_it_was_stopped_and_continued() {
    let sandbox = project();
    let (mut terminal, child) = in_a_window(&mut sandbox.command(&["dev"]));
    says(&terminal, "up\r\n");
    assert!(!terminal.is_by_line());
    kill(child.id(), libc::SIGSTOP);
    let status = || std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    wait_until("it is stopped", SOON, || status().contains(") T "));
    terminal.read_by_line();
    kill(child.id(), libc::SIGCONT);
    wait_until("keys are read one by one", SOON, || !terminal.is_by_line());
    // Nobody could continue it: the kernel does not stop the first process of a window.
    kill(child.id(), libc::SIGTSTP);
    terminal.type_text("r");
    says(&terminal, "started as process");
    assert!(!terminal.is_by_line());
    terminal.type_text("q");
    ends(child, &terminal);
}

#[test]
fn ctrl_z_and_fg_of_a_shell() {
    let sandbox = project();
    let pm = sandbox.command(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-m", "-c", "\"$0\" dev; echo the shell is back; read line; fg"]).arg(pm.get_program());
    shell.current_dir(pm.get_current_dir().unwrap()).env_clear();
    shell.envs(pm.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let (mut terminal, child) = in_a_window(&mut shell);
    says(&terminal, "up\r\n");
    terminal.type_text("\u{1a}");
    says(&terminal, "the shell is back");
    wait_until("the shell has the terminal as it was", SOON, || terminal.is_by_line());
    terminal.type_text("go\n");
    wait_until("keys are read one by one", SOON, || !terminal.is_by_line());
    terminal.type_text("q");
    ends(child, &terminal);
}

#[test]
fn what_is_under_way_is_shown_below_the_logs() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        "[[apps]]\nname = \"talks\"\ncommand = \"sh -c 'while :; do echo a whole line; sleep 0.2; done'\"\nwatch = false\n\
         [[apps]]\nname = \"late\"\ncommand = \"sleep 1000\"\nwatch = false\n\
         ready = { exec = \"test -e go\", interval = \"50ms\", timeout = \"60s\" }\n",
    );
    let (mut terminal, child) = in_a_window(&mut sandbox.command(&["dev"]));
    says(&terminal, "... start late \u{b7} late/0 is not ready yet");
    let lines = || terminal.text().matches("a whole line\r\n").count();
    let before = lines();
    wait_until("lines come meanwhile", SOON, || lines() >= before + 3);
    sandbox.file("go", "");
    says(&terminal, "2 done in");
    let before = lines();
    wait_until("lines come afterwards", SOON, || lines() >= before + 2);
    let text = terminal.text();
    let (_, after) = text.split_once("2 done in").unwrap();
    assert!(!after.contains("start late"), "what is over is not shown any more: {after:?}");
    // The region is taken away before a line is written in its place, and never stands in front of one.
    for line in text.split("\r\n").filter(|line| line.contains("start late")) {
        let (_, after) = line.rsplit_once("start late").unwrap();
        let is_taken_away = after.contains("\u{1b}[K") || after.contains("\u{1b}[J");
        assert!(!after.contains("a whole line") || is_taken_away, "{line:?}");
    }
    terminal.type_text("q");
    ends(child, &terminal);
}
