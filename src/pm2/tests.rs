//! Traps of real files, each with what becomes of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Export, Misfit, Translation, to_toml, translate};

fn translated(value: Value) -> Translation {
    translate(&Export::of_data(value), None).unwrap()
}

/// The keys of the only app.
fn app(app: &Value) -> Value {
    let document = translated(json!({ "apps": [app] })).document();
    assert_eq!(document["defaults"], json!({ "kill_signal": "SIGINT" }));
    document["apps"][0].clone()
}

fn remarks(app: &Value) -> Vec<String> {
    translated(json!([app])).remarks.iter().map(super::Remark::line).collect()
}

#[test]
fn every_shape_of_a_file_declares_the_same_app() {
    let app = json!({ "script": "a.js" });
    let one = translated(json!({ "apps": [app.clone()] }));
    for shape in [
        json!([app.clone()]),
        app.clone(),
        json!({ "apps": app.clone() }),
        json!({ "pm2": [app.clone()] }),
        json!({ "pm2": { "apps": [app] } }),
    ] {
        assert_eq!(translated(shape.clone()), one, "{shape}");
    }
}

#[test]
fn what_declares_no_apps_says_what_it_is() {
    for (value, expected) in [
        (json!({}), "the exported object declares no apps: there is no key `apps`; it is empty"),
        (json!({ "app": [] }), "the exported object declares no apps: there is no key `apps`; it has app"),
        (json!(null), "the file exports nothing, not an object with `apps`"),
        (json!("x"), "the file exports a string, not an object with `apps`"),
        (json!({ "apps": 3 }), "`apps` is a number, not a list of apps"),
        (json!({ "apps": [1, "x"] }), "apps[0] is a number, not an object\napps[1] is a string, not an object"),
        (json!([{ "name": "x" }]), "apps[0]: there is no `script`"),
        (
            json!([{ "script": "a.js", "restart_delay": "soon", "instances": [], "env": 3 }]),
            "a.instances: expected a number or \"max\", found a list\n\
             a.env: expected an object, found a number\n\
             a.restart_delay: expected a number of milliseconds, found `soon`",
        ),
        (
            json!([{ "script": "a.js", "interpreter": "node@16" }]),
            "a.interpreter: `node@16` needs nvm: write the path of the program, for example `interpreter: \"/opt/node-20/bin/node\"`",
        ),
    ] {
        let misfit = translate(&Export::of_data(value.clone()), None).unwrap_err();
        assert_eq!(misfit.to_string(), expected, "{value}");
        assert_ne!(misfit, Misfit(Vec::new()));
    }
}

#[test]
fn values_become_strict() {
    for (given, expected) in [
        (json!({ "script": "./src/api.js" }), json!({ "name": "api", "script": "./src/api.js" })),
        (json!({ "script": "a.js", "name": "my api" }), json!({ "name": "my-api", "script": "a.js" })),
        (
            json!({ "script": "VAR=x node a.js", "args": "--x" }),
            json!({ "name": "VAR=x node a".replace(['=', ' '], "-"), "command": "VAR=x node a.js", "shell": true }),
        ),
        (
            json!({ "script": "npm", "args": "run start -- --port ${PORT}", "name": "web", "instances": 2 }),
            json!({ "name": "web", "script": "npm", "args": "run start -- --port $${PORT}", "instances": 2 }),
        ),
        (json!({ "script": "a.js", "instances": "1" }), json!({ "name": "a", "script": "a.js" })),
        (
            json!({ "script": "a.js", "instances": 2, "autorestart": false, "cron": "0 3 * * *" }),
            json!({ "name": "a", "script": "a.js", "instances": 2, "kind": "task", "cron_restart": "0 3 * * *" }),
        ),
        (
            json!({ "script": "a.js", "instances": 0 }),
            json!({ "name": "a", "script": "a.js", "exec_mode": "cluster", "instances": "max" }),
        ),
        (
            json!({ "script": "a.py", "instances": 2 }),
            json!({ "name": "a", "script": "a.py", "instances": 2, "env": { "PYTHONUNBUFFERED": "1" } }),
        ),
        (
            json!({ "script": "node_modules/next/dist/bin/next", "exec_mode": "cluster", "instances": -1 }),
            json!({ "name": "next", "script": "node_modules/next/dist/bin/next", "exec_mode": "cluster", "instances": -1 }),
        ),
        (
            json!({ "script": "a.js", "kill_timeout": "3000", "min_uptime": "10s", "restart_delay": 0, "maxMemoryRestart": "300M" }),
            json!({ "name": "a", "script": "a.js", "kill_timeout": "3s", "min_uptime": "10s", "max_memory_restart": "300M" }),
        ),
        (
            json!({ "script": "a.js", "watch": ".", "ignore_watch": "tmp", "max_memory_restart": null }),
            json!({ "name": "a", "script": "a.js", "watch": true, "ignore_watch": ["tmp"] }),
        ),
        (
            json!({ "script": "a.js", "watch": false, "autorestart": true, "env": { "A": 1, "B": true, "C": 1.5, "D": { "x": [1] }, "E": null } }),
            json!({ "name": "a", "script": "a.js", "env": { "A": 1, "B": true, "C": "1.5", "D": "{\"x\":[1]}", "E": "null" } }),
        ),
        (
            json!({ "script": "a.js", "cron": "0 3 * * *", "autorestart": false }),
            json!({ "name": "a", "script": "a.js", "kind": "task", "cron_restart": "0 3 * * *" }),
        ),
        (
            json!({ "script": "a.js", "cron_restart": "0", "stop_exit_codes": 0 }),
            json!({ "name": "a", "script": "a.js", "stop_exit_codes": [0] }),
        ),
        (
            json!({ "script": "a.js", "exec_mode": "fork", "instances": 2, "out": "logs/o.log", "cwd": "app", "error": "/var/log/e" }),
            json!({
                "name": "a", "script": "a.js", "cwd": "app", "instances": 2,
                "out_file": "app/logs/o-${PM_INSTANCE}.log", "error_file": "/var/log/e-${PM_INSTANCE}",
            }),
        ),
        (
            json!({ "script": "a.js", "output": "/dev/null", "error": "NULL" }),
            json!({ "name": "a", "script": "a.js", "disable_logs": true }),
        ),
        (
            json!({ "script": "a.js", "watch_options": { "usePolling": true, "interval": 500 }, "env_production": { "X": "1" } }),
            json!({ "name": "a", "script": "a.js", "watch_options": { "poll": true, "interval": "500ms" }, "env_production": { "X": "1" } }),
        ),
        (
            json!({ "script": "a.js", "port": 3000, "shutdown_with_message": true, "treekill": false, "uid": 33 }),
            json!({
                "name": "a", "script": "a.js", "env": { "PORT": 3000 }, "shutdown_with_message": true,
                "stop_scope": "process", "user": "33",
            }),
        ),
    ] {
        assert_eq!(app(&given), expected, "{given}");
    }
}

