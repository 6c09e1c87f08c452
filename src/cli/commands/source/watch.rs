//! `pm source sync` and `pm source wait`: until something has come of it.

use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::{duration, one};
use crate::cli::args::JsonArgs;
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::Session;
use crate::client::{Client, ClientError};
use crate::model::{Millis, SourceName, TickEnd};
use crate::os;
use crate::wire::{FORMAT, HistoryRow, Scope, SourceRow, SyncRequest};

/// Between two questions.
const PAUSE: Millis = Millis(100);

#[derive(Args, Debug)]
pub(super) struct SyncArgs {
    /// The source
    #[arg(value_name = "NAME")]
    name: SourceName,
    /// Deploy the newest commit although it failed, was rolled back, or does not continue what runs
    #[arg(long)]
    force: bool,
    /// Return as soon as the look is requested
    #[arg(long, conflicts_with = "timeout")]
    detach: bool,
    /// Wait no longer than this (exit 7; the sync continues)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Millis>,
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Args, Debug)]
pub(super) struct CommitArgs {
    /// The source
    #[arg(value_name = "NAME")]
    name: SourceName,
    /// The commit: at least seven of its digits
    #[arg(long, value_name = "COMMIT", value_parser = commit)]
    commit: String,
    /// Wait no longer than this (exit 7)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Millis>,
    #[command(flatten)]
    json: JsonArgs,
}

pub(super) fn commit(text: &str) -> Result<String, String> {
    let is_one = (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_one { Ok(text.to_ascii_lowercase()) } else { Err("write 7 to 64 hexadecimal digits".to_owned()) }
}

/// How it ended, as `--json`.
#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    exit_code: u8,
    words: &'a str,
    source: &'a SourceRow,
}

pub(super) fn sync(session: &mut Session, args: &SyncArgs) -> Ending {
    session.screen.is_json = args.json.json;
    let request = SyncRequest { source: args.name.clone(), is_forced: args.force };
    let before = Session::client()?.tell_source("sync", &request)?;
    let tick = before.sources.first().map(|row| row.tick.clone()).unwrap_or_default();
    if args.detach {
        if args.json.json {
            session.screen.json(&before)?;
        } else {
            session.screen.note(&format!("source {} is looked at in the background", args.name));
        }
        return Ok(Code::Ok);
    }
    let until = deadline(args.timeout);
    let mut told = None;
    loop {
        let (_, row) = one(&mut Session::client()?, &args.name)?;
        // A look that went on already may have seen an older commit: the one after it counts.
        if row.tick.number > tick.number && !row.tick.is_running {
            return ended(session, &row, args.json.json);
        }
        if let Some(stage) = row.tick.stage.clone().filter(|stage| told.as_ref() != Some(stage)) {
            if !args.json.json {
                session.screen.note(&stage);
            }
            told = Some(stage);
        }
        pause(until)?;
    }
}

fn ended(session: &mut Session, row: &SourceRow, is_json: bool) -> Ending {
    let TickEnd { words, hint, exit_code, .. } = &row.tick.end;
    let code = [Code::Ok, Code::Error, Code::Partly, Code::Unhealthy, Code::TimedOut, Code::Refused, Code::Usage]
        .into_iter()
        .chain([Code::File, Code::Unreachable])
        .find(|code| *code as u8 == *exit_code);
    if is_json {
        session.screen.json(&Document { format: FORMAT, exit_code: *exit_code, words, source: row })?;
        return code.ok_or_else(|| CommandError::told(*exit_code));
    }
    let words = format!("source {}: {words}", row.source);
    if code == Some(Code::Ok) {
        session.screen.note(&words);
        return Ok(Code::Ok);
    }
    Err(CommandError { exit_code: *exit_code, hint: hint.clone(), ..CommandError::new(Code::Error, words) })
}

/// What has become of a commit.
fn fate(row: &SourceRow, commit: &str) -> Option<(Code, String)> {
    let record = &row.record;
    let is_it = |other: &str| other.starts_with(commit);
    if record.applied.as_ref().is_some_and(|applied| is_it(&applied.commit)) {
        return Some((Code::Ok, format!("{commit} is deployed")));
    }
    if let Some(failed) = record.failed.iter().rev().find(|failed| is_it(&failed.commit)) {
        return Some((Code::Unhealthy, format!("{commit} failed: {}", failed.reason)));
    }
    if let Some(stalled) = record.stalled.as_ref().filter(|stalled| is_it(&stalled.commit)) {
        return Some((Code::Refused, format!("{commit} is not deployed: {}", stalled.reason)));
    }
    None
}

pub(super) fn wait(session: &mut Session, args: &CommitArgs) -> Ending {
    session.screen.is_json = args.json.json;
    let until = deadline(args.timeout);
    let mut was_seen = false;
    loop {
        let mut client = Session::client()?;
        let (_, row) = one(&mut client, &args.name)?;
        let is_it = |commit: &str| commit.starts_with(&args.commit);
        was_seen |= row.record.attempted.as_deref().is_some_and(is_it);
        let mut fate = fate(&row, &args.commit);
        if fate.is_none() && row.record.under_way.is_none() && (was_seen || was_deployed(&mut client, &row, &is_it)?) {
            fate = Some((Code::Partly, format!("{} was superseded by another commit", args.commit)));
        }
        if let Some((code, words)) = fate {
            if args.json.json {
                let document = Document { format: FORMAT, exit_code: code as u8, words: &words, source: &row };
                session.screen.json(&document)?;
                return Ok(code);
            }
            if code == Code::Ok {
                session.screen.note(&words);
                return Ok(code);
            }
            return Err(CommandError::new(code, words));
        }
        pause(until)?;
    }
}

/// Whether the history names it: then another one runs by now.
fn was_deployed(client: &mut Client, row: &SourceRow, is_it: &dyn Fn(&str) -> bool) -> Result<bool, CommandError> {
    let Some(project) = row.record.project.clone() else { return Ok(false) };
    let answer = client.history(&Scope { project: Some(project), ..Scope::default() });
    let entries = match answer {
        Ok(answer) => answer.entries,
        // Its project was forgotten.
        Err(ClientError::Problem(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let is_of_source = |entry: &&HistoryRow| entry.provenance.source.as_ref() == Some(&row.source);
    Ok(entries.iter().filter(is_of_source).any(|entry| entry.provenance.commit.as_deref().is_some_and(is_it)))
}

fn deadline(timeout: Option<Millis>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout.duration()))
}

fn pause(until: Option<Instant>) -> Result<(), CommandError> {
    if until.is_some_and(|until| until <= Instant::now()) {
        let error = CommandError::new(Code::TimedOut, "timed out; the sync continues in the background");
        return Err(error.hint("`pm source list` shows how far it is"));
    }
    os::pause(PAUSE);
    Ok(())
}
