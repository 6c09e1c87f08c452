//! One app in full, and why it is as it is.

use std::fmt::Write as _;

use crate::model::{
    App, CronOverlap, Exit, Failure, HealthAction, Hook, Limits, Phase, Probe, Readiness, RestartWhen, Standing,
};
use crate::wire::{DescribedApp, HookRow, Row};

use super::gate::harmless;
use super::instances::{name, status};
use super::time::Clock;
use super::{Paint, Table};

const SHUT_DOWN: &str = "everything was stopped by `pm shutdown`";
const SLEEPS: &str = "nothing by itself; `pm start` or an apply by a person starts it";

/// Everything about one app.
pub(in crate::cli) fn text(app: &DescribedApp, paint: Paint) -> String {
    let spec = &app.spec;
    let mut text = format!("{}\n", paint.strong(&spec.id().to_string()));
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:12}  {}", harmless(&value));
        }
    };
    field("standing", standing(&app.standing));
    field("command", command(spec));
    field("folder", spec.run.cwd.display().to_string());
    field("instances", instances(app));
    field("namespace", spec.namespace.clone());
    field("user", spec.run.user.clone().unwrap_or_default());
    field("port", spec.run.port.map(|port| port.to_string()).unwrap_or_default());
    field("restart", restart(spec));
    field("schedule", schedule(app));
    field("stop", format!("{}, SIGKILL after {}", Exit::Signal(spec.stop.kill_signal), spec.stop.kill_timeout));
    field("memory", spec.max_memory_restart.map(|most| format!("restarted above {most}")).unwrap_or_default());
    field("limits", limits(&spec.run.limits));
    field("limits", app.missing_limits.clone());
    for hook in [Hook::PreStart, Hook::PostReady, Hook::PreStop, Hook::OnCrash, Hook::OnGiveUp] {
        let command = spec.hooks.command(hook);
        field("hook", command.map(|command| format!("{}: {command}", hook.word())).unwrap_or_default());
    }
    let depends_on = spec.depends_on.iter().map(|(app, condition)| format!("{app} ({})", condition.word()));
    field("depends on", depends_on.collect::<Vec<_>>().join(", "));
    if let Some(ready) = &spec.ready {
        field("ready", format!("{}, within {}", probe(&ready.probe), ready.timeout));
    }
    if let Some(health) = &spec.health {
        field(
            "health",
            format!("{} every {}, {} failures count", probe(&health.probe), health.interval, health.failures),
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
    }
    let mut table = Table::new(&["  instance", "status", "pid", "uptime", "starts", "restarts", "killed", "last exit"]);
    for row in &app.instances {
        let (status, tone) = status(row);
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        table.row().cell(format!("  {}", name(row))).toned(status, tone);
        table.cell(or_dash(row.pid.map(|pid| pid.to_string())));
        table.cell(or_dash(row.uptime_ms.map(|uptime| uptime.to_string())));
        table.cell(row.generation.to_string()).cell(row.restarts.to_string());
        table.cell(row.force_kills.to_string());
        table.cell(or_dash(row.last_exit.map(|exit| exit.to_string())));
    }
    text.push_str(&table.render(paint, None));
    text
}

