//! What PM2 runs, as `pm2 jlist` prints it or `pm2 save` wrote it → the file that would have declared it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::program::extension;
use super::shape::Object;
use super::{Export, Misfit, Remark, Translation, translate};

/// Keys that mean the same in a file.
const SAME: [&str; 27] = [
    "namespace",
    "args",
    "node_args",
    "autorestart",
    "stop_exit_codes",
    "max_restarts",
    "min_uptime",
    "restart_delay",
    "exp_backoff_restart_delay",
    "max_memory_restart",
    "cron_restart",
    "kill_timeout",
    "shutdown_with_message",
    "wait_ready",
    "listen_timeout",
    "watch",
    "ignore_watch",
    "watch_delay",
    "watch_options",
    "increment_var",
    "disable_logs",
    "log_date_format",
    "log_type",
    "time",
    "uid",
    "gid",
    "autostart",
];

/// What `pm` gives every app of the environment, and what differs from one session to the next.
const NOT_OF_APPS: [&str; 37] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TZ",
    "TMPDIR",
    "_",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "TERM",
    "COLORTERM",
    "COLUMNS",
    "LINES",
    "STY",
    "DISPLAY",
    "XAUTHORITY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "INIT_CWD",
    "MAIL",
    "HOSTNAME",
    "LS_COLORS",
    "LESSOPEN",
    "LESSCLOSE",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "HISTCONTROL",
    "HISTSIZE",
    "MOTD_SHOWN",
    "SUDO_COMMAND",
    "unique_id",
    "NODE_APP_INSTANCE",
    "NODE_CHANNEL_FD",
];
const NOT_OF_APPS_BEGIN: [&str; 16] = [
    "PM2_",
    "PM_",
    "LC_",
    "TERM_",
    "SSH_",
    "TMUX",
    "WINDOW",
    "XDG_",
    "DBUS_SESSION_",
    "npm_",
    "NVM_",
    "SUDO_",
    "BASH_FUNC_",
    "VSCODE_",
    "GNOME_",
    "FNM_",
];

/// Reads the list of processes; `shell` is the environment of the caller, whose variables are inherited, not copied.
///
/// # Errors
/// It is no list of PM2's processes, it is empty, or a process cannot be expressed.
pub fn of_processes(list: &Value, shell: &BTreeMap<String, String>) -> Result<Translation, Misfit> {
    let wrong = || Misfit(vec!["it is not a list of PM2's processes".to_owned()]);
    let mut remarks: Vec<Remark> = Vec::new();
    let mut declared: Vec<DumpedApp> = Vec::new();
    for entry in list.as_array().ok_or_else(wrong)? {
        let process = entry.get("pm2_env").unwrap_or(entry).as_object().ok_or_else(wrong)?;
        let name = text(process, "name").ok_or_else(wrong)?;
        if is_module(process) {
            let says = format!("`{name}` is a module of PM2: left out; log rotation and metrics are built in");
            remarks.push(Remark { app: None, key: "modules".to_owned(), says });
            continue;
        }
        let app = DumpedApp::of(name, process, shell)?;
        match declared.iter_mut().find(|known| known.keys == app.keys && known.inherited == app.inherited) {
            Some(known) => known.copies += 1,
            None => declared.push(app),
        }
    }
    if declared.is_empty() {
        return Err(Misfit(vec!["PM2 runs no apps".to_owned()]));
    }
    let values = declared.iter().map(DumpedApp::value).collect();
    let mut translation = translate(&Export::of_data(values), None)?;
    for (app, dumped) in translation.apps.iter_mut().zip(&declared) {
        if !dumped.inherited.is_empty() {
            let before_env = app.keys.iter().position(|(key, _)| *key == "env").unwrap_or(app.keys.len());
            app.keys.insert(before_env, ("inherit", dumped.inherited.iter().cloned().collect()));
        }
        let says =
            |key: &str, says: &str| Remark { app: Some(app.name.clone()), key: key.to_owned(), says: says.to_owned() };
        if dumped.is_stopped {
            remarks.push(says("autostart", "it is stopped now, so an apply does not start it"));
        }
        if app.keys.iter().any(|(key, _)| *key == "env") {
            remarks.push(says(
                "env",
                "PM2 does not tell the app's variables from those of the shell it was started in: keep what it needs",
            ));
        }
    }
    translation.remarks.extend(remarks);
    Ok(translation)
}

/// One app, from the first of its processes.
struct DumpedApp {
    /// As a file of PM2 declares it, without its copies.
    keys: Map<String, Value>,
    inherited: BTreeSet<String>,
    copies: u32,
    is_cluster: bool,
    is_stopped: bool,
}

