//! A changed field as shown to users: in the units of the file, with secrets hidden.

use serde_json::Value;

use crate::model::{FieldChange, mask_field};

use super::difference::Field;

/// The change, ready to print. `from_shell` is the shell variable that the new value came from; `program` is what the
/// arguments are given to.
pub(super) fn field_change(field: &Field, from_shell: Option<&String>, program: Option<&str>) -> FieldChange {
    let mut is_sensitive = false;
    let mut shown = |value: &Option<Value>| {
        let mut value = field.unit.revealed(value.as_ref()?);
        is_sensitive |= mask_field(&field.path, program, &mut value);
        Some(field.unit.written(&value))
    };
    let (old, new) = (shown(&field.old), shown(&field.new));
    FieldChange { field: field.path.clone(), old, new, is_sensitive, from_shell: from_shell.cloned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{App, Bytes, FieldChange, HIDDEN, Millis, Template, Unit};
    use crate::plan::difference::difference;
    use crate::plan::tests::{Alter, app, full_apps};

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
        let cases: [(Alter, Option<&str>, Option<&str>); 10] = [
            (|app| app.max_memory_restart = Some(Bytes(500 << 20)), None, Some("500M")),
            (|app| app.run.command = vec![Template::literal("echo hi")], None, Some("\"echo hi\"")),
            (|app| app.update.min_healthy_time = Millis::seconds(10), Some("3s"), Some("10s")),
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
    fn every_value_with_a_unit_is_shown_in_it() {
        // What a reader must not see: a quantity as a bare number, a doubled dollar, the shape in the code.
        let mut seen = std::collections::BTreeSet::new();
        let old = app("api");
        for new in full_apps() {
            for field in difference(&old, &new) {
                let shown = field_change(&field, None, None).new.unwrap_or_default();
                assert!(!shown.contains("$$"), "{}: {shown}", field.path);
                let is_written = match field.unit {
                    Unit::Plain => !shown.starts_with('{') && !shown.contains("[{"),
                    Unit::Template => shown.starts_with(['"', '[']),
                    Unit::CommandLine => shown == "\"echo 'a b'\"",
                    Unit::Duration => Millis::parse(shown.trim_matches('"')).is_ok(),
                    Unit::Size => shown.ends_with(['M', 'G']),
                    Unit::Signal => shown.starts_with("SIG"),
                    Unit::Mode | Unit::Mask => shown.starts_with('0'),
                    Unit::CpuShare => shown == "50%",
                    Unit::Address => shown == r#"["127.0.0.1:80","unix:/run/api.sock"]"#,
                    Unit::Contents => shown.starts_with("contents "),
                };
                assert!(is_written, "{}: {shown}", field.path);
                seen.insert(format!("{:?}", field.unit));
            }
        }
        assert!(seen.len() >= 10, "{seen:?}");
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
