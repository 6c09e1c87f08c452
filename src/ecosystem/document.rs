//! One file's tree → its project, defaults and apps, with every key checked against its shape.

use crate::model::{
    FILE_KEYS, HealPolicy, KEYS, Key, Level, Millis, SelfHeal, TextFormat, app_key, file_key, profile_of,
};

use super::diagnostic::{Finding, Findings, code};
use super::formats::rule;
use super::nearest::{did_you_mean, nearest};
use super::shape::{Trail, check_value};
use super::tree::{Entry, Node, Span, Value};

/// The contents of one file.
#[derive(Default)]
pub(super) struct Document {
    pub project: Option<(String, Span)>,
    pub start_concurrency: Option<u32>,
    pub self_heal: Option<SelfHeal>,
    pub override_grace: Option<Millis>,
    pub defaults: Keys,
    pub apps: Vec<Written>,
}

/// One app as one file writes it.
pub(super) struct Written {
    pub name: String,
    /// Where the name stands, or what it was made from.
    pub name_span: Span,
    pub keys: Keys,
    /// Whether everything in it has the right shape; otherwise it is not read further.
    pub is_sound: bool,
}

/// Keys at one level, by their main names.
#[derive(Clone, Default)]
pub(super) struct Keys {
    pub own: Vec<Item>,
    /// `env_NAME` and `profiles.NAME`, in the order in which they are laid over each other.
    pub profiles: Vec<(String, Vec<Item>)>,
    /// Keys that are left out because they are wrong.
    pub broken: Vec<&'static str>,
}

/// One key with its value.
#[derive(Clone)]
pub(super) struct Item {
    pub key: &'static Key,
    pub key_span: Span,
    pub node: Node,
    /// Where it stands.
    pub level: Level,
}

impl Keys {
    pub fn get(&self, name: &str) -> Option<&Item> {
        self.own.iter().find(|item| item.key.name == name)
    }
}

/// Checks a whole file. Problems go to the report; what is sound is returned.
pub(super) fn understand(root: Node, report: &mut Findings) -> Document {
    let mut document = Document::default();
    let Value::Map(entries) = root.value else { return document };
    let top = Trail::root("");
    if entries.is_empty() {
        report.error(code::EMPTY_FILE, root.span, "the file is empty").hint("declare an app under `apps`");
    }
    for entry in entries {
        // Editors find the schema by it.
        if entry.key == "$schema" || is_own_note(&entry.key) {
            continue;
        }
        let Some(key) = file_key(&entry.key) else {
            let message = format!("unknown key `{}`", entry.key);
            report.error(code::UNKNOWN_KEY, entry.key_span, message).hint(top_level_hint(&entry.key));
            continue;
        };
        let own = top.then(key.name);
        match key.name {
            "project" => {
                let errors = report.errors;
                key.shape.check(&entry.node, own, report);
                if let (true, Some(name)) = (errors == report.errors, entry.node.as_text()) {
                    document.project = Some((name.to_owned(), entry.node.span));
                }
            }
            "defaults" => {
                if let Some(entries) = table(entry.node, own, report) {
                    document.defaults = take_keys(entries, Level::Defaults, own, report);
                }
            }
            "apps" => document.apps = apps(entry.node, report),
            "start_concurrency" => {
                key.shape.check(&entry.node, own, report);
                document.start_concurrency = entry.node.as_scalar().and_then(|number| number.text.parse().ok());
            }
            "self_heal" => {
                let errors = report.errors;
                key.shape.check(&entry.node, own, report);
                document.self_heal = entry.node.as_text().and_then(SelfHeal::parse);
                must_be_plain(&entry.node, (errors, document.self_heal.is_some()), key.name, report);
            }
            "override_grace" => {
                let errors = report.errors;
                key.shape.check(&entry.node, own, report);
                document.override_grace = entry.node.as_scalar().and_then(|value| Millis::parse(&value.text).ok());
                must_be_plain(&entry.node, (errors, document.override_grace.is_some()), key.name, report);
            }
            _ => key.shape.check(&entry.node, own, report),
        }
    }
    document
}

