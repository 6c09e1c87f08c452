//! What an app runs with, when it is restarted and stopped, and what it is restarted for.

use serde_json::{Map, Value};

use super::app::{AppReader, Given, self_text};
use super::program::extension;
use super::shape::words;
use super::values::{duration, flag, size, text, texts, whole};
use super::{Export, env};

impl AppReader {
    pub(super) fn environment(&mut self, given: &Given<'_>, export: &Export) {
        let mut variables = match given.get("env") {
            Some((_, Value::Object(object))) => env::variables(object, export),
            Some((written, other)) => {
                self.misfits.push(format!("{}.{written}: expected an object, found {}", self.label, words(other)));
                env::Variables::default()
            }
            None => env::Variables::default(),
        };
        if let Some(port) = self.value(given, "port", "a port number", whole)
            && !variables.own.contains_key("PORT")
        {
            variables.own.insert("PORT".to_owned(), Value::from(port));
        }
        let script = self_text(given, "script").unwrap_or_default();
        if extension(&script) == "py" && !variables.own.contains_key("PYTHONUNBUFFERED") {
            variables.own.insert("PYTHONUNBUFFERED".to_owned(), Value::from("1"));
        }
        if variables.is_of_shell {
            self.remark("env", "`...process.env` becomes `inherit`: the shell's variables are taken at each apply");
            self.put("inherit", Value::from(vec![env::ALL_BUT_SESSION]));
        }
        if !variables.own.is_empty() {
            self.put("env", Value::Object(variables.own));
        }
        if let Some((written, _)) = given.get("filter_env").filter(|_| !export.shell.is_empty()) {
            self.remark(written, "not needed: an app gets nothing of the shell but what `inherit` names");
        }
        self.pass("instance_var", self_text(given, "instance_var"));
        self.pass("increment_var", self_text(given, "increment_var"));
    }

    pub(super) fn supervision(&mut self, given: &Given<'_>) {
        let value = self.flag_if(given, "autostart", false);
        self.pass("autostart", value);
        let restarts = self.flag(given, "autorestart");
        let cron =
            given.get("cron_restart").filter(|(_, value)| !matches!(text(value).as_deref(), None | Some("" | "0")));
        if let Some((written, value)) = cron {
            if restarts == Some(false) {
                self.put("kind", Value::from("task"));
                self.remark(written, "with `autorestart: false` this is a task: it runs at these times, and not now");
            }
            let pattern = text(value).unwrap_or_default();
            if restricts_both_days(&pattern) {
                self.remark(
                    written,
                    "PM2 wants both the day of the month and the weekday to match, here one is enough",
                );
            }
            self.put("cron_restart", Value::from(pattern));
        } else if restarts == Some(false) {
            self.put("autorestart", Value::from(false));
        }
        let value = self.value(given, "stop_exit_codes", "a list of exit codes", exit_codes);
        self.pass("stop_exit_codes", value);
        let max_restarts = self.value(given, "max_restarts", "a number", whole);
        if max_restarts == Some(0) {
            self.remark(
                "max_restarts",
                "0 counts: the app is not restarted after an unstable start (PM2 takes it as 16)",
            );
        }
        self.pass("max_restarts", max_restarts);
        let value = self.duration(given, "min_uptime");
        self.pass("min_uptime", value);
        let value = self.duration(given, "restart_delay").filter(|delay| delay != "0s");
        self.pass("restart_delay", value);
        let backoff = self.duration(given, "exp_backoff_restart_delay").filter(|delay| delay != "0s");
        self.pass("exp_backoff_restart_delay", backoff);
        let memory = self.value(given, "max_memory_restart", "a size such as \"300M\"", size);
        self.pass("max_memory_restart", memory.filter(|size| size != "0B"));
        if self.flag(given, "wait_ready") == Some(true) {
            self.put("wait_ready", Value::from(true));
            let timeout = self.duration(given, "listen_timeout").unwrap_or_else(|| "3s".to_owned());
            self.remark(
                "wait_ready",
                format!("an app that is not ready after {timeout} has failed; PM2 goes on as if it were"),
            );
            self.put("listen_timeout", Value::from(timeout));
        } else if let Some(timeout) = self.duration(given, "listen_timeout") {
            let is_cluster = self.keys.contains(&("exec_mode", Value::from("cluster")));
            if is_cluster {
                self.put("listen_timeout", Value::from(timeout));
            } else {
                self.remark("listen_timeout", "ignored: it counts with `wait_ready` or in cluster mode");
            }
        }
    }

