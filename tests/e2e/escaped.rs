//! What has left its session and its environment, or lost the anchor, is found all the same when its app is stopped.

use std::process::Command;

use crate::support::{SOON, Sandbox, kill, kill_both_now, wait_until};

/// Runs until it is killed, with nothing about it that `pm` has given it but its parents.
const PROG: &str = "while :; do sleep 1; done\n";

fn applied(script: &str, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let prog = sandbox.file("prog.sh", PROG);
    sandbox.file("app.sh", script.replace("PROG", &format!("sh {}", prog.display())));
    sandbox.ecosystem(&format!("[[apps]]\nname = \"api\"\ncommand = \"sh app.sh\"\nkill_timeout = \"500ms\"\n{more}"));
    sandbox.pm(&["apply"]).ok();
    wait_until("it is at work", SOON, || sandbox.log_text("api", "out", 0).starts_with(b"up"));
    sandbox
}

fn progs(sandbox: &Sandbox) -> usize {
    let is_prog = |word: &String| word.ends_with("prog.sh");
    sandbox.app_processes().iter().filter(|process| process.args.iter().any(is_prog)).count()
}

fn stops_without_a_trace(sandbox: &Sandbox, count: usize) {
    wait_until("all of them run", SOON, || progs(sandbox) == count);
    let stop = sandbox.pm(&["stop", "api"]).ok();
    assert_eq!(progs(sandbox), 0, "the command returned, and something is left: {stop}");
}

const CLEARED: &str =
    "env -i setsid --fork PROG\nenv -i setsid --fork PROG </dev/null >/dev/null 2>&1\necho up\nsleep 1000\n";
const AS_A_USER: &str =
    "su - root -c 'setsid PROG &'\nsu - root -c 'setsid PROG </dev/null >/dev/null 2>&1 &'\necho up\nsleep 1000\n";

#[test]
fn a_cleared_environment_and_a_session_of_its_own_hide_nothing() {
    stops_without_a_trace(&applied(CLEARED, ""), 2);
}

#[test]
fn what_another_user_s_shell_has_started_is_found() {
    // `su` asks everybody but root for a password; the test above is the same escape without it.
    let script = if crate::support::is_root() { AS_A_USER } else { CLEARED };
    stops_without_a_trace(&applied(script, ""), 2);
}

#[test]
fn the_same_with_other_apps_that_could_have_started_it() {
    // Whose it is says its output; where even that is closed it is told, and ended with the last app that could be it.
    let other = "[[apps]]\nname = \"web\"\ncommand = \"sleep 1000\"\n";
    let sandbox = applied(CLEARED, other);
    wait_until("both run", SOON, || progs(&sandbox) == 2);
    let stop = sandbox.pm(&["stop", "api"]).ok();
    assert_eq!(progs(&sandbox), 1, "the one that kept the app's output is found: {stop}");
    assert!(stop.stderr.contains("left running") && stop.stderr.contains("(sh)"), "{stop}");
    let why = sandbox.pm(&["events", "api"]).ok();
    assert!(!why.stdout.contains("no process is left"), "{why}");
    assert!(why.stdout.contains("sh"), "what is left is named: {why}");
    sandbox.pm(&["stop", "web"]).ok();
    assert_eq!(progs(&sandbox), 0, "nobody lives whose it could be");
}

#[test]
fn a_shutdown_ends_what_cannot_be_told_apart() {
    let sandbox = applied(CLEARED, "[[apps]]\nname = \"web\"\ncommand = \"sleep 1000\"\n");
    wait_until("both run", SOON, || progs(&sandbox) == 2);
    sandbox.pm(&["shutdown"]).ok();
    assert_eq!(progs(&sandbox), 0);
}

#[test]
fn a_shutdown_says_nothing_of_what_it_ends_itself() {
    let sandbox = applied(CLEARED, "[[apps]]\nname = \"web\"\ncommand = \"sleep 1000\"\n");
    wait_until("both run", SOON, || progs(&sandbox) == 2);
    let shutdown = sandbox.pm(&["shutdown"]).ok();
    assert!(!shutdown.stderr.contains("left running"), "{shutdown}");
    assert_eq!(progs(&sandbox), 0);
}

const HIDDEN: &str = "env -i setsid --fork PROG </dev/null >/dev/null 2>&1\necho up\nsleep 1000\n";

