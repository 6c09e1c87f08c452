//! Secrets are shown nowhere: in no answer, text or JSON, in no message, in no event and in no log of the daemon.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Output, SOON, Sandbox, finish, kill, pause_between_faults, wait_for, wait_until};

/// Every secret of a file begins so; a number follows.
const MARK: &str = "zq7xplanted";

/// `§` becomes a secret of its own.
fn planted(text: &str, next: &mut u32) -> String {
    let mut out = String::new();
    for piece in text.split_inclusive('§') {
        match piece.strip_suffix('§') {
            Some(before) => {
                *next += 1;
                out.extend([before, MARK, &next.to_string()]);
            }
            None => out.push_str(piece),
        }
    }
    out
}

/// Text wherever the file may hold it, with a secret in each. The ordinary words `visible-…` must stay.
const FILE: &str = r#"
[[apps]]
name = "api"
command = "sh -c 'sleep 1000' sh --password § --token=§ -x visible-argument postgres://u:§@visible-host/db"
env_file = "secrets.env"
cwd = "app"
watch = ["seen"]
watch_delay = "50ms"
build = "echo building with $DB_PASSWORD; deploy --token § --visible-build; test -e ../built && exit 3; touch ../built"
[apps.env]
DB_PASSWORD = "§"
DB_PASS = "§"
PGPASSWORD = "§"
MYSQL_PWD = "§"
BASIC_AUTH = "§"
REDIS_AUTH = "§"
AWS_CREDENTIALS = "§"
APP_JWT = "§"
PASSWORD_SALT = "§"
HASHSALT = "§"
PRIVATE = "§"
RSA_PRIVATE_KEY = "§"
WEBHOOK_SIGNATURE = "§"
ERLANG_COOKIE = "§"
SENTRY_DSN = "https://§@sentry.example/1"
API_KEY = "§"
AUTHTOKEN = "§"
DATABASE_URL = "postgres://me:§@visible-host:5432/shop"
REDIS_URL = "redis://:§@visible-host:6379"
CALLBACK = "https://visible-host/x?token=§&visible=1"
OPTIONS = "--port 80 --password §"
HEADER = "Authorization: Bearer §"
ODBC = "Server=db;Password=§"
PEM = "-----BEGIN PRIVATE KEY-----\n§\n-----END PRIVATE KEY-----"
AUTHOR = "visible-author"
KEYBOARD = "visible-keyboard"
[apps.health]
http = { url = "http://u:§@127.0.0.1:9/visible-path?api_key=§", headers = { Authorization = "Bearer §", X-Api-Key = "§", Accept = "visible-header" } }
interval = "100ms"
timeout = "90ms"
action = "none"
[apps.hooks]
post_ready = "curl -u me:§ http://127.0.0.1:9/; API_KEY=§ exit 7"

[[apps]]
name = "unbuilt"
command = "sleep 1000"
build = "echo building with $DB_PASSWORD; deploy --token § --visible-build; exit 3"
[apps.env]
DB_PASSWORD = "§"

[[apps]]
name = "probed"
script = "/bin/sleep"
args = ["1000"]
env = { DB_PASSWORD = "§" }
health = { exec = "echo no answer for $DB_PASSWORD; exit 3", interval = "100ms", timeout = "90ms", action = "none" }

[[apps]]
name = "args"
script = "server.sh"
cwd = "app"
interpreter = "sh"
args = ["--db-password", "§", "--secret=§", "visible-word"]

[[apps]]
name = "never"
command = "sh -c 'exec sleep 1000 --api-key §'"
hooks = { pre_start = "exit 4 # --password §" }
restart = "never"

[[apps]]
name = "nightly"
kind = "task"
command = "true --token §"
cron_restart = "0 3 1 1 *"
"#;

/// The ecosystem file with secrets, and how many it has.
fn write(sandbox: &Sandbox, from: u32) -> u32 {
    let mut next = from;
    sandbox.file("app/server.sh", "exec sleep 1000\n");
    sandbox.file("app/seen", "");
    sandbox.file("app/secrets.env", "");
    let env = planted("SMTP_PASSWORD=§\nGITHUB_TOKEN='§'\nPLAIN=visible-plain\n", &mut next);
    sandbox.file("secrets.env", env);
    sandbox.ecosystem(&planted(FILE, &mut next));
    next - from
}

