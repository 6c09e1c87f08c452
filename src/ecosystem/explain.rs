//! Texts about keys: `pm explain KEY`, and the reference page generated from the same table.

use std::fmt::Write as _;

use serde::Serialize;

use crate::model::{FILE_KEYS, Field, FileKey, KEYS, Key, Shape, app_key, file_key};

use super::CODES;
use super::nearest::nearest;

/// Everything about one key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Explanation {
    /// Its main spelling, with the keys around it: `log_rotate.size`.
    pub key: String,
    /// Other spellings.
    pub aliases: Vec<&'static str>,
    /// What a change costs: `live`, `scale`, `next start`, `respawn`, `identity`; `None` beside `apps`.
    pub class: Option<&'static str>,
    /// Accepted values, in words.
    pub kind: String,
    /// The default, in words.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
    /// An example line.
    pub example: &'static str,
    /// Whether its behaviour is built; otherwise its use is refused.
    pub is_built: bool,
    /// The first version that knows it.
    pub since: &'static str,
    /// Keys inside it, with their meaning.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inside: Vec<(&'static str, &'static str)>,
}

/// Explains `apps.env`, `apps.api.kill_timeout`, `log_rotate.size`, `project`, `node_args`.
///
/// # Errors
/// The known keys that resemble the unknown one.
pub fn explain(path: &str) -> Result<Explanation, Vec<&'static str>> {
    let path = path.trim().trim_start_matches('.');
    if let Some(key) = file_key(path) {
        return Ok(of_file_key(key));
    }
    let mut parts: Vec<&str> = path.split('.').collect();
    if parts.len() > 1 && matches!(parts[0], "apps" | "apps[]" | "defaults") {
        parts.remove(0);
        // `apps.api.env`: the second word is an app, unless it is a key.
        if parts.len() > 1 && app_key(parts[0]).is_none() {
            parts.remove(0);
        }
    }
    if parts.len() > 2 && parts[0] == "profiles" {
        parts.drain(..2);
    }
    let Some(key) = app_key(parts[0]) else { return Err(near(parts[0])) };
    let (mut explanation, mut shape) = (of_key(key), &key.shape);
    for name in &parts[1..] {
        // Names of a table that takes any are not explained one by one.
        if shape.of_free_names().is_some() {
            break;
        }
        let Some(field) = shape.fields().iter().find(|field| field.name == *name) else {
            return Err(nearest(name, shape.fields().iter().map(|field| field.name)));
        };
        explanation = of_field(key, &explanation.key, field);
        shape = &field.shape;
    }
    Ok(explanation)
}

fn of_file_key(key: &'static FileKey) -> Explanation {
    Explanation {
        key: key.name.to_owned(),
        aliases: Vec::new(),
        class: None,
        kind: key.kind.to_owned(),
        default: "none",
        help: key.help,
        example: key.example,
        is_built: true,
        since: "0.1",
        inside: Vec::new(),
    }
}

fn of_key(key: &'static Key) -> Explanation {
    Explanation {
        key: key.name.to_owned(),
        aliases: key.aliases.to_vec(),
        class: Some(key.class.as_str()),
        kind: key.kind.to_owned(),
        default: key.default,
        help: key.help,
        example: key.example,
        is_built: key.is_built,
        since: key.since,
        inside: inside(&key.shape),
    }
}

/// A key inside the table at `path`, which is that of a key of an app or lies in it.
fn of_field(key: &'static Key, path: &str, field: &'static Field) -> Explanation {
    Explanation {
        key: format!("{path}.{}", field.name),
        aliases: Vec::new(),
        kind: field.shape.words(),
        default: field.default,
        help: field.help,
        inside: inside(&field.shape),
        ..of_key(key)
    }
}

fn inside(shape: &Shape) -> Vec<(&'static str, &'static str)> {
    shape.fields().iter().map(|field| (field.name, field.help)).collect()
}

fn near(word: &str) -> Vec<&'static str> {
    nearest(word, KEYS.iter().flat_map(Key::names).chain(FILE_KEYS.iter().map(|key| key.name)))
}

