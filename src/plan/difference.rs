//! Which fields of two specs differ, and what that costs.

use serde_json::{Map, Value};

use crate::model::{App, Class, Unit, is_group, leaf};
use crate::rules;

/// One field with two values.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Field {
    /// The key as in the file: `env.LOG_LEVEL`.
    pub path: String,
    /// What the change costs.
    pub class: Class,
    /// What the values are counted in.
    pub unit: Unit,
    /// `None` = not set.
    pub old: Option<Value>,
    /// `None` = not set.
    pub new: Option<Value>,
}

/// All fields that differ, those that need a new process first, then by path.
///
/// Resolved values are compared, so formatting, comments, key order and file format cannot show up here.
pub(super) fn difference(old: &App, new: &App) -> Vec<Field> {
    if std::ptr::eq(old, new) || old == new {
        return Vec::new();
    }
    let (Ok(Value::Object(old_keys)), Ok(Value::Object(new_keys))) =
        (serde_json::to_value(old), serde_json::to_value(new))
    else {
        return opaque_difference(old, new);
    };
    let mut fields = Vec::new();
    compare_keys(&old_keys, &new_keys, true, &mut fields);
    // Who an app is is another question; and no opinion about the number means one.
    fields.retain(|field| field.class != Class::Identity);
    if old.instances.unwrap_or(1) == new.instances.unwrap_or(1) {
        fields.retain(|field| field.class != Class::Scale);
    }
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
    vec![Field { path: "cwd".to_owned(), class, unit: Unit::Plain, old: None, new: None }]
}

/// Compares the keys of an app, or (not `is_outermost`) of one of the groups that it has in the code.
fn compare_keys(old: &Map<String, Value>, new: &Map<String, Value>, is_outermost: bool, fields: &mut Vec<Field>) {
    for name in union(old, new) {
        match (old.get(name), new.get(name)) {
            (Some(Value::Object(before)), Some(Value::Object(after))) if is_outermost && is_group(name) => {
                compare_keys(before, after, false, fields);
            }
            (before, after) => compare_values(name, before, after, fields),
        }
    }
}

fn compare_values(path: &str, old: Option<&Value>, new: Option<&Value>, fields: &mut Vec<Field>) {
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
            compare_values(&format!("{path}.{name}"), old.get(name), new.get(name), fields);
        }
    } else {
        // A test demands a row for every value. A process that did not follow a change would be worse than a new one.
        let (class, unit) = leaf(path).map_or((Class::Respawn, Unit::Plain), |leaf| (leaf.class, leaf.unit));
        fields.push(Field { path: path.to_owned(), class, unit, old: old.cloned(), new: new.cloned() });
    }
}

fn union<'a>(old: &'a Map<String, Value>, new: &'a Map<String, Value>) -> impl Iterator<Item = &'a str> {
    old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Condition, Health, HealthAction, KEYS, Millis, Probe, Ready, Template};
    use crate::plan::tests::{Alter, app, full_apps};

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

    /// Every value of an app in which every key is set, by its path.
    fn leaves(app: &App) -> Vec<(String, Value)> {
        fn walk(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
            match value {
                Value::Object(keys) => {
                    keys.iter().for_each(|(name, value)| walk(&format!("{path}.{name}"), value, found));
                }
                _ => found.push((path.to_owned(), value.clone())),
            }
        }
        let Ok(Value::Object(keys)) = serde_json::to_value(app) else { panic!("a table") };
        let mut found = Vec::new();
        for (name, value) in keys {
            match value {
                Value::Object(keys) if is_group(&name) => {
                    keys.iter().for_each(|(name, value)| walk(name, value, &mut found));
                }
                _ => walk(&name, &value, &mut found),
            }
        }
        found
    }

    #[test]
    fn every_value_of_an_app_has_a_row_in_the_table() {
        let mut seen = std::collections::BTreeSet::new();
        for app in full_apps() {
            for (path, _) in leaves(&app) {
                assert!(leaf(&path).is_some(), "{path} has no row in model/keys");
                seen.insert(path);
            }
        }
        let is_seen = |path: &str| seen.iter().any(|seen| seen == path || seen.starts_with(&format!("{path}.")));
        // Keys that only say how to find the value of another one, or that are not built.
        let indirect = ["env_NAME", "profiles", "env_file", "inherit", "autorestart", "wait_ready", "listen_timeout"];
        for key in KEYS.iter().filter(|key| key.is_built && !indirect.contains(&key.name)) {
            assert!(is_seen(key.name), "{}: no app of this test has it", key.name);
            for (path, _) in key.inside().iter().filter(|(path, _)| path != "compress") {
                assert!(is_seen(&format!("{}.{path}", key.name)), "{}.{path}", key.name);
            }
        }
    }

    #[test]
    fn the_table_says_in_which_group_a_key_stands() {
        for app in full_apps() {
            let Ok(Value::Object(top)) = serde_json::to_value(&app) else { panic!("a table") };
            for key in KEYS.iter().filter(|key| key.group.is_some()) {
                let group = top[key.group.unwrap()].as_object().unwrap();
                let is_elsewhere = top.get(key.name).is_some() && Some(key.name) != key.group;
                assert!(!is_elsewhere, "{} is not in {:?}", key.name, key.group);
                assert!(
                    group.contains_key(key.name) || ["script", "command", "shell"].contains(&key.name),
                    "{}",
                    key.name
                );
            }
        }
    }

    #[test]
    fn a_process_is_kept_where_the_table_says_so() {
        for old in full_apps() {
            let json = serde_json::to_value(&old).unwrap();
            for (pointer, value) in pointers(&json) {
                let mut json = json.clone();
                *json.pointer_mut(&pointer).unwrap() = other(&value);
                let Ok(new) = serde_json::from_value::<App>(json) else { continue };
                let fields = difference(&old, &new);
                let is_kept = !fields.iter().any(|field| field.class == Class::Respawn);
                assert_eq!(rules::can_follow(&old, &new), is_kept, "{pointer}: {fields:?}");
            }
        }
    }

    /// Every value inside, with its JSON pointer.
    fn pointers(json: &Value) -> Vec<(String, Value)> {
        let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
        match json {
            Value::Object(keys) => {
                let below = |(name, value): (&String, &Value)| {
                    let name = escaped(name);
                    pointers(value).into_iter().map(move |(pointer, value)| (format!("/{name}{pointer}"), value))
                };
                keys.iter().flat_map(below).collect()
            }
            value => vec![(String::new(), value.clone())],
        }
    }

    /// Something else of the same kind; words of a choice may be none then.
    fn other(value: &Value) -> Value {
        match value {
            Value::Bool(is_so) => (!is_so).into(),
            Value::Number(number) => (number.as_i64().unwrap_or(1) + 1).into(),
            Value::String(text) if text == "service" => "task".into(),
            Value::String(text) if text.len() == 32 => text.replace('0', "1").into(),
            Value::String(text) => format!("{text}x").into(),
            Value::Array(values) => values.iter().chain(values.first()).cloned().collect(),
            _ => Value::Null,
        }
    }

    #[test]
    fn a_number_that_says_what_is_meant_without_it_is_no_difference() {
        assert_eq!(paths(|app| app.instances = Some(1)), []);
        assert_eq!(paths(|app| app.instances = Some(2)), [("instances".to_owned(), Class::Scale)]);
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
