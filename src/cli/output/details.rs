//! One app in full detail, for `pm describe`.

use crate::model::{App, DesiredState, Exit, Hook, Limits, Probe, RestartWhen, Scheduling};
use crate::wire::DescribedApp;

use super::gate::harmless;
use super::instances::name;
use super::status::{label, tone};
use super::time::Clock;
use super::{Paint, TextTable, wrap_hanging};

/// The column in which values begin.
const VALUE_AT: usize = 16;
/// Columns that cells keep in a narrow terminal, where they need as many.
const EXIT_MIN: usize = 12;
const COPY_MIN: usize = 14;
const STATUS_MIN: usize = 12;

/// Everything about one app.
pub(in crate::cli) fn text(app: &DescribedApp, paint: Paint, width: Option<usize>) -> String {
    let spec = &app.spec;
    let mut text = format!("{}\n", paint.strong(&spec.id().to_string()));
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            wrap_hanging(&mut text, &format!("  {name:12}  {}", harmless(&value)), width, VALUE_AT);
        }
    };
    field("desired", desired_state(&app.desired_state));
    let pinned = app.pinned_to.map(|generation| format!("by a rollback to generation {generation}"));
    field("pinned", pinned.unwrap_or_default());
    field("command", command(spec));
    field("folder", spec.run.cwd.display().to_string());
    field("instances", instances(app));
    field("cluster", cluster(spec));
    field("namespace", spec.namespace.clone());
    field("user", spec.run.user.clone().unwrap_or_default());
    field("port", port(spec));
    field("restart", restart(spec));
    field("schedule", schedule(app));
    field("stop", format!("{}, SIGKILL after {}", Exit::Signal(spec.stop.kill_signal), spec.stop.kill_timeout));
    field("memory", spec.max_memory_restart.map(|most| format!("restarted above {most}")).unwrap_or_default());
    field("limits", limits(&spec.run.limits));
    field("limits", app.missing_limits.clone());
    for hook in [Hook::PreStart, Hook::PostReady, Hook::PreStop, Hook::OnCrash, Hook::OnGiveUp] {
        let command = spec.hooks.command(hook);
        field("hook", command.map(|command| format!("{}: {command}", hook.as_str())).unwrap_or_default());
    }
    let depends_on = spec.depends_on.iter().map(|(app, condition)| format!("{app} ({})", condition.as_str()));
    field("depends on", depends_on.collect::<Vec<_>>().join(", "));
    if let Some(ready) = &spec.ready {
        field("ready", format!("{}, within {}", probe(&ready.probe), ready.timeout));
    }
    if let Some(health) = &spec.health {
        field(
            "health",
            format!("{} every {}, fails after {} failures", probe(&health.probe), health.interval, health.failures),
        );
    }
    field("files", app.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "));
    field("profile", app.profile.clone().unwrap_or_default());
    for (name, value) in &spec.run.env {
        field("env", format!("{name}={value}"));
    }
    for files in &app.logs {
        for path in [&files.stdout, &files.stderr].into_iter().flatten() {
            field(&format!("log /{}", files.slot), path.display().to_string());
        }
        for path in &files.written {
            field(&format!("file /{}", files.slot), path.display().to_string());
        }
    }
    let mut table =
        TextTable::new(&["  instance", "status", "pid", "uptime", "starts", "restarts", "killed", "last exit"]);
    for row in &app.instances {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        table.row().cell(format!("  {}", name(row))).toned(label(&row.status), tone(&row.status));
        table.cell(or_dash(row.pid.map(|pid| pid.to_string())));
        table.cell(or_dash(row.uptime_ms.map(|uptime| uptime.to_string())));
        table.cell(row.incarnation.to_string()).cell(row.restarts.to_string());
        table.cell(row.force_kills.to_string());
        table.cell(or_dash(row.last_exit.map(|exit| exit.to_string())));
    }
    table.narrowed(&[("last exit", EXIT_MIN), ("  instance", COPY_MIN), ("status", STATUS_MIN)]);
    text.push_str(&table.render(paint, width));
    text
}

