//! One merged app → [`App`]: every key read, every default filled in.

use crate::model::{
    App, AppId, AppName, AutoPort, Hooks, Kind, LogForm, LogFormat, LogPolicy, OnDependencyRestart, OnLogFull,
    ProjectName, RestartPolicy, RestartWhen, Rotation, Run, SlotVariables, StdinMode, StopPolicy, StopScope, Template,
    UpdatePolicy,
};
use crate::rules;

use super::cluster::{cluster, could_be_cluster};
use super::diagnostic::code;
use super::document::unsupported;
use super::environment::{Collected, EnvFiles, environment, restart_on};
use super::formats::umask;
use super::host::{Host as _, NoAccount};
use super::limits::limits;
use super::program::program;
use super::schedule::schedule;
use super::size::check_size;
use super::tree::{Kind as ScalarKind, Node, Value, integer};
use super::update::update;
use super::upkeep::{depends_on, upkeep};
use super::values::{Values, signal, size};
use super::watching::watching;

/// Reads one app. `None` if its name is wrong; other problems are in the report and read as defaults.
pub(super) fn app(values: &mut Values<'_>, project: &ProjectName, files: &mut EnvFiles) -> Option<(App, Collected)> {
    refuse_unbuilt(values);
    let name = AppName::new(&values.app.name).ok()?;
    let port = values.text("port");
    let number = |text: &String| integer(text).and_then(|port| u16::try_from(port).ok());
    let mut run = Run {
        port: port.as_ref().and_then(number),
        slot_variables: SlotVariables {
            instance_var: values.text("instance_var").unwrap_or_else(|| "NODE_APP_INSTANCE".to_owned()),
            increment_var: values.text("increment_var"),
            auto_port: port.as_deref().and_then(AutoPort::parse),
        },
        stdin: match values.text("stdin").as_deref() {
            Some("pipe") => StdinMode::Pipe,
            _ => StdinMode::Null,
        },
        ..Run::default()
    };
    program(values, &mut run);
    let collected = environment(values, files);
    run.env.clone_from(&collected.env);
    cluster(values, &mut run);
    account(values, &mut run);
    run.restart_on = restart_on(values, &run.cwd.clone());
    check_increment_var(values, &run);
    let instances = instances(values);
    let cwd = run.cwd.clone();
    let mut app = App {
        project: project.clone(),
        name,
        moved_from: moved_from(values, project),
        namespace: values.text("namespace").unwrap_or_else(|| "default".to_owned()),
        instances,
        autostart: values.boolean("autostart", true),
        protect: values.boolean("protect", false),
        depends_on: depends_on(values),
        run,
        restart: restart(values),
        stop: stop(values),
        logs: logs(values),
        kind: Kind::Service,
        on_dependency_restart: OnDependencyRestart::Ignore,
        ready: None,
        health: None,
        update: UpdatePolicy::default(),
        watching: watching(values, &cwd),
        schedule: schedule(values),
        max_memory_restart: None,
        hooks: Hooks::default(),
    };
    upkeep(values, &mut app);
    update(values, &mut app);
    limits(values, &mut app);
    check_ports(values, &app);
    check_size(values, &app, &collected);
    Some((app, collected))
}

/// An unbuilt key is refused unless its value asks for nothing but the default.
fn refuse_unbuilt(values: &mut Values<'_>) {
    for item in values.app.items.iter().filter(|item| !item.key.is_built) {
        let asks_for_nothing = match &item.node.value {
            Value::Scalar(scalar) => item.key.is_default(&scalar.text),
            Value::List(nodes) => nodes.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        };
        if !asks_for_nothing {
            let what = format!("{}.{}", values.app.name, item.key.name);
            unsupported(&what, item.key_span, values.report);
        }
    }
}

fn instances(values: &mut Values<'_>) -> Option<u32> {
    // Asked only where it matters: the answer means reading control groups.
    let world = values.world;
    let cpus = || world.cpus().max(1);
    match values.text("instances")?.as_str() {
        "max" => Some(cpus()),
        text => match integer(text)? {
            count if count < 0 => {
                let left_free = u32::try_from(-count).unwrap_or(u32::MAX);
                Some(cpus().saturating_sub(left_free).max(1))
            }
            count => u32::try_from(count).ok(),
        },
    }
}

