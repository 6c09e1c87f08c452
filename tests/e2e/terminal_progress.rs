//! The live region: how many are through, what each waits for, and when SIGKILL comes; `pm list --watch`.

use std::process::Stdio;

use crate::support::{SOON, Sandbox, Terminal, kill, wait_for, wait_until};

fn file(mark: &str) -> String {
    format!(
        "[[apps]]\nname = \"web\"\ncommand = \"sh -c ': {mark}; exec sleep 1000'\"\ninstances = 2\n\
         env = {{ WORKER = \"${{PM_INSTANCE}}\" }}\n\
         update = {{ strategy = \"rolling\", min_healthy_time = \"1500ms\" }}\n\
         [[apps]]\nname = \"deaf\"\ncommand = \"sh -c ': {mark}; trap : TERM; while :; do sleep 0.1; done'\"\n\
         kill_timeout = \"2s\"\nupdate = {{ min_healthy_time = \"100ms\" }}\n"
    )
}

#[test]
fn an_apply_shows_how_far_it_is() {
    let sandbox = Sandbox::applied(&file("one"));
    sandbox.ecosystem(&file("two"));
    let (terminal, mut child) = Terminal::sized(&mut sandbox.command(&["apply"]), false, 100, 30);
    wait_for("it ends", SOON, || child.try_wait().unwrap());
    let text = terminal.whole_text();
    for words in [
        "... roll web · 0 of 2 · web/0+ is healthy for 1s of 2s",
        "... roll web · 1 of 2 · web/1+ is healthy for",
        "deaf/0: SIGKILL in 2s",
        "deaf/0: SIGKILL in 1s",
    ] {
        assert!(text.contains(words), "{words}: {text:?}");
    }
    let end = text.rsplit("\x1b[").next().unwrap();
    assert!(end.contains("2 done in") && !end.contains("..."), "the region is gone at the end: {end:?}");
    let shown_after = text.split("web: replaced in").nth(1).unwrap();
    assert!(!shown_after.contains("roll web"), "what is over is not shown any more: {shown_after:?}");
}

#[test]
fn a_probe_that_has_succeeded_is_not_shown_as_failing() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        "[[apps]]\nname = \"a\"\ncommand = \"sh -c 'sleep 1; touch up; exec sleep 1000'\"\n\
         ready = { exec = \"test -e up\", interval = \"50ms\", timeout = \"20s\" }\n\
         [[apps]]\nname = \"b\"\ncommand = \"sh -c 'sleep 3; touch up2; exec sleep 1000'\"\n\
         ready = { exec = \"test -e up2\", interval = \"50ms\", timeout = \"20s\" }\n",
    );
    let (terminal, mut child) = Terminal::sized(&mut sandbox.command(&["apply"]), false, 100, 30);
    wait_for("it ends", SOON, || child.try_wait().unwrap());
    let text = terminal.whole_text();
    assert!(text.contains("... start a · a/0 is not ready yet: exit code 1"), "{text:?}");
    let (_, after) = text.split_once("a: started in").unwrap();
    assert!(!after.contains("a/0 is not ready yet"), "{after:?}");
    assert!(after.contains("b/0 is not ready yet"), "{after:?}");
}

#[test]
fn an_apply_that_is_killed_in_the_middle_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(
        "[[apps]]\nname = \"a\"\ncommand = \"sleep 1000\"\n\
         ready = { exec = \"test -e go\", interval = \"50ms\", timeout = \"20s\" }\n\
         [[apps]]\nname = \"b\"\ncommand = \"sleep 1000\"\ndepends_on = [\"a\"]\n",
    );
    let (terminal, mut child) = Terminal::sized(&mut sandbox.command(&["apply"]), false, 80, 24);
    wait_until("it waits", SOON, || terminal.text().contains("a/0 is not ready yet"));
    kill(child.id(), libc::SIGKILL);
    child.wait().unwrap();
    sandbox.file("go", "");
    sandbox.wait_phase("b/0", "running");
}

#[test]
fn list_watch_draws_the_table_again_and_ends_with_its_reader() {
    let sandbox = Sandbox::applied("[[apps]]\nname = \"a\"\ncommand = \"sleep 1000\"\n");
    let (terminal, mut child) = Terminal::sized(&mut sandbox.command(&["list", "--watch"]), false, 80, 24);
    wait_until("it is shown twice", SOON, || terminal.text().matches("a/0").count() >= 2);
    sandbox.pm(&["stop", "a"]).ok();
    wait_until("the change is shown", SOON, || terminal.text().contains("stopped"));
    let text = terminal.text();
    assert!(text.starts_with("\x1b[H") && text.contains("\x1b[J"), "it is drawn over: {text:?}");
    sandbox.pm(&["shutdown"]).ok();
    wait_until("it says so", SOON, || terminal.text().contains("no daemon is running"));
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
    kill(child.id(), libc::SIGINT);
    wait_for("Ctrl-C ends it", SOON, || child.try_wait().unwrap());

    let sandbox = Sandbox::applied("[[apps]]\nname = \"a\"\ncommand = \"sleep 1000\"\n");
    let mut child = sandbox.command(&["list", "--watch", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    for _ in 0..2 {
        let line = lines.next().unwrap().unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["apps"].is_array(), "{line}");
    }
    drop(lines);
    let status = wait_for("it ends with its reader", SOON, || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}
