//! `pm hold`: stop apps so that not even an apply starts them.

use clap::Args;

use crate::cli::args::{CliCommand, ScopeArgs};
use crate::cli::change::{self, Closing, WaitArgs};
use crate::cli::fail::Ending;
use crate::cli::session::Session;
use crate::wire::Edit;

#[derive(Args, Debug)]
pub(in crate::cli) struct Hold {
    /// `api`, `shop:api`, a namespace, `all`
    #[arg(value_name = "APP", required = true)]
    apps: Vec<String>,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

impl CliCommand for Hold {
    const NAME: &'static str = "hold";
    const ABOUT: &'static str = "Stop apps and keep them stopped, even through an apply, until `pm unhold`";
    const EXAMPLES: &'static str = "Examples:
  pm hold billing

The same as `pm stop --hold`. An apply that changes a held app changes what is
declared and starts nothing; its plan says so.";

    fn run(self, session: &mut Session) -> Ending {
        let selection = self.scope.selection(self.apps)?;
        change::edit_and_close(session, Edit::Stop { is_held: true }, selection, &self.wait, Closing::default())
    }
}
