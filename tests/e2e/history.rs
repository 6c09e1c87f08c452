//! The history says what was declared, who changed it and how that went; it outlives the daemon, and shows no secret.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{SOON, Sandbox, Terminal, kill_both_now, run, wait_for, wait_until};

/// An app that is another one with each version; `bad` ends at once.
pub fn app(name: &str, version: &str) -> String {
    format!(
        "[[apps]]\nname = \"{name}\"\nshell = true\ncommand = '''[ \"$VERSION\" != bad ] || exit 3; exec sleep 1000'''\n\
         env = {{ VERSION = \"{version}\" }}\nupdate = {{ min_healthy_time = \"0s\" }}\nmax_restarts = 0\n"
    )
}

/// Applies apps with these versions.
pub fn apply(sandbox: &Sandbox, apps: &[(&str, &str)]) -> crate::support::Output {
    sandbox.ecosystem(&apps.iter().map(|(name, version)| app(name, version)).collect::<String>());
    sandbox.pm(&["apply"])
}

/// The entries as `--json` tells them, the newest first.
pub fn entries(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.pm(&["history", "--json"]).ok().json()["entries"].as_array().unwrap().clone()
}

/// `3 apply applied healthy +web ~api`.
pub fn told(sandbox: &Sandbox) -> Vec<String> {
    let names = |row: &Value, field: &str, sign: &str| -> Vec<String> {
        row[field].as_array().unwrap().iter().map(|app| format!("{sign}{}", app.as_str().unwrap())).collect()
    };
    let line = |row: &Value| {
        let apps = [names(row, "added", "+"), names(row, "changed", "~"), names(row, "removed", "-")].concat();
        let health = if row["is_healthy"].as_bool().unwrap() { "healthy" } else { "unhealthy" };
        let (origin, result) = (row["origin"].as_str().unwrap(), row["result"].as_str().unwrap());
        format!("{} {origin} {result} {health} {}", row["generation"], apps.join(" "))
    };
    entries(sandbox).iter().map(line).collect()
}

#[test]
fn every_change_has_an_entry_and_an_apply_that_changes_nothing_writes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.pm(&["history"]).code(1).says(&["no projects"]);
    apply(&sandbox, &[("api", "1")]).ok();
    apply(&sandbox, &[("api", "2"), ("web", "1")]).ok();
    let told_before = told(&sandbox);
    assert_eq!(told_before, ["2 apply applied healthy +web ~api", "1 apply applied healthy +api"]);
    let state = || fs::read(sandbox.home().join("state/desired.journal")).unwrap();
    let before = state();
    sandbox.pm(&["apply"]).ok().says(&["nothing to do"]);
    assert_eq!(told(&sandbox), told_before);
    assert!(state() == before, "an apply that changes nothing writes nothing");
    // Restarts, stops and scales raise the generation and are no entries; a delete is one.
    sandbox.pm(&["restart", "api"]).ok();
    sandbox.pm(&["stop", "web"]).ok();
    sandbox.pm(&["delete", "web"]).ok();
    let lines = told(&sandbox);
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], "5 delete applied healthy -web");
    let row = &entries(&sandbox)[1];
    let file = sandbox.path("ecosystem.toml");
    assert_eq!(row["provenance"]["files"][0]["path"], file.to_str().unwrap());
    assert_eq!(row["provenance"]["files"][0]["digest"].as_str().unwrap().len(), 32);
    assert!(row["by"]["name"].is_string() && row["at"].is_u64(), "{row}");
    let state_folder = sandbox.home().join("state");
    for file in fs::read_dir(&state_folder).unwrap().flatten() {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    assert_eq!(fs::metadata(state_folder).unwrap().permissions().mode() & 0o777, 0o700);
    // With its last app the project and its history are gone.
    sandbox.pm(&["delete", "api"]).ok();
    sandbox.pm(&["history"]).code(1).says(&["no projects"]);
}