impl DumpedApp {
    fn of(name: &str, process: Object<'_>, shell: &BTreeMap<String, String>) -> Result<Self, Misfit> {
        let missing = || Misfit(vec![format!("{name}: it has no `pm_exec_path`")]);
        let path = text(process, "pm_exec_path").ok_or_else(missing)?;
        let cwd = text(process, "pm_cwd").or_else(|| text(process, "cwd"));
        let mut keys = Map::new();
        let mut put = |key: &str, value: Value| drop(keys.insert(key.to_owned(), value));
        put("name", Value::from(name));
        put("cwd", cwd.map_or(Value::Null, Value::from));
        for key in SAME {
            if let Some(value) = process.get(key).filter(|value| is_worth_writing(key, value)) {
                put(key, value.clone());
            }
        }
        if process.get("treekill") == Some(&Value::Bool(false)) {
            put("treekill", Value::from(false));
        }
        if let Some(variable) = text(process, "instance_var").filter(|variable| *variable != "NODE_APP_INSTANCE") {
            put("instance_var", Value::from(variable));
        }
        for (key, value) in process.iter().filter(|(key, value)| key.starts_with("env_") && value.is_object()) {
            put(key, value.clone());
        }
        if let Some(line) = line_of(path, process) {
            put("script", Value::from(line));
            put("args", Value::Null);
        } else {
            put("script", Value::from(within(path, cwd)));
            if let Some(interpreter) = text(process, "exec_interpreter").filter(|one| is_special(one, path)) {
                put("interpreter", Value::from(interpreter));
            }
        }
        for (key, path) in own_logs(name, process) {
            put(key, Value::from(path));
        }
        let (env, inherited) = variables(name, process, shell);
        put("env", Value::Object(env));
        keys.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|table| !table.is_empty()));
        let has_ended_by_itself = process.get("autorestart") == Some(&Value::Bool(false));
        let is_stopped = text(process, "status") == Some("stopped") && !has_ended_by_itself;
        if is_stopped {
            keys.insert("autostart".to_owned(), Value::from(false));
        }
        let is_cluster = text(process, "exec_mode") == Some("cluster_mode");
        Ok(Self { keys, inherited, copies: 1, is_cluster, is_stopped })
    }

    fn value(&self) -> Value {
        let mut keys = self.keys.clone();
        if self.copies > 1 {
            keys.insert("instances".to_owned(), Value::from(self.copies));
            keys.insert("exec_mode".to_owned(), Value::from(if self.is_cluster { "cluster" } else { "fork" }));
        }
        Value::Object(keys)
    }
}

fn text<'a>(process: Object<'a>, key: &str) -> Option<&'a str> {
    process.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn is_module(process: Object<'_>) -> bool {
    let is_set = |value: Option<&Value>| value == Some(&Value::Bool(true));
    is_set(process.get("pmx_module")) || is_set(process.get("axm_options").and_then(|options| options.get("isModule")))
}

/// PM2 notes what it does without being told, too.
fn is_worth_writing(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Bool(flag) if key == "autorestart" || key == "autostart" => !flag,
        Value::Bool(flag) => *flag,
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}

/// The line that a shell runs: PM2 has made `bash -c LINE` of it.
fn line_of<'a>(path: &str, process: Object<'a>) -> Option<&'a str> {
    let words = process.get("args")?.as_array()?;
    let [flag, line] = words.as_slice() else { return None };
    let is_shell = text(process, "exec_interpreter") == Some("none") && path.ends_with("/bash") && flag == "-c";
    line.as_str().filter(|line| is_shell && line.trim().contains(char::is_whitespace))
}

/// A script in its folder is written as a person would.
fn within(path: &str, cwd: Option<&str>) -> String {
    let inside = cwd.and_then(|cwd| path.strip_prefix(cwd.trim_end_matches('/'))?.strip_prefix('/'));
    inside.map_or_else(|| path.to_owned(), |inside| format!("./{inside}"))
}

/// Whether an interpreter is another one than the file's name says.
fn is_special(interpreter: &str, path: &str) -> bool {
    let by_name = match extension(path) {
        "js" | "cjs" | "mjs" | "ts" => "node",
        "sh" => "bash",
        "py" => "python3",
        "rb" => "ruby",
        "pl" => "perl",
        "php" => "php",
        _ => "none",
    };
    let is_python = interpreter == "python" && by_name == "python3";
    interpreter != by_name && !is_python
}

/// Log files that are not where PM2 puts them by itself.
fn own_logs(name: &str, process: Object<'_>) -> Vec<(&'static str, String)> {
    let home = text(process, "pm_pid_path").and_then(|path| Some(path.rsplit_once("/pids/")?.0.to_owned()));
    let file_name: String =
        name.chars().map(|one| if one.is_ascii_alphanumeric() || ".-".contains(one) { one } else { '-' }).collect();
    let keys = [("out_file", "pm_out_log_path", "out"), ("error_file", "pm_err_log_path", "error")];
    let logs = keys.into_iter().filter_map(|(key, theirs, stream)| {
        let path = text(process, theirs)?;
        let usual = home.as_ref().map(|home| format!("{home}/logs/{file_name}-{stream}"));
        let is_usual = usual.is_some_and(|usual| path.strip_prefix(&usual).is_some_and(is_number_or_nothing));
        // Copies have a number in the names of theirs; the key adds it.
        let stem = path.strip_suffix(".log").and_then(|stem| stem.rsplit_once('-'));
        let plain = match stem {
            Some((stem, number)) if number.parse::<u32>().is_ok() => format!("{stem}.log"),
            _ => path.to_owned(),
        };
        (!is_usual).then_some((key, plain))
    });
    logs.collect()
}

/// `.log`, `-3.log`.
fn is_number_or_nothing(rest: &str) -> bool {
    let number = rest.strip_suffix(".log").map(|rest| rest.strip_prefix('-').unwrap_or(rest));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The variables to write, and the names of those that this shell has with the same value.
fn variables(
    name: &str,
    process: Object<'_>,
    shell: &BTreeMap<String, String>,
) -> (Map<String, Value>, BTreeSet<String>) {
    let (mut own, mut inherited) = (Map::new(), BTreeSet::new());
    for (variable, value) in process.get("env").and_then(Value::as_object).into_iter().flatten() {
        let is_of_pm2 = variable == name || NOT_OF_APPS.contains(&variable.as_str());
        let is_of_session = NOT_OF_APPS_BEGIN.iter().any(|first| variable.starts_with(first));
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => continue,
        };
        if is_of_pm2 || is_of_session {
            continue;
        }
        if shell.get(variable) == Some(&text) {
            inherited.insert(variable.clone());
        } else {
            own.insert(variable.clone(), value.clone());
        }
    }
    (own, inherited)
}
