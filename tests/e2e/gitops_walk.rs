//! The walk of docs/gitops.md: its commands are run, and print what stands there.

use std::path::Path;
use std::process::Command;

use regex::Regex;

use crate::support::Sandbox;

/// Lines that tell how far a deploy is: how many of them are seen depends on the moment.
const STAGES: &[&str] = &["fetching ", "laying out ", "applying ", "seeing whether ", "rolling "];

/// Runs a line as a user would, `pm` on its PATH; what it prints, both outputs together.
fn shell(sandbox: &Sandbox, line: &str) -> String {
    let pm = sandbox.command(&[]);
    let folder = Path::new(pm.get_program()).parent().unwrap().to_str().unwrap().to_owned();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec 2>&1\n{line}")]);
    command.current_dir(pm.get_current_dir().unwrap());
    command.envs(pm.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", format!("{folder}:{}", std::env::var("PATH").unwrap()));
    for (name, value) in [("NAME", "Ann"), ("EMAIL", "ann@example.com")] {
        command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
    }
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Without what differs from run to run: commits, times, folders, users; and how wide a column is for them.
fn plain(text: &str, sandbox: &Sandbox) -> Vec<String> {
    let shown = [
        (r"\b[0-9a-f]{7}\b", "COMMIT"),
        (r"[0-9.]+(ms|s|m) ago", "AGO"),
        (r"/srv/walk", "FOLDER"),
        (r" by [a-z][\w-]* AGO", " by USER AGO"),
        (r"(AGO +)[a-z][\w-]*( +rollback)", "${1}USER$2"),
        (r" +", " "),
    ];
    let text = text.replace(sandbox.path("").to_str().unwrap().trim_end_matches('/'), "/srv/walk");
    let lines = text.lines().filter(|line| !STAGES.iter().any(|stage| line.starts_with(stage)));
    let plain = |line: &str| {
        let replace =
            |text: String, (from, to): &(&str, &str)| Regex::new(from).unwrap().replace_all(&text, *to).into();
        shown.iter().fold(line.trim_end().to_owned(), replace)
    };
    lines.map(plain).filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_walk_through_a_deploy_a_bad_commit_and_a_rollback_is_true() {
    let sandbox = Sandbox::new();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/gitops.md")).unwrap();
    let mut commands = 0;
    for block in page.split("\n```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').unwrap();
        if kind == "sh" {
            assert_eq!(shell(&sandbox, text), "", "{text}");
            continue;
        }
        assert_eq!(kind, "console");
        for step in format!("\n{text}").split("\n$ ").skip(1) {
            let (line, expected) = step.split_once('\n').unwrap_or((step, ""));
            let printed = shell(&sandbox, line);
            assert_eq!(plain(&printed, &sandbox), plain(expected, &sandbox), "{line}\n{printed}");
            commands += 1;
        }
    }
    assert!(commands > 12, "{commands}");
}
