//! A changed field as a person may see it: in the units of the file, secrets hidden.

use serde_json::Value;

use crate::model::{Bytes, Exit, FieldChange, Millis, Template};

use super::difference::Field;
use super::mask::{HIDDEN, is_secret_name, is_secret_word};

/// The change, ready to print. `from_shell` is the shell variable that the new value came from.
pub(super) fn field_change(field: &Field, from_shell: Option<&String>) -> FieldChange {
    let is_sensitive = is_sensitive(&field.path, field.old.as_ref()) || is_sensitive(&field.path, field.new.as_ref());
    let shown = |value: &Option<Value>| {
        value.as_ref().map(|value| if is_sensitive { HIDDEN.to_owned() } else { text(&field.path, value) })
    };
    FieldChange {
        field: field.path.clone(),
        old: shown(&field.old),
        new: shown(&field.new),
        is_sensitive,
        from_shell: from_shell.cloned(),
    }
}

fn is_sensitive(path: &str, value: Option<&Value>) -> bool {
    let is_secret_variable = path.strip_prefix("env.").is_some_and(is_secret_name);
    is_secret_variable
        || match value {
            Some(Value::String(word)) => is_secret_word(word),
            Some(Value::Array(words)) => has_secret_word(words),
            _ => false,
        }
}

/// `--token=x` in one word, or `--token x` in two.
fn has_secret_word(words: &[Value]) -> bool {
    words.iter().enumerate().any(|(at, word)| {
        let word = word.as_str().unwrap_or_default();
        is_secret_word(word) || (word.starts_with('-') && is_secret_name(word) && at + 1 < words.len())
    })
}

/// A value as the file would write it.
fn text(path: &str, value: &Value) -> String {
    match (path, value.as_u64()) {
        ("min_uptime" | "restart_delay" | "exp_backoff_restart_delay" | "kill_timeout", Some(number)) => {
            Millis(number).to_string()
        }
        ("log_rotate.size", Some(number)) => Bytes(number).to_string(),
        ("umask", Some(number)) => format!("{number:03o}"),
        ("kill_signal", Some(number)) => i32::try_from(number).map_or_else(|_| number.to_string(), signal_name),
        _ => without_doubled_dollars(path, value).to_string(),
    }
}

fn signal_name(number: i32) -> String {
    Exit::Signal(number).to_string().trim_start_matches("signal ").to_owned()
}

/// Templates hold a literal dollar twice; people wrote it once.
fn without_doubled_dollars(path: &str, value: &Value) -> Value {
    let is_template =
        path.starts_with("env.") || ["command", "args", "interpreter_args", "out_file", "error_file"].contains(&path);
    match value {
        Value::String(text) if is_template => Value::String(Template::prepared(text.clone()).to_string()),
        Value::Array(words) => words.iter().map(|word| without_doubled_dollars(path, word)).collect(),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{App, FieldChange, Template};
    use crate::plan::difference::difference;
    use crate::plan::tests::{Alter, app};

    fn shown(change: impl Fn(&mut App)) -> FieldChange {
        let old = app("api");
        let mut new = old.clone();
        change(&mut new);
        let fields = difference(&old, &new);
        assert_eq!(fields.len(), 1);
        field_change(&fields[0], None)
    }

    #[test]
    fn values_are_shown_in_the_units_of_the_file() {
        let cases: [(Alter, Option<&str>, Option<&str>); 7] = [
            (|app| app.stop.kill_timeout = Millis(1500), Some("10s"), Some("1.5s")),
            (|app| app.stop.kill_signal = 2, Some("SIGTERM"), Some("SIGINT")),
            (|app| app.logs.log_rotate.size = Bytes(1 << 20), Some("10M"), Some("1M")),
            (|app| app.run.umask = Some(0o22), None, Some("022")),
            (|app| app.run.args = vec![Template::literal("a$b")], None, Some(r#"["a$b"]"#)),
            (|app| app.restart.max_restarts = Some(3), None, Some("3")),
            (
                |app| {
                    app.run.env.insert("MODE".into(), Template::literal("x \"y\""));
                },
                None,
                Some(r#""x \"y\"""#),
            ),
        ];
        for (change, old, new) in cases {
            let seen = shown(change);
            assert_eq!((seen.old.as_deref(), seen.new.as_deref()), (old, new), "{}", seen.field);
            assert!(!seen.is_sensitive);
        }
    }

    #[test]
    fn a_secret_is_seen_to_change_and_never_seen() {
        let cases: [fn(&mut App); 4] = [
            |app| {
                app.run.env.insert("DB_PASS".into(), Template::literal("hunter2"));
            },
            |app| {
                app.run.env.insert("DB".into(), Template::literal("postgres://me:hunter2@db/shop"));
            },
            |app| app.run.args = vec![Template::literal("--token"), Template::literal("hunter2")],
            |app| app.run.args = vec![Template::literal("--token=hunter2")],
        ];
        for change in cases {
            let seen = shown(change);
            assert!(seen.is_sensitive, "{}", seen.field);
            assert_eq!((seen.old, seen.new.as_deref()), (None, Some(HIDDEN)));
        }
    }
}
