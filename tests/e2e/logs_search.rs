//! `pm logs` finds lines by what is in them: in all files of a log, of all copies, and in what comes.

use std::io::{BufRead as _, BufReader, Write as _};

use crate::support::{SOON, Sandbox, wait_for};

const LINES: &str = r#"#!/bin/sh
echo "one up"
echo "two Refused" >&2
echo '{"level":"error","msg":"three","req":{"method":"POST"}}'
echo '{"level":30,"msg":"four","req":{"method":"GET"}}'
echo "five timeout"
echo "six"
exec sleep 1000
"#;

fn scene() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("talk.sh", LINES);
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"sh talk.sh\"\n");
    sandbox.pm(&["apply"]).ok();
    wait_for("all is said", SOON, || {
        let text = sandbox.log_text("api", "out", 0);
        text.ends_with(b"six\n").then_some(())
    });
    wait_for("all is said", SOON, || (!sandbox.log_text("api", "error", 0).is_empty()).then_some(()));
    sandbox
}

#[test]
fn lines_are_found_by_pattern_level_field_and_time() {
    let sandbox = scene();
    let found = |words: &[&str]| {
        let answer = sandbox.pm(&[&["logs", "--json"], words].concat()).ok().json();
        let lines = answer["lines"].as_array().unwrap().clone();
        let of = |line: &serde_json::Value| {
            let text = line["text"].as_str().unwrap();
            ["one", "two", "three", "four", "five", "six"].into_iter().find(|word| text.contains(word)).unwrap()
        };
        let mut found: Vec<&str> = lines.iter().map(of).collect();
        found.sort_unstable(); // what came in one moment on two outputs has no order
        found
    };
    for (words, mut expected) in [
        (["-g", "timeout|refused"].as_slice(), vec!["five"]),
        (&["-g", "timeout|refused", "-i"], vec!["five", "two"]),
        (&["--grep", "^[a-z]", "-v"], vec!["three", "four"]),
        (&["-g", "timeout", "-C", "1"], vec!["four", "five", "six"]),
        (&["-g", "up", "--after", "1"], vec!["one", "three"]),
        (&["--level", "warn"], vec!["three"]),
        (&["--level", "info", "--field", "req.method=GET"], vec!["four"]),
        (&["-g", "e", "-n", "1", "--stdout"], vec!["five"]),
        (&["-g", "nothing like it"], vec![]),
        (&["--since", "1h", "--until", "1h"], vec![]),
        (&["--until", "2000-01-01"], vec![]),
        (&["--since", "1h", "--stderr"], vec!["two"]),
    ] {
        expected.sort_unstable();
        assert_eq!(found(words), expected, "{words:?}");
    }
}

#[test]
fn what_is_no_filter_is_told_with_the_way_out() {
    let sandbox = scene();
    sandbox.pm(&["logs", "-g", "a("]).code(64).says(&["`a(` is not a regular expression"]);
    sandbox.pm(&["logs", "--level", "loud"]).code(64).says(&["`loud` is not a level", "trace, debug, info"]);
    sandbox.pm(&["logs", "--field", "x"]).code(64).says(&["NAME=VALUE"]);
    sandbox.pm(&["logs", "-i"]).code(64).says(&["--grep"]);
}

#[test]
fn new_lines_are_filtered_too() {
    let sandbox = Sandbox::new();
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncommand = \"tail -n +1 -f input\"\nshell = true\n");
    sandbox.file("input", "a first\nb\n");
    sandbox.pm(&["apply"]).ok();
    wait_for("the first lines", SOON, || (!sandbox.log_text("api", "out", 0).is_empty()).then_some(()));
    let mut follower = sandbox.start(&["logs", "-f", "--raw", "-g", "^a"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "a first");
    let mut input = std::fs::OpenOptions::new().append(true).open(sandbox.path("input")).unwrap();
    input.write_all(b"b again\na second\n").unwrap();
    assert_eq!(lines.next().unwrap(), "a second");
    follower.kill().unwrap();
    follower.wait().unwrap();
}
