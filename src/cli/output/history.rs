//! The history of a project as text: a table, one entry, what differs between two.

use std::fmt::Write as _;

use super::details;
use super::gate::harmless;
use super::plan::{ago, field};
use super::{Paint, TextTable, Tone, wrap_hanging};
use crate::model::{AppName, AppOutcome, EntryOrigin, EntryResult, WallTime};
use crate::wire::{HistoryAnswer, HistoryDifference, HistoryEntryAnswer, HistoryRow};

/// Digits of a commit that are shown.
const COMMIT_DIGITS: usize = 7;
/// Apps of an entry that are named in a table.
const CHANGES_MAX: usize = 6;
/// Columns that cells keep in a narrow terminal, where they need as many.
const APPS_MIN: usize = 12;
const CHANGE_MIN: usize = 6;
const RESULT_MIN: usize = 8;
const TAG_MIN: usize = 8;
const COMMAND_MIN: usize = 16;
/// The column in which the fields of an app begin.
const FIELDS_AT: usize = 4;

/// All entries, the newest first.
pub(in crate::cli) fn table(answer: &HistoryAnswer, paint: Paint, width: Option<usize>) -> String {
    let has_tags = answer.entries.iter().any(|row| row.tag.is_some());
    let mut heading = vec!["generation", "when", "by", "change", "result", "apps"];
    if has_tags {
        heading.insert(1, "tag");
    }
    let mut table = TextTable::new(&heading);
    let current = answer.entries.iter().find(|row| row.is_current).map(|row| row.generation);
    for (at, row) in answer.entries.iter().enumerate() {
        let is_current = current == Some(row.generation);
        let number = if is_current { format!("{} now", row.generation) } else { row.generation.to_string() };
        table.row().cell(number);
        if has_tags {
            table.cell(row.tag.clone().unwrap_or_default());
        }
        let (word, tone) = result(row, at == 0);
        let failed = match row.failed.as_slice() {
            [] => String::new(),
            [first] => format!(": {first}"),
            [first, others @ ..] => format!(": {first} and {} more", others.len()),
        };
        table.toned(ago(row.at, answer.now), Tone::Faint).cell(by(row)).cell(origin(row));
        table.toned(format!("{word}{failed}"), tone).cell(changes(row));
    }
    table.narrowed(&[("tag", TAG_MIN), ("apps", APPS_MIN), ("change", CHANGE_MIN), ("result", RESULT_MIN)]);
    table.render(paint, width)
}

/// One entry: what was declared then, or what differs from another one.
pub(in crate::cli) fn entry(answer: &HistoryEntryAnswer, paint: Paint, width: Option<usize>) -> String {
    let row = &answer.entry;
    let mut text = format!("{}\n", paint.strong(&format!("{}: generation {}", answer.project, row.generation)));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            wrap_hanging(&mut text, &format!("  {name:8}  {}", harmless(value)), width, 12);
        }
    };
    line("change", &format!("{}, {} by {}", origin(row), ago(row.at, answer.now), by(row)));
    line("result", result(row, true).0);
    line("failed", &listed(&row.failed));
    line("tag", row.tag.as_deref().unwrap_or_default());
    line("source", row.provenance.source.as_ref().map_or("", |source| source.as_str()));
    line("commit", row.provenance.commit.as_deref().unwrap_or_default());
    for file in &row.provenance.files {
        line("file", &format!("{}  {}", file.path.display(), file.digest));
    }
    line("apps", &changes(row));
    if let Some(difference) = &answer.difference {
        write_difference(&mut text, difference, paint, width);
        return text;
    }
    let mut table = TextTable::new(&["app", "outcome", "command"]);
    for app in &answer.apps {
        let (word, tone) = outcome(app.outcome);
        table.row().cell(app.app.as_str()).toned(word, tone);
        match &app.spec {
            Some(spec) => table.path(details::command(spec), Tone::Plain),
            None => table.toned("its spec was lost", Tone::Bad),
        };
    }
    table.narrowed(&[("command", COMMAND_MIN)]);
    text.push('\n');
    text.push_str(&table.render(paint, width));
    text
}

