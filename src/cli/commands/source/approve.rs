//! `pm source approve`: a commit that waits for a user is deployed.

use clap::Args;

use super::one;
use super::watch::commit;
use crate::cli::args::JsonArgs;
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::Session;
use crate::model::{CommitWait, SourceCommand, SourceName, short_commit};
use crate::wire::{SourceRequest, SourceRow};

/// Digits of the shortest name of a commit that needs nothing to compare it with.
const WHOLE_MIN: usize = 40;

#[derive(Args, Debug)]
pub(super) struct ApproveArgs {
    /// The source
    #[arg(value_name = "NAME")]
    name: SourceName,
    /// This commit; all of its digits, if it does not wait yet. Default: the one that waits
    #[arg(long, value_name = "COMMIT", value_parser = commit)]
    commit: Option<String>,
    #[command(flatten)]
    json: JsonArgs,
}

pub(super) fn approve(session: &mut Session, args: &ApproveArgs) -> Ending {
    session.screen.is_json = args.json.json;
    let mut client = Session::client()?;
    let (_, row) = one(&mut client, &args.name)?;
    let commit = meant(&row, args.commit.as_deref())?;
    let command = SourceCommand::Approve { commit: commit.clone() };
    let answer = client.command_source(&SourceRequest { source: args.name.clone(), command })?;
    if args.json.json {
        session.screen.json(&answer)?;
    } else {
        let (name, short) = (&args.name, short_commit(&commit));
        session.screen.note(&format!("source {name}: {short} is approved; `pm source sync {name}` waits for it"));
    }
    Ok(Code::Ok)
}

/// All digits of the commit that is meant.
fn meant(row: &SourceRow, named: Option<&str>) -> Result<String, CommandError> {
    let waiting = row.record.waiting.as_ref().filter(|waiting| waiting.wait == CommitWait::Approval);
    match (named, waiting) {
        (None, Some(waiting)) => Ok(waiting.commit.clone()),
        (Some(named), Some(waiting)) if waiting.commit.starts_with(named) => Ok(waiting.commit.clone()),
        (Some(named), _) if named.len() >= WHOLE_MIN => Ok(named.to_owned()),
        (_, waiting) => {
            let waits = waiting.map_or_else(|| "none".to_owned(), |waiting| short_commit(&waiting.commit));
            let message = format!("source {}: no such commit waits for approval ({waits} does)", row.source);
            let message = if waiting.is_none() {
                format!("source {}: no commit waits for approval", row.source)
            } else {
                message
            };
            let hint =
                format!("`pm source status {}` shows what waits; a later commit needs all of its digits", row.source);
            Err(CommandError::new(Code::Usage, message).hint(hint))
        }
    }
}
