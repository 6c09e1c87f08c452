//! What is run, under which name, and how many copies of it.

use serde_json::Value;

use super::Export;
use super::app::{AppReader, Given, self_text};
use super::env::with_variables;
use super::shape::words;
use super::values::{flag, leading_number, literal, text, texts, whole};

/// The longest name of an app.
const NAME_LENGTH_MAX: usize = 100;
/// Programs that run the app in a second process: they cannot be workers of a cluster.
const RUNNERS: [&str; 8] = ["npm", "npx", "pnpm", "pnpx", "yarn", "bunx", "tsx", "ts-node"];

impl AppReader {
    /// What is run, and its name.
    pub(super) fn identity(&mut self, given: &Given<'_>, profile: Option<&str>) -> (Option<String>, String) {
        let script = self.text(given, "script").filter(|script| !script.trim().is_empty());
        if script.is_none() && !given.contains_key("script") {
            self.misfits.push(format!("{}: there is no `script`", self.label));
        }
        let of_script = script.as_deref().map(name_of).unwrap_or_default();
        let mut wanted = self.text(given, "name").filter(|name| !name.is_empty()).unwrap_or(of_script);
        if self.flag(given, "append_env_to_name") == Some(true)
            && let Some(profile) = profile
        {
            wanted = format!("{wanted}-{profile}");
        }
        let name = valid_name(&wanted);
        if name != wanted {
            self.remark("name", format!("`{wanted}` becomes `{name}`: names have letters, digits, `.`, `_`, `-`"));
        }
        (script, name)
    }

    pub(super) fn program(&mut self, given: &Given<'_>, script: Option<&str>, export: &Export) {
        let script = script.unwrap_or_default();
        let is_line = script.trim().contains(char::is_whitespace);
        if is_line {
            // PM2: bash -c "…"
            self.put("command", with_variables(script.trim(), export));
            self.put("shell", Value::from(true));
        } else {
            self.put("script", literal(script.trim()));
        }
        if let Some((written, value)) = given.get("args") {
            if is_line {
                self.remark(written, "ignored, as PM2 does: `script` is a whole command line");
            } else if let Some(args) = self.words(value, written, export) {
                self.put("args", args);
            }
        }
        let interpreter = self.text(given, "exec_interpreter");
        if let Some(interpreter) = interpreter.filter(|interpreter| !interpreter.is_empty()) {
            let written = given.get("exec_interpreter").map_or("interpreter", |(written, _)| *written);
            if interpreter.starts_with("node@") {
                let line = "write the path of the program, for example `interpreter: \"/opt/node-20/bin/node\"`";
                self.misfits.push(format!("{}.{written}: `{interpreter}` needs nvm: {line}", self.label));
            } else if is_line {
                self.remark(written, "ignored: `script` is a whole command line, which a shell runs");
            } else {
                self.put("interpreter", literal(&interpreter));
            }
        }
        if let Some((written, value)) = given.get("node_args")
            && !is_line
            && let Some(args) = self.words(value, written, export)
        {
            self.put("interpreter_args", args);
        }
        self.pass("cwd", self_text(given, "cwd").as_deref().map(literal));
        if let Some(cwd) = given.get("cwd").filter(|(_, value)| !value.is_string()) {
            self.misfits.push(format!("{}.{}: expected a folder, found {}", self.label, cwd.0, words(cwd.1)));
        }
        self.pass("namespace", self_text(given, "namespace").filter(|namespace| namespace != "default"));
    }

    /// Words of a command line: a list, or a text that is split.
    pub(super) fn words(&mut self, value: &Value, written: &str, export: &Export) -> Option<Value> {
        let read = match value {
            Value::Array(_) => {
                texts(value).map(|words| words.iter().map(|word| with_variables(word, export)).collect())
            }
            other => text(other).map(|line| with_variables(&line, export)),
        };
        if read.is_none() {
            self.misfits.push(format!("{}.{written}: expected a list of strings, or one string", self.label));
        }
        read.filter(|words| words != "" && words.as_array().is_none_or(|words| !words.is_empty()))
    }

