//! Apps on their way to the daemon: most apps of a file differ in their name and in what they run only, and are sent so.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{App, AppName, Run};

/// One app of a list, as it is sent.
#[derive(Serialize)]
#[serde(untagged)]
enum SentApp<'a> {
    Whole { whole: &'a App },
    Alike { name: &'a AppName, run: &'a Run },
}

/// The same, as it is read: one `whole`, or a `name` and a `run`.
#[derive(Deserialize)]
struct ReceivedApp {
    #[serde(default)]
    whole: Option<Box<App>>,
    #[serde(default)]
    name: Option<AppName>,
    #[serde(default)]
    run: Option<Run>,
}

pub(super) fn serialize<S: Serializer>(apps: &[App], serializer: S) -> Result<S::Ok, S::Error> {
    let before = std::iter::once(None).chain(apps.iter().map(Some));
    serializer.collect_seq(apps.iter().zip(before).map(|(app, before)| match before {
        Some(before) if are_alike(before, app) => SentApp::Alike { name: &app.name, run: &app.run },
        _ => SentApp::Whole { whole: app },
    }))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<App>, D::Error> {
    let received = Vec::<ReceivedApp>::deserialize(deserializer)?;
    let mut apps: Vec<App> = Vec::with_capacity(received.len());
    for ReceivedApp { whole, name, run } in received {
        let app = match (whole, name, run, apps.last()) {
            (Some(app), None, None, _) => *app,
            (None, Some(name), Some(run), Some(before)) => App { name, run, ..before.clone() },
            _ => return Err(D::Error::custom("an app is neither whole nor like the one before it")),
        };
        apps.push(app);
    }
    Ok(apps)
}

/// Whether they differ in their names and in what they run only. What may be long is not left out: a short request stays a
/// small one.
fn are_alike(one: &App, other: &App) -> bool {
    let App {
        project,
        name: _,
        moved_from: _,
        namespace,
        instances,
        autostart,
        protect,
        kind,
        depends_on: _,
        on_dependency_restart,
        run: _,
        restart,
        stop,
        logs,
        ready: _,
        health: _,
        update,
        watching,
        schedule,
        max_memory_restart,
        hooks: _,
    } = one;
    let has_long_parts = |app: &App| {
        !app.moved_from.is_empty()
            || !app.depends_on.is_empty()
            || app.ready.is_some()
            || app.health.is_some()
            || !app.hooks.is_empty()
    };
    !has_long_parts(one)
        && !has_long_parts(other)
        && *project == other.project
        && *namespace == other.namespace
        && *instances == other.instances
        && *autostart == other.autostart
        && *protect == other.protect
        && *kind == other.kind
        && *on_dependency_restart == other.on_dependency_restart
        && *restart == other.restart
        && *stop == other.stop
        && *logs == other.logs
        && *update == other.update
        && *watching == other.watching
        && *schedule == other.schedule
        && *max_memory_restart == other.max_memory_restart
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{AppId, Hooks, Kind, Millis};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct List(#[serde(with = "super")] Vec<App>);

    fn app(name: &str, change: impl FnOnce(&mut App)) -> App {
        let mut app = App::with_lost_spec(AppId::new("shop".parse().unwrap(), name.parse().unwrap()));
        app.run.script = Some(format!("/srv/{name}"));
        change(&mut app);
        app
    }

    #[test]
    fn what_is_read_is_what_was_sent_and_what_is_alike_is_sent_once() {
        let hooks = |app: &mut App| app.hooks = Hooks { pre_start: Some("true".into()), ..Hooks::default() };
        let apps = vec![
            app("a", |_| {}),
            app("b", |_| {}),
            app("c", |app| app.kind = Kind::Task),
            app("d", |app| app.kind = Kind::Task),
            app("e", |app| app.stop.kill_timeout = Millis(7)),
            app("f", hooks),
            app("g", hooks),
            app("h", |_| {}),
        ];
        let sent = serde_json::to_value(List(apps.clone())).unwrap();
        let whole: Vec<bool> = sent.as_array().unwrap().iter().map(|app| app.get("whole").is_some()).collect();
        assert_eq!(whole, [true, false, true, false, true, true, true, true]);
        assert_eq!(serde_json::from_value::<List>(sent).unwrap(), List(apps));
    }

    #[test]
    fn what_is_neither_whole_nor_alike_is_an_error() {
        let whole = serde_json::to_value(app("a", |_| {})).unwrap();
        let run = &whole["run"];
        for wrong in [
            json!([{"name": "a", "run": run}]),
            json!([{"whole": whole}, {"name": "b"}]),
            json!([{"whole": whole}, {"run": run}]),
            json!([{"whole": whole, "name": "a"}]),
            json!([{}]),
            json!([whole]),
        ] {
            assert!(serde_json::from_value::<List>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