#[test]
fn a_stop_claims_nothing_of_what_an_anchor_that_died_had_below_it() {
    for more in ["", "restart"] {
        let sandbox = applied(HIDDEN, "");
        wait_until("it runs", SOON, || progs(&sandbox) == 1);
        let hidden = sandbox
            .app_processes()
            .into_iter()
            .find(|process| process.args.iter().any(|word| word.ends_with("prog.sh")));
        kill_both_now(&sandbox);
        // A look is repeated if a daemon dies below it; a change is not.
        sandbox.pm(&["list"]).ok();
        if more == "restart" {
            sandbox.pm(&["restart", "api"]).ok();
        }
        sandbox.pm(&["stop", "api"]).ok().says(&["before the anchor died may still run"]);
        let events = sandbox.pm(&["events", "api"]).ok();
        kill(hidden.unwrap().pid, libc::SIGKILL);
        wait_until("its last sleep is over", SOON, || sandbox.app_processes().is_empty());
        assert!(!events.stdout.contains("no process is left"), "{events}");
        assert!(events.stdout.contains("before the anchor died may still run"), "{events}");
    }
    let sandbox = applied("echo up\nsleep 1000\n", "");
    let stop = sandbox.pm(&["stop", "api"]).ok();
    assert!(!stop.to_string().contains("may still run"), "{stop}");
    sandbox.pm(&["events", "api"]).ok().says(&["no process is left"]);
}

const DAEMONIZED: &str = "i=0\nwhile [ $i -lt 20 ]; do i=$((i + 1)); (setsid PROG &); done\n(setsid sh -c 'PROG & PROG & wait' &)\necho up\nsleep 1000\n";

#[test]
fn a_daemonized_tree_is_found_after_the_anchor_s_death() {
    let sandbox = applied(DAEMONIZED, "");
    wait_until("all of them run", SOON, || progs(&sandbox) == 22);
    let anchor = sandbox.anchor_pid();
    kill(anchor, libc::SIGKILL);
    wait_until("there is another anchor", SOON, || {
        sandbox.processes().iter().any(|process| process.is_anchor() && process.pid != anchor)
    });
    stops_without_a_trace(&sandbox, 22);
}

#[test]
fn a_daemonized_tree_is_found_after_both_were_killed() {
    for script in [DAEMONIZED, "env -i setsid --fork PROG\necho up\nsleep 1000\n"] {
        let sandbox = applied(script, "");
        kill_both_now(&sandbox);
        let count = if script == DAEMONIZED { 22 } else { 1 };
        stops_without_a_trace(&sandbox, count);
    }
}

#[test]
fn after_a_shutdown_a_stop_is_as_sure_as_ever() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n");
    for end in [["shutdown"].as_slice(), &["stop", "api"]] {
        sandbox.pm(end).ok();
        sandbox.pm(&["daemon", "stop"]).ok();
        sandbox.pm(&["apply"]).ok();
        let stop = sandbox.pm(&["stop", "api"]).ok();
        assert!(!stop.stderr.contains("anchor") && !stop.stdout.contains("anchor"), "{stop}");
        let told = sandbox.pm(&["events", "api"]).ok();
        assert!(!told.stdout.contains("anchor died") && told.stdout.contains("no process is left"), "{told}");
        sandbox.pm(&["start", "api"]).ok();
    }
}

#[test]
fn what_a_stranger_has_started_with_the_environment_of_an_app_is_not_ended() {
    // A multiplexer of terminals, started from an app, hands that environment on to whatever is opened in it later.
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        "[[apps]]\nname = \"api\"\ncommand = \"sh -c 'env -0 > env.new; mv env.new env; exec sleep 1000'\"\n",
    );
    sandbox.pm(&["apply"]).ok();
    wait_until("its environment is known", SOON, || sandbox.path("env").exists());
    let text = sandbox.read("env");
    let variables = text.split('\0').filter_map(|variable| variable.split_once('='));
    let mut stranger = Command::new("setsid");
    stranger.args(["sleep", "1000"]).env_clear().envs(variables);
    let mut stranger = stranger.spawn().unwrap();
    kill_both_now(&sandbox);
    assert_eq!(sandbox.list().len(), 1);
    sandbox.pm(&["stop", "api"]).ok();
    sandbox.pm(&["shutdown"]).ok();
    assert!(stranger.try_wait().unwrap().is_none(), "a process of somebody else was ended");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}