#[test]
fn what_failed_is_told_even_if_the_daemon_dies() {
    let sandbox = Sandbox::new();
    apply(&sandbox, &[("api", "1"), ("web", "1")]).ok();
    apply(&sandbox, &[("api", "bad"), ("web", "2")]).code(6);
    assert_eq!(told(&sandbox)[0], "2 apply partial unhealthy ~api ~web");
    assert_eq!(entries(&sandbox)[0]["failed"][0], "api");
    sandbox.kill_daemon();
    assert_eq!(told(&sandbox)[0], "2 apply partial unhealthy ~api ~web");
    // What failed is tried once more: that is another change, with a result of its own.
    apply(&sandbox, &[("api", "bad"), ("web", "2")]).code(6);
    assert_eq!(told(&sandbox)[..2], ["3 apply failed unhealthy ~api", "2 apply partial unhealthy ~api ~web"]);
    // `api` is what it was before, so the next entry says so although its file has not changed there.
    apply(&sandbox, &[("api", "3"), ("web", "2")]).ok();
    assert_eq!(told(&sandbox)[0], "4 apply applied healthy ~api");
    kill_both_now(&sandbox);
    wait_until("the next daemon knows it", SOON, || told(&sandbox).len() == 4);
}

#[test]
fn an_apply_whose_daemon_is_killed_gets_its_result_from_the_next_one() {
    for point in ["desired.kept:1", "desired.kept:2", "history.concluded:1"] {
        let sandbox = Sandbox::new();
        sandbox.ecosystem(&app("api", "1"));
        let first = run(sandbox.command(&["apply"]).env("PM_KILLPOINT", point));
        if ![0, 7].contains(&first.status) {
            sandbox.pm(&["apply"]).ok();
        }
        wait_until(&format!("{point}: the change is concluded"), SOON, || {
            told(&sandbox) == ["1 apply applied healthy +api"]
        });
    }
}

#[test]
fn entries_are_shown_compared_and_tagged() {
    let sandbox = Sandbox::new();
    let secret = "zq7xhistorysecret";
    let file = |version: &str, password: &str| {
        sandbox.ecosystem(&format!(
            "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\n\
             env = {{ VERSION = \"{version}\", DB_PASSWORD = \"{secret}{password}\" }}\n"
        ));
        sandbox.pm(&["apply"]).ok();
    };
    file("one", "1");
    file("two", "2");
    sandbox.pm(&["history", "show", "1"]).ok().says(&["generation 1", "api", "healthy", "sleep 1000"]);
    let differs = sandbox.pm(&["history", "show", "2", "--diff", "1"]).ok();
    let differs =
        differs.says(&["from generation 1", "env.VERSION \"one\" -> \"two\"", "DB_PASSWORD (sensitive) changed"]);
    let back = sandbox.pm(&["history", "show", "1", "--diff", "2"]).ok().says(&["env.VERSION \"two\" -> \"one\""]);
    sandbox.pm(&["history", "show", "1", "--diff", "1"]).ok().says(&["nothing differs"]);
    sandbox.pm(&["history", "tag", "1", "v1.0"]).ok().says(&["generation 1 of shop is v1.0"]);
    let shown = sandbox.pm(&["history", "show", "v1.0", "--json"]).ok();
    let spec = &shown.json()["apps"][0]["spec"];
    assert_eq!(shown.json()["entry"]["tag"], "v1.0");
    assert!(spec["run"]["env"]["VERSION"].is_string(), "{spec}");
    let listed = sandbox.pm(&["history"]).ok().says(&["v1.0", "2 now", "~api"]);
    let json = sandbox.pm(&["history", "show", "2", "--diff", "1", "--json"]).ok();
    for output in [&differs, &back, &shown, &listed, &json] {
        assert!(!output.stdout.contains(secret) && !output.stderr.contains(secret), "{output}");
    }
    sandbox.pm(&["history", "tag", "v1.0", "--remove"]).ok().says(&["has no tag"]);
    sandbox.pm(&["history", "show", "v1.0"]).code(64).says(&["no entry `v1.0`", "2, 1"]);
    sandbox.pm(&["history", "show", "17"]).code(64).says(&["no entry `17`"]);
    sandbox.pm(&["history", "tag", "1", "12"]).code(64).says(&["cannot be a tag"]);
    sandbox.pm(&["history", "tag", "1"]).code(64);
    sandbox.pm(&["history", "-p", "other"]).code(1).says(&["no project `other`"]);
    assert_eq!(sandbox.pm(&["history", "-n", "1", "--json"]).ok().json()["entries"].as_array().unwrap().len(), 1);
}

#[test]
fn the_newest_twenty_are_kept_and_what_has_a_tag() {
    let sandbox = Sandbox::new();
    for version in 1..=24 {
        // Nothing runs of it: what counts is what is declared.
        sandbox.ecosystem(&format!(
            "[[apps]]\nname = \"api\"\ncommand = \"sleep 1000\"\nautostart = false\nenv = {{ VERSION = \"{version}\" }}\n"
        ));
        sandbox.pm(&["apply", "--detach"]).ok();
        if version == 2 {
            sandbox.pm(&["history", "tag", "2", "keep"]).ok();
        }
    }
    let generations: Vec<u64> = entries(&sandbox).iter().map(|row| row["generation"].as_u64().unwrap()).collect();
    let expected: Vec<u64> = (5..=24).rev().chain([2]).collect();
    assert_eq!(generations, expected);
    sandbox.kill_daemon();
    sandbox.pm(&["history", "show", "5", "--diff", "keep"]).ok().says(&["env.VERSION \"2\" -> \"5\""]);
}

