//! What every command shows on a terminal of 80 and of 200 columns: no line is too wide, no word is torn, and one app in
//! trouble takes nothing from the others. The captures are in tests/terminal; `PM_UPDATE_TERMINAL=1` rewrites them.

use std::path::Path;

use crate::support::{SOON, Sandbox, Terminal, wait_for};

const FILE: &str = r#"
[[apps]]
name = "api"
command = "sleep 1000"
instances = 2
env = { WORKER = "${PM_INSTANCE}" }

[[apps]]
name = "bad"
command = "sh -c 'echo no database; exit 3'"
max_restarts = 2
min_uptime = "1h"
profiles.production = { max_restarts = 3 }

[[apps]]
name = "nightly"
command = "sh packages/nightly/with/a/long/path/run.sh --everything"
kind = "task"
cron_restart = "0 3 * * *"
cron_timezone = "UTC"

[[apps]]
name = "worker"
command = "sh packages/worker/with/a/long/path/server.sh"
depends_on = ["api"]
"#;

/// An app that never comes up, several that run, one that is held, one that waits for its time.
fn scene() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ecosystem(FILE);
    for folder in ["worker", "nightly"] {
        let folder = format!("packages/{folder}/with/a/long/path");
        std::fs::create_dir_all(sandbox.path(&folder)).unwrap();
        let name = if folder.contains("worker") { "server.sh" } else { "run.sh" };
        sandbox.file(&format!("{folder}/{name}"), "exec sleep 1000\n");
    }
    sandbox.pm(&["apply"]).code(6);
    sandbox
}

/// What a command shows on a terminal of this size, without colours.
fn shown(sandbox: &Sandbox, words: &[&str], columns: u16, rows: u16) -> String {
    let mut command = sandbox.command(words);
    command.env("NO_COLOR", "1").env("TZ", "UTC");
    let (terminal, mut child) = Terminal::sized(&mut command, false, columns, rows);
    wait_for("the command ends", SOON, || child.try_wait().unwrap());
    terminal.whole_text().replace("\r\n", "\n")
}

/// A line is as narrow as the terminal, unless it is one word that cannot be broken.
fn assert_fits(text: &str, columns: usize, what: &str) {
    for line in text.lines() {
        let is_one_word = line.trim().split(' ').count() == 1;
        assert!(line.chars().count() <= columns || is_one_word, "{what}: {} columns: {line:?}", line.chars().count());
    }
}

/// Everything that differs from run to run, in words that do not.
fn normal(text: &str, sandbox: &Sandbox) -> String {
    let folder = sandbox.path("");
    let mut text = text.replace(folder.to_str().unwrap().trim_end_matches('/'), "/SHOP");
    text = text.replace(sandbox.home().to_str().unwrap(), "/HOME");
    for (pattern, word) in [
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", "TIME"),
        (r"waiting, (\d{4}-\d\d-\d\d|(\d\d-\d\d )?[0-9:…]+)", "waiting, DUE"),
        (r"(\d\d-\d\d )?03:00|\d{4}-\d\d-\d\d", "03:00"),
        (r"by [a-z_][a-z0-9_-]*([,) ])", "by USER$1"),
        (r"process(es)? \d+", "process PID"),
        (r"(\d+(\.\d+)?(ms|s|m|h|d)\b ?)+", "TOOK "),
        (r"\b\d+(\.\d+)?M\b", "SIZE"),
        (r"\b\d+\.\d%", "CPU"),
        (r"(running|pid|anchor) +\d{2,}", "$1  PID"),
    ] {
        text = regex_lite::Regex::new(pattern).unwrap().replace_all(&text, word).into_owned();
    }
    text.lines().map(str::trim_end).flat_map(|line| [line, "\n"]).collect()
}

/// The same words in the same order: where lines are broken depends on the numbers in them.
fn assert_captured(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/terminal").join(name);
    if std::env::var_os("PM_UPDATE_TERMINAL").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&kept), words(text), "{name} differs (PM_UPDATE_TERMINAL=1 rewrites it):\n{text}");
}

