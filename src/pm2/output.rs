//! Where the output of an app goes, and whose rights it has.

use serde_json::Value;

use super::app::{AppReader, Given, self_text};
use super::values::literal;

impl AppReader {
    pub(super) fn logs(&mut self, given: &Given<'_>) {
        let files = ["out_file", "error_file"].map(|key| (key, self.text(given, key)));
        let is_nothing = |file: &Option<String>| matches!(file.as_deref(), Some("NULL" | "null" | "/dev/null"));
        if self.flag(given, "disable_logs") == Some(true) || files.iter().all(|(_, file)| is_nothing(file)) {
            self.put("disable_logs", Value::from(true));
            return;
        }
        let several = self.keys.iter().any(|(key, _)| *key == "instances");
        if several && self.flag(given, "merge_logs") == Some(true) {
            self.remark("merge_logs", "ignored: each copy has a log of its own; `pm logs` shows them merged");
        }
        for (key, file) in files {
            match file {
                file if is_nothing(&file) => {
                    self.remark(key, "ignored: only both outputs together can be thrown away");
                }
                Some(file) if !file.is_empty() => {
                    let path = log_path(given, &file, several);
                    self.put(key, path);
                }
                _ => {}
            }
        }
        if let Some((written, _)) = given.get("log_file") {
            self.remark(written, "ignored: there is no third file; `pm logs` shows both outputs merged");
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
    if !several {
        return Value::from(literal);
    }
    Value::from(match literal.strip_suffix(".log") {
        Some(stem) => format!("{stem}-${{PM_INSTANCE}}.log"),
        None => format!("{literal}-${{PM_INSTANCE}}"),
    })
}