/// The reference page `docs/reference/ecosystem.md`.
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("\n## Keys of the file\n");
    for FileKey { name, kind, help, example, .. } in FILE_KEYS {
        let _ = write!(page, "\n### `{name}`\n\n{help}\n\n- **takes** {kind}\n\n```toml\n{example}\n```\n");
    }
    page.push_str("\n## Keys of an app\n");
    for key in KEYS {
        let _ = write!(page, "\n{}", of_reference(key));
    }
    page.push_str("\n## Codes of diagnostics\n\n| code | meaning |\n| --- | --- |\n");
    for (code, meaning) in CODES {
        let _ = writeln!(page, "| `{code}` | {meaning} |");
    }
    page
}

fn of_reference(key: &Key) -> String {
    let mut text = format!("### `{}`\n\n{}\n\n", key.name, key.help);
    if !key.is_built {
        text.push_str("> Not implemented yet: refused with the code `unsupported`.\n\n");
    }
    if !key.aliases.is_empty() {
        let aliases: Vec<String> = key.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        let _ = writeln!(text, "- **also** {}", aliases.join(", "));
    }
    let _ = writeln!(text, "- **takes** {}", key.kind);
    let _ = writeln!(text, "- **default** {}", key.default);
    let _ = writeln!(text, "- **a change** {}", key.class.as_str());
    list_inside(&mut text, &key.shape, "");
    let _ = write!(text, "\n```toml\n{}\n```\n", key.example);
    text
}

/// The keys inside a table, each with those inside it one step further in.
fn list_inside(text: &mut String, shape: &Shape, indent: &str) {
    for Field { name, shape, default, help, .. } in shape.fields() {
        let default = Some(default).filter(|default| **default != "none");
        let default = default.map(|default| format!("; default {default}")).unwrap_or_default();
        let _ = writeln!(text, "{indent}- `{name}`: {help} ({}{default})", shape.words());
        list_inside(text, shape, &format!("{indent}  "));
    }
    if let Some(value) = shape.of_free_names().filter(|value| !value.fields().is_empty()) {
        let _ = writeln!(text, "{indent}- a value may be a table:");
        list_inside(text, value, &format!("{indent}  "));
    }
}

const INTRODUCTION: &str = "\
# The ecosystem file

<!-- Generated from the code: edit the key table there, then run the tests with UPDATE_COMMITTED=1. -->

One file, or several merged, declares which apps should run: TOML, YAML or JSON (with comments), with the same keys.
Unknown keys, wrong types and bad values are errors, all shown at once; with any error nothing is started, stopped or saved.

*A change* shows what a changed value costs: **live** is applied without touching a process, **scale** adds or removes
copies, **next start** waits until you start the app, **respawn** needs a new process, **identity** is another app.

Durations (`\"1500ms\"`, `\"5s\"`, `\"1h30m\"`, `\"2d\"`) and sizes (`\"300M\"`, `\"1.5G\"`, `\"512KiB\"`; powers of 1024) always have a unit.
Strings may contain `${VAR}`, `${VAR:-default}`, `${VAR-default}`, `${VAR:?message}`, `${VAR:+other}`; `$$` is a dollar.
Values come from `--var`, the app's own `PORT`, `PM_PROJECT`, `PM_APP`, `PM_INSTANCE`, `PM_FILE_DIR`, then the shell.
`{ unset = true }` as a value removes a key set by defaults or an earlier file.
Paths in `cwd`, `env_file`, `out_file` and `error_file` are relative to the file; `script` and `restart_on` to `cwd`.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_however_it_is_asked_for() {
        for (path, key) in [
            ("apps.env", "env"),
            ("apps.api.kill_timeout", "kill_timeout"),
            ("node_args", "interpreter_args"),
            ("log_rotate.size", "log_rotate.size"),
            ("apps.env.DB", "env"),
            ("env_production", "env_NAME"),
            ("profiles.production.port", "port"),
            ("project", "project"),
            ("ready.http.url", "ready.http.url"),
            ("apps.api.health.http.headers.Accept", "health.http.headers"),
            ("profiles.production", "profiles"),
        ] {
            assert_eq!(explain(path).map(|found| found.key), Ok(key.to_owned()), "{path}");
        }
        assert_eq!(explain("ready.timeout").map(|found| found.default), Ok("\"30s\""));
        assert_eq!(explain("kil_timeout"), Err(vec!["kill_timeout"]));
        assert_eq!(explain("log_rotate.sise"), Err(vec!["size"]));
        assert!(explain("log_rotate.size.x").is_err() && explain("kill_timeout.x").is_err());
        assert!(explain("").is_err());
    }
}
