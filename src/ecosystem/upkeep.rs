//! Keys about the life of an app: kind, dependencies, readiness and health.

use std::collections::BTreeMap;

use crate::model::{
    App, AppName, Condition, Health, HealthAction, HttpProbe, Kind, Millis, OnDependencyRestart, Probe, Ready,
    RestartWhen, Template,
};
use crate::rules::{self, UrlError};

use super::diagnostic::code;
use super::document::unsupported;
use super::tree::{Node, Span, Value, integer};
use super::values::Values;

/// Reads all of them into the app.
pub(super) fn upkeep(values: &mut Values<'_>, app: &mut App) {
    app.kind = match values.text("kind").as_deref() {
        Some("task") => Kind::Task,
        _ => Kind::Service,
    };
    if app.kind == Kind::Task && values.item("restart").is_none() && values.item("autorestart").is_none() {
        // A task runs to completion; retries have to be declared.
        app.restart.restart = RestartWhen::Never;
    }
    if app.kind == Kind::Task
        && app.restart.restart == RestartWhen::Always
        && let Some(item) = values.item("restart").or_else(|| values.item("kind"))
    {
        let span = item.key_span;
        values
            .error(code::CONFLICTING_KEYS, span, "a task that is always restarted never completes")
            .hint("`restart = \"on-failure\"` retries a failed task");
    }
    app.on_dependency_restart = match values.text("on_dependency_restart").as_deref() {
        Some("restart") => OnDependencyRestart::Restart,
        _ => OnDependencyRestart::Ignore,
    };
    app.ready = ready(values, app.is_cluster());
    app.health = health(values);
    for (key, probe) in [
        ("ready", app.ready.as_ref().map(|ready| &ready.probe)),
        ("health", app.health.as_ref().map(|health| &health.probe)),
    ] {
        if let Some(probe) = probe {
            check_context(values, app, key, probe);
        }
    }
}

/// Apps that come first.
pub(super) fn depends_on(values: &mut Values<'_>) -> BTreeMap<AppName, Condition> {
    let mut needed = BTreeMap::new();
    let Some(node) = values.node("depends_on") else { return needed };
    match &node.value {
        Value::List(nodes) => {
            needed.extend(
                nodes.iter().filter_map(|node| Some((AppName::new(node.as_text()?).ok()?, Condition::Started))),
            );
        }
        Value::Map(entries) => {
            for entry in entries {
                let Ok(name) = AppName::new(&entry.key) else { continue };
                let read = |word: &str| {
                    Some(match word {
                        "ready" => Condition::Ready,
                        "completed" => Condition::Completed,
                        _ => Condition::Started,
                    })
                };
                let condition = values.scalar(&format!("depends_on.{name}"), &entry.node, read);
                needed.insert(name, condition.unwrap_or(Condition::Started));
            }
        }
        Value::Scalar(_) => {}
    }
    needed
}

fn ready(values: &mut Values<'_>, is_cluster: bool) -> Option<Ready> {
    let waits_for_message = values.item("wait_ready").is_some() && values.boolean("wait_ready", false);
    let listen_timeout =
        values.item("listen_timeout").is_some().then(|| values.millis("listen_timeout", Ready::TIMEOUT));
    let Some(node) = values.node("ready") else {
        let timeout = listen_timeout.unwrap_or(Ready::TIMEOUT);
        let probe = match waits_for_message {
            true => Probe::Message(true),
            false if is_cluster => Probe::Listening(true),
            false => return None,
        };
        return Some(Ready { probe, timeout, interval: Ready::INTERVAL });
    };
    if waits_for_message && let Some(item) = values.item("wait_ready") {
        let span = item.key_span;
        values.error(code::CONFLICTING_KEYS, span, "`wait_ready` and `ready` exclude each other").hint("keep `ready`");
    }
    let probe = probe(values, "ready", node, is_cluster)?;
    let timeout = duration(values, "ready", node, "timeout").or(listen_timeout).unwrap_or(Ready::TIMEOUT);
    let interval = duration(values, "ready", node, "interval").unwrap_or(Ready::INTERVAL.min(Millis(timeout.0 / 2)));
    check_above_zero(values, "ready", node, &[("timeout", timeout), ("interval", interval)]);
    if !probe.is_told() && interval >= timeout && interval.0 > 0 {
        let span = node.get("interval").or_else(|| node.get("timeout")).map_or(node.span, |node| node.span);
        values
            .error(code::BAD_VALUE, span, format!("`ready`: probed every {interval}, but it fails after {timeout}"))
            .hint("`interval` must be shorter than `timeout`");
    }
    Some(Ready { probe, timeout, interval })
}

