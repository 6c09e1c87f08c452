//! A translation as an `ecosystem.toml` that a person would have written.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{Remark, Translation};

/// Longest line that a table is written into.
const LINE_LENGTH_MAX: usize = 100;

/// Writes the file. `from`: the name of the file that it is made from, for its first line.
pub fn to_toml(translation: &Translation, from: &str) -> String {
    let mut file = format!("# Made from {} by `pm import`; `pm explain KEY` tells what a key means.\n", one_line(from));
    for remark in translation.remarks.iter().filter(|remark| remark.app.is_none()) {
        comment(&mut file, remark);
    }
    if !translation.defaults.is_empty() {
        file.push_str("\n[defaults]\n");
    }
    for default in &translation.defaults {
        let _ = writeln!(file, "{} = {} # {}", default.key, inline_value(&default.value), default.why);
    }
    for app in &translation.apps {
        file.push_str("\n[[apps]]\n");
        let own = translation.remarks.iter().filter(|remark| remark.app.as_deref() == Some(&app.name));
        own.for_each(|remark| comment(&mut file, remark));
        let profiles: Vec<(String, &Value)> =
            app.profiles.iter().map(|(name, env)| (format!("env_{name}"), env)).collect();
        let keys = app.keys.iter().map(|(key, value)| ((*key).to_owned(), value)).chain(profiles);
        let (inline, tables): (Vec<_>, Vec<_>) = keys.partition(|(key, value)| fits(key, value));
        for (key, value) in inline {
            let _ = writeln!(file, "{} = {}", toml_key(&key), inline_value(value));
        }
        for (key, value) in tables {
            let Value::Object(table) = value else { continue };
            let _ = writeln!(file, "\n[apps.{}]", toml_key(&key));
            for (name, value) in table {
                let _ = writeln!(file, "{} = {}", toml_key(name), inline_value(value));
            }
        }
    }
    file
}

/// Whether a value stands behind its key; else it is a table of its own.
fn fits(key: &str, value: &Value) -> bool {
    let is_short = |table: &Map<String, Value>| {
        table.len() <= 3 && key.len() + inline_value(value).len() + " = ".len() <= LINE_LENGTH_MAX
    };
    value.as_object().is_none_or(is_short)
}

fn comment(file: &mut String, remark: &Remark) {
    let _ = writeln!(file, "# {}: {}", one_line(&remark.key), one_line(&remark.says));
}

/// Nothing in a comment may end it.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn toml_key(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_bare { key.to_owned() } else { quoted(key) }
}

fn inline_value(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline_value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(table) => {
            let entries: Vec<String> =
                table.iter().map(|(key, value)| format!("{} = {}", toml_key(key), inline_value(value))).collect();
            if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
        }
        Value::Null => quoted(""),
        plain => plain.to_string(),
    }
}

/// A basic string. JSON escapes the same way, but for one character.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
