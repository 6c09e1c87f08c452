//! `pm logs --previous`: what the process before the present one printed, and nothing of its neighbours.

use crate::support::{SOON, Sandbox, kill, kill_both_now, wait_for};

/// Each life has a number, and says it on both outputs; the last words have no end.
const LIVES: &str = r#"#!/bin/sh
n=$(($(cat lives 2>/dev/null || echo 0) + 1))
echo $n >lives
echo "begin $n"
echo "complaint $n" >&2
printf 'last words of %s' $n
printf 'last complaint of %s' $n >&2
echo $n >said
exec sleep 1000
"#;

fn previous(sandbox: &Sandbox, more: &[&str]) -> Vec<String> {
    let answer = sandbox.pm(&[&["logs", "--previous", "--json"], more].concat()).ok().json();
    let lines = answer["lines"].as_array().unwrap();
    let mut lines: Vec<String> = lines.iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect();
    lines.sort_unstable(); // what came in one moment on two outputs has no order
    lines
}

fn lives(sandbox: &Sandbox, count: usize) {
    let said = format!("{count}\n");
    wait_for("the life has said all", SOON, || (sandbox.read("said") == said).then_some(()));
}

#[test]
fn the_process_before_is_told_from_its_neighbours_however_it_ended_and_whoever_died_meanwhile() {
    let sandbox = Sandbox::new();
    sandbox.file("lives.sh", LIVES);
    sandbox.file("said", "");
    sandbox.ecosystem(
        "[[apps]]\nname = \"api\"\ncommand = \"sh lives.sh\"\nhooks = { pre_start = \"echo hook; printf unfinished\" }\n",
    );
    sandbox.pm(&["apply"]).ok();
    lives(&sandbox, 1);
    sandbox.pm(&["logs", "--previous"]).code(1).says(&["no output of an earlier process"]);
    for life in 2..9 {
        let pid = sandbox.wait_pid("api/0");
        match life % 4 {
            0 => kill_both_now(&sandbox),
            1 => sandbox.kill_daemon(),
            _ => {}
        }
        match life % 3 {
            0 => kill(pid, libc::SIGKILL),
            1 => drop(sandbox.pm(&["restart", "api"]).ok()),
            _ => {
                sandbox.pm(&["stop", "api"]).ok();
                sandbox.pm(&["start", "api"]).ok();
            }
        }
        lives(&sandbox, life);
        let number = life - 1;
        let mut expected = ["begin", "complaint", "last words of", "last complaint of"]
            .map(|word| format!("{word} {number}"))
            .to_vec();
        expected.extend(["hook".to_owned(), "unfinished".to_owned()]);
        expected.sort_unstable();
        assert_eq!(previous(&sandbox, &[]), expected);
        assert_eq!(previous(&sandbox, &["-g", "last"]), expected[3..5]);
        assert_eq!(previous(&sandbox, &["--stdout", "-n", "1"]), [format!("last words of {number}")]);
    }
    sandbox.pm(&["logs", "--previous", "-f"]).code(64);
}

#[test]
fn lines_around_the_last_crash_are_found_and_a_stop_is_none() {
    let sandbox = Sandbox::new();
    sandbox.file("lives.sh", LIVES);
    sandbox.file("said", "");
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh lives.sh\"\n");
    sandbox.pm(&["apply"]).ok();
    lives(&sandbox, 1);
    sandbox.pm(&["restart", "api"]).ok();
    lives(&sandbox, 2);
    sandbox.pm(&["logs", "--around-crash"]).code(1).says(&["no crash of these apps is recorded"]);
    kill(sandbox.wait_pid("api/0"), libc::SIGKILL);
    lives(&sandbox, 3);
    sandbox.pm(&["restart", "api"]).ok();
    lives(&sandbox, 4);
    let found = sandbox.pm(&["logs", "--around-crash=1m", "api"]).ok();
    found.says(&["api/0 ended on its own with signal SIGKILL", "last words of 2", "begin 3", "complaint 4"]);
    sandbox.pm(&["logs", "--around-crash=soon"]).code(64).says(&["SPAN"]);
    sandbox.pm(&["logs", "--around-crash", "--previous"]).code(64);
}

#[test]
fn a_process_that_said_nothing_is_the_one_before_too() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh talk.sh\"\n");
    sandbox.file("talk.sh", "echo first >>said; echo first; exec sleep 1000");
    sandbox.pm(&["apply"]).ok();
    wait_for("it has spoken", SOON, || (sandbox.log_text("api", "out", 0) == b"first\n").then_some(()));
    sandbox.file("talk.sh", "echo silent >>said; exec sleep 1000");
    sandbox.pm(&["restart", "api"]).ok();
    wait_for("it runs", SOON, || sandbox.read("said").ends_with("silent\n").then_some(()));
    assert_eq!(previous(&sandbox, &[]), ["first"]);
    for _ in 0..3 {
        sandbox.pm(&["restart", "api"]).ok();
        assert_eq!(previous(&sandbox, &[]), [""; 0], "the one before was silent");
        sandbox.pm(&["logs", "--previous"]).ok().says(&["the process before printed nothing"]);
    }
}