fn health(values: &mut Values<'_>) -> Option<Health> {
    let node = values.node("health")?;
    let probe = probe(values, "health", node, false)?;
    if matches!(probe, Probe::Log(_) | Probe::Message(_) | Probe::Listening(_)) {
        let message = format!("`health.{}` cannot be probed repeatedly", probe.as_str());
        values.error(code::BAD_VALUE, node.span, message).hint("use http, tcp, exec or notify (watchdog)");
    }
    let interval = duration(values, "health", node, "interval").unwrap_or(Health::INTERVAL);
    let timeout = duration(values, "health", node, "timeout").unwrap_or(Health::TIMEOUT.min(interval));
    let start_period = duration(values, "health", node, "start_period").unwrap_or_default();
    check_above_zero(values, "health", node, &[("timeout", timeout), ("interval", interval)]);
    if timeout > interval && !matches!(probe, Probe::Notify(_)) && timeout.0 > 0 {
        let span = node.get("timeout").or_else(|| node.get("interval")).map_or(node.span, |node| node.span);
        values
            .error(
                code::BAD_VALUE,
                span,
                format!("`health`: one probe may take {timeout}, but the next is due after {interval}"),
            )
            .hint("`timeout` must not be longer than `interval`");
    }
    let failures = node.get("failures").and_then(|node| {
        let read = |text: &str| integer(text).and_then(|number| u32::try_from(number).ok());
        values.scalar("health.failures", node, read)
    });
    let action = node.get("action").and_then(|node| {
        let read = |word: &str| Some(if word == "none" { HealthAction::None } else { HealthAction::Restart });
        values.scalar("health.action", node, read)
    });
    Some(Health {
        probe,
        interval,
        timeout,
        start_period,
        failures: failures.unwrap_or(Health::FAILURES),
        action: action.unwrap_or(HealthAction::Restart),
    })
}

/// What a probe needs of the rest of the app.
fn check_context(values: &mut Values<'_>, app: &App, key: &str, probe: &Probe) {
    let Some(span) = values.node(key).map(|node| node.span) else {
        return; // `wait_ready`: a message comes from one process, whatever else is declared
    };
    let address = match probe {
        Probe::Http(http) => &http.url,
        Probe::Tcp(address) => address,
        Probe::Log(_) if app.logs.disable_logs => {
            values
                .error(
                    code::CONFLICTING_KEYS,
                    span,
                    format!("`{key}.log` reads the output that `disable_logs` discards"),
                )
                .hint("use `notify`, `exec`, `http` or `tcp`, which need no log");
            return;
        }
        Probe::Listening(_) if !app.is_cluster() => {
            values
                .error(code::CONFLICTING_KEYS, span, format!("`{key}.listening` needs `exec_mode = \"cluster\"`"))
                .hint("use http, tcp, exec, log, notify or message");
            return;
        }
        Probe::Exec(_) | Probe::Log(_) | Probe::Notify(_) | Probe::Message(_) | Probe::Listening(_) => return,
    };
    if app.is_cluster() || !values.texts("listen").is_empty() {
        let message =
            format!("`{key}.{}` cannot tell the copies apart: they all answer on one shared socket", probe.as_str());
        let hint = match key {
            "health" => "use `notify` or `exec`, which work per copy",
            _ if app.is_cluster() => "use `listening`, `notify`, `message`, `log` or `exec`, which work per copy",
            _ => "use `notify`, `message`, `log` or `exec`, which work per copy",
        };
        values.error(code::CONFLICTING_KEYS, span, message).hint(hint);
        return;
    }
    let count = app.instances.unwrap_or(1);
    if count > 1 && !address.is_per_instance() && is_local(&address.to_string()) {
        let message = format!(
            "`{key}.{}` probes one address for all {count} copies, but only one of them can listen there",
            probe.as_str()
        );
        values.error(code::PORT, span, message).hint("`${PORT}` is the port of each copy (`port` + its slot)");
    }
}

/// Whether an address or a URL is on this machine for sure.
fn is_local(address: &str) -> bool {
    let rest = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://")).unwrap_or(address);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let is_port = host.parse::<u16>().is_ok();
    is_port || rest.starts_with("unix:") || ["localhost", "127.", "[::1]"].iter().any(|local| host.starts_with(local))
}

fn duration(values: &mut Values<'_>, key: &str, node: &Node, name: &str) -> Option<Millis> {
    let node = node.get(name)?;
    values.scalar(&format!("{key}.{name}"), node, |text| Millis::parse(text).ok())
}

fn check_above_zero(values: &mut Values<'_>, key: &str, node: &Node, all: &[(&str, Millis)]) {
    for (name, _) in all.iter().filter(|(_, value)| value.0 == 0) {
        let span = node.get(name).map_or(node.span, |node| node.span);
        values.error(code::BAD_VALUE, span, format!("`{key}.{name}` is 0: every probe would time out"));
    }
}