#[test]
fn the_commit_of_the_repository_is_noted_without_running_git() {
    let sandbox = Sandbox::new();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    sandbox.file(".git/HEAD", "ref: refs/heads/main\n");
    sandbox.file(".git/refs/heads/main", format!("{commit}\n"));
    sandbox.ecosystem(&app("api", "1"));
    run(sandbox.command(&["apply"]).env("PATH", "/usr/bin:/bin")).ok();
    assert_eq!(entries(&sandbox)[0]["provenance"]["commit"], commit);
    sandbox.pm(&["history"]).ok().says(&["apply 0123456"]);
}

#[test]
fn it_fits_a_terminal_of_eighty_columns() {
    let sandbox = Sandbox::new();
    let file = |version: u32| {
        let app = |number: u32| {
            format!(
                "[[apps]]\nname = \"some-long-name-{number}\"\ncommand = \"sh with/a/long/path/{}/run.sh\"\nautostart = false\n\
                 env = {{ VERSION = \"{version}\" }}\n",
                "x".repeat(60)
            )
        };
        sandbox.ecosystem(&(0..30).map(app).collect::<String>());
        sandbox.pm(&["apply"]).ok();
    };
    file(1);
    file(2);
    sandbox.pm(&["history", "tag", "1", &"t".repeat(40)]).ok();
    let calls = [
        &["history"][..],
        &["history", "show", "1"],
        &["history", "show", "2", "--diff", "1"],
        &["rollback", "--dry-run"],
    ];
    for args in calls {
        let (terminal, mut child) = Terminal::sized(sandbox.command(args).env("NO_COLOR", "1"), false, 80, 60);
        wait_for("the command ends", SOON, || child.try_wait().unwrap());
        let text = terminal.whole_text();
        for line in text.lines() {
            assert!(line.trim_end().chars().count() <= 80, "{args:?}: {line:?}");
        }
        assert!(text.contains("some-long-name-"), "{text}");
    }
    sandbox.pm(&["history"]).ok().says(&["and 24 more"]);
}

/// The first transcripts of the guide are what a terminal shows; only paths, names and times are other ones.
#[test]
fn the_transcripts_of_the_guide_are_true() {
    for page in ["history.md", "saved-plans.md"] {
        assert_true_transcript(page);
    }
}

fn assert_true_transcript(page: &str) {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide").join(page);
    let text = fs::read_to_string(guide).unwrap();
    let transcript = text.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    let sandbox = Sandbox::new();
    apply(&sandbox, &[("api", "1"), ("web", "1")]).ok();
    sandbox.ecosystem(&(app("api", "2") + &app("web", "1")));
    let shop = sandbox.path("").display().to_string();
    let shop = shop.trim_end_matches('/');
    let user = entries(&sandbox)[0]["by"]["name"].as_str().unwrap().to_owned();
    let mut seen = String::new();
    for line in transcript.lines().filter_map(|line| line.strip_prefix("$ pm ")) {
        let args: Vec<&str> = line.split_whitespace().collect();
        let output = sandbox.pm(&args);
        seen.extend([&format!("$ pm {line}\n"), &output.stderr, &output.stdout].map(String::as_str));
    }
    assert_eq!(alike(&seen.replace(shop, "$SHOP").replace(&user, "$USER")), alike(transcript), "{page}");
}

/// Times as `N`, and as many blanks as may be.
fn alike(text: &str) -> String {
    let word = |word: &str| {
        let digits = word.trim_end_matches("ms").trim_end_matches(['s', 'h']);
        let is_time = digits.len() < word.len()
            && !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_time { "N".to_owned() } else { word.to_owned() }
    };
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    // The two outputs of a command may come in any order.
    let command = |command: &str| {
        let mut lines: Vec<String> = command.lines().map(line).filter(|line| !line.is_empty()).collect();
        lines[1..].sort_unstable();
        lines.join("\n")
    };
    text.split("$ ").filter(|command| !command.is_empty()).map(command).collect::<Vec<_>>().join("\n$ ")
}
