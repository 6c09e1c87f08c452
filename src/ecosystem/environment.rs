//! The environment of a process: inherited names, env files, `env`; and the base recorded below all of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::{Digest, Environment, Template, app_key};

use super::SourceFile;
use super::built::VALUE_BYTES;
use super::diagnostic::code;
use super::document::unsupported;
use super::dotenv;
use super::host::{Host, Look, Unreadable, tidy};
use super::tree::{Node, Span, Value};
use super::values::Values;

const ENV_FILE_BYTES_MAX: u64 = 1 << 20;
const RESTART_ON_BYTES_MAX: u64 = 64 << 20;
const RESTART_ON_FILES_MAX: usize = 10_000;
const WALK_FOLDERS_MAX: usize = 20_000;

/// What the shell lends to every process.
pub(super) fn base(world: &dyn Host) -> Environment {
    let kept = world.variables().iter().filter(|(name, _)| is_base(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn is_base(name: &str) -> bool {
    const NAMES: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"];
    NAMES.contains(&name) || name.starts_with("LC_")
}

/// Env files that were read already, and their texts for messages.
#[derive(Default)]
pub(super) struct EnvFiles {
    read: BTreeMap<PathBuf, Option<Vec<(String, String)>>>,
    /// Numbered behind the ecosystem files. One that does not exist is in it without text: it may come into being.
    pub texts: Vec<SourceFile>,
}

impl EnvFiles {
    /// Everything that they define.
    pub fn pairs(&self) -> impl Iterator<Item = &(String, String)> {
        self.read.values().flatten().flatten()
    }

    fn keep(&mut self, path: &Path, text: Vec<u8>) {
        if !self.texts.iter().any(|file| file.path == path) {
            self.texts.push(SourceFile::new(path.to_path_buf(), text));
        }
    }
}

/// Variables of one app, and where each came from (`None` = the file).
pub(super) struct Collected {
    pub env: BTreeMap<String, Template>,
    /// Name → where its value stands.
    pub from: BTreeMap<String, From>,
}

/// Where a variable's value stands.
pub(super) enum From {
    File(Span),
    EnvFile(PathBuf),
    Shell,
}

/// `inherit` < `defaults.env_file` < `env_file` < `env`.
pub(super) fn environment(values: &mut Values<'_>, files: &mut EnvFiles) -> Collected {
    let mut collected = Collected { env: BTreeMap::new(), from: BTreeMap::new() };
    inherit(values, &mut collected);
    for node in values.app.default_env_files.as_ref().into_iter().chain(values.node("env_file")) {
        env_files(values, files, node, &mut collected);
    }
    let Some(node) = values.node("env") else { return collected };
    for entry in node.as_map().unwrap_or_default() {
        let path = format!("env.{}", entry.key);
        warn_of_misplaced(values, &entry.key, entry.key_span);
        if entry.node.is_unset() {
            remove(values, &mut collected, &entry.key, entry.node.span);
        } else if matches!(entry.node.value, Value::Map(_)) {
            unsupported(&format!("{path}.secret"), entry.node.span, values.report);
        } else if let Some(template) = values.template(&path, &entry.node) {
            collected.env.insert(entry.key.clone(), template);
            collected.from.insert(entry.key.clone(), From::File(entry.node.span));
        }
    }
    collected
}

/// `{ unset = true }`: whatever lies below, the process does not get it.
fn remove(values: &mut Values<'_>, collected: &mut Collected, name: &str, span: Span) {
    if is_base(name) && values.world.variables().contains_key(name) {
        let message = format!("`env.{name}` cannot be removed: every process has it");
        values.error(code::BAD_VALUE, span, message).hint("give it another value, if need be an empty one");
    }
    collected.env.remove(name);
    collected.from.remove(name);
    values.from_shell.retain(|(path, _)| path.strip_prefix("env.") != Some(name));
}

/// In TOML, whatever follows `[apps.api.env]` belongs to it.
fn warn_of_misplaced(values: &mut Values<'_>, name: &str, span: Span) {
    if app_key(name).is_some_and(|key| key.name != "env_NAME") {
        let message = format!("`{name}` below `env` is a variable, not the key of an app");
        let hint = "a key of the app stands above the table of its `env`; for a variable use capital letters";
        values.report.warning_once(code::UNKNOWN_KEY, span, message, hint);
    }
}

fn inherit(values: &mut Values<'_>, collected: &mut Collected) {
    for (pattern, span) in values.texts("inherit") {
        if let Err(problem) = fast_glob::validate(&pattern) {
            values.error(code::GLOB, span, format!("`inherit`: `{pattern}` is not a pattern: {problem}"));
            continue;
        }
        let is_plain = !pattern.contains(['*', '?', '[', '{', '!']);
        let world = values.world;
        for (name, value) in world.variables() {
            if if is_plain { *name == pattern } else { fast_glob::glob_match(&pattern, name) } {
                if !values.may_take(VALUE_BYTES + 3 * name.len() + value.len(), span) {
                    return;
                }
                collected.env.insert(name.clone(), Template::literal(value));
                collected.from.insert(name.clone(), From::Shell);
                values.from_shell.push((format!("env.{name}"), name.clone()));
            }
        }
    }
}

fn env_files(values: &mut Values<'_>, files: &mut EnvFiles, node: &Node, collected: &mut Collected) {
    let nodes = match &node.value {
        Value::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(node),
    };
    for node in nodes {
        let (path_node, is_required) = match node.as_map() {
            Some(_) => {
                let is_required = values.boolean_of("env_file.required", node.get("required"), true);
                (node.get("path"), is_required)
            }
            None => (Some(node), true),
        };
        let Some((path, span)) = path_node.and_then(|node| Some((values.path("env_file", node)?, node.span))) else {
            continue;
        };
        for (name, value) in read_env_file(values, files, &path, span, is_required) {
            if !values.may_take(VALUE_BYTES + name.len() + value.len() + path.as_os_str().len(), span) {
                return;
            }
            collected.env.insert(name.clone(), Template::literal(&value));
            collected.from.insert(name, From::EnvFile(path.clone()));
            // A variable of a file that lies above an inherited one no longer comes from the shell.
        }
    }
    values.from_shell.retain(|(path, _)| {
        let name = path.strip_prefix("env.");
        !name.is_some_and(|name| matches!(collected.from.get(name), Some(From::EnvFile(_))))
    });
}

fn read_env_file(
    values: &mut Values<'_>,
    files: &mut EnvFiles,
    path: &Path,
    span: Span,
    is_required: bool,
) -> Vec<(String, String)> {
    if let Some(Some(pairs)) = files.read.get(path) {
        return pairs.clone();
    }
    let problem = match values.world.read(path, ENV_FILE_BYTES_MAX) {
        Ok(bytes) => match String::from_utf8(bytes) {
            // Kept as text, too, for messages.
            Ok(text) if !values.may_take(2 * text.len(), span) => return Vec::new(),
            Ok(text) => return parse_env_file(values, files, path, text),
            Err(error) => {
                files.keep(path, error.into_bytes());
                "it is not UTF-8".to_owned()
            }
        },
        Err(problem) => {
            if problem == Unreadable::Missing {
                files.keep(path, Vec::new());
                if !is_required {
                    return Vec::new();
                }
            }
            problem.to_string()
        }
    };
    let message = format!("cannot read the env file `{}`: {problem}", path.display());
    let found = values.error(code::ENV_FILE, span, message);
    if problem.contains("not exist") {
        found.hint("if it is optional: `env_file = { path = \"…\", required = false }`");
    }
    Vec::new()
}

fn parse_env_file(values: &mut Values<'_>, files: &mut EnvFiles, path: &Path, text: String) -> Vec<(String, String)> {
    let dotenv::Parsed { pairs, mistakes, doubts } = dotenv::parse(&text);
    let index = u32::try_from(values.folders.len() + files.texts.len()).unwrap_or(u32::MAX);
    for mistake in mistakes {
        values.report.error(code::ENV_FILE, Span::new(index, mistake.start..mistake.end), mistake.message);
    }
    for doubt in doubts {
        values.report.warning(code::ENV_FILE, Span::new(index, doubt.start..doubt.end), doubt.message);
    }
    files.keep(path, text.into_bytes());
    files.read.insert(path.to_path_buf(), Some(pairs.clone()));
    pairs
}

/// The files that `restart_on` names, with the digest of their contents.
pub(super) fn restart_on(values: &mut Values<'_>, cwd: &Path) -> BTreeMap<PathBuf, Digest> {
    let mut found = BTreeMap::new();
    for (pattern, span) in values.texts("restart_on") {
        if let Err(problem) = fast_glob::validate(&pattern) {
            values.error(code::GLOB, span, format!("`restart_on`: `{pattern}` is not a pattern: {problem}"));
            continue;
        }
        let files = matching(values.world, cwd, &pattern);
        if let Some([only]) = files.as_deref()
            && values.world.look(only) == Look::Other
        {
            let message = format!("`restart_on`: `{}` is not a file", only.display());
            values.error(code::GLOB, span, message).hint("only the contents of files are compared");
            continue;
        }
        let Some(files) = files.filter(|files| found.len() + files.len() <= RESTART_ON_FILES_MAX) else {
            let message =
                format!("`restart_on`: `{pattern}` matches more than {RESTART_ON_FILES_MAX} files or folders");
            values.error(code::GLOB, span, message).hint("list the files that a build writes, not the whole tree");
            continue;
        };
        if files.is_empty() {
            let message = format!("app `{}`: `restart_on`: nothing matches `{pattern}`", values.app.name);
            values.report.warning(code::GLOB, span, message);
        }
        for file in files {
            if !values.may_take(VALUE_BYTES + file.as_os_str().len(), span) {
                return found;
            }
            match values.world.read(&file, RESTART_ON_BYTES_MAX) {
                Ok(bytes) => {
                    found.insert(file, Digest::of(&bytes));
                }
                Err(problem) => {
                    let message = format!("`restart_on`: cannot read `{}`: {problem}", file.display());
                    values.error(code::GLOB, span, message);
                }
            }
        }
    }
    found
}

/// Files below `cwd` that match; `None` if there are too many to look at.
fn matching(world: &dyn Host, cwd: &Path, pattern: &str) -> Option<Vec<PathBuf>> {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let fixed = pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', '{', '!', '\\']));
    let prefix: PathBuf = if pattern.starts_with('/') {
        Path::new("/").join(fixed.filter(|p| !p.is_empty()).collect::<PathBuf>())
    } else {
        fixed.collect()
    };
    let start = tidy(&cwd.join(&prefix));
    let rest =
        pattern.split('/').skip_while(|part| !part.contains(['*', '?', '[', '{', '!', '\\'])).collect::<Vec<_>>();
    // A folder stands for everything in it.
    let rest = if rest.is_empty() { "**".to_owned() } else { rest.join("/") };
    match world.look(&start) {
        Look::File { .. } | Look::Other => return Some(vec![start]),
        Look::Folder => {}
        _ => return Some(Vec::new()),
    }
    let (mut files, mut folders, mut looked_at) = (Vec::new(), vec![(start, String::new())], 0);
    while let Some((folder, inside)) = folders.pop() {
        looked_at += 1;
        if looked_at > WALK_FOLDERS_MAX || files.len() > RESTART_ON_FILES_MAX {
            return None;
        }
        for (name, is_folder) in world.list(&folder) {
            let path = if inside.is_empty() { name.clone() } else { format!("{inside}/{name}") };
            let is_usual = matches!(name.as_str(), ".git" | "node_modules") && !pattern.contains(name.as_str());
            if is_folder && !is_usual {
                folders.push((folder.join(&name), path));
            } else if !is_folder && fast_glob::glob_match(&rest, &path) {
                let file = folder.join(&name);
                // Pipes and sockets hold nothing that could be compared.
                if world.look(&file) != Look::Other {
                    files.push(file);
                }
            }
        }
    }
    Some(files)
}