fn standing(standing: &Standing) -> String {
    match standing {
        Standing::Up => "should run".to_owned(),
        Standing::Parked => "not started yet (autostart = false)".to_owned(),
        Standing::Stopped { by, is_held: true, .. } => format!("stopped by {by}, held"),
        Standing::Stopped { by, .. } => format!("stopped by {by}"),
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

fn command(spec: &App) -> String {
    let run = &spec.run;
    let words = run.interpreter.iter().cloned().chain(run.interpreter_args.iter().map(ToString::to_string));
    let words = words.chain(run.script.iter().cloned()).chain(run.command.iter().map(ToString::to_string));
    words.chain(run.args.iter().map(ToString::to_string)).collect::<Vec<_>>().join(" ")
}

fn probe(probe: &Probe) -> String {
    match probe {
        Probe::Http(http) => format!("http {}", http.url),
        Probe::Tcp(address) => format!("tcp {address}"),
        Probe::Exec(line) => format!("exec {line}"),
        Probe::Log(pattern) => format!("log line `{pattern}`"),
        Probe::Notify(_) => "sd_notify".to_owned(),
        Probe::Message(_) => "message `ready`".to_owned(),
    }
}

fn instances(app: &DescribedApp) -> String {
    let declared = app.spec.instances;
    match (app.scaled, declared) {
        (Some(scaled), Some(declared)) => format!("{scaled} (set by hand; the file says {declared})"),
        (Some(scaled), None) => format!("{scaled} (set by hand)"),
        (None, declared) => declared.unwrap_or(1).to_string(),
    }
}

/// `0 3 * * * (Europe/Berlin), next 2026-11-23 02:00:00 +00:00`, in the zone of this machine.
fn schedule(app: &DescribedApp) -> String {
    let policy = &app.spec.schedule;
    let Some(pattern) = &policy.cron_restart else { return String::new() };
    let zone = policy.cron_timezone.as_ref().map(|zone| format!(" ({zone})")).unwrap_or_default();
    match app.instances.iter().find_map(|row| row.next_due) {
        Some(due) => format!("{pattern}{zone}, next {}", Clock::local().second_with_offset(due)),
        None => format!("{pattern}{zone}, asleep"),
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

/// Why the copy is in its state, nearest cause first.
pub(in crate::cli) fn causes(app: &DescribedApp, row: &Row) -> Vec<String> {
    let mut causes = Vec::new();
    if row.is_spec_lost {
        causes.push("what it was started with was lost; an apply that declares it replaces it".to_owned());
    }
    if row.is_unreachable {
        let message = "nobody can connect to its socket: the file was removed or replaced, or the socket was shut down; an \
                       apply, a restart or a reload opens it again";
        causes.push(message.to_owned());
    }
    match &row.phase {
        Phase::Running { readiness: Readiness::Waiting { last, .. }, .. } => {
            causes.push(match last {
                Some(last) => format!("it is not ready yet: {last}"),
                None => "it is not ready yet".to_owned(),
            });
        }
        Phase::Running { readiness: Readiness::Failing { last, failures }, .. } => {
            causes.push(format!("its health probe failed {failures} times in a row: {last}"));
        }
        Phase::Running { .. } if row.restarts > 0 => {
            causes.push(format!("it was started again, {} times since its declaration", row.restarts));
        }
        Phase::Running { .. } if row.is_spec_lost || row.is_unreachable => {}
        Phase::Running { .. } | Phase::Starting => causes.push("it should run".to_owned()),
        Phase::Stopping { .. } if row.hook.is_some() => causes.push("it is to end".to_owned()),
        Phase::Stopping { .. } => causes.push("it was asked to end".to_owned()),
        Phase::Backoff { attempt, delay, .. } => {
            causes.push(format!("start {attempt} in a row was unstable, so the next one waits {delay}"));
        }
        Phase::Errored { failure } => causes.push(failure.to_string()),
        Phase::Done { exit } => causes.push(format!("it ended with {exit}, which its policy calls done")),
        Phase::Stopped if row.waits_for.is_some() => causes.push(format!("it {}", status(row).0)),
        Phase::Stopped if row.is_shut_down => causes.push(SHUT_DOWN.to_owned()),
        Phase::Stopped if row.status == "waiting" => causes.push("its time has not come yet".to_owned()),
        Phase::Stopped => causes.push(match (&app.standing, row.slot) {
            (_, None) => "it is declared with 0 instances".to_owned(),
            (Standing::Up, _) => "nothing has started it yet, or only this copy was stopped".to_owned(),
            (other, _) => format!("it is {}", standing(other)),
        }),
    }
    if row.is_shut_down && !row.phase.is_alive() && row.phase != Phase::Stopped {
        causes.push(SHUT_DOWN.to_owned());
    }
    if let Some(HookRow { hook, runs_ms, .. }) = row.hook {
        causes.push(format!("its hook `{}` has been running for {runs_ms}", hook.word()));
    }
    causes.extend(row.says.as_ref().map(|says| format!("it says of itself: {}", harmless(says))));
    let is_told = matches!(
        row.phase,
        Phase::Errored { failure: Failure::TooManyRestarts { trouble: None, .. } | Failure::Exited { .. } }
            | Phase::Done { .. }
    );
    if let Some(exit) = row.last_exit.filter(|_| !is_told) {
        let unknown = if exit == Exit::Unknown { " (nobody was watching)" } else { "" };
        causes.push(format!("its last process ended with {exit}{unknown}"));
    }
    if row.slot.is_some_and(|slot| app.outdated_slots.contains(&slot)) {
        causes.push("its process runs an older declaration than the last applied one".to_owned());
    }
    causes
}

/// What happens next, by itself or by a person.
pub(in crate::cli) fn next(app: &DescribedApp, row: &Row) -> String {
    let next = next_by_phase(app, row);
    let Some(due) = row.next_due.map(|due| Clock::local().second(due)) else { return next };
    if !app.spec.is_timed_task() {
        return format!("{next}; a restart is due at {due}");
    }
    if row.waits_for.is_some() {
        return format!("{next}; the time at {due} is left out if it still waits then");
    }
    if !row.phase.is_alive() && !matches!(row.phase, Phase::Backoff { .. }) {
        return format!("it runs at {due}; `pm cron run` runs it now");
    }
    match app.spec.schedule.cron_overlap {
        CronOverlap::Skip => format!("{next}; the time at {due} is left out if this run still goes on then"),
        CronOverlap::Queue => format!("{next}; a run that is due at {due} waits for the end of this one"),
        CronOverlap::Replace => format!("{next}; the run that is due at {due} takes the place of this one"),
    }
}

fn next_by_phase(app: &DescribedApp, row: &Row) -> String {
    match &row.phase {
        Phase::Running { readiness: Readiness::Waiting { .. }, .. } => {
            let left = row.ready_within_ms.unwrap_or_default();
            format!("it is asked again; if it is not ready in {left}, it has failed")
        }
        Phase::Running { readiness: Readiness::Failing { failures, .. }, .. } => match &app.spec.health {
            Some(health) if health.action == HealthAction::Restart => {
                format!("it is restarted after {} more failures", health.failures.saturating_sub(*failures))
            }
            _ => "nothing; a failing health probe is only told (action = \"none\")".to_owned(),
        },
        Phase::Running { .. } => match app.spec.restart.restart {
            RestartWhen::Never => "nothing; if it ends, it stays ended".to_owned(),
            RestartWhen::OnFailure => "nothing; if it ends in failure, it is started again".to_owned(),
            RestartWhen::Always => "nothing; if it ends, it is started again".to_owned(),
        },
        Phase::Starting => match row.hook {
            Some(hook) => format!("its process is started when the hook has ended well, within {}", hook.limit_ms),
            None => "it is being started".to_owned(),
        },
        Phase::Stopping { .. } => {
            let patience = app.spec.stop.kill_timeout;
            match row.hook {
                Some(HookRow { limit_ms, .. }) => format!(
                    "it is asked to end when the hook has ended, after {limit_ms} at the latest; SIGKILL, if it has not ended {patience} after that"
                ),
                None => format!("SIGKILL, if it has not ended {patience} after it was asked"),
            }
        }
        Phase::Backoff { .. } => format!("it is started again in {}", row.next_start_ms.unwrap_or_default()),
        Phase::Done { .. } if row.is_shut_down => SLEEPS.to_owned(),
        Phase::Errored { .. } => "nothing by itself; `pm apply`, `pm start` or `pm restart` tries again".to_owned(),
        Phase::Done { .. } => "nothing; `pm restart` runs it again".to_owned(),
        Phase::Stopped if row.waits_for.is_some() => "it is started as soon as that has come".to_owned(),
        Phase::Stopped => match &app.standing {
            Standing::Stopped { is_held: true, .. } => "nothing, until `pm unhold` ends the hold".to_owned(),
            _ => SLEEPS.to_owned(),
        },
    }
}
