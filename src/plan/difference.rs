//! Which fields of two specs differ, and what that costs.

use serde_json::{Map, Value};

use crate::model::{App, Class, key};
use crate::rules;

/// Groups of `App` that structure the code but not the file: their names are no part of a path.
const GROUPS: [&str; 6] = ["run", "restart", "stop", "logs", "watching", "schedule"];

/// Keys that say who an app is; whether it changed is another question.
const IDENTITY: [&str; 3] = ["project", "name", "moved_from"];

/// One field with two values.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Field {
    /// The key as in the file: `env.LOG_LEVEL`.
    pub path: String,
    /// What the change costs.
    pub class: Class,
    /// `None` = not set.
    pub old: Option<Value>,
    /// `None` = not set.
    pub new: Option<Value>,
}

/// All fields that differ, those that need a new process first, then by path.
///
/// Resolved values are compared, so formatting, comments, key order and file format cannot show up here.
pub(super) fn difference(old: &App, new: &App) -> Vec<Field> {
    if old == new {
        return Vec::new();
    }
    let (Ok(Value::Object(old_keys)), Ok(Value::Object(new_keys))) =
        (serde_json::to_value(old), serde_json::to_value(new))
    else {
        return opaque_difference(old, new);
    };
    let mut fields = Vec::new();
    compare_keys(&old_keys, &new_keys, None, &mut fields);
    let fixed = rules::fixed_at_start(old, new);
    for field in fields.iter_mut().filter(|field| fixed.contains(&field.path.as_str())) {
        field.class = Class::Respawn;
    }
    fields.sort_by(|a, b| (a.class != Class::Respawn, &a.path).cmp(&(b.class != Class::Respawn, &b.path)));
    fields
}

/// Paths that are not Unicode cannot be shown, but they can differ.
fn opaque_difference(old: &App, new: &App) -> Vec<Field> {
    let class = if rules::can_follow(old, new) { Class::Live } else { Class::Respawn };
    vec![Field { path: "cwd".to_owned(), class, old: None, new: None }]
}

fn compare_keys(old: &Map<String, Value>, new: &Map<String, Value>, group: Option<&str>, fields: &mut Vec<Field>) {
    for name in union(old, new) {
        let (before, after) = (old.get(name), new.get(name));
        if group.is_none() && IDENTITY.contains(&name) {
            continue;
        }
        if let (None, true, Some(Value::Object(before)), Some(Value::Object(after))) =
            (group, GROUPS.contains(&name), before, after)
        {
            compare_keys(before, after, Some(name), fields);
            continue;
        }
        compare_values(name, class_of(name, group), before, after, fields);
    }
}

/// The table decides; a key that is not in it costs what its group costs.
fn class_of(name: &str, group: Option<&str>) -> Class {
    match (key(name), group) {
        (Some(key), _) => key.class,
        (None, Some("run")) => Class::Respawn,
        (None, None) if name == "autostart" => Class::Next,
        (None, _) => Class::Live,
    }
}

fn compare_values(path: &str, class: Class, old: Option<&Value>, new: Option<&Value>, fields: &mut Vec<Field>) {
    let (old, new) = (old.filter(|value| !value.is_null()), new.filter(|value| !value.is_null()));
    if old == new {
        return;
    }
    let is_table = |value: Option<&Value>| value.is_none_or(Value::is_object);
    if is_table(old) && is_table(new) {
        let empty = Map::new();
        let old = old.and_then(Value::as_object).unwrap_or(&empty);
        let new = new.and_then(Value::as_object).unwrap_or(&empty);
        for name in union(old, new) {
            compare_values(&format!("{path}.{name}"), class, old.get(name), new.get(name), fields);
        }
    } else {
        fields.push(Field { path: path.to_owned(), class, old: old.cloned(), new: new.cloned() });
    }
}

