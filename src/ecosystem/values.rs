//! The merged keys of one app → typed values: variables are substituted, then values parsed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::{Bytes, ExecMode, Millis, Template, leaf, stop_signal};

use super::built::{Built, VALUE_BYTES};
use super::diagnostic::{Findings, code};
use super::document::Item;
use super::host::{Host as _, Look, Remembering, tidy};
use super::merge::Merged;
use super::shape::{Trail, has_variables};
use super::tree::{Kind, Node, Span, Value, integer};
use super::variables::{Expanded, Found, Lookup, Trouble, expand};

/// Reads the keys of one app. Every problem goes to the report; a value that is wrong reads as its default.
pub(super) struct Values<'a> {
    pub app: &'a Merged,
    pub project: &'a str,
    pub has_port: bool,
    pub options: &'a BTreeMap<String, String>,
    pub watches_by_default: bool,
    pub exec_mode: ExecMode,
    pub world: &'a Remembering<'a>,
    /// The folder of each file.
    pub folders: &'a [PathBuf],
    pub report: &'a mut Findings,
    /// What all apps have become so far.
    pub built: &'a mut Built,
    /// `env.DB` → names of the shell variables in it.
    pub from_shell: Vec<(String, String)>,
}

impl<'a> Values<'a> {
    /// Counts what the app is about to get; `false` = it must not.
    pub fn may_take(&mut self, bytes: usize, span: Span) -> bool {
        self.built.take(bytes, &self.app.name, span, self.report)
    }

    /// Warns about, or refuses, what stands in the key.
    pub fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut super::diagnostic::Finding {
        let message = format!("app `{}`: {}", self.app.name, message.into());
        self.report.error(code, span, message)
    }