#[track_caller]
fn holds_none(what: &str, text: &str) {
    if let Some(at) = text.find(MARK) {
        let from = text[..at].char_indices().rev().nth(200).map_or(0, |(at, _)| at);
        panic!("{what} shows a secret: …{}…", &text[from..(at + MARK.len() + 3).min(text.len())]);
    }
}

#[track_caller]
fn shows_none(output: Output) -> Output {
    holds_none(&output.command, &output.stdout);
    holds_none(&output.command, &output.stderr);
    output
}

/// Every file below a folder, the kept declarations excepted: they are what is started.
fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let below = |path: std::path::PathBuf| if path.is_dir() { files_below(&path) } else { vec![path] };
    entries.flat_map(|entry| below(entry.path())).collect()
}

#[test]
fn no_command_shows_a_secret() {
    let sandbox = Sandbox::new();
    let count = write(&sandbox, 0);
    assert!(count >= 40, "{count} secrets are planted");
    for words in [&["check"][..], &["plan"], &["config"], &["config", "--sources"], &["diff"]] {
        shows_none(sandbox.pm(words));
        shows_none(sandbox.pm(&[words, &["--json"]].concat()));
    }
    shows_none(sandbox.pm(&["apply"])).code(6);
    let has = |app: &str, fact: &str| sandbox.events_of(app).iter().any(|event| event.fact == fact);
    sandbox.file("app/seen", "changed");
    wait_until("a build has failed", SOON, || has("api", "build_failed"));
    wait_until("health probes have failed", SOON, || has("api", "health_failed") && has("probed", "health_failed"));
    wait_until("a hook has failed", SOON, || has("api", "hook_failed"));
    let apps = ["api", "unbuilt", "probed", "args", "never", "nightly"];
    let mut calls: Vec<Vec<&str>> = vec![
        vec!["list"],
        vec!["events", "-n", "1000"],
        vec!["projects"],
        vec!["status"],
        vec!["cron", "list"],
        vec!["plan"],
    ];
    calls.extend([vec!["diff"], vec!["rollout", "status"], vec!["daemon", "status"], vec!["describe", "all"]]);
    for app in &apps {
        calls.extend([vec!["describe", app], vec!["why", app], vec!["env", app], vec!["events", app]]);
    }
    for call in &calls {
        shows_none(sandbox.pm(call));
        shows_none(sandbox.pm(&[call.as_slice(), &["--json"]].concat()));
    }

    // What has another value says so, and not which.
    write(&sandbox, 1000);
    shows_none(sandbox.pm(&["plan"])).ok().says(&["env.DB_PASSWORD (sensitive) changed", "health", "args"]);
    shows_none(sandbox.pm(&["plan", "--json"])).ok();
    shows_none(sandbox.pm(&["apply"]));
    for call in [&["restart", "api"][..], &["scale", "args", "2"], &["stop", "args"], &["start", "args"]] {
        shows_none(sandbox.pm(call));
        shows_none(sandbox.pm(&[call, &["--json"]].concat()));
    }
    let shell = ["--env", "A_TOKEN=zq7xplanted5001", "--", "1000", "--password", "zq7xplanted5002"];
    shows_none(sandbox.pm(&[&["start", "/bin/sleep", "-n", "shell"][..], &shell].concat()));
    shows_none(sandbox.pm(&["start", "./nothing.sh", "--env", "A_TOKEN=zq7xplanted5003"]));
    shows_none(sandbox.pm(&["start", "/bin/sleep", "--nope", "--token=zq7xplanted5004"])).code(64);
    shows_none(sandbox.pm(&["list", "-A", "--json"]));
    for call in [&["delete", "api", "--json"][..], &["down"]] {
        shows_none(sandbox.pm(call));
    }
    for file in files_below(&sandbox.home()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("events") || name == "daemon.log" {
            holds_none(&name, &String::from_utf8_lossy(&fs::read(&file).unwrap()));
        }
    }
    for process in sandbox.processes().iter().filter(|process| process.is_pm) {
        holds_none("the title of a process", &process.args.join(" "));
    }
}

