//! `pm unhold`: let applies start a held app again.

use clap::Args;

use crate::cli::args::{ScopeArgs, Verb};
use crate::cli::change::{self, WaitArgs};
use crate::cli::fail::Ending;
use crate::cli::session::Session;
use crate::wire::Edit;

#[derive(Args, Debug)]
pub(in crate::cli) struct Unhold {
    /// `api`, `shop:api`, a namespace, `all`
    #[arg(value_name = "APP", required = true)]
    pub apps: Vec<String>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
}

impl Verb for Unhold {
    const NAME: &'static str = "unhold";
    const ABOUT: &'static str = "End the hold of `pm stop --hold`: an apply or `pm start` may start the apps again";
    const EXAMPLES: &'static str = "Examples:
  pm unhold billing
  pm unhold all";

    fn run(self, session: &mut Session) -> Ending {
        change::edit(session, Edit::Unhold, self.scope.selection(self.apps)?, &self.wait)
    }
}