const COMMANDS: &[(&str, &[&str], bool)] = &[
    ("list", &["list"], true),
    ("describe", &["describe", "bad"], true),
    ("why", &["why", "bad"], true),
    ("projects", &["projects"], true),
    ("status", &["status"], true),
    ("cron", &["cron", "list"], true),
    ("rollout", &["rollout", "status"], true),
    ("explain-key", &["explain", "update"], true),
    ("explain", &["explain"], true),
    ("help", &["help"], true),
    ("help-apply", &["help", "apply"], true),
    ("typo", &["shutdwon"], true),
    ("elsewhere", &["top"], true),
    ("no-app", &["why", "wroker"], true),
    ("logs", &["logs", "bad"], true),
    ("daemon", &["daemon", "status"], true),
    ("version", &["version"], true),
    ("check", &["check"], true),
    ("plan", &["plan"], true),
    ("events", &["events", "api"], false),
    ("describe-all", &["describe", "all"], false),
    ("env", &["env", "api/0"], false),
];

#[test]
fn nothing_is_too_wide_and_no_word_is_torn() {
    let sandbox = scene();
    for (columns, rows) in [(80, 24), (200, 50)] {
        for (name, words, is_captured) in COMMANDS {
            let text = shown(&sandbox, words, columns, rows);
            assert_fits(&text, usize::from(columns), &format!("{words:?}"));
            if *is_captured {
                let mut text = normal(&text, &sandbox);
                if *name == "list" {
                    // How much of it fits depends on the numbers before it.
                    let script = regex_lite::Regex::new(r"(?m)  \S*(sh |…|\.sh).*$").unwrap();
                    text = script.replace_all(&text, "  SCRIPT").into_owned();
                }
                assert_captured(&format!("{name}-{columns}x{rows}.txt"), &text);
            }
        }
    }
    // A changed file, and the apply of it.
    sandbox.ecosystem(&FILE.replace("sleep 1000", "sleep 1001").replace("name = \"worker\"", "name = \"mailer\""));
    for (columns, rows) in [(80, 24), (200, 50)] {
        let text = shown(&sandbox, &["plan"], columns, rows);
        assert_fits(&text, usize::from(columns), "plan of changes");
        assert_captured(&format!("plan-changes-{columns}x{rows}.txt"), &normal(&text, &sandbox));
    }
    sandbox.ecosystem("[[apps]]\nname = \"api\"\ncomand = \"sleep 1000\"\ninstances = \"many\"\n");
    for (columns, rows) in [(80, 24), (200, 50)] {
        let text = shown(&sandbox, &["check"], columns, rows);
        assert_captured(&format!("check-wrong-{columns}x{rows}.txt"), &normal(&text, &sandbox));
    }
}

#[test]
fn one_errored_app_takes_no_column_from_the_others_at_80_columns() {
    let sandbox = scene();
    let text = shown(&sandbox, &["list"], 80, 24);
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("worker/0").ends_with("server.sh"), "the name of the file is never lost: {text}");
    assert!(row("bad/0").contains("errored 2×"), "{text}");
    let heading = text.lines().next().unwrap();
    for column in ["status", "pid", "uptime", "restarts", "script"] {
        assert!(heading.contains(column), "{column}: {text}");
    }
    assert!(text.contains("bad/0 errored: gave up after 2 unstable starts in a row"), "{text}");
}

#[test]
fn every_command_ends_well_on_a_terminal_of_20_columns() {
    let sandbox = scene();
    for (name, words, _) in COMMANDS {
        let text = shown(&sandbox, words, 20, 10);
        assert!(!text.contains("panicked") && !text.trim().is_empty(), "{name}: {text}");
        assert!(text.lines().filter(|line| line.len() > 400).count() == 0 || *name == "env", "{name}: {text}");
    }
    let text = shown(&sandbox, &["list"], 20, 10);
    assert_fits(&text, 20, "list");
    assert!(text.contains("bad/0") && text.contains("errored"), "the app and its status are what stays: {text}");
}
