//! `pm reload`: new processes, same spec, without a gap where that is possible.

use clap::Args;

use crate::cli::args::{CliCommand, ScopeArgs};
use crate::cli::change::{self, WaitArgs};
use crate::cli::fail::Ending;
use crate::cli::session::Session;
use crate::wire::Edit;

#[derive(Args, Debug)]
pub(in crate::cli) struct Reload {
    /// `api`, `api/1`, `shop:api`, a namespace, `all`
    #[arg(value_name = "APP", required = true)]
    pub apps: Vec<String>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
}

impl CliCommand for Reload {
    const NAME: &'static str = "reload";
    const ABOUT: &'static str = "Replace the processes of running apps one by one, each once the last is healthy";
    const EXAMPLES: &'static str = "Examples:
  pm reload api
  pm reload api/1
  pm reload all --timeout 5m

With `listen` (or `update.strategy = \"rolling\"`) the new process is healthy
before the old one is stopped; otherwise there is a brief gap per copy.
`pm restart` does not wait for each copy to stay healthy. Tasks are left alone.
What a later command takes over is reported as `left`, with exit code 0.";

    fn run(self, session: &mut Session) -> Ending {
        change::edit(session, Edit::Reload, self.scope.selection(self.apps)?, &self.wait)
    }
}
