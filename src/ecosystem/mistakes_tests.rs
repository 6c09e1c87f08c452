//! Mistakes that many make: each is named, with what to do about it, and none hides another.

use super::fake::{World, read_toml, source};
use super::{DiagnosticSeverity, ReadOptions, Reading, SourceFile, read};

fn codes(reading: &Reading) -> Vec<&'static str> {
    reading.diagnostics.iter().map(|found| found.code).collect()
}

fn app(body: &str) -> Reading {
    read_toml(&format!("[apps.api]\nscript = \"server.js\"\n{body}"))
}

#[test]
fn what_can_be_read_is_checked_although_something_else_cannot() {
    let reading = read_toml(
        "foo = 1\n[apps.a]\nscript = \"gone.js\"\ninstances = \"many\"\n[apps.b]\nscript = \"server.js\"\nport = \"x\"\n\
         cwd = \"gone\"\ncron_restart = \"* *\"\n[apps.c]\nscrpt = \"x\"\ncron_restart = \"* *\"\n[apps.d]\nscript = \"run.sh\"\n\
         watch_dely = 3\nready = { http = \"ftp://x\" }\nargs = \"${UNKNOWN}\"\nport = \"x\"\nenv = { A = \"${PORT}\" }",
    );
    assert_eq!(
        codes(&reading),
        [
            "unknown-key",    // foo
            "script-missing", // a, although `instances` is wrong
            "bad-value",
            "wrong-type", // b
            "cwd",
            "cron",
            "unknown-key", // c: without its program nothing more is said
            "unknown-key", // d
            "bad-value",
            "unset-variable",
            "wrong-type", // and not that PORT is unset
        ]
    );
}

