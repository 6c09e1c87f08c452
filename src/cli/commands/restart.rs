//! `pm restart`: new processes, same spec.

use clap::Args;

use crate::cli::args::{CliCommand, ScopeArgs};
use crate::cli::change::{self, WaitArgs};
use crate::cli::fail::Ending;
use crate::cli::session::Session;
use crate::wire::Edit;

#[derive(Args, Debug)]
pub(in crate::cli) struct Restart {
    /// `api`, `api/1`, `shop:api`, a namespace, `all`
    #[arg(value_name = "APP", required = true)]
    pub apps: Vec<String>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
}

impl CliCommand for Restart {
    const NAME: &'static str = "restart";
    const ABOUT: &'static str = "Replace the processes of apps; a stopped app is started";
    const EXAMPLES: &'static str = "Examples:
  pm restart api
  pm restart api/1 worker
  pm restart all --timeout 30s

Uses the declaration of the last apply; `pm apply` reads a changed file.
What a later command takes over is reported as `left`, with exit code 0.";

    fn run(self, session: &mut Session) -> Ending {
        change::edit(session, Edit::Restart, self.scope.selection(self.apps)?, &self.wait)
    }
}