/// Variables are filled in for apps only: a value that is sound but for them is not ignored. `errors`: how many there were
/// before it was checked.
fn must_be_plain(node: &Node, (errors, is_read): (usize, bool), name: &str, report: &mut Findings) {
    if !is_read && errors == report.errors {
        report.error(code::BAD_VALUE, node.span, format!("`{name}` cannot have a variable in it"));
    }
}

/// What the files say of `start_concurrency` and `self_heal`: the last one that says anything counts.
pub(super) fn of_project(documents: &[Document]) -> (Option<u32>, HealPolicy) {
    let (mut policy, all) = (HealPolicy::default(), documents.iter().rev());
    policy.mode = all.clone().find_map(|document| document.self_heal).unwrap_or(policy.mode);
    policy.override_grace = all.clone().find_map(|document| document.override_grace).unwrap_or(policy.override_grace);
    (all.clone().find_map(|document| document.start_concurrency), policy)
}

/// `x-…`: for whoever writes the file, as a place for YAML's anchors.
fn is_own_note(key: &str) -> bool {
    key.starts_with("x-")
}

pub(super) fn unsupported(what: &str, span: Span, report: &mut Findings) {
    report
        .error(code::UNSUPPORTED, span, format!("`{what}` is not implemented yet"))
        .hint("remove it; otherwise it would be ignored silently");
}

fn top_level_hint(unknown: &str) -> String {
    if app_key(unknown).is_some() {
        return format!("`{unknown}` is a key of an app: put it under `apps`, or under `defaults` for all of them");
    }
    let names = FILE_KEYS.iter().map(|key| key.name);
    did_you_mean(unknown, names.clone())
        .unwrap_or_else(|| format!("known keys: {}", names.collect::<Vec<_>>().join(", ")))
}

fn table(node: Node, trail: Trail<'_>, report: &mut Findings) -> Option<Vec<Entry>> {
    let (words, span) = (node.words(), node.span);
    if let Value::Map(entries) = node.value {
        return Some(entries);
    }
    report.error(code::WRONG_TYPE, span, format!("`{trail}` takes a table, found {words}"));
    None
}

fn apps(node: Node, report: &mut Findings) -> Vec<Written> {
    let (words, span) = (node.words(), node.span);
    let trail = Trail::root("apps");
    match node.value {
        Value::List(nodes) => {
            nodes.into_iter().enumerate().filter_map(|(at, node)| listed_app(at, node, trail, report)).collect()
        }
        Value::Map(entries) => entries.into_iter().filter_map(|entry| named_app(entry, trail, report)).collect(),
        Value::Scalar(_) => {
            report
                .error(code::WRONG_TYPE, span, format!("`apps` takes a list or a table of apps, found {words}"))
                .hint("write `[[apps]]` for each app, or `[apps.NAME]`");
            Vec::new()
        }
    }
}

/// An app of the list form: its name stands inside, or is made from the script.
fn listed_app(at: usize, node: Node, trail: Trail<'_>, report: &mut Findings) -> Option<Written> {
    let span = node.span;
    let known_name = node.get("name").and_then(Node::as_text).map(str::to_owned);
    let number = format!("[{at}]");
    let own = trail.then(known_name.as_deref().unwrap_or(&number));
    let entries = table(node, own, report)?;
    let errors = report.errors;
    let keys = take_keys(entries, Level::App, own, report);
    let is_sound = errors == report.errors;
    let (name, name_span) = match keys.get("name") {
        Some(item) => (item.node.as_text()?.to_owned(), item.node.span),
        None => name_from_script(&keys, span, report)?,
    };
    Some(Written { name, name_span, keys, is_sound })
}