#[test]
fn a_removed_variable_is_gone_wherever_it_came_from() {
    let world = World::usual().file("/srv/shop/.env", "A=1\nB=2\n", false);
    let text = "[defaults.env]\nD = \"d\"\nE = \"e\"\n[apps.api]\nscript = \"server.js\"\nenv_file = \".env\"\ninherit = [\"SECRET\"]\n\
                env = { A = { unset = true }, SECRET = { unset = true }, D = { unset = true }, X = { unset = true } }\n\
                [apps.api.env_test]\nA = \"3\"\n";
    let of = |profile: Option<&str>| {
        let profile = super::Profile::choose(profile, None);
        let options = ReadOptions { profile, ..ReadOptions::default() };
        let reading = read(&[source("pm.toml", text)], &options, &world);
        let app = reading.proposed.unwrap_or_else(|| panic!("{:#?}", reading.diagnostics)).apps.remove(0);
        app.run.env.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(of(None), ["B=2", "E=e"]);
    assert_eq!(of(Some("test")), ["A=3", "B=2", "E=e"], "a profile sets it again");
    assert_eq!(codes(&app("env = { PATH = { unset = true } }")), ["bad-value"], "what every process has stays");
}

#[test]
fn a_limit_of_zero_is_kept_or_refused() {
    for (body, codes_of) in [
        ("exp_backoff_restart_delay = \"0s\"", vec!["bad-value"]),
        ("exp_backoff_restart_delay = 0\nrestart_delay = \"1s\"", vec![]),
        ("restart_delay = 0", vec![]),
        ("update = { max_unavailable = 0 }", vec!["bad-value"]),
        ("update = { max_surge = 0 }", vec![]),
        ("update = { max_surge = 0 }\nlisten = [\"80\"]", vec!["bad-value"]),
        ("update = { max_unavailable = 0 }\nlisten = [\"80\"]", vec![]),
        ("update = { max_unavailable = 0, strategy = \"rolling\" }", vec![]),
    ] {
        assert_eq!(codes(&app(body)), codes_of, "{body}");
    }
}

#[test]
fn a_dollar_without_braces_is_told_where_no_shell_sees_it() {
    for (body, is_told) in [
        ("env = { A = \"$HOME/x\" }", true),
        ("env = { A = \"$$HOME $1 5$ ${HOME}\" }", false),
        ("out_file = \"$HOME/a.log\"", true),
        ("args = [\"-c\", \"echo $HOME\"]", false),
        ("hooks = { pre_stop = \"echo $HOME\" }", false),
        ("ready = { log = \"up$|$x\" }", false),
    ] {
        let reading = app(body);
        assert!(reading.proposed.is_some(), "{body}: {:?}", reading.diagnostics);
        assert_eq!(codes(&reading), if is_told { vec!["bad-variable"] } else { vec![] }, "{body}");
    }
}

#[test]
fn a_key_below_env_is_told_once() {
    let text = "[defaults.env]\ninstances = 2\nMAX = 3\n[apps.a]\nscript = \"run.sh\"\n[apps.b]\nscript = \"run.sh\"";
    let reading = read_toml(text);
    assert_eq!(codes(&reading), ["unknown-key"]);
    assert_eq!(reading.diagnostics[0].severity, DiagnosticSeverity::Warning);
}

#[test]
fn keys_of_the_writer_are_left_alone() {
    let text = "x-common: &c\n  script: run.sh\napps:\n  a:\n    <<: *c\n    x-note: 3\ndefaults:\n  x-y: 1\n";
    let reading = read(&[source("pm.yaml", text)], &ReadOptions::default(), &World::usual());
    assert_eq!(codes(&reading), [] as [&str; 0]);
}

#[test]
fn a_script_with_the_line_ends_of_windows_is_refused() {
    let world = World::usual().file("/srv/shop/w.sh", "#!/bin/sh\r\nexit\r\n", true);
    let of = |body: &str| {
        let text = format!("[apps.a]\nscript = \"w.sh\"\n{body}");
        codes(&read(&[source("pm.toml", &text)], &ReadOptions::default(), &world))
    };
    assert_eq!(of(""), ["interpreter"]);
    assert_eq!(of("interpreter = \"sh\""), [] as [&str; 0]);
}

#[test]
fn a_file_of_another_tool_is_called_what_it_is() {
    for (name, text, what) in [
        ("compose.yaml", "services:\n  web:\n    image: nginx\n", "compose"),
        ("ecosystem.json", "{\"version\": \"3\", \"services\": {}}", "compose"),
        ("Procfile", "web: node server.js\n", "Procfile"),
        ("Procfile.dev", "web: node server.js\n", "Procfile"),
        ("a.service", "[Unit]\nDescription=x\n", "systemd"),
        ("ecosystem.toml", "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/x\n", "systemd"),
        ("ecosystem.config.js", "module.exports = {}", "PM2"),
        ("ecosystem.json", "module.exports = {}", "PM2"),
        ("ecosystem.json", r#"{"apps": [{"script": "server.js", "pmx": false}]}"#, "PM2"),
        ("ecosystem.json", r#"{"apps": [{"script": "a"}, {"script": "b", "treekill": true}], "deploy": {}}"#, "PM2"),
        ("ecosystem.yaml", "apps:\n  - script: server.js\n    combine_logs: true\n", "PM2"),
    ] {
        let file = SourceFile::new(format!("/srv/shop/{name}").into(), text.as_bytes().to_vec());
        let reading = read(&[file], &ReadOptions::default(), &World::usual());
        assert_eq!(codes(&reading), ["unknown-format"], "{name}");
        let found = &reading.diagnostics[0];
        assert!(found.message.contains(what) && found.hint.is_some(), "{found:?}");
    }
    let named = app("exec_interpreter = \"x\"\nerror = \"x\"\nport = \"3000-3003\"");
    let hints: Vec<&str> = named.diagnostics.iter().filter_map(|found| found.hint.as_deref()).collect();
    assert!(hints[0].contains("`interpreter`") && hints[1].contains("`error_file`"), "{hints:?}");
    assert!(hints[2].contains("`port = 3000`"), "{hints:?}");
}
