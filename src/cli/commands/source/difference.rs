//! `pm source diff`: what the newest commit of a source would change.

use clap::Args;
use serde::Serialize;

use crate::cli::args::JsonArgs;
use crate::cli::fail::{Code, Ending};
use crate::cli::output;
use crate::cli::session::Session;
use crate::cli::source::{Preview, preview};
use crate::model::{Confirm, Refusal, SourceName, short_commit};
use crate::wire::{FORMAT, PlanAnswer};

#[derive(Args, Debug)]
pub(super) struct DiffArgs {
    /// The source
    #[arg(value_name = "NAME")]
    name: SourceName,
    /// Exit with 0 if there is nothing to do, with 2 if there is
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    json: JsonArgs,
}

/// The plan of a commit, as `--json`.
#[derive(Serialize)]
struct DiffDocument<'a> {
    format: u32,
    source: &'a SourceName,
    commit: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<&'a str>,
    notes: &'a [String],
    plan: &'a PlanAnswer,
}

pub(super) fn diff(session: &mut Session, args: &DiffArgs) -> Ending {
    session.screen.is_json = args.json.json;
    let Preview { commit, runs, answer, origin, notes } = preview(session, &args.name)?;
    if session.screen.is_json {
        let document = DiffDocument {
            format: FORMAT,
            source: &args.name,
            commit: &commit,
            runs: runs.as_deref(),
            notes: &notes,
            plan: &answer,
        };
        session.screen.json(&document)?;
    } else {
        let runs =
            runs.map_or_else(|| "nothing is deployed yet".to_owned(), |runs| format!("{} runs", short_commit(&runs)));
        session.screen.note(&format!("source {}: {} is the newest commit, {runs}", args.name, short_commit(&commit)));
        for note in &notes {
            session.screen.note(&format!("note: {note}"));
        }
        let (paint, width) = (session.screen.paint(), session.screen.width());
        let text = output::answer_text(&answer, &origin, paint, width);
        session.screen.wrapped(&text);
    }
    // What is as it was rolled back stays so.
    let is_to_be_done = |refusal: &Refusal| refusal.confirm != Some(Confirm::Again);
    let is_pending = !answer.plan.is_empty() || answer.refusals.iter().any(is_to_be_done);
    Ok(if args.detailed_exitcode && is_pending { Code::Pending } else { Code::Ok })
}