fn name_from_script(keys: &Keys, span: Span, report: &mut Findings) -> Option<(String, Span)> {
    let Some((script, at)) = keys.get("script").and_then(|item| Some((item.node.as_text()?, item.node.span))) else {
        report
            .error(code::MISSING_KEY, span, "this app has no name")
            .hint("write `name = \"…\"`; only an app with a `script` gets a name by default");
        return None;
    };
    let file = script.rsplit('/').next().unwrap_or(script);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| if stem.is_empty() { file } else { stem });
    match crate::model::AppName::new(stem) {
        Ok(_) => Some((stem.to_owned(), at)),
        Err(problem) => {
            let message = format!("the script does not give this app a valid name: {problem}");
            report.error(code::MISSING_KEY, at, message).hint("write `name = \"…\"`");
            None
        }
    }
}

/// An app of the table form: its key is the name.
fn named_app(entry: Entry, trail: Trail<'_>, report: &mut Findings) -> Option<Written> {
    let errors = report.errors;
    let own = trail.then(&entry.key);
    if let Err(flaw) = (rule(TextFormat::AppName).check)(&entry.key) {
        report.error(code::BAD_VALUE, entry.key_span, flaw.message);
    }
    let entries = table(entry.node, own, report)?;
    let keys = take_keys(entries, Level::App, own, report);
    if let Some(inner) = keys.get("name")
        && inner.node.as_text().is_some_and(|name| name != entry.key)
    {
        report
            .error(code::CONFLICTING_KEYS, inner.node.span, "the app's `name` differs from the name of its table")
            .label(entry.key_span, "the name of its table")
            .hint("remove `name`");
    }
    let is_sound = errors == report.errors;
    Some(Written { name: entry.key, name_span: entry.key_span, keys, is_sound })
}

/// Checks the keys of one level and sorts them out.
fn take_keys(entries: Vec<Entry>, level: Level, trail: Trail<'_>, report: &mut Findings) -> Keys {
    let mut keys = Keys::default();
    let mut whole_profiles = Vec::new();
    for entry in entries.into_iter().filter(|entry| !is_own_note(&entry.key)) {
        let Some(key) = app_key(&entry.key).filter(|key| key.is_allowed(level)) else {
            unknown_key(&entry, level, trail, report);
            let meant = nearest(&entry.key, KEYS.iter().flat_map(Key::names));
            keys.broken.extend(meant.into_iter().filter_map(app_key).map(|key| key.name));
            continue;
        };
        let own = trail.then(&entry.key);
        let errors = report.errors;
        match key.name {
            "profiles" => whole_profiles = profiles(entry.node, own, report, &mut keys.broken),
            "env_NAME" => {
                check_value(&key.shape, &entry.node, own, report);
                if errors < report.errors {
                    keys.broken.push("env");
                    continue;
                }
                let profile = profile_of(&entry.key).unwrap_or_default().to_owned();
                if profile == "none" {
                    report.error(code::BAD_VALUE, entry.key_span, "`none` means no profile");
                }
                if let Some(key) = app_key("env") {
                    keys.profiles
                        .push((profile, vec![Item { key, key_span: entry.key_span, node: entry.node, level }]));
                }
            }
            name => {
                let before = report.findings.len();
                match name {
                    // An app cannot lose its name.
                    "name" => key.shape.check(&entry.node, own, report),
                    _ => check_value(&key.shape, &entry.node, own, report),
                }
                show_how(key, &entry.node, report.findings.get_mut(before..).unwrap_or_default());
                if let Some(first) = keys.get(name) {
                    let message = format!("`{}` is a second spelling of a key already in `{trail}`", entry.key);
                    let first = first.key_span;
                    report
                        .error(code::ALIAS_BESIDE_ORIGINAL, entry.key_span, message)
                        .label(first, "the same key")
                        .hint(format!("keep `{name}`"));
                    continue;
                }
                if errors < report.errors {
                    keys.broken.push(key.name);
                }
                // A name is needed in any case.
                if errors == report.errors || matches!(name, "name" | "script") {
                    keys.own.push(Item { key, key_span: entry.key_span, node: entry.node, level });
                }
            }
        }
    }
    // A whole profile is laid over what `env_NAME` of the same name says.
    keys.profiles.append(&mut whole_profiles);
    keys
}

