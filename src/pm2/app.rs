//! One app of a PM2 file → the keys of an ecosystem file.

use std::collections::BTreeMap;

use serde_json::Value;

use super::shape::{Object, words};
use super::values::{duration, flag, text};
use super::{Export, Remark, TranslatedApp, env, keys};

/// Reads one app. Remarks go to the file's; what cannot be run at all comes back, in lines.
pub(super) fn translate(
    at: usize,
    object: Object<'_>,
    export: &Export,
    profile: Option<&str>,
    remarks: &mut Vec<Remark>,
) -> Result<TranslatedApp, Vec<String>> {
    let mut reader = AppReader { label: format!("apps[{at}]"), ..AppReader::default() };
    let (given, profiles) = reader.sort_keys(object);
    let (script, name) = reader.identity(&given, profile);
    name.clone_into(&mut reader.label);
    for remark in &mut reader.remarks {
        remark.app = Some(name.clone());
    }
    reader.put("name", Value::from(name.clone()));
    reader.program(&given, script.as_deref(), export);
    reader.copies(&given, script.as_deref());
    reader.environment(&given, export);
    reader.supervision(&given);
    reader.stopping(&given);
    reader.watching(&given);
    reader.logs(&given);
    reader.rights(&given);
    let profiles = profiles.into_iter().map(|(name, env)| (name, Value::Object(env::variables(env, export).own)));
    let profiles = profiles.collect();
    remarks.append(&mut reader.remarks);
    if reader.misfits.is_empty() {
        Ok(TranslatedApp { name, keys: reader.keys, profiles })
    } else {
        Err(reader.misfits)
    }
}

/// What the file says, by PM2's own name of the key.
pub(super) type Given<'a> = BTreeMap<&'static str, (&'a str, &'a Value)>;
/// `env_NAME` by NAME.
pub(super) type Profiles<'a> = Vec<(String, Object<'a>)>;

#[derive(Default)]
pub(super) struct AppReader {
    /// How messages name the app.
    pub(super) label: String,
    pub(super) keys: Vec<(&'static str, Value)>,
    pub(super) remarks: Vec<Remark>,
    pub(super) misfits: Vec<String>,
}

impl AppReader {
    pub(super) fn put(&mut self, key: &'static str, value: Value) {
        self.keys.push((key, value));
    }

    pub(super) fn remark(&mut self, key: &str, says: impl Into<String>) {
        self.remarks.push(Remark { app: Some(self.label.clone()), key: key.to_owned(), says: says.into() });
    }

    /// Reads a value, or says what would be one. Nothing written and `null` are the same.
    pub(super) fn value<T>(
        &mut self,
        given: &Given<'_>,
        key: &str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let (written, value) = given.get(key)?;
        let read = read(value);
        if read.is_none() {
            let found = match value {
                Value::String(text) => format!("`{}`", text.chars().take(60).collect::<String>()),
                Value::Number(number) => format!("`{number}`"),
                other => words(other).to_owned(),
            };
            self.misfits.push(format!("{}.{written}: expected {expected}, found {found}", self.label));
        }
        read
    }

    pub(super) fn flag(&mut self, given: &Given<'_>, key: &str) -> Option<bool> {
        self.value(given, key, "true or false", flag)
    }

    pub(super) fn text(&mut self, given: &Given<'_>, key: &str) -> Option<String> {
        self.value(given, key, "a string", text)
    }

    pub(super) fn duration(&mut self, given: &Given<'_>, key: &str) -> Option<String> {
        self.value(given, key, "a number of milliseconds", duration)
    }

    /// The same value under our name, if there is one.
    pub(super) fn pass(&mut self, key: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value.into());
        }
    }

    pub(super) fn sort_keys<'a>(&mut self, object: Object<'a>) -> (Given<'a>, Profiles<'a>) {
        let mut given: Given<'a> = BTreeMap::new();
        let mut profiles = Vec::new();
        for (written, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            match keys::find(written) {
                Some(key) => match key.ignored {
                    Some(why) => self.remark(written, why),
                    None => match given.get(key.name) {
                        Some((other, _)) if key.rank(other) <= key.rank(written) => {
                            self.remark(written, format!("ignored: `{other}` says the same and counts"));
                        }
                        known => {
                            if let Some((other, _)) = known {
                                self.remark(other, format!("ignored: `{written}` says the same and counts"));
                            }
                            given.insert(key.name, (written, value));
                        }
                    },
                },
                None => match (written.strip_prefix("env_"), value.as_object()) {
                    (Some(name), Some(env)) if !name.is_empty() => profiles.push((name.to_owned(), env)),
                    _ => self.remark(written, "ignored: it is not a key of PM2 either"),
                },
            }
        }
        (given, profiles)
    }
}

/// A text without complaint: the one who reads the key properly has complained.
pub(super) fn self_text(given: &Given<'_>, key: &str) -> Option<String> {
    given.get(key).and_then(|(_, value)| text(value)).filter(|text| !text.is_empty())
}
