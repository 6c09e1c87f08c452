//! `pm plan`: what an apply would do.

use std::path::PathBuf;

use clap::Args;

use super::apply::OptionArgs;
use crate::cli::args::{CliCommand, JsonArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::file::{self, Daemon, FileArgs};
use crate::cli::output::{self, harmless};
use crate::cli::saved_plan::{self, SavedPlan};
use crate::cli::session::Session;
use crate::model::{Confirm, FileDigest, Note, Proposed, Refusal, RefusalKind};
use crate::wire::{PlanAnswer, PlanRequest};

#[derive(Args, Debug, Default)]
pub(in crate::cli) struct Plan {
    #[command(flatten)]
    pub file: FileArgs,
    #[command(flatten)]
    pub options: OptionArgs,
    /// Save the plan in this file: `pm apply FILE` carries out exactly this, or (exit 4) nothing
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit with 0 if there is nothing to do, with 2 if there is
    #[arg(long)]
    pub detailed_exitcode: bool,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for Plan {
    const NAME: &'static str = "plan";
    const ABOUT: &'static str = "Show what an apply would do, and why";
    const EXAMPLES: &'static str = "Examples:
  pm plan
  pm plan --env production --json
  pm plan --detailed-exitcode || pm apply    only if there is something to do
  pm plan -o release.pmp                     save it; `pm apply release.pmp`

Nothing is touched. The last line counts the processes that an apply would
interrupt. A plan that an apply would refuse is shown with the flag that confirms it.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let Made { answer, proposed, inputs } = make(session, &self.file, &self.options)?;
        if self.json.json {
            session.screen.json(&answer)?;
        } else {
            let (paint, width) = (session.screen.paint(), session.screen.width());
            let text = output::answer_text(&answer, &proposed.origin, paint, width);
            session.screen.wrapped(&text);
        }
        if let Some(path) = &self.out {
            // Nobody could apply it.
            if let Some(refusal) = answer.refusals.first() {
                return Err(CommandError {
                    details: vec!["the plan was not saved".to_owned()],
                    ..refusal.clone().into()
                });
            }
            let saved = SavedPlan::new(&answer, &proposed, inputs, (self.options.options(), &self.file))?;
            let path = saved.write(path)?;
            session
                .screen
                .note(&format!("saved: `pm apply {}` carries out exactly this", harmless(&path.to_string_lossy())));
        }
        // Whoever names a generation asks whether it is still the present one.
        if let Some(stale) = answer.refusals.iter().find(|refusal| refusal.kind == RefusalKind::Stale) {
            return Err(CommandError::told(CommandError::from(stale.clone()).exit_code));
        }
        // What is as it was rolled back is as it should be.
        let is_to_be_done = |refusal: &Refusal| refusal.confirm != Some(Confirm::Again);
        let is_pending = !answer.plan.is_empty()
            || answer.plan.notes.iter().any(Note::is_about_a_change)
            || answer.refusals.iter().any(is_to_be_done);
        Ok(if self.detailed_exitcode && is_pending { Code::Pending } else { Code::Ok })
    }
}

/// A plan of a file, as it was shown.
pub(super) fn show_saved(session: &mut Session, saved: &SavedPlan) -> Ending {
    if session.screen.is_json {
        session.screen.json(saved)?;
        return Ok(Code::Ok);
    }
    let text = output::plan_text(&saved.plan, Some(&saved.origin), session.screen.paint(), session.screen.width());
    session.screen.wrapped(&format!("{}\n{text}", saved.validity()));
    Ok(Code::Ok)
}

/// A plan, and what it was made from.
pub(super) struct Made {
    pub answer: PlanAnswer,
    pub proposed: Proposed,
    pub inputs: Vec<FileDigest>,
}

/// Reads the file and asks the daemon for a plan.
pub(super) fn make(session: &mut Session, file: &FileArgs, options: &OptionArgs) -> Result<Made, CommandError> {
    let resolved = file::resolve(session, file, false, Daemon::MayStart)?;
    let inputs = saved_plan::inputs(&resolved.reading);
    let proposed = file::accept(session, resolved.reading)?;
    let mut client = resolved.client.map_or_else(Session::client, Ok)?;
    let request = PlanRequest { proposed, options: options.options() };
    let answer = client.plan(&request)?;
    session.compare_versions(&client);
    session.warn(&answer.warnings);
    Ok(Made { answer, proposed: request.proposed, inputs })
}
