//! Texts about keys: `pm explain KEY`, and the reference page generated from the same table.

use std::fmt::Write as _;

use serde::Serialize;

use crate::model::{KEYS, Key};

use super::CODES;
use super::keys::{PROJECT_KEYS, app_key, fields, profile_of};
use super::nearest::nearest;
use super::shape::Field;

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
    if let Some((name, kind, help, example)) = PROJECT_KEYS.iter().find(|key| key.0 == path) {
        let class = None;
        let (key, kind) = ((*name).to_owned(), (*kind).to_owned());
        let inside = Vec::new();
        return Ok(Explanation {
            key,
            aliases: Vec::new(),
            class,
            kind,
            default: "none",
            help,
            example,
            is_built: true,
            since: "0.1",
            inside,
        });
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
    let Some(found) = app_key(parts[0]).or_else(|| app_key("env_x").filter(|_| parts[0] == "env_NAME")) else {
        return Err(near(parts[0]));
    };
    let key = found.key;
    let inside = fields(found.shape);
    match parts.get(1) {
        None => Ok(of_key(key, inside.iter().map(|field| (field.name, help(key, field))).collect())),
        // Variables are free names.
        Some(_) if matches!(key.name, "env" | "env_NAME" | "depends_on") => Ok(of_key(key, Vec::new())),
        Some(name) => match inside.iter().find(|field| field.name == *name) {
            Some(field) => Ok(Explanation {
                key: format!("{}.{}", key.name, field.name),
                aliases: Vec::new(),
                kind: field.shape.words(),
                default: key.part(field.name).map_or("none", |part| part.default),
                help: help(key, field),
                inside: Vec::new(),
                ..of_key(key, Vec::new())
            }),
            None => Err(nearest(name, inside.iter().map(|field| field.name))),
        },
    }
}

fn of_key(key: &'static Key, inside: Vec<(&'static str, &'static str)>) -> Explanation {
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
        inside,
    }
}

/// What a key inside a table does, from the table of keys.
fn help(key: &Key, field: &Field) -> &'static str {
    key.part(field.name).map_or(field.help, |part| part.help)
}

fn near(word: &str) -> Vec<&'static str> {
    let names = KEYS.iter().flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()));
    nearest(word, names.chain(PROJECT_KEYS.iter().map(|key| key.0)))
}

/// The reference page `docs/reference/ecosystem.md`.
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("\n## Keys of the file\n");
    for (name, kind, help, example) in PROJECT_KEYS {
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
    let shape = app_key(key.name).filter(|_| profile_of(key.name).is_none()).map(|found| fields(found.shape));
    for field in shape.unwrap_or_default() {
        let default = key.part(field.name).map(|part| part.default).filter(|default| *default != "none");
        let default = default.map(|default| format!("; default {default}")).unwrap_or_default();
        let _ = writeln!(text, "- `{}`: {} ({}{default})", field.name, help(key, field), field.shape.words());
    }
    let _ = write!(text, "\n```toml\n{}\n```\n", key.example);
    text
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
        ] {
            assert_eq!(explain(path).map(|found| found.key), Ok(key.to_owned()), "{path}");
        }
        assert_eq!(explain("ready.timeout").map(|found| found.default), Ok("\"30s\""));
        assert_eq!(explain("kil_timeout"), Err(vec!["kill_timeout"]));
        assert_eq!(explain("log_rotate.sise"), Err(vec!["size"]));
        assert!(explain("").is_err());
    }
}
