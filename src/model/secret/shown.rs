//! A spec as users may see it.

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{HIDDEN, Secrets, is_secret, is_secret_header, masked, masked_words};
use crate::model::App;

/// Keys whose texts name things; a name cannot hold a secret, and must stay what it is.
const NAMES: [&str; 5] = ["project", "name", "moved_from", "depends_on", "restart_on"];

/// Tables whose keys are names of variables or headers.
const NAMED_VALUES: [&str; 2] = ["env", "headers"];

/// A spec on its way to a user: what may be printed. Made by [`App::shown`] or [`App::revealed`] only.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShownApp(App);

impl Deref for ShownApp {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}

impl App {
    /// Without its secrets. Every key is gone through, whichever there are.
    pub fn shown(&self) -> ShownApp {
        let shown = serde_json::to_value(self).ok().and_then(|mut value| {
            let program = program(self);
            for (key, value) in value.as_object_mut()? {
                mask_field(key, program, value);
            }
            serde_json::from_value(value).ok()
        });
        // Nothing is better than too much.
        ShownApp(shown.unwrap_or_else(|| Self::with_lost_spec(self.id())))
    }

    /// With its secrets, because a user requested them.
    pub fn revealed(&self) -> ShownApp {
        ShownApp(self.clone())
    }

    /// The secrets of its spec, to be hidden in what its probes, hooks and builds print.
    pub fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        if let Ok(Value::Object(keys)) = serde_json::to_value(self) {
            for (key, value) in &keys {
                collect(key, program(self), value, &mut secrets);
            }
        }
        secrets
    }
}

/// What the arguments of an app are given to.
fn program(app: &App) -> Option<&str> {
    app.run.script.as_deref()
}

/// Hides the secrets in one value of a spec. `path` is its key: `args`, `env.LOG_LEVEL`, `run`; `program` is what
/// `args` are given to. Whether anything was hidden.
pub fn mask_field(path: &str, program: Option<&str>, value: &mut Value) -> bool {
    if NAMES.contains(&path) {
        return false;
    }
    match value {
        Value::String(text) => {
            let shown = if is_hidden_by_name(path, text) { HIDDEN.into() } else { masked(text) };
            let is_hidden = shown != *text;
            *text = shown.into_owned();
            is_hidden
        }
        Value::Array(words) if words.iter().all(Value::is_string) => {
            let before: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            let shown = masked_words(program.filter(|_| path == "args"), &before);
            let is_hidden = shown != before;
            *words = shown.into_iter().map(Value::String).collect();
            is_hidden
        }
        Value::Array(values) => {
            // Each of them is gone through, whatever the others hold.
            values.iter_mut().filter_map(|value| mask_field(path, program, value).then_some(())).count() > 0
        }
        Value::Object(keys) => mask_keys(path, program, keys),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn mask_keys(path: &str, program: Option<&str>, keys: &mut Map<String, Value>) -> bool {
    let mask = |(key, value): (&String, &mut Value)| mask_field(&below(path, key), program, value).then_some(());
    keys.iter_mut().filter_map(mask).count() > 0
}

/// `run` → `args`: a group of the code is no key of the file; `env` → `env.NAME`.
fn below(path: &str, key: &str) -> String {
    let is_named = path.rsplit('.').next().is_some_and(|last| NAMED_VALUES.contains(&last));
    if is_named { format!("{path}.{key}") } else { key.to_owned() }
}

fn is_hidden_by_name(path: &str, value: &str) -> bool {
    header_of(path).is_some_and(|name| is_secret_header(name, value))
        || name_of(path).is_some_and(|name| is_secret(name, value))
}

/// The header that a path leads to.
fn header_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix("headers.");
    name.or_else(|| path.split_once(".headers.").map(|(_, name)| name))
}

/// The variable or header that a path leads to.
fn name_of(path: &str) -> Option<&str> {
    let (table, name) = path.split_once('.')?;
    if NAMED_VALUES.contains(&table) { Some(name) } else { name_of(name) }
}

fn collect(path: &str, program: Option<&str>, value: &Value, secrets: &mut Secrets) {
    match value {
        Value::String(text) if is_hidden_by_name(path, text) => secrets.add(text),
        Value::String(text) => secrets.add_value(name_of(path).unwrap_or_default(), text),
        Value::Array(values) if values.iter().all(Value::is_string) => {
            let words: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            secrets.add_words(program.filter(|_| path == "args"), &words);
        }
        Value::Array(values) => {
            for value in values {
                collect(path, program, value, secrets);
            }
        }
        Value::Object(keys) => {
            for (key, value) in keys {
                collect(&below(path, key), program, value, secrets);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
