//! Turns what PM2's configuration files declare into an ecosystem document.
//!
//! In:    the value that `ecosystem.config.js` exports, as JSON; the shell it was evaluated in
//! Out:   a document of [`crate::ecosystem`], and what is different or ignored, in one line each
//! Never: running JavaScript (the command line has `node` do that); I/O; a key that is dropped without a word
//! Walk:  [`crate::cli`] → `shape` (`dump` for what runs) → `app` (`program`, `running`, `output`) → [`crate::ecosystem`]; `toml` for `pm import`
//!
//! PM2 accepts more than we do: numbers as text, milliseconds without a unit, several spellings of a key. That leniency
//! ends here. Where PM2 and `pm` differ, `pm` is meant, and a remark says so.

mod app;
mod command;
mod dump;
mod env;
mod keys;
mod moment;
mod output;
mod program;
mod running;
mod shape;
#[cfg(test)]
mod tests;
mod toml;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

pub use command::{
    DoorCall, DoorOptions, DoorVerb, KnownProcess, Misuse, ProcessNumbers, Selector, app_of, as_through_the_door,
    choose, read_words,
};
pub use dump::of_processes;
pub use program::valid_name;
pub use toml::to_toml;

/// What a configuration file exports, and where.
#[derive(Clone, Debug)]
pub struct Export {
    /// What was exported.
    pub value: Value,
    /// The shell that evaluated it: what an app copies from it becomes `inherit`.
    pub shell: BTreeMap<String, String>,
    /// Names of the shell's variables that the file has read one by one.
    pub read: BTreeSet<String>,
    /// Variables that appeared while the file was evaluated (`dotenv`).
    pub added: BTreeMap<String, String>,
}

impl Export {
    /// A file that only holds data.
    pub fn of_data(value: Value) -> Self {
        Self { value, shell: BTreeMap::new(), read: BTreeSet::new(), added: BTreeMap::new() }
    }
}

/// What became of a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Translation {
    /// The apps, in the order of the file.
    pub apps: Vec<TranslatedApp>,
    /// What is different or ignored, in the order of the file.
    pub remarks: Vec<Remark>,
    /// Keys that hold for every app.
    pub defaults: Vec<DefaultKey>,
}

/// A key under `defaults`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DefaultKey {
    /// As in an ecosystem file.
    pub key: &'static str,
    /// Its value.
    pub value: Value,
    /// Why it is there, for a comment.
    pub why: &'static str,
}

/// One app in the keys of an ecosystem file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TranslatedApp {
    /// Its name.
    pub name: String,
    /// Keys and values, in the order in which a person would write them.
    pub keys: Vec<(&'static str, Value)>,
    /// `env_NAME` by NAME.
    pub profiles: Vec<(String, Value)>,
}

/// One thing that is not as with PM2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remark {
    /// The app, if it concerns one.
    pub app: Option<String>,
    /// The key as written.
    pub key: String,
    /// What becomes of it.
    pub says: String,
}

impl Remark {
    /// In one line: `api.time: …`.
    pub fn line(&self) -> String {
        match &self.app {
            Some(app) => format!("{app}.{}: {}", self.key, self.says),
            None => format!("{}: {}", self.key, self.says),
        }
    }
}

/// Why a configuration cannot be used; every reason, each in one line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Misfit(pub Vec<String>);

impl Translation {
    /// The same as the document that [`crate::ecosystem::read`] takes.
    pub fn document(&self) -> Value {
        let apps = self.apps.iter().map(|app| {
            let keys = app.keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
            let profiles = app.profiles.iter().map(|(name, env)| (format!("env_{name}"), env.clone()));
            Value::Object(keys.chain(profiles).collect())
        });
        let apps = apps.collect();
        let defaults = self.defaults.iter().map(|default| (default.key.to_owned(), default.value.clone()));
        let defaults = Value::Object(defaults.collect());
        Value::Object(Map::from_iter([("apps".to_owned(), apps), ("defaults".to_owned(), defaults)]))
    }
}

/// What PM2 does with every app, and apps rely on.
fn defaults() -> Vec<DefaultKey> {
    vec![DefaultKey { key: "kill_signal", value: Value::from("SIGINT"), why: "as PM2" }]
}

/// Translates a whole file. `profile`: the name given with `--env`, which some names of apps depend on.
///
/// # Errors
/// It declares no apps in any form that PM2 knows, or an app in a form that nobody can run.
pub fn translate(export: &Export, profile: Option<&str>) -> Result<Translation, Misfit> {
    let (declared, mut remarks) = shape::apps_of(&export.value)?;
    let (mut apps, mut misfits) = (Vec::new(), Vec::new());
    for (at, object) in declared.into_iter().enumerate() {
        match app::translate(at, object, export, profile, &mut remarks) {
            Ok(app) => apps.push(app),
            Err(misfit) => misfits.extend(misfit),
        }
    }
    if !misfits.is_empty() {
        return Err(Misfit(misfits));
    }
    make_names_unique(&mut apps, &mut remarks);
    Ok(Translation { apps, remarks, defaults: defaults() })
}

/// PM2 lets several apps have one name.
fn make_names_unique(apps: &mut [TranslatedApp], remarks: &mut Vec<Remark>) {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for app in apps {
        let first = app.name.clone();
        let mut number = 2;
        while !taken.insert(app.name.clone()) {
            app.name = format!("{first}-{number}");
            number += 1;
        }
        if app.name != first {
            let says = format!("a second app has the name `{first}`; it becomes `{}`", app.name);
            remarks.push(Remark { app: Some(first), key: "name".to_owned(), says });
            if let Some((_, name)) = app.keys.iter_mut().find(|(key, _)| *key == "name") {
                *name = Value::from(app.name.clone());
            }
        }
    }
}