fn write_difference(text: &mut String, difference: &HistoryDifference, paint: Paint, width: Option<usize>) {
    let HistoryDifference { from, added, removed, changed } = difference;
    let _ = writeln!(text, "\nfrom generation {from}:");
    if added.is_empty() && removed.is_empty() && changed.is_empty() {
        text.push_str("  nothing differs\n");
    }
    for app in added {
        let _ = writeln!(text, "  {} {app}", paint.good("+"));
    }
    for app in removed {
        let _ = writeln!(text, "  {} {app}", paint.bad("-"));
    }
    for app in changed {
        let _ = writeln!(text, "  {} {}", paint.warn("~"), app.app);
        for change in &app.fields {
            wrap_hanging(text, &format!("    {}", harmless(&field(change))), width, FIELDS_AT + 2);
        }
        if !app.shell.is_empty() {
            let names = harmless(&app.shell.join(", ")).into_owned();
            wrap_hanging(text, &format!("    environment of the shell: {names}"), width, FIELDS_AT + 2);
        }
    }
}

/// An entry in a few words: `43 apply by alice 2h ago: healthy`.
pub(in crate::cli) fn last_change(row: &HistoryRow, now: WallTime) -> String {
    let (number, when) = (row.generation, ago(row.at, now));
    let by = row.by.as_ref().map(|by| format!(" by {}", by.name)).unwrap_or_default();
    format!("{number} {}{by} {when}: {}", origin(row), result(row, true).0)
}

fn by(row: &HistoryRow) -> String {
    row.by.as_ref().map_or_else(|| "-".to_owned(), |by| by.name.to_string())
}

fn origin(row: &HistoryRow) -> String {
    let word = match row.origin {
        EntryOrigin::Apply if row.provenance.source.is_some() => "source".to_owned(),
        EntryOrigin::Apply => "apply".to_owned(),
        EntryOrigin::Rollback { to } => return format!("rollback to {to}"),
        EntryOrigin::Delete => "delete".to_owned(),
        EntryOrigin::Found => "before the history".to_owned(),
        EntryOrigin::SelfHeal => "self_heal".to_owned(),
    };
    match &row.provenance.commit {
        Some(commit) => format!("{word} {}", commit.chars().take(COMMIT_DIGITS).collect::<String>()),
        None => word,
    }
}

fn result(row: &HistoryRow, is_newest: bool) -> (&'static str, Tone) {
    match row.result {
        EntryResult::Running if is_newest => ("running", Tone::Warn),
        EntryResult::Running | EntryResult::Superseded => ("superseded", Tone::Faint),
        EntryResult::Applied if row.is_healthy => ("healthy", Tone::Good),
        EntryResult::Applied => ("applied", Tone::Plain),
        EntryResult::Partial => ("partial", Tone::Warn),
        EntryResult::Failed => ("failed", Tone::Bad),
    }
}

fn outcome(outcome: AppOutcome) -> (&'static str, Tone) {
    match outcome {
        AppOutcome::Pending => ("not known", Tone::Faint),
        AppOutcome::Healthy => ("healthy", Tone::Good),
        AppOutcome::NotRun => ("not run", Tone::Plain),
        AppOutcome::Stopped => ("stopped", Tone::Faint),
        AppOutcome::Failed => ("failed", Tone::Bad),
    }
}

/// `+mailer ~api -legacy`, with the signs of a plan.
fn changes(row: &HistoryRow) -> String {
    let all = [("+", &row.added), ("~", &row.changed), ("-", &row.removed)];
    let signed = all.iter().flat_map(|(sign, apps)| apps.iter().map(move |app| format!("{sign}{app}")));
    let mut shown: Vec<String> = signed.take(CHANGES_MAX).collect();
    let more = all.iter().map(|(_, apps)| apps.len()).sum::<usize>().saturating_sub(CHANGES_MAX);
    shown.extend((more > 0).then(|| format!("and {more} more")));
    shown.join(" ")
}

fn listed(apps: &[AppName]) -> String {
    apps.iter().map(AppName::as_str).collect::<Vec<_>>().join(", ")
}
