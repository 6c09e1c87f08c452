//! `pm plan`: what an apply would do.

use clap::Args;

use super::apply::OptionArgs;
use crate::cli::args::{CliCommand, JsonArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::file::{self, Daemon, FileArgs};
use crate::cli::output;
use crate::cli::session::Session;
use crate::wire::{PlanAnswer, PlanRequest};

#[derive(Args, Debug, Default)]
pub(in crate::cli) struct Plan {
    #[command(flatten)]
    pub file: FileArgs,
    #[command(flatten)]
    pub options: OptionArgs,
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

Nothing is touched. The last line counts the processes that an apply would
interrupt. A plan that an apply would refuse is shown with the flag that confirms it.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let (answer, origin) = make(session, &self.file, &self.options)?;
        if self.json.json {
            session.screen.json(&answer)?;
        } else {
            let text = output::answer_text(&answer, &origin, session.screen.paint(), session.screen.width());
            session.screen.wrapped(&text);
        }
        let is_pending = !answer.plan.is_empty() || !answer.refusals.is_empty();
        Ok(if self.detailed_exitcode && is_pending { Code::Pending } else { Code::Ok })
    }
}

/// Reads the file and asks the daemon for a plan.
pub(super) fn make(
    session: &mut Session,
    file: &FileArgs,
    options: &OptionArgs,
) -> Result<(PlanAnswer, crate::model::Origin), CommandError> {
    let resolved = file::resolve(session, file, false, Daemon::MayStart)?;
    let proposed = file::accept(session, resolved.reading)?;
    let mut client = resolved.client.map_or_else(Session::client, Ok)?;
    let origin = proposed.origin.clone();
    let answer = client.plan(&PlanRequest { proposed, options: options.options() })?;
    session.compare_versions(&client);
    session.warn(&answer.warnings);
    Ok((answer, origin))
}
