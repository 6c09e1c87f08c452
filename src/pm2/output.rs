//! Where the output of an app goes, and whose rights it has.

use serde_json::Value;

use super::app::{AppReader, Given, self_text};
use super::moment::to_strftime;
use super::values::literal;

/// The file of an output that is thrown away.
const NOTHING: &str = "/dev/null";

impl AppReader {
    pub(super) fn logs(&mut self, given: &Given<'_>) {
        let files = ["out_file", "error_file"].map(|key| (key, self.log_file(given, key)));
        let is_nothing = |file: &Option<String>| file.as_deref() == Some(NOTHING);
        if self.flag(given, "disable_logs") == Some(true) || files.iter().all(|(_, file)| is_nothing(file)) {
            self.put("disable_logs", Value::from(true));
            return;
        }
        let is_named = files.iter().any(|(_, file)| file.is_some() && !is_nothing(file));
        let several = self.keys.iter().any(|(key, _)| *key == "instances");
        let is_merged = several && self.flag(given, "merge_logs") == Some(true);
        for (key, file) in files {
            if let Some(file) = file {
                self.put(key, log_path(given, &file, several && !is_merged));
            }
        }
        if is_merged && is_named {
            self.put("merge_logs", Value::from(true));
        } else if is_merged {
            self.remark("merge_logs", "ignored: each copy has a log of its own; `pm logs` shows them merged");
        }
        match given.get("log_file") {
            Some((written, Value::Bool(true))) => {
                self.remark(written, "ignored without a path: `pm logs` shows both outputs merged");
            }
            _ => {
                if let Some(file) = self.log_file(given, "log_file").filter(|file| file != NOTHING) {
                    self.put("log_file", log_path(given, &file, several && !is_merged));
                }
            }
        }
        self.log_form(given);
    }

    /// The path of a log, if one is given: PM2 takes `false` and an empty text for none.
    fn log_file(&mut self, given: &Given<'_>, key: &str) -> Option<String> {
        given.get(key).filter(|(_, value)| **value != Value::Bool(false))?;
        let file = self.text(given, key).filter(|file| !file.is_empty())?;
        Some(if matches!(file.as_str(), "NULL" | "null") { NOTHING.to_owned() } else { file })
    }

    /// Times and objects.
    fn log_form(&mut self, given: &Given<'_>) {
        let pattern = self.text(given, "log_date_format").filter(|pattern| !pattern.is_empty());
        let has_time = self.flag(given, "time") == Some(true);
        match pattern.as_deref().map(to_strftime) {
            Some(Ok(pattern)) if pattern.contains('%') => self.put("log_timestamps", literal(&pattern)),
            Some(Ok(_)) => self.remark("log_date_format", "ignored: there is no time in it"),
            Some(Err(token)) => {
                self.remark("log_date_format", format!("`{token}` has no counterpart; times are those of RFC 3339"));
                self.put("log_timestamps", Value::from(true));
            }
            None if has_time => self.put("log_timestamps", Value::from("%Y-%m-%dT%H:%M:%S")),
            None => {}
        }
        match self.text(given, "log_type").as_deref() {
            None | Some("" | "raw") => {}
            Some("json") => self.put("log_format", Value::from("json")),
            Some(other) => self.remark("log_type", format!("ignored: `{other}` is none, `json` is")),
        }
    }

    pub(super) fn rights(&mut self, given: &Given<'_>) {
        let value = self.text(given, "uid").filter(|user| !user.is_empty());
        self.pass("user", value);
        let group = self.text(given, "gid").filter(|group| !group.is_empty());
        if group.is_some() && !given.contains_key("uid") {
            self.remark("gid", "ignored: a group needs `uid` beside it");
        } else {
            self.pass("group", group);
        }
    }
}

/// PM2 takes paths of logs relative to `cwd`, we to the file; copies have files of their own.
fn log_path(given: &Given<'_>, file: &str, several: bool) -> Value {
    let is_absolute = file.starts_with(['/', '~']);
    let file = match self_text(given, "cwd").filter(|_| !is_absolute) {
        Some(cwd) => format!("{}/{}", cwd.trim_end_matches('/'), file.trim_start_matches("./")),
        None => file.to_owned(),
    };
    let literal = literal(&file).as_str().unwrap_or_default().to_owned();
    if !several || file == NOTHING {
        return Value::from(literal);
    }
    Value::from(match literal.strip_suffix(".log") {
        Some(stem) => format!("{stem}-${{PM_INSTANCE}}.log"),
        None => format!("{literal}-${{PM_INSTANCE}}"),
    })
}
