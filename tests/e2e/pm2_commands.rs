//! PM2's command line: the same lines as `tests/pm2/record_commands.js` has given to PM2, and what is better here.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Output, Sandbox, run, variable_of};

fn pm2(sandbox: &Sandbox, line: &str) -> Output {
    let words: Vec<&str> = std::iter::once("pm2").chain(line.split(' ').filter(|word| !word.is_empty())).collect();
    sandbox.pm(&words)
}

fn with_files() -> Sandbox {
    let (sandbox, source) = (Sandbox::new(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pm2/commands"));
    for entry in fs::read_dir(source).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), sandbox.path(entry.file_name().to_str().unwrap())).unwrap();
    }
    sandbox
}

fn apps(sandbox: &Sandbox) -> Vec<Value> {
    pm2(sandbox, "jlist").ok().json().as_array().unwrap().clone()
}

fn app(sandbox: &Sandbox, name: &str) -> Value {
    apps(sandbox).into_iter().find(|app| app["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

fn pid(sandbox: &Sandbox, name: &str) -> u64 {
    app(sandbox, name)["pid"].as_u64().unwrap()
}

#[test]
fn the_same_lines_end_as_with_pm2() {
    let sandbox = with_files();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pm2/commands.json");
    let recorded: Vec<Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert!(recorded.len() >= 45, "{} lines", recorded.len());
    let mut wrong = Vec::new();
    for entry in &recorded {
        let line = entry["line"].as_str().unwrap();
        let output = pm2(&sandbox, line);
        if i64::from(output.status) != entry["code"].as_i64().unwrap() {
            wrong.push(format!("{line}: exit code {} in place of {}\n{output}", output.status, entry["code"]));
        }
        let is_error = output.status != 0;
        if is_error && output.stderr.trim().is_empty() {
            wrong.push(format!("{line}: nothing on standard error"));
        }
        if let Some(theirs) = entry["apps"].as_array() {
            let row = |app: &Value| serde_json::json!([app["name"], app["pm_id"], app["pm2_env"]["status"]]);
            let ours: Vec<Value> = apps(&sandbox).iter().map(row).collect();
            if ours != *theirs {
                wrong.push(format!("{line}: {} in place of {}", Value::from(ours), Value::from(theirs.clone())));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_first_jlist_is_nothing_but_json() {
    let sandbox = with_files();
    let output = pm2(&sandbox, "jlist").ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("[]\n", ""));
}

#[test]
fn jlist_has_the_keys_that_scripts_read_and_no_secret() {
    let sandbox = with_files();
    let mut command = sandbox.command(&["pm2", "start", "app.sh", "-n", "api", "--", "--port", "80"]);
    run(command.env("DB_PASSWORD", "hunter2hunter2").env("COLOUR", "green")).ok();
    let api = app(&sandbox, "api");
    let env = &api["pm2_env"];
    assert!(api["pid"].as_u64().unwrap() > 0 && api["pm_id"] == 0, "{api}");
    assert!(api["monit"]["memory"].is_u64() && api["monit"]["cpu"].is_number(), "{api}");
    assert_eq!(env["pm_exec_path"], sandbox.path("app.sh").to_str().unwrap());
    assert_eq!((env["exec_mode"].as_str(), env["namespace"].as_str()), (Some("fork_mode"), Some("default")));
    assert_eq!((env["restart_time"].as_u64(), env["kill_timeout"].as_u64()), (Some(0), Some(1600)));
    assert_eq!(env["args"], serde_json::json!(["--port", "80"]));
    assert_eq!(env["env"]["COLOUR"], "green", "the caller's environment is inherited");
    assert!(!api.to_string().contains("hunter2"), "{api}");
    let real = variable_of(u32::try_from(api["pid"].as_u64().unwrap()).unwrap(), "DB_PASSWORD");
    assert_eq!(real.as_deref(), Some("hunter2hunter2"));
    let out = env["pm_out_log_path"].as_str().unwrap();
    assert_eq!(Path::new(out), sandbox.home().join("logs/_/api-out-0.log"));
    // The same app for everybody else.
    sandbox.pm(&["list"]).ok().says(&["api"]);
    pm2(&sandbox, "restart api").ok();
    assert_eq!(app(&sandbox, "api")["pm2_env"]["restart_time"], 1);
}

/// What failed is not said to be done; the words are on standard error, and the exit code is 1.
#[test]
fn what_did_not_come_out_well_is_not_said_to_be_done() {
    let sandbox = with_files();
    pm2(&sandbox, "start app.sh -n api").ok().says(&["started api"]);
    sandbox.file("app.sh", "exit 3\n");
    for (line, done) in [("scale api 3", "has 3 copies"), ("restart api", "restarted"), ("reload api", "reloaded")] {
        let output = pm2(&sandbox, line).code(1);
        assert!(!output.stdout.contains(done), "{line}: {output}");
    }
    pm2(&sandbox, "kill").ok().says(&["all apps and the daemon are stopped"]);
    let output = pm2(&sandbox, "resurrect").code(1);
    assert!(!output.stdout.contains("started"), "{output}");
    pm2(&sandbox, "list --sort name").ok().says(&["`--sort` is not there and has no effect"]);
}

#[test]
fn a_changed_file_takes_effect_and_an_unchanged_one_restarts() {
    let sandbox = with_files();
    pm2(&sandbox, "start pm2.json --watch -i 3 -- 8080")
        .ok()
        .says(&["no effect beside a file: `--instances`, `--watch`, arguments after `--`"]);
    let (a, b) = (pid(&sandbox, "a"), pid(&sandbox, "b"));
    pm2(&sandbox, "startOrReload pm2.json --only a").ok();
    assert_ne!(pid(&sandbox, "a"), a, "its code may be another one");
    assert_eq!(pid(&sandbox, "b"), b);
    sandbox.file("pm2.json", r#"{ "apps": [{ "name": "a", "script": "./other.sh", "instances": 2 }] }"#);
    pm2(&sandbox, "startOrReload pm2.json").ok();
    let all = apps(&sandbox);
    let of_a: Vec<&Value> = all.iter().filter(|app| app["name"] == "a").collect();
    assert_eq!(of_a.len(), 2, "{of_a:?}");
    assert_eq!(of_a[0]["pm2_env"]["pm_exec_path"], sandbox.path("other.sh").to_str().unwrap());
    assert_eq!(pid(&sandbox, "b"), b, "what has left the file is left alone");
}

#[test]
fn numbers_stay_when_others_leave_and_when_the_daemon_dies() {
    let sandbox = with_files();
    pm2(&sandbox, "start app.sh -n x").ok();
    pm2(&sandbox, "start app.sh -n y").ok();
    pm2(&sandbox, "delete 0").ok();
    sandbox.kill_daemon();
    assert_eq!(app(&sandbox, "y")["pm_id"], 1);
    pm2(&sandbox, "start app.sh -n z").ok();
    assert_eq!(app(&sandbox, "z")["pm_id"], 2);
    pm2(&sandbox, "stop 1").ok();
    assert_eq!(app(&sandbox, "y")["pm2_env"]["status"], "stopped");
}

#[test]
fn a_second_script_of_the_same_name_replaces_nothing() {
    let sandbox = with_files();
    pm2(&sandbox, "start app.sh").ok();
    let first = pid(&sandbox, "app");
    pm2(&sandbox, "start other.sh -n app").ok().says(&["app-2"]);
    assert_eq!(pid(&sandbox, "app"), first);
    pm2(&sandbox, "start app.sh -f").ok().says(&["app-3"]);
    assert_eq!(apps(&sandbox).len(), 3);
}

#[test]
fn a_restart_with_a_new_environment_has_it() {
    let sandbox = with_files();
    let colour = |sandbox: &Sandbox, words: &[&str], colour: &str| {
        run(sandbox.command(words).env("COLOUR", colour)).ok();
        variable_of(u32::try_from(pid(sandbox, "app")).unwrap(), "COLOUR").unwrap()
    };
    assert_eq!(colour(&sandbox, &["pm2", "start", "app.sh"], "red"), "red");
    assert_eq!(colour(&sandbox, &["pm2", "restart", "app"], "green"), "red", "a plain restart keeps what it had");
    assert_eq!(colour(&sandbox, &["pm2", "restart", "app", "--update-env"], "green"), "green");
    let before = pid(&sandbox, "app");
    assert_eq!(colour(&sandbox, &["pm2", "restart", "app", "-a"], "green"), "green");
    assert_ne!(pid(&sandbox, "app"), before, "the same environment is no reason not to restart");
    sandbox.pm(&["start", "app.sh", "-n", "own"]).ok();
    pm2(&sandbox, "restart own --update-env").code(1).says(&["delete"]);
}

#[test]
fn resurrect_starts_what_kill_has_stopped_and_nothing_else() {
    let sandbox = with_files();
    pm2(&sandbox, "start pm2.json").ok();
    pm2(&sandbox, "stop b").ok();
    pm2(&sandbox, "kill").ok();
    assert!(apps(&sandbox).iter().all(|app| app["pm2_env"]["status"] == "stopped"));
    pm2(&sandbox, "resurrect").ok();
    let status = |name: &str| app(&sandbox, name)["pm2_env"]["status"].as_str().unwrap().to_owned();
    assert_eq!((status("a").as_str(), status("b").as_str()), ("online", "stopped"));
}

#[test]
fn what_is_not_there_says_so_and_does_nothing() {
    let sandbox = with_files();
    pm2(&sandbox, "start app.sh").ok();
    let before = pid(&sandbox, "app");
    for line in [
        "deploy x",
        "install pm2-logrotate",
        "send app x",
        "attach app",
        "trigger app gc",
        "serve dist",
        "imonit",
        "cleardump",
    ] {
        let output = pm2(&sandbox, line).code(1);
        assert!(output.stdout.is_empty() && output.stderr.contains("is not there: "), "{output}");
    }
    pm2(&sandbox, "restart app -i 4").code(1).says(&["changes no settings"]);
    pm2(&sandbox, "start --no-daemon app.sh").code(1).says(&["pm run"]);
    assert_eq!(pid(&sandbox, "app"), before);
}

#[test]
fn standard_input_and_copies() {
    let sandbox = with_files();
    let text = sandbox.file("in", r#"[{ "name": "piped", "script": "./app.sh" }]"#);
    let mut command = sandbox.command(&["pm2", "start", "-"]);
    run(command.stdin(Stdio::from(fs::File::open(text).unwrap()))).ok();
    assert_eq!(app(&sandbox, "piped")["pm2_env"]["status"], "online");
    pm2(&sandbox, "scale piped 3").ok();
    pm2(&sandbox, "scale piped 3").code(1);
    pm2(&sandbox, "delete 0").code(1).says(&["pm scale piped 2"]);
    pm2(&sandbox, "delete 2").ok();
    assert_eq!(apps(&sandbox).len(), 2);
    assert_eq!(pm2(&sandbox, "id piped").ok().stdout, "[ 0, 1 ]\n");
    pm2(&sandbox, "delete piped").ok();
    assert!(apps(&sandbox).is_empty());
}

#[test]
fn a_link_with_its_name_is_enough() {
    let sandbox = with_files();
    let link = sandbox.path("pm2");
    symlink(env!("CARGO_BIN_EXE_pm"), &link).unwrap();
    let linked = |words: &[&str]| {
        let ours = sandbox.command(&[]);
        let mut command = Command::new(&link);
        command.args(words).env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(sandbox.path("")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        run(&mut command)
    };
    linked(&["start", "app.sh", "-s"]).ok();
    let list = linked(&["ls"]).ok();
    assert!(list.stdout.starts_with('┌') && list.stdout.contains("│ app "), "{list}");
    assert!(list.stdout.contains("online"), "{list}");
    linked(&["prettylist"]).ok().says(&["name: 'app'", "status: 'online'"]);
    linked(&["describe", "app"]).ok().says(&["script path", "online"]);
    linked(&["kill"]).ok();
}