fn union<'a>(old: &'a Map<String, Value>, new: &'a Map<String, Value>) -> impl Iterator<Item = &'a str> {
    old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Condition, Health, HealthAction, Millis, Probe, Ready, Template};
    use crate::plan::tests::{Alter, app};

    fn paths(change: impl Fn(&mut App)) -> Vec<(String, Class)> {
        let old = app("api");
        let mut new = old.clone();
        change(&mut new);
        difference(&old, &new).into_iter().map(|field| (field.path, field.class)).collect()
    }

    #[test]
    fn a_change_is_named_as_in_the_file_and_knows_its_cost() {
        let cases: [(&str, Class, Alter); 9] = [
            ("script", Class::Respawn, |app| app.run.script = Some("/srv/other.js".into())),
            ("args", Class::Respawn, |app| app.run.args.push(Template::literal("-v"))),
            ("env.LEVEL", Class::Respawn, |app| {
                app.run.env.insert("LEVEL".into(), Template::literal("debug"));
            }),
            ("port", Class::Respawn, |app| app.run.port = Some(8080)),
            ("umask", Class::Respawn, |app| app.run.umask = Some(0o077)),
            ("instances", Class::Scale, |app| app.instances = Some(4)),
            ("kill_timeout", Class::Live, |app| app.stop.kill_timeout = Millis::seconds(3)),
            ("log_rotate.keep", Class::Live, |app| app.logs.log_rotate.keep = 9),
            ("depends_on.db", Class::Live, |app| {
                app.depends_on.insert("db".parse().unwrap(), Condition::Started);
            }),
        ];
        for (path, class, change) in cases {
            assert_eq!(paths(change), [(path.to_owned(), class)], "{path}");
        }
    }

    #[test]
    fn nothing_differs_between_equal_apps_and_names_are_no_difference() {
        assert_eq!(paths(|_| ()), []);
        assert_eq!(paths(|app| app.name = "other".parse().unwrap()), []);
        assert_eq!(paths(|app| app.moved_from.push("shop:old".parse().unwrap())), []);
    }

    #[test]
    fn everything_that_belongs_to_the_process_needs_a_new_one() {
        let Ok(Value::Object(keys)) = serde_json::to_value(app("api").run) else { panic!("a table") };
        for name in keys.keys() {
            assert_eq!(class_of(name, Some("run")), Class::Respawn, "{name}");
        }
    }

    #[test]
    fn what_a_process_can_only_get_at_its_start_needs_a_new_one() {
        let keys = |text: &str| {
            let mut app = app("api");
            for word in text.split_whitespace() {
                let (key, interval) = word.split_once('=').unwrap_or((word, "10"));
                let interval = Millis::seconds(interval.parse().unwrap());
                let ready = |probe| Ready { probe, timeout: Ready::TIMEOUT, interval: Ready::INTERVAL };
                let health = |probe| Health {
                    probe,
                    interval,
                    timeout: Health::TIMEOUT,
                    start_period: Millis(0),
                    failures: Health::FAILURES,
                    action: HealthAction::Restart,
                };
                let tcp = || Probe::Tcp(Template::literal("127.0.0.1:1"));
                match key {
                    "ready.notify" => app.ready = Some(ready(Probe::Notify(true))),
                    "ready.message" => app.ready = Some(ready(Probe::Message(true))),
                    "ready.log" => app.ready = Some(ready(Probe::Log("up".into()))),
                    "ready.tcp" => app.ready = Some(ready(tcp())),
                    "health.notify" => app.health = Some(health(Probe::Notify(true))),
                    "health.tcp" => app.health = Some(health(tcp())),
                    "shutdown_with_message" => app.stop.shutdown_with_message = true,
                    "disable_logs" => app.logs.disable_logs = true,
                    other => panic!("{other}"),
                }
            }
            app
        };
        // What a process was started with | what is declared now | the fields that need a new process.
        let cases = [
            ("", "ready.notify", "ready.notify"),
            ("", "ready.message", "ready.message"),
            ("", "health.notify", "health.notify health.interval"),
            ("", "shutdown_with_message", "shutdown_with_message"),
            ("", "disable_logs", "disable_logs"),
            ("disable_logs", "", "disable_logs"),
            ("", "ready.log", ""),
            ("", "ready.tcp health.tcp", ""),
            ("ready.tcp", "ready.notify", "ready.notify"),
            ("health.tcp", "health.notify", "health.notify"),
            // The socket is there, but nobody told it to report.
            ("ready.notify", "ready.notify health.notify", "health.notify health.interval"),
            ("health.notify", "health.notify ready.notify", ""),
            ("health.notify=10", "health.notify=5", "health.interval"),
            ("health.notify=10", "health.notify=20", ""),
            ("health.tcp=10", "health.tcp=5", ""),
            ("ready.message", "ready.message shutdown_with_message", ""),
            ("shutdown_with_message", "ready.message", ""),
            ("ready.notify health.notify", "", ""),
            ("ready.message shutdown_with_message", "", ""),
        ];
        for (old, new, respawns) in cases {
            let fields = difference(&keys(old), &keys(new));
            let needed = fields.iter().filter(|field| field.class == Class::Respawn).map(|field| field.path.as_str());
            let (mut needed, mut expected): (Vec<_>, Vec<_>) =
                (needed.collect(), respawns.split_whitespace().collect());
            needed.sort_unstable();
            expected.sort_unstable();
            assert_eq!(needed, expected, "`{old}` to `{new}`");
        }
    }

    #[test]
    fn what_costs_a_process_comes_first() {
        let changed = paths(|app| {
            app.run.port = Some(1);
            app.autostart = false;
            app.stop.kill_signal = 2;
        });
        assert_eq!(changed[0], ("port".to_owned(), Class::Respawn));
        assert_eq!(changed.len(), 3);
    }
}
