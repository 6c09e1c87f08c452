//! `pm diff`: whether the running apps differ from the file.

use clap::Args;

use super::apply::OptionArgs;
use super::plan;
use crate::cli::args::{CliCommand, JsonArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::file::FileArgs;
use crate::cli::output;
use crate::cli::session::Session;

#[derive(Args, Debug, Default)]
pub(in crate::cli) struct Diff {
    #[command(flatten)]
    pub file: FileArgs,
    #[command(flatten)]
    pub options: OptionArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for Diff {
    const NAME: &'static str = "diff";
    const ABOUT: &'static str = "Show how the running apps differ from the ecosystem file, for scripts";
    const EXAMPLES: &'static str = "Examples:
  pm diff
  pm diff --json | jq .summary

Exits with 0 if nothing differs, prints the differences and exits with 1 if
something does, and exits with more than 1 if that cannot be determined.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let above_one = |error: CommandError| CommandError { exit_code: error.exit_code.max(2), ..error };
        let plan::Made { answer, proposed, .. } = plan::make(session, &self.file, &self.options).map_err(above_one)?;
        let is_same = answer.plan.is_empty() && answer.refusals.is_empty();
        if self.json.json {
            session.screen.json(&answer)?;
        } else if !is_same {
            let text = output::answer_text(&answer, &proposed.origin, session.screen.paint(), session.screen.width());
            session.screen.wrapped(&text);
        }
        Ok(if is_same { Code::Ok } else { Code::Error })
    }
}
