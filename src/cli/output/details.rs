//! One app in full, and why it is as it is.

use std::fmt::Write as _;

use crate::model::{App, Exit, Failure, Phase, RestartWhen, Standing};
use crate::wire::{DescribedApp, Row};

use super::instances::{name, status};
use super::lines::harmless;
use super::{Paint, Table};

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
    field("stop", format!("signal {}, SIGKILL after {}", spec.stop.kill_signal, spec.stop.kill_timeout));
    field("depends on", spec.depends_on.keys().map(ToString::to_string).collect::<Vec<_>>().join(", "));
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
    let mut table = Table::new(&["  instance", "status", "pid", "uptime", "starts", "restarts", "last exit"]);
    for row in &app.instances {
        let (status, tone) = status(row);
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        table.row().cell(format!("  {}", name(row))).toned(status, tone);
        table.cell(or_dash(row.pid.map(|pid| pid.to_string())));
        table.cell(or_dash(row.uptime_ms.map(|uptime| uptime.to_string())));
        table.cell(row.generation.to_string()).cell(row.restarts.to_string());
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

fn command(spec: &App) -> String {
    let run = &spec.run;
    let words = run.interpreter.iter().cloned().chain(run.interpreter_args.iter().map(ToString::to_string));
    let words = words.chain(run.script.iter().cloned()).chain(run.command.iter().map(ToString::to_string));
    words.chain(run.args.iter().map(ToString::to_string)).collect::<Vec<_>>().join(" ")
}

fn instances(app: &DescribedApp) -> String {
    let declared = app.spec.instances;
    match (app.scaled, declared) {
        (Some(scaled), Some(declared)) => format!("{scaled} (set by hand; the file says {declared})"),
        (Some(scaled), None) => format!("{scaled} (set by hand)"),
        (None, declared) => declared.unwrap_or(1).to_string(),
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
    match &row.phase {
        Phase::Running { .. } if row.restarts > 0 => {
            causes.push(format!("it was started again, {} times since its declaration", row.restarts));
        }
        Phase::Running { .. } if row.is_spec_lost => {}
        Phase::Running { .. } | Phase::Starting => causes.push("it should run".to_owned()),
        Phase::Stopping { .. } => causes.push("it was asked to end".to_owned()),
        Phase::Backoff { attempt, delay, .. } => {
            causes.push(format!("start {attempt} in a row was unstable, so the next one waits {delay}"));
        }
        Phase::Errored { failure } => causes.push(failure.to_string()),
        Phase::Done { exit } => causes.push(format!("it ended with {exit}, which its policy calls done")),
        Phase::Stopped => causes.push(match (&app.standing, row.slot) {
            (_, None) => "it is declared with 0 instances".to_owned(),
            (Standing::Up, _) => "nothing has started it yet, or only this copy was stopped".to_owned(),
            (other, _) => format!("it is {}", standing(other)),
        }),
    }
    let is_told = matches!(
        row.phase,
        Phase::Errored { failure: Failure::TooManyRestarts { .. } | Failure::Exited { .. } } | Phase::Done { .. }
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
    match &row.phase {
        Phase::Running { .. } => match app.spec.restart.restart {
            RestartWhen::Never => "nothing; if it ends, it stays ended".to_owned(),
            RestartWhen::OnFailure => "nothing; if it ends in failure, it is started again".to_owned(),
            RestartWhen::Always => "nothing; if it ends, it is started again".to_owned(),
        },
        Phase::Starting => "it is being started".to_owned(),
        Phase::Stopping { .. } => {
            format!("SIGKILL, if it has not ended {} after it was asked", app.spec.stop.kill_timeout)
        }
        Phase::Backoff { .. } => format!("it is started again in {}", row.next_start_ms.unwrap_or_default()),
        Phase::Errored { .. } => "nothing by itself; `pm apply`, `pm start` or `pm restart` tries again".to_owned(),
        Phase::Done { .. } => "nothing; `pm restart` runs it again".to_owned(),
        Phase::Stopped => match &app.standing {
            Standing::Stopped { is_held: true, .. } => "nothing, until `pm unhold` ends the hold".to_owned(),
            _ => "nothing by itself; `pm start` or an apply by a person starts it".to_owned(),
        },
    }
}