    /// A flag that is worth writing down only if it has this value.
    pub(super) fn flag_if(&mut self, given: &Given<'_>, key: &str, wanted: bool) -> Option<bool> {
        self.flag(given, key).filter(|flag| *flag == wanted)
    }

    pub(super) fn stopping(&mut self, given: &Given<'_>) {
        let with_message = self.flag_if(given, "shutdown_with_message", true);
        self.pass("shutdown_with_message", with_message);
        let value = self.duration(given, "kill_timeout");
        self.pass("kill_timeout", value);
        if self.flag(given, "treekill") == Some(false) {
            self.put("stop_scope", Value::from("process"));
        }
    }

    pub(super) fn watching(&mut self, given: &Given<'_>) {
        let watch = self.value(given, "watch", "true, false, or a list of paths", watched);
        self.pass("watch", watch.filter(|watch| watch.as_bool() != Some(false)));
        let is_list_of_texts = |value: &Value| texts(value);
        let ignored = self.value(given, "ignore_watch", "a list of paths", is_list_of_texts);
        self.pass("ignore_watch", ignored.filter(|ignored| !ignored.is_empty()));
        let value = self.duration(given, "watch_delay").filter(|delay| delay != "0s");
        self.pass("watch_delay", value);
        let Some((written, value)) = given.get("watch_options") else { return };
        let Some(options) = value.as_object() else {
            self.misfits.push(format!("{}.{written}: expected an object, found {}", self.label, words(value)));
            return;
        };
        let mut ours = Map::new();
        for (name, value) in options {
            match (name.as_str(), flag(value), duration(value)) {
                ("usePolling", Some(flag), _) => drop(ours.insert("poll".to_owned(), Value::from(flag))),
                ("followSymlinks", Some(flag), _) => drop(ours.insert("follow_symlinks".to_owned(), Value::from(flag))),
                ("interval", _, Some(_)) if whole(value).is_some_and(|interval| interval < 100) => {
                    self.remark("watch_options.interval", "ignored: polling so often costs a processor; it is 1 s");
                }
                ("interval", _, Some(interval)) => drop(ours.insert("interval".to_owned(), Value::from(interval))),
                _ => self.remark(&format!("watch_options.{name}"), "ignored: it is an option of PM2's watcher"),
            }
        }
        if !ours.is_empty() {
            self.put("watch_options", Value::Object(ours));
        }
    }
}

fn exit_codes(value: &Value) -> Option<Value> {
    match value {
        Value::Array(codes) => codes.iter().map(whole).collect::<Option<Vec<_>>>().map(Value::from),
        one => whole(one).map(|code| Value::from(vec![code])),
    }
}

fn watched(value: &Value) -> Option<Value> {
    match value {
        Value::String(path) if matches!(path.trim_end_matches('/'), "." | "") => Some(Value::from(true)),
        Value::String(text) if flag(value).is_some() => Some(Value::from(text == "true")),
        Value::String(path) => Some(Value::from(vec![path.clone()])),
        Value::Array(_) => {
            texts(value).map(|paths| if paths.is_empty() { Value::from(false) } else { Value::from(paths) })
        }
        other => flag(other).map(Value::from),
    }
}

/// Whether a schedule names days of the month and weekdays.
fn restricts_both_days(pattern: &str) -> bool {
    let fields: Vec<&str> = pattern.split_whitespace().collect();
    let [.., day, _, weekday] = fields.as_slice() else { return false };
    fields.len() >= 5 && ![day, weekday].iter().any(|field| matches!(**field, "*" | "?"))
}