    pub(super) fn copies(&mut self, given: &Given<'_>, script: Option<&str>) {
        let instances = self.value(given, "instances", "a number or \"max\"", instances);
        let mode = self.text(given, "exec_mode");
        let can_be_clustered =
            can_be_clustered(script.unwrap_or_default(), self_text(given, "exec_interpreter").as_deref());
        let is_task = self_text(given, "cron_restart").is_some_and(|pattern| pattern != "0")
            && given.get("autorestart").is_some_and(|(_, value)| flag(value) == Some(false));
        let is_cluster = match mode.as_deref() {
            Some("cluster" | "cluster_mode") => {
                if !can_be_clustered {
                    self.remark("exec_mode", "runs in fork mode: only a file that Node runs itself can be clustered");
                } else if is_task {
                    self.remark(
                        "exec_mode",
                        "runs in fork mode: with `autorestart: false` and a schedule it is a task",
                    );
                }
                can_be_clustered && !is_task
            }
            Some("fork" | "fork_mode") => false,
            Some(other) => {
                let message = format!("{}.exec_mode: expected \"fork\" or \"cluster\", found `{other}`", self.label);
                self.misfits.push(message);
                false
            }
            // PM2 makes a cluster of everything that says how many copies there are. One alone needs none.
            None => {
                let is_several = instances.as_ref().is_some_and(|instances| instances.as_i64() != Some(1));
                is_several && !is_task && can_be_clustered && runs_javascript(script.unwrap_or_default())
            }
        };
        if is_cluster {
            self.put("exec_mode", Value::from("cluster"));
            if !given.contains_key("wait_ready") {
                let written = if mode.is_some() { "exec_mode" } else { "instances" };
                self.remark(written, "a copy is ready when it listens; apps that never do need `exec_mode: \"fork\"`");
            }
        }
        self.pass("instances", instances.filter(|instances| instances.as_i64() != Some(1)));
    }
}

/// `src/api.server.js` → `api.server`.
fn name_of(script: &str) -> String {
    let first = script.trim();
    let file = first.rsplit('/').next().unwrap_or(first);
    file.rsplit_once('.').map_or(file, |(stem, _)| if stem.is_empty() { file } else { stem }).to_owned()
}

/// The nearest name that can be typed without quotes.
pub fn valid_name(wanted: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let plain: String = wanted.chars().map(|letter| if is_plain(letter) { letter } else { '-' }).collect();
    let plain: String = plain.trim_start_matches(['-', '.']).chars().take(NAME_LENGTH_MAX).collect();
    match plain.as_str() {
        "" => "app".to_owned(),
        "all" => "all-apps".to_owned(),
        _ => plain,
    }
}

/// 0 and `max`: as many as there are processors.
fn instances(value: &Value) -> Option<Value> {
    let number = match value {
        Value::String(text) if text.trim() == "max" => return Some(Value::from("max")),
        Value::String(text) => leading_number(text),
        other => whole(other),
    };
    number.map(|number| if number == 0 { Value::from("max") } else { Value::from(number) })
}

/// Whether Node, or Bun, runs the script itself.
fn can_be_clustered(script: &str, interpreter: Option<&str>) -> bool {
    let program = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    let is_line = script.trim().contains(char::is_whitespace);
    let is_runner = RUNNERS.contains(&program(script).as_str());
    let is_by_node =
        interpreter.is_none_or(|interpreter| matches!(program(interpreter).as_str(), "node" | "nodejs" | "bun"));
    !is_line && !is_runner && is_by_node && (runs_javascript(script) || interpreter.is_some() || script.contains('/'))
}

fn runs_javascript(script: &str) -> bool {
    matches!(extension(script), "js" | "cjs" | "mjs" | "ts" | "mts" | "cts")
}

/// What stands behind the last dot of a path.
pub(super) fn extension(script: &str) -> &str {
    script.rsplit_once('.').map_or("", |(_, extension)| extension)
}