#[test]
fn what_is_different_or_ignored_is_told_with_its_key() {
    for (given, expected) in [
        (json!({ "script": "a.js", "log_date_format": "dd" }), "a.log_date_format: `dd` has no counterpart"),
        (json!({ "script": "a.js", "log_date_format": "-" }), "a.log_date_format: ignored: there is no time in it"),
        (json!({ "script": "a.js", "log": true }), "a.log: ignored without a path"),
        (json!({ "script": "a.js", "max_size": "10M" }), "a.max_size: ignored: logs are rotated by size"),
        (json!({ "script": "a.js", "env_file": ".env" }), "a.env_file: ignored, as PM2 does"),
        (json!({ "script": "a.js", "retries": 3 }), "a.retries: ignored: it is not a key of PM2 either"),
        (json!({ "script": "a.js", "max_restarts": 0 }), "a.max_restarts: 0 counts"),
        (json!({ "script": "a.js", "wait_ready": true }), "a.wait_ready: an app that is not ready after 3s has failed"),
        (
            json!({ "script": "a.js", "node_args": "-a", "interpreter_args": "-b" }),
            "a.interpreter_args: ignored: `node_args`",
        ),
        (json!({ "script": "npm", "exec_mode": "cluster" }), "npm.exec_mode: runs in fork mode"),
        (json!({ "script": "a.js", "name": "a b" }), "a-b.name: `a b` becomes `a-b`"),
        (json!({ "script": "a.js", "cron_restart": "0 0 1 * 1" }), "a.cron_restart: PM2 wants both"),
        (json!({ "script": "a.sh", "instances": 2, "merge_logs": true }), "a.merge_logs: ignored: each copy"),
        (json!({ "script": "a.js", "instances": 2 }), "a.instances: a copy is ready when it listens"),
        (json!({ "script": "a.js", "watch_options": { "interval": 5 } }), "a.watch_options.interval: ignored"),
    ] {
        let found = remarks(&given);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{given}: {found:?}");
    }
}