fn desired_state(desired_state: &DesiredState) -> String {
    match desired_state {
        DesiredState::Up => "should run".to_owned(),
        DesiredState::NotStarted => "not started yet (autostart = false)".to_owned(),
        DesiredState::Stopped { by, is_held: true, .. } => format!("stopped by {by}, held"),
        DesiredState::Stopped { by, .. } => format!("stopped by {by}"),
    }
}

fn limits(limits: &Limits) -> String {
    let shown = |name: &str, value: Option<String>| value.map(|value| format!("{name} {value}"));
    let all = [
        shown("memory", limits.memory.map(|value| value.to_string())),
        shown("cpu", limits.cpu.map(|value| format!("{value}%"))),
        shown("nofile", limits.nofile.map(|value| value.to_string())),
        shown("nproc", limits.nproc.map(|value| value.to_string())),
        shown("nice", limits.nice.map(|value| value.to_string())),
        shown("oom_score_adj", limits.oom_score_adj.map(|value| value.to_string())),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(super) fn command(spec: &App) -> String {
    let run = &spec.run;
    let words = run.interpreter.iter().cloned().chain(run.interpreter_args.iter().map(ToString::to_string));
    let words = words.chain(run.script.iter().cloned()).chain(run.command.iter().map(ToString::to_string));
    words.chain(run.args.iter().map(ToString::to_string)).collect::<Vec<_>>().join(" ")
}

/// How the copies share their ports, if they do.
fn cluster(spec: &App) -> String {
    if !spec.is_cluster() {
        return String::new();
    }
    let variable = spec.run.env.get("NODE_CLUSTER_SCHED_POLICY");
    let scheduling = match spec.run.cluster.scheduling {
        Some(Scheduling::Shared) => "shared",
        None if variable.is_some_and(|policy| policy.source() == "none") => "shared",
        _ => "round-robin",
    };
    let hook = if spec.run.cluster.drain_hook { "" } else { ", no drain hook" };
    format!("{scheduling}{hook}")
}

fn probe(probe: &Probe) -> String {
    match probe {
        Probe::Http(http) => format!("http {}", http.url),
        Probe::Tcp(address) => format!("tcp {address}"),
        Probe::Exec(line) => format!("exec {line}"),
        Probe::Log(pattern) => format!("log line `{pattern}`"),
        Probe::Notify(_) => "sd_notify".to_owned(),
        Probe::Message(_) => "message `ready`".to_owned(),
        Probe::Listening(_) => "it listens".to_owned(),
    }
}

/// That of slot 0, and in which range it was chosen.
fn port(spec: &App) -> String {
    match (spec.run.port, spec.run.slot_variables.auto_port) {
        (Some(port), Some(range)) => format!("{port} ({range})"),
        (Some(port), None) => port.to_string(),
        (None, range) => range.map(|range| range.to_string()).unwrap_or_default(),
    }
}

fn instances(app: &DescribedApp) -> String {
    let declared = app.spec.instances;
    match (app.scaled, declared) {
        (Some(scaled), Some(declared)) => format!("{scaled} (set with `pm scale`; the file says {declared})"),
        (Some(scaled), None) => format!("{scaled} (set with `pm scale`)"),
        (None, declared) => declared.unwrap_or(1).to_string(),
    }
}

/// `0 3 * * * (Europe/Berlin), next 2026-11-23 02:00:00 +00:00`, in the zone of this machine.
fn schedule(app: &DescribedApp) -> String {
    let policy = &app.spec.schedule;
    let Some(pattern) = &policy.cron_restart else { return String::new() };
    let zone = policy.cron_timezone.as_ref().map(|zone| format!(" ({zone})")).unwrap_or_default();
    match app.instances.iter().find_map(|row| row.declared.next_due) {
        Some(due) => format!("{pattern}{zone}, next {}", Clock::local().second_with_offset(due)),
        None => format!("{pattern}{zone}, suspended"),
    }
}

fn restart(spec: &App) -> String {
    let policy = &spec.restart;
    let when = match policy.restart {
        RestartWhen::Always => "always",
        RestartWhen::OnFailure => "on failure",
        RestartWhen::Never => "never",
    };
    match policy.max_restarts {
        Some(most) => format!("{when}, gives up after {most} unstable starts in a row"),
        None => when.to_owned(),
    }
}