/// The one probe of a table: exactly one must stand there. A worker of a cluster has one without that, unless it is
/// switched off.
fn probe(values: &mut Values<'_>, key: &str, node: &Node, is_cluster: bool) -> Option<Probe> {
    const WORDS: [&str; 7] = ["http", "tcp", "exec", "log", "notify", "message", "listening"];
    // As a command, `false` is one like any other.
    let mut is_off = |word: &str, node: &Node| {
        matches!(word, "notify" | "message" | "listening")
            && !values.boolean_of(&format!("{key}.{word}"), Some(node), true)
    };
    let given = WORDS.iter().filter_map(|word| Some((*word, node.get(word)?)));
    let found: Vec<(&str, &Node)> = given.filter(|(word, node)| !is_off(word, node)).collect();
    match found.as_slice() {
        [(word, node)] => one_probe(values, key, word, node),
        [] if is_cluster => node.get("listening").is_none().then_some(Probe::Listening(true)),
        [] => {
            let message = format!("`{key}` needs a probe");
            values
                .error(code::MISSING_KEY, node.span, message)
                .hint("add one of http, tcp, exec, log, notify, message");
            None
        }
        [(first, _), (second, other), ..] => {
            let message = format!("`{key}` has several probes, `{first}` and `{second}`");
            values.error(code::CONFLICTING_KEYS, other.span, message).hint("keep one");
            None
        }
    }
}

fn one_probe(values: &mut Values<'_>, key: &str, word: &str, node: &Node) -> Option<Probe> {
    let path = format!("{key}.{word}");
    Some(match word {
        "http" => Probe::Http(http(values, &path, node)?),
        "tcp" => {
            let address = values.template(&path, node)?;
            check_address(values, &path, &address, node.span);
            Probe::Tcp(address)
        }
        "exec" => Probe::Exec(values.template(&path, node)?),
        "log" => {
            let pattern = values.settled(&path, node)?;
            check_pattern(values, &path, &pattern, node.span);
            Probe::Log(pattern)
        }
        "notify" => Probe::Notify(true),
        "listening" => Probe::Listening(true),
        _ => Probe::Message(true),
    })
}

fn http(values: &mut Values<'_>, path: &str, node: &Node) -> Option<HttpProbe> {
    let url_node = node.get("url").unwrap_or(node);
    let url = values.template(path, url_node)?;
    check_url(values, path, &url, url_node.span);
    let status = node.get("status").map(|node| {
        let nodes = match &node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let code =
            |values: &mut Values<'_>, node| values.scalar(&format!("{path}.status"), node, |text| text.parse().ok());
        nodes.iter().filter_map(|node| code(values, node)).collect()
    });
    let headers = node.get("headers").and_then(Node::as_map).map(|entries| {
        for entry in entries.iter().filter(|entry| !rules::is_header_name(&entry.key)) {
            let message = format!("`{path}.headers`: `{}` is not a header name", entry.key);
            values.error(code::BAD_VALUE, entry.node.span, message).hint("letters, digits and `-`");
        }
        let header = |values: &mut Values<'_>, key: &str, node: &Node| {
            values.template(&format!("{path}.headers.{key}"), node).map(|value| (key.to_owned(), value))
        };
        entries.iter().filter_map(|entry| header(values, &entry.key, &entry.node)).collect()
    });
    let body = node.get("body").and_then(|node| {
        let pattern = values.settled(&format!("{path}.body"), node)?;
        check_pattern(values, &format!("{path}.body"), &pattern, node.span);
        Some(pattern)
    });
    Some(HttpProbe { url, status: status.unwrap_or_default(), headers: headers.unwrap_or_default(), body })
}

/// Looks at a URL as the probe of the first instance will.
fn check_url(values: &mut Values<'_>, path: &str, url: &Template, span: Span) {
    let text = url.fill(0, Some(1));
    let error = match rules::ProbeUrl::parse(&text) {
        Ok(url) if url.is_https && !cfg!(feature = "tls") => {
            let what = format!("{path} over https (this pm was built without the feature `tls`)");
            return unsupported(&what, span, values.report);
        }
        Ok(_) => return,
        Err(error) => error,
    };
    let hint = match error {
        UrlError::Letter(letter) => {
            let bytes: Vec<String> = letter.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
            let escaped = bytes.concat();
            format!("write `{escaped}` in a path or a query")
        }
        UrlError::Percent => "write `%25` for a percent sign".to_owned(),
        _ => "write \"http://127.0.0.1:${PORT}/health\"".to_owned(),
    };
    let message = match error {
        UrlError::NotHttp => format!("`{path}`: `{url}` {error}"),
        _ => format!("`{path}`: {error}"),
    };
    values.error(code::BAD_VALUE, span, message).hint(hint);
}

/// A number, or what a variable will make one.
fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0) || text.contains("${")
}

fn check_address(values: &mut Values<'_>, path: &str, address: &Template, span: Span) {
    let text = address.to_string();
    let is_good = match text.strip_prefix("unix:") {
        Some(file) => !file.is_empty(),
        None => match text.rsplit_once(':') {
            Some((host, port)) => !host.is_empty() && is_port(port),
            None => is_port(&text),
        },
    };
    if !is_good {
        values
            .error(code::BAD_VALUE, span, format!("`{path}`: `{text}` is not an address"))
            .hint("write \"127.0.0.1:8080\", \"8080\" or \"unix:/run/app.sock\"");
    }
}

fn check_pattern(values: &mut Values<'_>, path: &str, pattern: &str, span: Span) {
    if let Err(error) = regex_lite::Regex::new(pattern) {
        values.error(code::BAD_VALUE, span, format!("`{path}` is not a regular expression: {error}"));
    }
}
