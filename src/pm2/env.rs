//! `env` and `env_NAME`: texts for the process, and what of them is the caller's shell.

use serde_json::{Map, Value};

use super::Export;

/// `inherit` for a whole shell, without what differs from one session to the next: that would be a change each time.
pub(super) const ALL_BUT_SESSION: &str = "!{_,PWD,OLDPWD,SHLVL,TERM,TERM_*,COLORTERM,COLUMNS,LINES,SSH_*,TMUX*,STY,WINDOW*,DISPLAY,\
XAUTHORITY,XDG_SESSION_*,DBUS_SESSION_*,INVOCATION_ID,JOURNAL_STREAM,PM_*,PM2_*,npm_*,INIT_CWD}";

/// The variables of one app.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// What the file says itself.
    pub own: Map<String, Value>,
    /// The whole shell was copied (`{ ...process.env }`).
    pub is_of_shell: bool,
}

/// Reads `env` or `env_NAME`.
pub(super) fn variables(given: &Map<String, Value>, export: &Export) -> Variables {
    let is_of_shell = copies_shell(given, export);
    let mut own = Map::new();
    for (name, value) in given {
        let text = as_text(value);
        let is_known = |known: &std::collections::BTreeMap<String, String>| known.get(name) == Some(&text);
        if is_of_shell && (is_known(&export.shell) || is_known(&export.added)) {
            continue;
        }
        let value = match variable_of_shell(name, &text, export) {
            Some(variable) => Value::from(format!("${{{variable}}}")),
            None => kept_as_number(value).unwrap_or_else(|| with_variables(&text, export)),
        };
        own.insert(name.clone(), value);
    }
    Variables { own, is_of_shell }
}

/// Shorter texts are equal by chance.
const LENGTH_MIN: usize = 6;
/// Of the session, not of the user: another one has others.
const OF_SESSION: [&str; 3] = ["PWD", "OLDPWD", "_"];

/// The variable of the shell that the file has read for this value, as far as can be seen.
fn variable_of_shell<'a>(name: &'a str, text: &str, export: &'a Export) -> Option<&'a str> {
    let is_it = |(_, value): &(&str, &str)| *value == text;
    let own = known(export).find(|(variable, _)| *variable == name).filter(|_| !text.is_empty());
    let other = || known(export).find(|(_, value)| value.len() >= LENGTH_MIN && *value == text);
    own.filter(is_it).or_else(other).map(|(variable, _)| variable)
}

/// What the file has read from the shell.
fn known(export: &Export) -> impl Iterator<Item = (&str, &str)> {
    let names = export.read.iter().map(String::as_str).filter(|name| !OF_SESSION.contains(name));
    names.filter_map(|name| Some((name, export.shell.get(name)?.as_str())))
}

/// A text in which values that the file has read from the shell are written as their variables.
pub(super) fn with_variables(text: &str, export: &Export) -> Value {
    let known: Vec<(&str, &str)> = known(export).filter(|(_, value)| value.len() >= LENGTH_MIN).collect();
    let (mut written, mut rest) = (String::new(), text);
    loop {
        let found = known.iter().filter_map(|(name, value)| Some((rest.find(value)?, *name, value.len())));
        let Some((at, name, length)) = found.min_by_key(|(at, _, length)| (*at, usize::MAX - length)) else { break };
        written.push_str(&rest[..at].replace('$', "$$"));
        written.extend(["${", name, "}"]);
        rest = &rest[at + length..];
    }
    written.push_str(&rest.replace('$', "$$"));
    Value::from(written)
}

/// Nearly all of the shell stands in it; a few variables differ from shell to shell, and a file may remove some.
fn copies_shell(given: &Map<String, Value>, export: &Export) -> bool {
    const FEWEST: usize = 5;
    let copied =
        export.shell.iter().filter(|(name, text)| given.get(*name).is_some_and(|value| as_text(value) == **text));
    let copied = copied.count();
    export.shell.len() >= FEWEST && copied * 10 >= export.shell.len() * 8
}

/// As PM2 hands it to the process: objects as JSON, nothing as `null`.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whole numbers, true and false read better without quotes and are the same text.
fn kept_as_number(value: &Value) -> Option<Value> {
    let is_plain = value.is_boolean() || value.is_i64();
    is_plain.then(|| value.clone())
}
