//! Files with the traps of real ones mean what PM2 makes of them: `tests/pm2/record.js` has recorded that.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::support::{Sandbox, node, run};

#[test]
fn files_mean_what_pm2_makes_of_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pm2");
    let recorded: Map<String, Value> =
        serde_json::from_slice(&fs::read(source.join("recorded.json")).unwrap()).unwrap();
    assert!(recorded.len() >= 11, "{} files", recorded.len());
    for (name, pm2) in &recorded {
        let sandbox = Sandbox::new();
        for entry in fs::read_dir(source.join("files").join(name)).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), sandbox.path(entry.file_name().to_str().unwrap())).unwrap();
        }
        let file = pm2["file"].as_str().unwrap();
        let mut words = vec!["config", "--json", file];
        if let Some(profile) = pm2["profile"].as_str() {
            words.extend(["--env", profile]);
        }
        let mut command = sandbox.command(&words);
        command.env("PATH", path_with_node());
        let ours = run(&mut command).ok().json();
        let ours = ours["apps"].as_array().unwrap();
        let theirs = pm2["apps"].as_object().unwrap();
        assert_eq!(ours.len(), theirs.len(), "{name}: {ours:?}");
        for (app_name, theirs) in theirs {
            let own_name = app_name.replace(' ', "-");
            let ours = ours
                .iter()
                .find(|app| app["name"] == own_name.as_str())
                .unwrap_or_else(|| panic!("{name}: no {own_name}"));
            compare(&format!("{name}: {app_name}"), ours, theirs, &sandbox.path(""));
        }
    }
}

fn path_with_node() -> String {
    let program = node(20).program;
    let folder = program.parent().map(Path::to_path_buf).filter(|folder| *folder != PathBuf::new());
    let path = std::env::var("PATH").unwrap();
    folder.map_or(path.clone(), |folder| format!("{}:{path}", folder.display()))
}

fn compare(label: &str, ours: &Value, theirs: &Value, folder: &Path) {
    let run = &ours["run"];
    let is = |what: &str, ours: Value, theirs: Value| assert_eq!(ours, theirs, "{label}: {what}");
    let words = |words: &Value| -> Vec<String> {
        let words = words.as_array().cloned().unwrap_or_default();
        words.iter().map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect()
    };
    let here = |path: &Value| {
        let path = Path::new(path.as_str().unwrap_or_default());
        let inner = path.strip_prefix(folder).unwrap_or(path).display().to_string();
        if inner.is_empty() { ".".to_owned() } else { inner }
    };
    is("copies", ours["instances"].as_u64().unwrap_or(1).into(), theirs["copies"].clone());
    is("cwd", here(&run["cwd"]).into(), theirs["cwd"].clone());
    is("namespace", ours["namespace"].clone(), theirs["namespace"].clone());
    let mode = if run["exec_mode"] == "cluster" { "cluster_mode" } else { "fork_mode" };
    // PM2 makes a cluster of one copy, too, if the number is written.
    if ours["instances"].as_u64().unwrap_or(1) > 1 {
        is("mode", mode.into(), theirs["exec_mode"].clone());
    }
    let script = theirs["script"].as_str().unwrap();
    if run["shell"] == true {
        // PM2 calls bash, we the shell: the line is the same.
        assert!(script.ends_with("/bash"), "{label}: {script}");
        is("line", words(&run["command"]).into(), vec![words(&theirs["args"])[1].clone()].into());
    } else {
        let own = here(&run["script"]);
        assert!(own == script || script.ends_with(&format!("/bin/{own}")), "{label}: {own} is not {script}");
        is("arguments", words(&run["args"]).into(), words(&theirs["args"]).into());
        is(
            "interpreter's arguments",
            words(&run["interpreter_args"]).into(),
            words(&theirs["interpreter_args"]).into(),
        );
        let named = |interpreter: &Value| interpreter.as_str().unwrap_or("none").trim_end_matches('3').to_owned();
        if !script.ends_with("/npm") && !script.ends_with("app.sh") {
            is("interpreter", named(&run["interpreter"]).into(), named(&theirs["interpreter"]).into());
        }
    }
    let env = |env: &Value, doubled: &str| {
        let mut env = env.as_object().cloned().unwrap_or_default();
        env.remove("PWD"); // PM2 sets it to the text of `cwd`
        let plain = |value: Value| value.as_str().unwrap().replace(doubled, "$").into();
        Value::Object(env.into_iter().map(|(name, value)| (name, plain(value))).collect())
    };
    is("env", env(&run["env"], "$$"), env(&theirs["env"], "$"));
    is("autorestart", (ours["restart"]["restart"] == "always").into(), theirs["autorestart"].clone());
    let is_watched = |watch: &Value| !matches!(watch, Value::Null | Value::Bool(false));
    is("watch", is_watched(&ours["watching"]["watch"]).into(), is_watched(&theirs["watch"]).into());
    for (key, own) in [
        ("max_memory_restart", &ours["max_memory_restart"]),
        ("max_restarts", &ours["restart"]["max_restarts"]),
        ("min_uptime", &ours["restart"]["min_uptime"]),
        ("restart_delay", &ours["restart"]["restart_delay"]),
        ("kill_timeout", &ours["stop"]["kill_timeout"]),
        ("stop_exit_codes", &ours["restart"]["stop_exit_codes"]),
        ("cron_restart", &ours["schedule"]["cron_restart"]),
        ("ignore_watch", &ours["watching"]["ignore_watch"]),
    ] {
        let theirs = &theirs[key];
        if !matches!(theirs, Value::Null) && *theirs != 0 {
            is(key, in_numbers(own), theirs.clone());
        }
    }
}

/// Durations in milliseconds and sizes in bytes, as PM2 has them.
fn in_numbers(value: &Value) -> Value {
    let Some(text) = value.as_str() else { return value.clone() };
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let factor = match &text[digits..] {
        "ms" | "B" => 1_u64,
        "s" => 1000,
        "m" => 60_000,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return value.clone(),
    };
    text[..digits].parse::<u64>().map_or_else(|_| value.clone(), |number| (number * factor).into())
}
