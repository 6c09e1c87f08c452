//! Keys about the life of an app: kind, dependencies, when it is good and whether it stays so.

use std::collections::BTreeMap;

use crate::model::{
    App, AppName, Condition, Health, HealthAction, HttpProbe, Kind, Millis, OnDependencyRestart, Probe, Ready,
    RestartWhen, Template,
};

use super::diagnostic::code;
use super::keys::DURATION;
use super::shape::Shape;
use super::tree::{Node, Span, Value, integer};
use super::values::Values;

/// Reads all of them into the app.
pub(super) fn upkeep(values: &mut Values<'_>, app: &mut App) {
    app.kind = match values.text("kind").as_deref() {
        Some("task") => Kind::Task,
        _ => Kind::Service,
    };
    if app.kind == Kind::Task && values.item("restart").is_none() && values.item("autorestart").is_none() {
        // A task is run to its end; whoever wants another try says so.
        app.restart.restart = RestartWhen::Never;
    }
    if app.kind == Kind::Task
        && app.restart.restart == RestartWhen::Always
        && let Some(item) = values.item("restart").or_else(|| values.item("kind"))
    {
        let span = item.key_span;
        values
            .error(code::CONFLICTING_KEYS, span, "a task that is always started again never ends")
            .hint("`restart = \"on-failure\"` tries a failed task again");
    }
    app.on_dependency_restart = match values.text("on_dependency_restart").as_deref() {
        Some("restart") => OnDependencyRestart::Restart,
        _ => OnDependencyRestart::Ignore,
    };
    app.ready = ready(values);
    app.health = health(values);
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
                let condition = match entry.node.as_text() {
                    Some("ready") => Condition::Ready,
                    Some("completed") => Condition::Completed,
                    _ => Condition::Started,
                };
                needed.insert(name, condition);
            }
        }
        Value::Scalar(_) => {}
    }
    needed
}

fn ready(values: &mut Values<'_>) -> Option<Ready> {
    let waits_for_message = values.item("wait_ready").is_some() && values.boolean("wait_ready", false);
    let listen_timeout =
        values.item("listen_timeout").is_some().then(|| values.millis("listen_timeout", Ready::TIMEOUT));
    let Some(node) = values.node("ready") else {
        let timeout = listen_timeout.unwrap_or(Ready::TIMEOUT);
        return waits_for_message.then(|| Ready { probe: Probe::Message(true), timeout, interval: Ready::INTERVAL });
    };
    if waits_for_message && let Some(item) = values.item("wait_ready") {
        let span = item.key_span;
        values
            .error(code::CONFLICTING_KEYS, span, "`wait_ready` and `ready` both say when it is ready")
            .hint("keep `ready`");
    }
    let probe = probe(values, "ready", node)?;
    let timeout = duration(values, "ready", node, "timeout").or(listen_timeout).unwrap_or(Ready::TIMEOUT);
    let interval = duration(values, "ready", node, "interval").unwrap_or(Ready::INTERVAL);
    check_above_zero(values, "ready", node, &[("timeout", timeout), ("interval", interval)]);
    Some(Ready { probe, timeout, interval })
}

fn health(values: &mut Values<'_>) -> Option<Health> {
    let node = values.node("health")?;
    let probe = probe(values, "health", node)?;
    if matches!(probe, Probe::Log(_) | Probe::Message(_)) {
        let message = format!("`health.{}` cannot be asked again and again", probe.word());
        values.error(code::BAD_VALUE, node.span, message).hint("http, tcp, exec and notify (watchdog) can");
    }
    let interval = duration(values, "health", node, "interval").unwrap_or(Health::INTERVAL);
    let timeout = duration(values, "health", node, "timeout").unwrap_or(Health::TIMEOUT);
    let start_period = duration(values, "health", node, "start_period").unwrap_or_default();
    check_above_zero(values, "health", node, &[("timeout", timeout), ("interval", interval)]);
    let failures = node.get("failures").and_then(|node| {
        let read = |text: &str| integer(text).and_then(|number| u32::try_from(number).ok());
        values.scalar("health.failures", &Shape::Integer(1, 1000), node, read)
    });
    let action = match node.get("action").and_then(Node::as_text) {
        Some("none") => HealthAction::None,
        _ => HealthAction::Restart,
    };
    Some(Health { probe, interval, timeout, start_period, failures: failures.unwrap_or(Health::FAILURES), action })
}

fn duration(values: &mut Values<'_>, key: &str, node: &Node, name: &str) -> Option<Millis> {
    let node = node.get(name)?;
    values.scalar(&format!("{key}.{name}"), &Shape::Form(&DURATION), node, |text| Millis::parse(text).ok())
}

fn check_above_zero(values: &mut Values<'_>, key: &str, node: &Node, all: &[(&str, Millis)]) {
    for (name, _) in all.iter().filter(|(_, value)| value.0 == 0) {
        let span = node.get(name).map_or(node.span, |node| node.span);
        values.error(code::BAD_VALUE, span, format!("`{key}.{name}` is 0: nothing could ever be in time"));
    }
}

/// The one probe of a table: exactly one must stand there.
fn probe(values: &mut Values<'_>, key: &str, node: &Node) -> Option<Probe> {
    const WORDS: [&str; 6] = ["http", "tcp", "exec", "log", "notify", "message"];
    let is_off = |node: &Node| node.as_scalar().is_some_and(|scalar| scalar.text == "false");
    let found: Vec<(&str, &Node)> =
        WORDS.iter().filter_map(|word| Some((*word, node.get(word)?))).filter(|(_, node)| !is_off(node)).collect();
    match found.as_slice() {
        [(word, node)] => one_probe(values, key, word, node),
        [] => {
            let message = format!("`{key}` needs a probe: nothing says what is asked");
            values.error(code::MISSING_KEY, node.span, message).hint("one of http, tcp, exec, log, notify, message");
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
        nodes.iter().filter_map(|node| node.as_scalar()?.text.parse().ok()).collect()
    });
    let headers = node.get("headers").and_then(Node::as_map).map(|entries| {
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

fn check_url(values: &mut Values<'_>, path: &str, url: &Template, span: Span) {
    let text = url.to_string();
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    if host.is_none_or(str::is_empty) {
        values
            .error(code::BAD_VALUE, span, format!("`{path}`: `{text}` is not a URL"))
            .hint("write \"http://127.0.0.1:${PORT}/health\"");
    }
}

fn check_address(values: &mut Values<'_>, path: &str, address: &Template, span: Span) {
    let text = address.to_string();
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0) || port.starts_with("${");
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