#[test]
fn what_is_no_secret_stays_and_what_is_asked_for_is_shown() {
    let sandbox = Sandbox::new();
    write(&sandbox, 0);
    sandbox.pm(&["apply", "--detach"]).ok();
    for call in [&["config"][..], &["describe", "api", "--json"]] {
        sandbox.pm(call).ok().says(&[
            "visible-argument",
            "visible-host",
            "visible-path",
            "visible-header",
            "visible-author",
            "visible-keyboard",
            "--visible-build",
            "visible-plain",
        ]);
    }
    sandbox
        .pm(&["env", "api"])
        .ok()
        .says(&["AUTHOR=visible-author", "postgres://me:(sensitive)@visible-host:5432/shop"]);
    let revealed = |call: &[&str]| sandbox.pm(call).ok().stdout.matches(MARK).count();
    assert!(revealed(&["env", "api", "--reveal"]) >= 20);
    assert!(revealed(&["config", "--reveal"]) >= 40);
    sandbox
        .pm(&["exec", "probed", "--", "sh", "-c", "test -n \"$DB_PASSWORD\" && test \"$DB_PASSWORD\" != '(sensitive)'"])
        .ok();
}

#[test]
fn a_broken_file_shows_no_secret() {
    let sandbox = Sandbox::new();
    for (name, text) in [
        ("a.toml", "[[apps]]\nscript = \"/bin/sleep\"\n[apps.env]\nDB_PASSWORD = \"§\nB = 1"),
        ("a.toml", "[[apps]]\nscript = \"/bin/sleep\"\nenv = { DB_PASSWORD = \"§\", A = 1.5 }"),
        ("a.toml", "[[apps]]\nscript = \"/bin/sleep\"\nenv_file = \"broken.env\""),
        ("a.toml", "[[apps]]\nscript = \"/bin/sleep\"\nport = \"${A_TOKEN}\""),
        ("a.toml", "[[apps]]\nscript = \"/bin/sleep\"\nport = \"${B_TOKEN}\""),
        ("a.yaml", "apps:\n  - script: /bin/sleep\n    args:\n      - --password\n      - §\n      - [1]\n"),
        ("a.json", "{\"apps\":[{\"script\":\"/bin/sleep\",\"env\":{\"DB_PASSWORD\":\"§\" \"B\":1}}]}"),
    ] {
        let text = planted(text, &mut 0);
        sandbox.file(
            "broken.env",
            "SMTP_PASSWORD=zq7xplanted 'and\nKEY zq7xplanted2\nA_TOKEN=\"zq7xplanted3\nnever closed\n",
        );
        sandbox.file(name, &text);
        for command in ["check", "plan", "apply", "config"] {
            for json in [&[][..], &["--json"]] {
                let call = [&[command, name, "--var", "A_TOKEN=zq7xplanted4"], json].concat();
                let child = sandbox.command(&call).env("B_TOKEN", "zq7xplanted5").spawn().unwrap();
                shows_none(finish(child, &call.join(" "))).code(65);
            }
        }
    }
}

#[test]
fn dev_shows_no_secret() {
    let sandbox = Sandbox::new();
    write(&sandbox, 0);
    let said = sandbox.path("said");
    let out = fs::File::create(&said).unwrap();
    let mut command = sandbox.command(&["dev"]);
    command.stdout(out.try_clone().unwrap()).stderr(out).stdin(Stdio::null());
    let mut child = command.spawn().unwrap();
    let text = || fs::read_to_string(&said).unwrap();
    wait_until("apps are started", SOON, || text().contains("failed"));
    // Nothing says when its files are watched.
    let mut round = 0;
    wait_until("the build fails", SOON, || {
        pause_between_faults(Duration::from_millis(400));
        sandbox.file("app/seen", format!("changed {round}"));
        round += 1;
        text().contains("the build failed")
    });
    kill(child.id(), libc::SIGINT);
    wait_for("it ends", SOON, || child.try_wait().unwrap());
    holds_none("pm dev", &text());
    let _: Value = sandbox.pm(&["list", "--json"]).json();
}
