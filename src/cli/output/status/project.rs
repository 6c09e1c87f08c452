//! How projects stand, for `pm status`: a table of their words, and below it what is behind them.

use std::fmt::Write as _;

use crate::model::{AppState, Deviation, HealthWord, NextStep, SyncWord, WallTime, Why};
use crate::wire::{StatusAnswer, StatusRow};

use super::{heal, label, line};
use crate::cli::output::gate::harmless;
use crate::cli::output::history::last_change;
use crate::cli::output::plan::ago;
use crate::cli::output::reasons::rejection;
use crate::cli::output::time::Clock;
use crate::cli::output::{Paint, TextTable, Tone, wrap_hanging};

/// Lines below the table for one project.
const LINES_MAX: usize = 12;
/// Apps that are named in one line.
const NAMES_MAX: usize = 6;
/// Columns that cells keep in a narrow terminal, where they need as many.
const CHANGE_MIN: usize = 12;
const PROJECT_MIN: usize = 12;
/// The column in which the further lines of a sentence begin.
const SENTENCE_AT: usize = 4;

/// All projects.
pub(in crate::cli) fn text(answer: &StatusAnswer, paint: Paint, width: Option<usize>) -> String {
    let mut table = TextTable::new(&["project", "sync", "health", "generation", "last change"]);
    for row in &answer.projects {
        let state = &row.state;
        table.row().cell(row.project.as_str()).toned(state.sync.as_str(), sync_tone(state.sync));
        table.toned(state.health.as_str(), health_tone(state.health)).cell(row.generation.to_string());
        let change = row.last_change.as_ref().map(|change| last_change(change, answer.now));
        table.toned(change.unwrap_or_else(|| "-".to_owned()), Tone::Faint);
    }
    table.narrowed(&[("last change", CHANGE_MIN), ("project", PROJECT_MIN)]);
    let mut text = table.render(paint, width);
    let is_one = answer.projects.len() == 1;
    for row in &answer.projects {
        let lines = lines(row, answer.now);
        if lines.is_empty() {
            continue;
        }
        text.push('\n');
        if !is_one {
            let _ = writeln!(text, "{}", paint.strong(row.project.as_str()));
        }
        let indent = if is_one { "" } else { "  " };
        for line in &lines {
            wrap_hanging(&mut text, &format!("{indent}{}", harmless(line)), width, SENTENCE_AT);
        }
    }
    text
}

fn sync_tone(word: SyncWord) -> Tone {
    match word {
        SyncWord::Synced => Tone::Good,
        SyncWord::OutOfSync => Tone::Warn,
    }
}

fn health_tone(word: HealthWord) -> Tone {
    match word {
        HealthWord::Healthy => Tone::Good,
        HealthWord::Suspended => Tone::Faint,
        HealthWord::Progressing => Tone::Warn,
        HealthWord::Missing | HealthWord::Degraded | HealthWord::Unknown => Tone::Bad,
    }
}

/// What is behind the words of one project: apps of which the same is to be said stand in one line.
fn lines(row: &StatusRow, now: WallTime) -> Vec<String> {
    let mut said: Vec<(String, Vec<&str>)> = Vec::new();
    for app in &row.state.apps {
        let sentence = sentences(app, now).join("; ");
        if sentence.is_empty() {
            continue;
        }
        match said.iter_mut().find(|(known, _)| *known == sentence) {
            Some((_, apps)) => apps.push(app.app.as_str()),
            None => said.push((sentence, vec![app.app.as_str()])),
        }
    }
    let mut lines: Vec<String> =
        said.iter().take(LINES_MAX).map(|(sentence, apps)| format!("{}: {sentence}", listed(apps))).collect();
    if said.len() > LINES_MAX {
        lines.push(format!("and {} more: `pm list -p {}`, `pm why APP`", said.len() - LINES_MAX, row.project));
    }
    let mut pinned: Vec<(u64, Vec<&str>)> = Vec::new();
    for pin in &row.pins {
        match pinned.iter_mut().find(|(generation, _)| *generation == pin.generation) {
            Some((_, apps)) => apps.push(pin.app.as_str()),
            None => pinned.push((pin.generation, vec![pin.app.as_str()])),
        }
    }
    let told = |(generation, apps): &(u64, Vec<&str>)| {
        format!("{}: pinned by a rollback to generation {generation}", listed(apps))
    };
    lines.extend(pinned.iter().map(told));
    lines
}

fn listed(apps: &[&str]) -> String {
    let more = apps.len().saturating_sub(NAMES_MAX);
    let names = apps.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{names} and {more} more") } else { names }
}

/// How an app deviates, and why it does not work.
fn sentences(app: &AppState, now: WallTime) -> Vec<String> {
    let mut all: Vec<String> = app.deviations.iter().map(|deviation| sentence(deviation, now)).collect();
    let heals = app.status.next.iter().filter_map(|step| match step {
        NextStep::Heal { aim, when } => Some(heal(aim, *when, &Clock::local())),
        _ => None,
    });
    all.extend(heals);
    let is_said = app.status.because.iter().any(|why| matches!(why, Why::Rejected { .. } | Why::SpecLost));
    let is_waiting = app.health == HealthWord::Progressing;
    if app.health > HealthWord::Suspended && !is_said {
        match line(&app.status) {
            Some(line) => all.push(line),
            // A rollout that goes on is said already.
            None if is_waiting && !all.is_empty() => {}
            None => all.push(label(&app.status).into_owned()),
        }
    }
    all
}

fn sentence(deviation: &Deviation, now: WallTime) -> String {
    match deviation {
        Deviation::Stopped { by, at, is_held: false } => format!("stopped by {by} {}", ago(*at, now)),
        Deviation::Stopped { by, at, is_held: true } => {
            format!("stopped and held by {by} {}: `pm unhold` ends that", ago(*at, now))
        }
        Deviation::SlotsStopped { slots } => format!("stopped by a user: {}", slots_text(slots)),
        Deviation::Scaled { to, declared } => format!("scaled to {to} by a user, the file says {declared}"),
        Deviation::ShutDown => "stopped by `pm shutdown`".to_owned(),
        Deviation::Outdated { slots } => format!("{} not of the declared revision", verb(slots)),
        Deviation::Rollout { is_paused: false } => "is being rolled out".to_owned(),
        Deviation::Rollout { is_paused: true } => "its rollout is paused".to_owned(),
        Deviation::RolloutFailed { why, is_rolled_back: true } => {
            format!("its last rollout failed and was rolled back: {}", rejection(why))
        }
        Deviation::RolloutFailed { why, is_rolled_back: false } => {
            format!("the declared revision failed and is not tried again by itself: {}", rejection(why))
        }
        Deviation::Leaving => "to be deleted".to_owned(),
        Deviation::Undeclared => "runs, but its spec was lost: no file declares it".to_owned(),
        Deviation::Contents { path, others, at } => {
            let more = if *others == 0 { String::new() } else { format!(" and {others} more") };
            format!("{}{more} changed since the last apply, seen {}", path.display(), ago(*at, now))
        }
        Deviation::Stale { path, at } => {
            format!("{} changed {}, after its process was started", path.display(), ago(*at, now))
        }
    }
}

fn verb(slots: &[u32]) -> String {
    if slots.len() == 1 { format!("{} is", slots_text(slots)) } else { format!("{} are", slots_text(slots)) }
}

fn slots_text(slots: &[u32]) -> String {
    let names = slots.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    format!("{} {names}", if slots.len() == 1 { "slot" } else { "slots" })
}