    pub fn item(&self, key: &str) -> Option<&'a Item> {
        self.app.get(key)
    }

    pub fn node(&self, key: &str) -> Option<&'a Node> {
        self.item(key).map(|item| &item.node)
    }

    pub fn folder_of(&self, span: Span) -> &Path {
        self.folders.get(span.file as usize).map_or(Path::new("/"), PathBuf::as_path)
    }

    pub fn boolean(&mut self, key: &str, default: bool) -> bool {
        self.read(key, |text| Some(text == "true")).unwrap_or(default)
    }

    /// The same of a key inside a table.
    pub fn boolean_of(&mut self, key: &str, node: Option<&Node>, default: bool) -> bool {
        node.and_then(|node| self.scalar(key, node, |text| Some(text == "true"))).unwrap_or(default)
    }

    pub fn millis(&mut self, key: &str, default: Millis) -> Millis {
        self.read(key, |text| Millis::parse(text).ok()).unwrap_or(default)
    }

    /// A text whose variables are all known now.
    pub fn text(&mut self, key: &str) -> Option<String> {
        self.read(key, |text| Some(text.to_owned()))
    }

    fn read<T>(&mut self, key: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let item = self.item(key)?;
        self.scalar(key, &item.node, parse)
    }

    /// Fills in and reads the scalar of a key, or one of its list. After filling in, the shape in its row is asked again.
    pub fn scalar<T>(&mut self, key: &str, node: &Node, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let scalar = node.as_scalar()?;
        if scalar.kind != Kind::Text || !scalar.text.contains('$') {
            return parse(&scalar.text);
        }
        let text = self.settled(key, node)?;
        if has_variables(&scalar.text) {
            let shape = leaf(key)?.shape;
            let is_listed = self.item(key).is_some_and(|item| matches!(item.node.value, Value::List(_)));
            let shape = shape.item().filter(|_| is_listed).unwrap_or(shape);
            let kind = match text.as_str() {
                "true" | "false" => Kind::Boolean,
                text if integer(text).is_some() => Kind::Integer,
                _ => Kind::Text,
            };
            // Which kind was meant is decided by the shape: try the looser reading last.
            let mut attempt = Findings::default();
            let name = self.app.name.clone();
            let app = Trail::root(&name);
            shape.check(&Node::scalar(kind, text.clone(), node.span), app.then(key), &mut attempt);
            if attempt.errors > 0 {
                attempt = Findings::default();
                shape.check(&Node::scalar(Kind::Text, text.clone(), node.span), app.then(key), &mut attempt);
            }
            self.report.errors += attempt.errors;
            let is_wrong = attempt.errors > 0;
            self.report.findings.append(&mut attempt.findings);
            if is_wrong {
                return None;
            }
        }
        parse(&text)
    }

    /// The words of a list, or of one text split as a shell would.
    pub fn arguments(&mut self, key: &str) -> Vec<Template> {
        let Some(node) = self.node(key) else { return Vec::new() };
        match &node.value {
            Value::List(nodes) => {
                nodes.iter().enumerate().filter_map(|(at, node)| self.template(&format!("{key}[{at}]"), node)).collect()
            }
            _ => self.words(key, node),
        }
    }

    /// One text split as a shell would.
    pub fn words(&mut self, key: &str, node: &Node) -> Vec<Template> {
        let Some(expanded) = self.expanded(key, node) else { return Vec::new() };
        match expanded.words() {
            Ok(words) => {
                self.warn_about_comment(key, node, &words);
                words
            }
            Err(_) => {
                self.error(code::BAD_VALUE, node.span, format!("`{key}` has a quote that is never closed"));
                Vec::new()
            }
        }
    }

    /// A shell takes ` #` for a comment, which hardly anyone means here.
    fn warn_about_comment(&mut self, key: &str, node: &Node, words: &[Template]) {
        let text = node.as_text().unwrap_or_default();
        let whole = text.contains('#').then(|| shell_words::split(&text.replace('#', "@")).ok()).flatten();
        if whole.is_some_and(|whole| !has_variables(text) && whole.len() > words.len()) {
            let message = format!("app `{}`: everything after ` #` in `{key}` is a comment", self.app.name);
            self.report.warning(code::BAD_VALUE, node.span, message).hint("put the word in quotes if it is intended");
        }
    }

    /// A list of settled texts, or one.
    pub fn texts(&mut self, key: &str) -> Vec<(String, Span)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let nodes = match &node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        nodes.iter().filter_map(|node| Some((self.settled(key, node)?, node.span))).collect()
    }

    /// An absolute path; relative ones lie beside the file they stand in.
    pub fn path(&mut self, key: &str, node: &Node) -> Option<PathBuf> {
        let text = self.settled(key, node)?;
        let home = self.home(key, &text, node.span)?;
        Some(tidy(&self.folder_of(node.span).join(home)))
    }

    /// `~` and `~/x` in the shell user's home.
    pub fn home(&mut self, key: &str, text: &str, span: Span) -> Option<String> {
        let Some(tail) = text.strip_prefix('~') else { return Some(text.to_owned()) };
        match self.world.variables().get("HOME") {
            _ if !(tail.is_empty() || tail.starts_with('/')) => {
                self.error(code::BAD_VALUE, span, format!("`{key}`: only `~/` is supported, not `~USER`"));
                None
            }
            Some(home) => Some(format!("{home}{tail}")),
            None => {
                self.error(code::UNSET_VARIABLE, span, format!("`{key}` begins with `~`, but HOME is not set"));
                None
            }
        }
    }

    /// A log file: a path that may differ by instance.
    pub fn log_path(&mut self, key: &str) -> Option<Template> {
        let node = self.node(key)?;
        let template = self.template(key, node)?;
        let source = self.home(key, template.source(), node.span)?;
        let folder = self.folder_of(node.span);
        let path = if Path::new(&source).is_absolute() {
            PathBuf::from(source)
        } else {
            let folder = Template::literal(&folder.to_string_lossy());
            Path::new(folder.source()).join(source)
        };
        let path = tidy(&path);
        if !template.is_per_instance() && self.world.look(&path) == Look::Folder {
            let message = format!("`{key}`: `{}` is a folder", path.display());
            self.error(code::BAD_VALUE, node.span, message).hint("name a file in it");
            return None;
        }
        Some(Template::prepared(path.to_string_lossy().into_owned()))
    }

    pub fn template(&mut self, key: &str, node: &Node) -> Option<Template> {
        self.expanded(key, node).map(|expanded| expanded.template())
    }

    pub fn settled(&mut self, key: &str, node: &Node) -> Option<String> {
        match self.expanded(key, node)?.settled() {
            Ok(text) => Some(text),
            Err(name) => {
                let message = format!("`{key}`: `${{{name}}}` is known only per instance and is not allowed here");
                self.error(code::BAD_VARIABLE, node.span, message)
                    .hint("it is allowed in args, command, env, out_file and error_file");
                None
            }
        }
    }

    fn expanded(&mut self, key: &str, node: &Node) -> Option<Expanded> {
        let scalar = node.as_scalar()?;
        if scalar.kind != Kind::Text {
            return Some(Expanded::literal(&scalar.text));
        }
        if has_bare_variable(&scalar.text) && !may_be_for_a_shell(key) {
            let message = format!("`{key}`: a variable without braces stays as it is written");
            let hint = "write `${NAME}` to have it replaced, `$$NAME` if the dollar is meant";
            self.report.warning_once(code::BAD_VARIABLE, node.span, message, hint);
        }
        let scope = Scope { values: self, span: node.span };
        match expand(&scalar.text, &scope) {
            Ok(expanded) if !self.may_take(VALUE_BYTES + expanded.bytes(), node.span) => None,
            Ok(expanded) => {
                for name in &expanded.from_shell {
                    self.from_shell.push((key.to_owned(), name.clone()));
                }
                Some(expanded)
            }
            Err(Trouble::Unset { name, message }) => {
                let is_own = self.app.get("env").is_some_and(|env| env.node.get(&name).is_some());
                let hint = match is_own {
                    true => "values of `env` are for the process; only the shell's and `--var` count here".to_owned(),
                    false => format!("set it in the shell, pass `--var {name}=…`, or give a default: `${{{name}:-…}}`"),
                };
                let message = message.unwrap_or_else(|| format!("`{key}`: the variable `{name}` is not set"));
                self.error(code::UNSET_VARIABLE, node.span, message).hint(hint);
                None
            }
            Err(Trouble::TooLong) => {
                self.error(code::TOO_LARGE, node.span, format!("`{key}` exceeds 1 MiB after variable substitution"));
                None
            }
            Err(Trouble::Malformed(message)) => {
                self.error(code::BAD_VARIABLE, node.span, format!("`{key}`: {message}"))
                    .hint("write `$$` for a literal dollar sign");
                None
            }
        }
    }
}

