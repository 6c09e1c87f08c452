//! A changed field as a person may see it: in the units of the file, secrets hidden.

use serde_json::Value;

use crate::model::{Bytes, Exit, FieldChange, HIDDEN, Millis, Template, mask_field};

use super::difference::Field;

/// The change, ready to print. `from_shell` is the shell variable that the new value came from; `program` is what the
/// arguments are given to.
pub(super) fn field_change(field: &Field, from_shell: Option<&String>, program: Option<&str>) -> FieldChange {
    let mut is_sensitive = false;
    let mut shown = |value: &Option<Value>| {
        let mut value = without_doubled_dollars(&field.path, value.as_ref()?);
        is_sensitive |= mask_field(&field.path, program, &mut value);
        Some(text(&field.path, &value))
    };
    let (old, new) = (shown(&field.old), shown(&field.new));
    FieldChange { field: field.path.clone(), old, new, is_sensitive, from_shell: from_shell.cloned() }
}

/// A value as the file would write it.
fn text(path: &str, value: &Value) -> String {
    if value == HIDDEN {
        return HIDDEN.to_owned();
    }
    match (path, value.as_u64()) {
        ("min_uptime" | "restart_delay" | "exp_backoff_restart_delay" | "kill_timeout", Some(number)) => {
            Millis(number).to_string()
        }
        ("log_rotate.size", Some(number)) => Bytes(number).to_string(),
        ("umask", Some(number)) => format!("{number:03o}"),
        ("kill_signal", Some(number)) => i32::try_from(number).map_or_else(|_| number.to_string(), signal_name),
        _ => value.to_string(),
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
        Value::String(text) if is_template => Value::String(Template::prepared(text.clone()).revealed()),
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
        field_change(&fields[0], None, None)
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
        let cases: [(Alter, &str); 5] = [
            (
                |app| {
                    app.run.env.insert("DB_PASS".into(), Template::literal("hunter2"));
                },
                HIDDEN,
            ),
            (
                |app| {
                    app.run.env.insert("DB".into(), Template::literal("postgres://me:hunter2@db/shop"));
                },
                "\"postgres://me:(sensitive)@db/shop\"",
            ),
            (
                |app| app.run.args = vec![Template::literal("--token"), Template::literal("hunter2")],
                r#"["--token","(sensitive)"]"#,
            ),
            (|app| app.run.args = vec![Template::literal("--token=hunter2")], r#"["--token=(sensitive)"]"#),
            (|app| app.watching.build = Some("x --password hunter2".into()), "\"x --password (sensitive)\""),
        ];
        for (change, new) in cases {
            let seen = shown(change);
            assert!(seen.is_sensitive, "{}", seen.field);
            assert_eq!((seen.old, seen.new.as_deref()), (None, Some(new)));
        }
    }
}