#[test]
fn the_form_of_logs_and_every_spelling_of_their_files_are_taken_over() {
    for (given, expected) in [
        (json!({ "time": true }), json!({ "log_timestamps": "%Y-%m-%dT%H:%M:%S" })),
        (json!({ "log_date_format": "YYYY-MM-DD HH:mm Z" }), json!({ "log_timestamps": "%Y-%m-%d %H:%M %:z" })),
        (json!({ "time": true, "log_date_format": "HH" }), json!({ "log_timestamps": "%H" })),
        (json!({ "log_type": "json" }), json!({ "log_format": "json" })),
        (json!({ "log": "all.log" }), json!({ "log_file": "all.log" })),
        (json!({ "log_file": "NULL" }), json!({})),
        (json!({ "out_file": "NULL", "err_file": "e.log" }), json!({ "out_file": "/dev/null", "error_file": "e.log" })),
        (json!({ "out_file": false, "error": "" }), json!({})),
        (json!({ "output": "/dev/null", "error": "NULL" }), json!({ "disable_logs": true })),
        (
            json!({ "instances": 2, "exec_mode": "fork", "out_file": "o.log", "merge_logs": true }),
            json!({ "instances": 2, "out_file": "o.log", "merge_logs": true }),
        ),
        (
            json!({ "instances": 2, "exec_mode": "fork", "out_file": "o.log", "log_file": "/dev/null" }),
            json!({ "instances": 2, "out_file": "o-${PM_INSTANCE}.log" }),
        ),
    ] {
        let mut object = given.clone();
        object["script"] = "a.sh".into();
        assert_eq!(remarks(&object), Vec::<String>::new(), "{given}");
        let mut found = app(&object);
        let keys = found.as_object_mut().unwrap();
        keys.retain(|key, _| key.contains("log") || key.ends_with("_file") || key == "instances");
        assert_eq!(found, expected, "{given}");
    }
}

#[test]
fn a_copied_shell_becomes_inherit_and_none_of_its_values_is_written() {
    let shell: BTreeMap<String, String> =
        [("HOME", "/root"), ("PATH", "/bin"), ("DB_PASS", "hunter2"), ("A", "1"), ("B", "2"), ("PWD", "/x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let added = BTreeMap::from([("FROM_DOTENV".to_owned(), "s3cret".to_owned())]);
    let env = json!({
        "HOME": "/root", "PATH": "/bin", "DB_PASS": "hunter2", "A": "1", "B": "other", "PWD": "/x",
        "FROM_DOTENV": "s3cret", "NODE_ENV": "production",
    });
    let value = json!([{ "script": "a.js", "env": env }]);
    let export = Export { value, shell, added, read: std::collections::BTreeSet::new() };
    let translation = translate(&export, None).unwrap();
    let document = translation.document();
    assert_eq!(document["apps"][0]["env"], json!({ "B": "other", "NODE_ENV": "production" }));
    assert_eq!(document["apps"][0]["inherit"].as_array().unwrap().len(), 1);
    let toml = to_toml(&translation, "ecosystem.config.js");
    assert!(!toml.contains("hunter2") && !toml.contains("s3cret"), "{toml}");
}

#[test]
fn a_second_app_of_the_same_name_gets_one_of_its_own() {
    let translation =
        translated(json!([{ "script": "a.js" }, { "script": "b/a.js" }, { "script": "a.js", "name": "a-2" }]));
    let names: Vec<&str> = translation.apps.iter().map(|app| app.name.as_str()).collect();
    assert_eq!(names, ["a", "a-2", "a-2-2"]);
    assert_eq!(translation.document()["apps"][1]["name"], "a-2");
    assert_eq!(translation.remarks.len(), 2);
}

#[test]
fn a_written_file_reads_as_the_same_document() {
    let value = json!({ "apps": [{
        "script": "a.js", "name": "api", "args": ["--x", "a \"b\"\n\u{7f}"], "instances": 2, "time": true, "max_size": "1M",
        "env": { "A": 1, "B C": "x", "D": "${E}", "F": true }, "env_production": { "A": 2 },
        "watch_options": { "usePolling": true }, "max_restarts": 5,
    }, { "script": "b.js" }], "deploy": {} });
    let translation = translated(value);
    let text = to_toml(&translation, "ecosystem.config.js");
    let file = crate::ecosystem::SourceFile::new("/srv/ecosystem.toml".into(), text.clone().into_bytes());
    assert_eq!(crate::ecosystem::to_json(&file).unwrap(), translation.document(), "{text}");
    assert!(text.contains("# max_size: ignored") && text.contains("# deploy: ignored"), "{text}");
}

#[test]
fn a_value_that_was_read_from_the_shell_is_written_as_the_variable() {
    let shell = BTreeMap::from(
        [("DB_URL", "postgres://x"), ("NODE_ENV", "dev"), ("OTHER", "other-value")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let read = ["DB_URL", "NODE_ENV", "UNSET"].map(str::to_owned).into();
    let env = json!({ "DB": "postgres://x", "NODE_ENV": "dev", "MODE": "dev", "X": "other-value", "URL": "db=postgres://x;$y" });
    let export = Export {
        value: json!([{ "script": "a.js", "args": ["--db=postgres://x"], "env": env }]),
        shell,
        added: BTreeMap::new(),
        read,
    };
    let document = translate(&export, None).unwrap().document();
    let expected = json!({
        "DB": "${DB_URL}", "NODE_ENV": "${NODE_ENV}", "MODE": "dev", "X": "other-value", "URL": "db=${DB_URL};$$y",
    });
    assert_eq!(document["apps"][0]["env"], expected);
    assert_eq!(document["apps"][0]["args"], json!(["--db=${DB_URL}"]));
}