/// Whoever wrote a value of another kind sees what the right one looks like.
fn show_how(key: &Key, node: &Node, findings: &mut [Finding]) {
    let text = node.as_text().unwrap_or_default();
    let is_number = |text: &str| text.parse::<u16>().is_ok();
    let range = text.split_once('-').filter(|(first, last)| key.name == "port" && is_number(first) && is_number(last));
    if let (Some((first, _)), Some(finding)) = (range, findings.last_mut()) {
        finding
            .hint(format!("write `port = {first}` and the number of copies as `instances`: each gets the next port"));
    }
    let is_bare = |finding: &&mut Finding| finding.code == code::WRONG_TYPE && finding.hint.is_none();
    for finding in findings.iter_mut().filter(is_bare) {
        let example = key.example.lines().last().unwrap_or_default();
        finding.hint(format!("for example `{example}`; see `pm explain {}`", key.name));
    }
}

fn profiles(
    node: Node,
    trail: Trail<'_>,
    report: &mut Findings,
    broken: &mut Vec<&'static str>,
) -> Vec<(String, Vec<Item>)> {
    let Some(entries) = table(node, trail, report) else { return Vec::new() };
    let mut profiles = Vec::new();
    for entry in entries {
        let own = trail.then(&entry.key);
        if let Err(flaw) = (rule(TextFormat::ProfileName).check)(&entry.key) {
            report.error(code::BAD_VALUE, entry.key_span, flaw.message);
        }
        if let Some(entries) = table(entry.node, own, report) {
            let keys = take_keys(entries, Level::Profile, own, report);
            broken.extend(keys.broken);
            profiles.push((entry.key, keys.own));
        }
    }
    profiles
}

/// Our key for one of PM2, compose or systemd.
fn name_of_others(name: &str) -> Option<&'static str> {
    Some(match name {
        "cmd" | "entrypoint" | "ExecStart" => "command",
        "exec_interpreter" => "interpreter",
        "out" | "output" | "StandardOutput" => "out_file",
        "error" | "err" | "err_file" | "StandardError" => "error_file",
        "environment" | "Environment" => "env",
        "EnvironmentFile" => "env_file",
        "working_dir" | "WorkingDirectory" => "cwd",
        "ports" => "port",
        "container_name" => "name",
        "healthcheck" => "health",
        "stop_grace_period" | "TimeoutStopSec" => "kill_timeout",
        "stop_signal" | "KillSignal" => "kill_signal",
        "scale" | "replicas" => "instances",
        "Restart" => "restart",
        "RestartSec" => "restart_delay",
        "User" => "user",
        "Group" => "group",
        _ => return None,
    })
}

fn unknown_key(entry: &Entry, level: Level, trail: Trail<'_>, report: &mut Findings) {
    let name = entry.key.as_str();
    let known = KEYS.iter().flat_map(Key::names);
    let (message, hint) = match app_key(name) {
        Some(_) if level == Level::Profile => (format!("`{name}` is not allowed in a profile"), None),
        Some(_) => (format!("`{name}` is not allowed in `{trail}`"), Some("it belongs to one app".to_owned())),
        None => {
            let hint = match name {
                "exec" => Some("the key is `script`, or `command` for a whole command line".to_owned()),
                _ => match name_of_others(name) {
                    Some(ours) => Some(format!("the key is `{ours}`")),
                    None => did_you_mean(name, known.filter(|name| *name != "env_NAME")),
                },
            };
            (format!("unknown key `{name}` in `{trail}`"), hint)
        }
    };
    report.error(code::UNKNOWN_KEY, entry.key_span, message).hint =
        hint.or_else(|| (level != Level::Profile).then(|| "`pm explain` lists all keys".to_owned()));
}