/// `$NAME`, as a shell would replace it.
fn has_bare_variable(text: &str) -> bool {
    let begins_name = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.replace("$$", "").split('$').skip(1).any(|rest| rest.starts_with(begins_name))
}

/// Values that are command lines, arguments of some program, or regular expressions.
fn may_be_for_a_shell(key: &str) -> bool {
    const KEYS: [&str; 5] = ["args", "command", "interpreter_args", "build", "hooks"];
    let key = key.split('[').next().unwrap_or_default();
    KEYS.iter().any(|known| key == *known || key.starts_with("hooks."))
        || [".exec", ".log", ".body"].iter().any(|end| key.ends_with(end))
}

/// Who answers for a variable, in this order: `--var`, the app, the file, the shell.
struct Scope<'a, 'b> {
    values: &'a Values<'b>,
    span: Span,
}

impl Lookup for Scope<'_, '_> {
    fn find(&self, name: &str) -> Found {
        let values = self.values;
        if let Some(value) = values.options.get(name) {
            return Found::Value(value.clone());
        }
        let own_port = || {
            let env = values.app.get("env")?;
            env.node.get("PORT")?.as_scalar().map(|scalar| scalar.text.clone()).filter(|text| !has_variables(text))
        };
        match name {
            "PORT" if values.has_port => Found::PerInstance,
            "PM_INSTANCE" => Found::PerInstance,
            "PM_PROJECT" => Found::Value(values.project.to_owned()),
            "PM_APP" => Found::Value(values.app.name.clone()),
            "PM_FILE_DIR" => Found::Value(values.folder_of(self.span).to_string_lossy().into_owned()),
            "PORT" if let Some(port) = own_port() => Found::Value(port),
            _ => match values.world.variables().get(name) {
                Some(value) => Found::Shell(value.clone()),
                None => Found::Nothing,
            },
        }
    }
}

/// Reads a size; the shape has checked it.
pub(super) fn size(text: &str) -> Option<Bytes> {
    Bytes::parse(text).ok()
}

/// The number of a signal, by name with or without `SIG`, or by number.
pub(super) fn signal(text: &str) -> Option<i32> {
    let by_number = || integer(text).and_then(|number| i32::try_from(number).ok()).filter(|n| (1..=31).contains(n));
    stop_signal(text).or_else(by_number)
}
