//! A compose file: each service that names its command is an app.

mod health;
mod running;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Draft;
use crate::pm2::{Misfit, Remark, Translation, valid_name};
use health::HealthCheck;
use text::{line_of, list, meant};

/// A service as declared.
type Service = Map<String, Value>;

/// Reads the data of a compose file.
///
/// # Errors
/// It has no services that name their command, or one of them cannot be understood.
pub fn of_compose(file: &Value) -> Result<Translation, Misfit> {
    let services = file.get("services").and_then(Value::as_object).filter(|services| !services.is_empty());
    let Some(services) = services else { return Err(Misfit(vec!["it has no `services`".to_owned()])) };
    let mut remarks = beside_services(file);
    let (mut kept, mut misfits): (Vec<(&String, &Service)>, Vec<String>) = (Vec::new(), Vec::new());
    for (name, service) in services {
        match service.as_object() {
            None => misfits.push(format!("services.{name}: expected a table")),
            Some(service) if command_of(service).is_none() => remarks.push(left_out(name, service)),
            Some(service) => kept.push((name, service)),
        }
    }
    if kept.is_empty() && misfits.is_empty() {
        misfits.push("no service names its `command`: what an image runs by itself is not in this file".to_owned());
        misfits.extend(remarks.iter().filter(|remark| remark.key.starts_with("services.")).map(Remark::line));
    }
    let waited_for = Waited::of(&kept);
    let mut apps = Vec::new();
    for (name, service) in &kept {
        let mut reader = ServiceReader {
            draft: Draft::named(name),
            name,
            service,
            kept: kept.iter().map(|(name, _)| name.as_str()).collect(),
            waited_for: &waited_for,
            misfits: Vec::new(),
        };
        reader.read();
        misfits.append(&mut reader.misfits);
        let (app, own) = reader.draft.app();
        apps.push(app);
        remarks.extend(own);
    }
    if !misfits.is_empty() {
        return Err(Misfit(misfits));
    }
    if apps.iter().any(|app| app.keys.iter().any(|(_, value)| value.to_string().contains("${"))) {
        let says = "those in `${…}` come from the shell of the apply; compose reads a file `.env` for them, too";
        remarks.insert(0, Remark { app: None, key: "variables".to_owned(), says: says.to_owned() });
    }
    Ok(Translation { apps, remarks, defaults: Vec::new() })
}

/// Keys of the whole file.
fn beside_services(file: &Value) -> Vec<Remark> {
    let top = file.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    let remark = |key: &str| {
        let says = match key {
            "services" | "version" => return None,
            key if key.starts_with("x-") => return None,
            "name" => "ignored: the project is named after its folder; `project = \"…\"` names it",
            "include" => "ignored: import those files, too, and name them all: `pm apply A B`",
            "secrets" | "configs" => "ignored: write their files into `env_file`, or read them in the app",
            _ => "ignored: it concerns containers",
        };
        Some(Remark { app: None, key: key.to_owned(), says: says.to_owned() })
    };
    top.filter_map(remark).collect()
}

fn left_out(name: &str, service: &Service) -> Remark {
    let says = match (service.get("image").and_then(Value::as_str), service.contains_key("build")) {
        (Some(image), false) => {
            format!("left out: what the image `{image}` runs is not in this file; it stays a container")
        }
        _ if service.contains_key("extends") => {
            "left out: `extends` is not followed, and there is no `command`".to_owned()
        }
        _ => {
            "left out: its command is in a Dockerfile; write `command` into the service, and import it again".to_owned()
        }
    };
    Remark { app: None, key: format!("services.{name}"), says }
}

/// The command line of a service, and whether a shell runs it.
fn command_of(service: &Service) -> Option<(String, bool)> {
    let words = |key: &str| service.get(key).and_then(line_of);
    match (words("entrypoint"), words("command")) {
        (None, None) => None,
        (Some((first, false)), Some((rest, false))) => Some((format!("{first} {rest}"), false)),
        // `sh -c LINE` has taken its line: what follows are its parameters.
        (Some(one), _) | (None, Some(one)) => Some(one),
    }
}

