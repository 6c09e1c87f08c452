//! How often a service runs, when it is restarted, how it stops, and what only a container has.

use serde_json::{Map, Value};

use super::ServiceReader;
use super::text::{duration, list, plain, size};

/// Keys that are read, or mean nothing outside of a container and need no word.
const READ: [&str; 22] = [
    "build",
    "command",
    "container_name",
    "cpus",
    "depends_on",
    "deploy",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "healthcheck",
    "image",
    "init",
    "mem_limit",
    "ports",
    "profiles",
    "restart",
    "scale",
    "stop_grace_period",
    "stop_signal",
    "tty",
    "working_dir",
];

impl ServiceReader<'_> {
    pub(super) fn restarts(&mut self) {
        let is_waited_for = self.waited_for.is_for(self.name, "service_completed_successfully");
        let policy = self.service.get("deploy").and_then(|deploy| deploy.get("restart_policy"));
        let of_policy = policy.map(|policy| match policy.get("condition").and_then(Value::as_str) {
            Some("none") => "no".to_owned(),
            Some("on-failure") => match policy.get("max_attempts").and_then(plain) {
                Some(most) => format!("on-failure:{most}"),
                None => "on-failure".to_owned(),
            },
            _ => "always".to_owned(),
        });
        // `restart: no` without quotes is a text in YAML 1.2, and `false` before.
        let written = match self.service.get("restart") {
            Some(Value::Bool(false)) => Some("no".to_owned()),
            _ => self.text("restart"),
        };
        let restart = of_policy.or(written).unwrap_or_else(|| "no".to_owned());
        let (word, most) = match restart.split_once(':') {
            Some((word, most)) => (word, most.parse::<u32>().ok()),
            None => (restart.as_str(), None),
        };
        match word {
            "always" | "unless-stopped" if !is_waited_for => {}
            "on-failure" => {
                if is_waited_for {
                    self.draft.put("kind", "task");
                }
                self.draft.put("restart", "on-failure");
            }
            "no" | "always" | "unless-stopped" if is_waited_for => self.draft.put("kind", "task"),
            "no" => self.draft.put("restart", "never"),
            _ => self.misfit("restart", "\"no\", \"always\", \"on-failure\" or \"unless-stopped\""),
        }
        if let Some(most) = most {
            self.draft.put("max_restarts", most);
            self.draft.remark("restart", "`max_restarts` counts starts in a row that did not last, compose counts all");
        }
        let delay = policy.and_then(|policy| policy.get("delay")).and_then(duration);
        if let Some(delay) = delay {
            self.draft.put("restart_delay", delay);
        }
    }

    pub(super) fn copies_and_limits(&mut self) {
        let deploy = self.service.get("deploy");
        let copies = deploy.and_then(|deploy| deploy.get("replicas")).or_else(|| self.service.get("scale"));
        match copies.map(Value::as_u64) {
            None | Some(Some(1)) => {}
            Some(Some(copies)) => self.draft.put("instances", copies),
            Some(None) => self.misfit("deploy.replicas", "a number"),
        }
        let limits = deploy.and_then(|deploy| deploy.get("resources")?.get("limits"));
        let of_limits = |key: &str| limits.and_then(|limits| limits.get(key));
        let mut ours = Map::new();
        if let Some(memory) = of_limits("memory").or_else(|| self.service.get("mem_limit")) {
            match size(memory) {
                Some(memory) => drop(ours.insert("memory".to_owned(), Value::from(memory))),
                None => self.misfit("mem_limit", "a size such as \"512m\""),
            }
        }
        if let Some(cpus) = of_limits("cpus").or_else(|| self.service.get("cpus")) {
            match plain(cpus).and_then(|cpus| share_of_cpu(&cpus)) {
                Some(share) => drop(ours.insert("cpu".to_owned(), share)),
                None => self.misfit("cpus", "a number of processors"),
            }
        }
        if !ours.is_empty() {
            self.draft.put("limits", ours);
        }
        if !list(self.service.get("profiles")).is_empty() {
            self.draft.put("autostart", false);
            self.draft.remark("profiles", "it starts with `pm start`, not with an apply");
        }
    }

    pub(super) fn stopping(&mut self) {
        if let Some(signal) = self.text("stop_signal").filter(|signal| signal != "SIGTERM") {
            self.draft.put("kill_signal", signal);
        }
        match self.service.get("stop_grace_period").map(duration) {
            None => {}
            Some(Some(length)) if length == "10s" => {}
            Some(Some(length)) => self.draft.put("kill_timeout", length),
            Some(None) => self.misfit("stop_grace_period", "a duration such as \"30s\""),
        }
    }

    /// A process listens by itself.
    pub(super) fn ports(&mut self) {
        let written = |port: &Value| match port {
            Value::Object(long) => {
                let part = |key: &str| long.get(key).and_then(plain).unwrap_or_default();
                format!("{}:{}", part("published"), part("target"))
            }
            other => plain(other).unwrap_or_default(),
        };
        let ports: Vec<String> = list(self.service.get("ports")).into_iter().map(written).collect();
        if !ports.is_empty() {
            let says = format!("`{}`: the app itself listens here; `port = N` gives it `PORT`", ports.join("`, `"));
            self.draft.remark("ports", says);
        }
    }

    /// Everything else is told.
    pub(super) fn others(&mut self) {
        if let Some(image) = self.text("image") {
            let says = format!("`{image}` is not used: the programs of this machine run, with its files and network");
            self.draft.remark("image", says);
        }
        if self.service.get("stdin_open") == Some(&Value::Bool(true)) {
            self.draft.put("stdin", "pipe");
        }
        let unread =
            self.service.keys().map(String::as_str).filter(|key| !READ.contains(key) && !key.starts_with("x-"));
        for key in unread.map(str::to_owned).collect::<Vec<_>>() {
            let says = match key.as_str() {
                "stdin_open" => continue,
                "user" => "ignored: it is a user of the container; `user = \"…\"` names one of this machine",
                "volumes" => "ignored: the app sees the files of this machine",
                "networks" | "links" | "network_mode" | "hostname" | "extra_hosts" | "dns" => {
                    "ignored: names of services are not addresses here: write `127.0.0.1` in its place"
                }
                "extends" => "ignored: write what it takes from there into this file",
                "secrets" | "configs" => "ignored: no files are mounted; read them where they are",
                "ulimits" => "ignored: `limits = { nofile = … }` limits open files",
                "logging" => "ignored: `log_rotate` limits log files",
                _ => "ignored: it concerns containers",
            };
            self.draft.remark(&key, says);
        }
    }
}

/// `"0.5"` is half of a processor.
fn share_of_cpu(cpus: &str) -> Option<Value> {
    if let Ok(whole) = cpus.parse::<u32>() {
        return Some(Value::from(whole));
    }
    let (whole, part) = cpus.split_once('.')?;
    let part: String = part.chars().chain("00".chars()).take(2).collect();
    let percent = whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(part.parse().ok()?)?;
    Some(Value::from(format!("{percent}%")))
}
