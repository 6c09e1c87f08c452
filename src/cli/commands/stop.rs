//! `pm stop`: stop processes, and keep them stopped.

use clap::Args;

use crate::cli::args::{CliCommand, ScopeArgs};
use crate::cli::change::{self, Closing, WaitArgs};
use crate::cli::fail::Ending;
use crate::cli::session::Session;
use crate::wire::Edit;

#[derive(Args, Debug)]
pub(in crate::cli) struct Stop {
    /// `api`, `api/1`, `shop:api`, a namespace, `all`
    #[arg(value_name = "APP", required = true)]
    pub apps: Vec<String>,
    /// Keep it stopped, even through an apply or a start, until `pm unhold`
    #[arg(long)]
    pub hold: bool,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
}

impl CliCommand for Stop {
    const NAME: &'static str = "stop";
    const ABOUT: &'static str = "Stop apps; they stay stopped until you start or apply them";
    const EXAMPLES: &'static str = "Examples:
  pm stop api
  pm stop api/1           one copy
  pm stop all             every app of this project
  pm stop all -A          every app of every project
  pm stop api --hold      the next apply leaves it stopped, too

Returns when the whole process tree is gone. Stopping a stopped app is not an error.";

    fn run(self, session: &mut Session) -> Ending {
        let selection = self.scope.selection(self.apps)?;
        let next_apply: fn(&str) -> String =
            |files| format!("the next `pm apply` of {files} starts it again; `pm stop --hold` keeps it stopped");
        let closing = Closing { next_apply: (!self.hold).then_some(next_apply), ..Closing::default() };
        change::edit_and_close(session, Edit::Stop { is_held: self.hold }, selection, &self.wait, closing)
    }
}