/// What others wait for: that a service is healthy, that it completes.
struct Waited<'a>(BTreeMap<&'a str, Vec<&'a str>>);

impl<'a> Waited<'a> {
    fn of(services: &[(&'a String, &'a Service)]) -> Self {
        let mut conditions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (_, service) in services {
            for (name, needed) in service.get("depends_on").and_then(Value::as_object).into_iter().flatten() {
                let condition = needed.get("condition").and_then(Value::as_str).unwrap_or_default();
                conditions.entry(name.as_str()).or_default().push(condition);
            }
        }
        Self(conditions)
    }

    fn is_for(&self, service: &str, condition: &str) -> bool {
        self.0.get(service).is_some_and(|conditions| conditions.contains(&condition))
    }
}

/// One service while it is read.
struct ServiceReader<'a> {
    draft: Draft,
    name: &'a str,
    service: &'a Service,
    kept: Vec<&'a str>,
    waited_for: &'a Waited<'a>,
    misfits: Vec<String>,
}

impl ServiceReader<'_> {
    fn read(&mut self) {
        if let Some((line, is_shell)) = command_of(self.service) {
            self.draft.put("command", meant(&line));
            if is_shell {
                self.draft.put("shell", true);
            }
        }
        self.folder();
        self.environment();
        self.dependencies();
        self.health();
        self.restarts();
        self.copies_and_limits();
        self.stopping();
        self.ports();
        self.others();
    }

    fn misfit(&mut self, key: &str, expected: &str) {
        self.misfits.push(format!("{}.{key}: expected {expected}", self.name));
    }

    /// A text at this place: not written and `null` are the same.
    fn text(&mut self, key: &str) -> Option<String> {
        let value = self.service.get(key).filter(|value| !value.is_null())?;
        let text = text::plain(value);
        if text.is_none() {
            self.misfit(key, "a text");
        }
        text
    }

    /// Where it runs: a folder of the container is one of this machine only through a mount.
    fn folder(&mut self) {
        let context = match self.service.get("build") {
            Some(Value::String(folder)) => Some(folder.as_str()),
            Some(build) => build.get("context").and_then(Value::as_str),
            None => None,
        };
        let context =
            context.filter(|folder| !matches!(folder.trim_end_matches('/'), "." | "") && !folder.contains("://"));
        let Some(folder) = self.text("working_dir") else {
            if let Some(context) = context {
                self.draft.put("cwd", meant(context));
            }
            return;
        };
        if !folder.starts_with('/') {
            self.draft.put("cwd", meant(&folder));
            return;
        }
        let mounted = list(self.service.get("volumes")).into_iter().find_map(|mount| text::mounted(mount, &folder));
        if let Some(mounted) = mounted {
            self.draft.remark("working_dir", format!("`{folder}` is `{mounted}` outside of the container"));
            if mounted != "." {
                self.draft.put("cwd", meant(&mounted));
            }
        } else if self.service.contains_key("image") || self.service.contains_key("build") {
            let instead = context.unwrap_or("the folder of this file");
            self.draft.remark("working_dir", format!("`{folder}` is a folder of the container: it runs in {instead}"));
            if let Some(context) = context {
                self.draft.put("cwd", meant(context));
            }
        } else {
            self.draft.put("cwd", meant(&folder));
        }
    }

    fn environment(&mut self) {
        let mut env = Map::new();
        let mut inherited: Vec<String> = Vec::new();
        match self.service.get("environment") {
            None | Some(Value::Null) => {}
            Some(Value::Object(table)) => {
                for (name, value) in table {
                    match value {
                        Value::Null => inherited.push(name.clone()),
                        Value::Bool(_) => drop(env.insert(name.clone(), value.clone())),
                        Value::Number(number) if number.is_i64() => drop(env.insert(name.clone(), value.clone())),
                        Value::Array(_) | Value::Object(_) => self.misfit(&format!("environment.{name}"), "a text"),
                        other => drop(env.insert(name.clone(), meant(&text::plain(other).unwrap_or_default()))),
                    }
                }
            }
            Some(Value::Array(lines)) => {
                for line in lines {
                    match line.as_str().map(|line| line.split_once('=').ok_or(line)) {
                        Some(Ok((name, value))) => drop(env.insert(name.to_owned(), meant(value))),
                        Some(Err(name)) => inherited.push(name.to_owned()),
                        None => self.misfit("environment", "lines `NAME=VALUE`"),
                    }
                }
            }
            Some(_) => self.misfit("environment", "a table, or a list of `NAME=VALUE`"),
        }
        if !inherited.is_empty() {
            self.draft.put("inherit", inherited);
        }
        let files: Vec<Value> = list(self.service.get("env_file")).into_iter().filter_map(env_file).collect();
        match files.as_slice() {
            [] => {}
            [one] => self.draft.put("env_file", one.clone()),
            _ => self.draft.put("env_file", files),
        }
        if !env.is_empty() {
            self.draft.put("env", env);
        }
    }

    fn dependencies(&mut self) {
        let mut needed: Vec<(String, &str)> = Vec::new();
        let mut restarts_along = false;
        let named: Vec<(String, Value)> = match self.service.get("depends_on") {
            None | Some(Value::Null) => return,
            Some(Value::Object(table)) => table.iter().map(|(name, how)| (name.clone(), how.clone())).collect(),
            Some(Value::Array(names)) => {
                names.iter().filter_map(|name| Some((name.as_str()?.to_owned(), Value::Null))).collect()
            }
            Some(_) => return self.misfit("depends_on", "a list or a table of services"),
        };
        for (name, how) in named {
            if !self.kept.contains(&name.as_str()) {
                self.draft.remark("depends_on", format!("`{name}` is left out: it must be there when this starts"));
                continue;
            }
            restarts_along |= how.get("restart").and_then(Value::as_bool) == Some(true);
            let condition = match how.get("condition").and_then(Value::as_str) {
                Some("service_healthy") => "ready",
                Some("service_completed_successfully") => "completed",
                _ => "started",
            };
            needed.push((valid_name(&name), condition));
        }
        if needed.is_empty() {
            return;
        }
        let conditions = needed.into_iter().map(|(name, condition)| (name, Value::from(condition)));
        self.draft.put("depends_on", Value::Object(conditions.collect()));
        if restarts_along {
            self.draft.put("on_dependency_restart", "restart");
        }
    }

    fn health(&mut self) {
        let Some(check) = self.service.get("healthcheck").filter(|check| !check.is_null()) else { return };
        match HealthCheck::read(check) {
            Ok(None) => {}
            Ok(Some(health)) => {
                if self.waited_for.is_for(self.name, "service_healthy") {
                    self.draft.put("ready", health.ready());
                }
                self.draft.put("health", health.health());
                self.draft.remark(
                    "healthcheck",
                    "compose restarts nothing that is unhealthy; without `action` it is restarted here",
                );
                if health.is_shell_of_container()
                    && (self.service.contains_key("image") || self.service.contains_key("build"))
                {
                    self.draft.remark("healthcheck.test", "runs on this machine: what it calls must be installed here");
                }
            }
            Err((key, expected)) => self.misfit(&format!("healthcheck.{key}"), expected),
        }
    }
}

/// One entry of `env_file`.
fn env_file(entry: &Value) -> Option<Value> {
    if let Some(path) = entry.as_str() {
        return Some(meant(path));
    }
    let path = meant(entry.get("path")?.as_str()?);
    let is_optional = entry.get("required").and_then(Value::as_bool) == Some(false);
    Some(if is_optional { json!({ "path": path, "required": false }) } else { path })
}