fn check_ports(values: &mut Values<'_>, app: &App) {
    let count = app.instances.unwrap_or(1);
    let Some(span) = values.item("port").or_else(|| values.item("instances")).map(|item| item.node.span) else {
        return;
    };
    if let Some(range) = app.run.slot_variables.auto_port {
        let ports = u32::from(range.last - range.first) + 1;
        if count > ports {
            values.error(code::PORT, span, format!("`{range}` has {ports} ports, too few for {count} instances"));
        }
        return;
    }
    match app.run.port {
        Some(port) if u32::from(port) + count.saturating_sub(1) > 65_535 => {
            values.error(code::PORT, span, format!("`port` {port} + {count} instances exceeds 65535"));
        }
        None if count > 1 && app.run.listen.is_empty() && !app.is_cluster() && !knows_its_slot(app) => {
            let message = format!("app `{}`: {count} copies with nothing to tell them apart", app.name);
            let shared = match could_be_cluster(values.world, &app.run) {
                true => "`exec_mode = \"cluster\"` lets them share a port, ",
                false => "",
            };
            values.report.warning(code::PORT, span, message).hint(format!(
                "if they listen, {shared}`port = 3000` gives each its own PORT; otherwise confirm with `WORKER = \"${{PM_INSTANCE}}\"` in env",
            ));
        }
        _ => {}
    }
}

fn knows_its_slot(app: &App) -> bool {
    let run = &app.run;
    let mut texts = run.command.iter().chain(&run.args).chain(&run.interpreter_args).chain(run.env.values());
    run.slot_variables.increment_var.is_some()
        || run.slot_variables.instance_var != "NODE_APP_INSTANCE"
        || texts.any(Template::is_per_instance)
        || run
            .command
            .iter()
            .any(|word| word.source().contains("NODE_APP_INSTANCE") || word.source().contains("PM_INSTANCE"))
}

fn account(values: &mut Values<'_>, run: &mut Run) {
    run.user = values.text("user");
    run.group = values.text("group");
    check_account(values, run);
    if let Some(node) = values.node("umask") {
        let mask = values.scalar("umask", node, umask);
        run.umask = mask.filter(|mask| *mask != Run::UMASK);
    }
}

fn check_account(values: &mut Values<'_>, run: &Run) {
    let Some(user) = &run.user else {
        if let Some(item) = values.item("group") {
            let span = item.key_span;
            values.error(code::MISSING_KEY, span, "`group` needs `user`").hint("add `user`");
        }
        return;
    };
    let world = values.world;
    let Err(why) = world.account(user, run.group.as_deref()) else { return };
    let is_of_group = why == NoAccount::NoGroup;
    let Some(item) = values.item(if is_of_group { "group" } else { "user" }) else { return };
    let (span, group) = (item.node.span, run.group.as_deref().unwrap_or_default());
    let (what, name) = if is_of_group { ("group", group) } else { ("user", user.as_str()) };
    if let NoAccount::Refused(message) = why {
        values
            .error(code::USER_NOT_PERMITTED, span, message)
            .hint("remove `user` and `group`, or let root's daemon run it");
        return;
    }
    let found = values.error(code::UNKNOWN_USER, span, format!("no {what} `{name}`"));
    if name.starts_with(|first: char| first.is_ascii_digit() || "+- ".contains(first)) {
        found.hint("write a number in plain digits, from 0 to 4294967294");
    }
}

fn check_increment_var(values: &mut Values<'_>, run: &Run) {
    let (Some(name), Some(item)) = (&run.slot_variables.increment_var, values.item("increment_var")) else { return };
    let span = item.node.span;
    match run.env.get(name).map(ToString::to_string) {
        Some(text) if text.parse::<i64>().is_ok() => {}
        Some(text) => {
            values.error(code::BAD_VALUE, span, format!("`increment_var`: `env.{name}` is `{text}`, not a number"));
        }
        None => {
            values.error(code::BAD_VALUE, span, format!("`increment_var`: `env.{name}` is not set"));
        }
    }
}

fn restart(values: &mut Values<'_>) -> RestartPolicy {
    let defaults = RestartPolicy::default();
    let autorestart = values.item("autorestart").is_some().then(|| values.boolean("autorestart", true));
    let restart = values.text("restart").map(|word| match word.as_str() {
        "never" => RestartWhen::Never,
        "on-failure" => RestartWhen::OnFailure,
        _ => RestartWhen::Always,
    });
    if let (Some(autorestart), Some(restart)) = (autorestart, restart)
        && autorestart == (restart == RestartWhen::Never)
        && let (Some(one), Some(other)) = (values.item("autorestart"), values.item("restart"))
    {
        let (one, other) = (one.key_span, other.key_span);
        values
            .error(code::CONFLICTING_KEYS, one, "`autorestart` and `restart` contradict each other")
            .label(other, "the other one")
            .hint("keep `restart`");
    }
    let when = restart.unwrap_or(if autorestart == Some(false) { RestartWhen::Never } else { defaults.restart });
    let (delay, growing) = ("restart_delay", "exp_backoff_restart_delay");
    let has_none = |values: &mut Values<'_>, key, default| values.millis(key, default).0 == 0;
    if let Some(item) = values.item(growing)
        && has_none(values, growing, defaults.exp_backoff_restart_delay)
        && has_none(values, delay, defaults.restart_delay)
    {
        let message = format!("`{growing}` is 0: an app that fails at once would be restarted without a pause");
        values
            .error(code::BAD_VALUE, item.node.span, message)
            .hint("remove it (\"100ms\" is the default), or set `restart_delay`");
    }
    let codes = values.node("stop_exit_codes").map(|node| integers(values, "stop_exit_codes", node));
    RestartPolicy {
        restart: when,
        stop_exit_codes: codes.unwrap_or_default(),
        max_restarts: values.text("max_restarts").and_then(|text| text.parse().ok()).or(defaults.max_restarts),
        min_uptime: values.millis("min_uptime", defaults.min_uptime),
        restart_delay: values.millis("restart_delay", defaults.restart_delay),
        exp_backoff_restart_delay: values.millis("exp_backoff_restart_delay", defaults.exp_backoff_restart_delay),
    }
}

