//! Git sources as text: a table, one of them.

use std::net::SocketAddr;

use crate::cli::output::plan::ago;
use crate::cli::output::time::Clock;
use crate::cli::output::{Paint, TextTable, Tone, harmless, wrap_hanging};
use crate::model::{AppName, CommitWait, DeployedCommit, SourceStatus, WaitingCommit, WallTime, short_commit};
use crate::wire::{SourceRow, SourcesAnswer, WebhookRow};

/// Columns that cells keep in a narrow terminal, where they need as many.
const WORDS_MIN: usize = 16;
const URL_MIN: usize = 12;
/// The column in which the values of one source begin.
const VALUES_AT: usize = 13;

/// All sources.
pub(super) fn table(answer: &SourcesAnswer, paint: Paint, width: Option<usize>) -> String {
    let mut table = TextTable::new(&["source", "state", "runs", "branch", "looked", "last look", "url"]);
    for row in &answer.sources {
        let runs = row.record.applied.as_ref().map_or_else(|| "-".to_owned(), |applied| short_commit(&applied.commit));
        let looked = row.tick.began.map_or_else(|| "-".to_owned(), |began| ago(began, answer.now));
        table.row().cell(row.source.as_str()).toned(row.status.as_str(), tone(row.status)).cell(runs);
        table.cell(row.spec.branch.clone()).toned(looked, Tone::Faint).cell(words(row));
        table.toned(row.spec.url.clone(), Tone::Faint);
    }
    table.narrowed(&[("url", URL_MIN), ("last look", WORDS_MIN)]);
    table.render(paint, width)
}

/// One source.
pub(super) fn details(row: &SourceRow, now: WallTime, paint: Paint, width: Option<usize>) -> String {
    let mut text = format!("{}\n", paint.strong(&format!("source {}", row.source)));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            wrap_hanging(&mut text, &format!("  {name:9}  {}", harmless(value)), width, VALUES_AT);
        }
    };
    let record = &row.record;
    let commit = |deployed: &Option<DeployedCommit>| {
        let text =
            |one: &DeployedCommit| format!("{}, {}, generation {}", one.commit, ago(one.at, now), one.generation);
        deployed.as_ref().map(text).unwrap_or_default()
    };
    line("state", row.status.as_str());
    line("url", &row.spec.url);
    line("branch", &row.spec.branch);
    line("file", &row.spec.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default());
    line("profile", row.spec.profile.as_deref().unwrap_or_default());
    let signers = row.spec.allowed_signers.as_ref().map(|file| file.display().to_string());
    line("signers", &signers.unwrap_or_default());
    line("interval", &row.spec.interval.to_string());
    line("dwell", &row.spec.dwell.to_string());
    let policy = &row.spec.policy;
    let zone = policy.timezone.as_ref().map(|zone| format!(" ({zone})")).unwrap_or_default();
    for window in &policy.windows {
        line("window", &format!("{window}{zone}"));
    }
    line("confirm", if policy.needs_approval { "each commit waits for approval" } else { "" });
    if let Some(webhook) = &row.webhook {
        line("webhook", &webhook_words(webhook, now));
    }
    line("project", record.project.as_ref().map_or("", |project| project.as_str()));
    line("runs", &commit(&record.applied));
    if record.healthy != record.applied {
        line("healthy", &commit(&record.healthy));
    }
    if let Some(waiting) = &record.waiting {
        line("waiting", &waiting_words(waiting, row, now));
    }
    line("under way", record.under_way.as_ref().map_or("", |under_way| under_way.commit.as_str()));
    if let Some(stalled) = &record.stalled {
        line("stalled", &format!("{}: {}", short_commit(&stalled.commit), stalled.reason));
    }
    for failed in record.failed.iter().rev() {
        line("failed", &format!("{}, {}: {}", short_commit(&failed.commit), ago(failed.at, now), failed.reason));
    }
    line("kept back", &row.kept_back.iter().map(AppName::as_str).collect::<Vec<_>>().join(", "));
    let looked = row.tick.began.map(|began| format!("{}: {}", ago(began, now), words(row)));
    line("last look", &looked.unwrap_or_default());
    if let Some(hint) = &row.tick.end.hint {
        line("", hint);
    }
    text
}

/// The commit that waits, and what for.
fn waiting_words(waiting: &WaitingCommit, row: &SourceRow, now: WallTime) -> String {
    let wait = match waiting.wait {
        CommitWait::Approval => format!("for `pm source approve {}`", row.source),
        CommitWait::Window { until } => format!("until {}", Clock::local().second(until)),
    };
    format!("{}, {}: {wait}", short_commit(&waiting.commit), ago(waiting.since, now))
}

/// Where calls are taken, and which came.
fn webhook_words(webhook: &WebhookRow, now: WallTime) -> String {
    let status = &webhook.status;
    let place = match (status.listens_at, &status.trouble) {
        (_, Some(trouble)) => trouble.clone(),
        (Some(address), None) => webhook_url(address, &webhook.path),
        (None, None) => format!("{}: nobody listens", webhook_url(webhook.listen, &webhook.path)),
    };
    let last = status.last.map(|last| format!(", the last {}", ago(last, now))).unwrap_or_default();
    let refused = if status.refused == 0 { String::new() } else { format!(", {} refused", status.refused) };
    format!("{place}; {} calls{last}{refused}", status.calls)
}

/// The URL that a server calls, as seen from this machine.
pub(super) fn webhook_url(address: SocketAddr, path: &str) -> String {
    format!("http://{address}{path}")
}

/// What it does now, or what the last look came to.
fn words(row: &SourceRow) -> String {
    match (&row.tick.stage, row.tick.is_running) {
        (Some(stage), true) => stage.clone(),
        (None, true) if row.tick.end.words.is_empty() => "looking".to_owned(),
        _ => row.tick.end.words.clone(),
    }
}

fn tone(status: SourceStatus) -> Tone {
    match status {
        SourceStatus::Healthy => Tone::Good,
        SourceStatus::Failed | SourceStatus::Stalled => Tone::Bad,
        SourceStatus::Syncing | SourceStatus::Waiting | SourceStatus::Unreachable => Tone::Warn,
        SourceStatus::Suspended | SourceStatus::New => Tone::Plain,
    }
}