fn integers(values: &mut Values<'_>, key: &str, node: &Node) -> Vec<i32> {
    let nodes = match &node.value {
        Value::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let read = |text: &str| integer(text).and_then(|number| i32::try_from(number).ok());
    let mut codes: Vec<i32> = nodes.iter().filter_map(|node| values.scalar(key, node, read)).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn stop(values: &mut Values<'_>) -> StopPolicy {
    let defaults = StopPolicy::default();
    StopPolicy {
        kill_signal: values.text("kill_signal").and_then(|text| signal(&text)).unwrap_or(defaults.kill_signal),
        kill_timeout: values.millis("kill_timeout", defaults.kill_timeout),
        stop_scope: match values.text("stop_scope").as_deref() {
            Some("process") => StopScope::Process,
            _ => defaults.stop_scope,
        },
        shutdown_with_message: values.boolean("shutdown_with_message", false),
    }
}

fn logs(values: &mut Values<'_>) -> LogPolicy {
    let defaults = LogPolicy::default();
    LogPolicy {
        out_file: values.log_path("out_file"),
        error_file: values.log_path("error_file"),
        log_file: values.log_path("log_file"),
        merge_logs: values.boolean("merge_logs", false),
        form: log_form(values),
        disable_logs: values.boolean("disable_logs", false),
        log_rotate: rotation(values, defaults.log_rotate),
        on_log_full: match values.text("on_log_full").as_deref() {
            Some("block") => OnLogFull::Block,
            _ => defaults.on_log_full,
        },
    }
}

fn log_form(values: &mut Values<'_>) -> LogForm {
    let log_format = match values.text("log_format").as_deref() {
        Some("json") => LogFormat::Json,
        _ => LogFormat::Raw,
    };
    LogForm { log_format, log_timestamps: timestamps(values) }
}

/// `true`, or a pattern that makes a time.
fn timestamps(values: &mut Values<'_>) -> Option<String> {
    let node = values.node("log_timestamps")?;
    if node.as_scalar().is_some_and(|scalar| scalar.kind != ScalarKind::Text) {
        return values.boolean("log_timestamps", false).then(|| LogForm::TIMESTAMPS.to_owned());
    }
    let pattern = values.settled("log_timestamps", node)?;
    if let Err(problem) = rules::check_timestamps(&pattern) {
        let message = format!("`log_timestamps`: `{pattern}` {problem}");
        values.error(code::BAD_VALUE, node.span, message).hint("write `true`, or a pattern such as \"%F %T\"");
        return None;
    }
    Some(pattern)
}

fn rotation(values: &mut Values<'_>, defaults: Rotation) -> Rotation {
    let Some(node) = values.node("log_rotate") else { return defaults };
    let compress = node.get("compress");
    if let Some(compress) = compress.filter(|_| values.boolean_of("log_rotate.compress", compress, false)) {
        unsupported(&format!("{}.log_rotate.compress", values.app.name), compress.span, values.report);
    }
    let bytes = node.get("size").and_then(|node| values.scalar("log_rotate.size", node, size));
    if let Some(size) = node.get("size").filter(|_| bytes.is_some_and(|bytes| bytes.0 < 4096)) {
        values.error(code::BAD_VALUE, size.span, "`log_rotate.size` is less than 4K").hint("\"10M\" is the default");
    }
    let read = |text: &str| integer(text).and_then(|number| u32::try_from(number).ok());
    let keep = node.get("keep").and_then(|node| values.scalar("log_rotate.keep", node, read));
    Rotation { size: bytes.unwrap_or(defaults.size), keep: keep.unwrap_or(defaults.keep) }
}

fn moved_from(values: &mut Values<'_>, project: &ProjectName) -> Vec<AppId> {
    let Some(node) = values.node("moved_from") else { return Vec::new() };
    let nodes = match &node.value {
        Value::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let old = |text: &str| match text.contains(':') {
        true => text.parse().ok(),
        false => AppName::new(text).ok().map(|name| AppId::new(project.clone(), name)),
    };
    nodes
        .iter()
        .filter_map(|node| node.as_scalar().filter(|s| s.kind == ScalarKind::Text))
        .filter_map(|s| old(&s.text))
        .collect()
}
