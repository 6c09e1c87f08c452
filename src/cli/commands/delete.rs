//! `pm delete`: stop and forget.

use clap::Args;

use crate::cli::args::{CliCommand, ScopeArgs};
use crate::cli::change::{self, Closing, WaitArgs};
use crate::cli::fail::Ending;
use crate::cli::session::Session;
use crate::wire::Edit;

#[derive(Args, Debug)]
pub(in crate::cli) struct Delete {
    /// `api`, `shop:api`, a namespace, `all`
    #[arg(value_name = "APP", required = true)]
    pub apps: Vec<String>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
}

impl CliCommand for Delete {
    const NAME: &'static str = "delete";
    const ALIASES: &'static [&'static str] = &["rm", "del"];
    const ABOUT: &'static str = "Stop apps and forget them; their logs stay";
    const EXAMPLES: &'static str = "Examples:
  pm delete api
  pm rm shop:api worker
  pm rm all -p _          every app started without a file

The next apply brings back an app that is still in the file. `pm clean` removes the logs.";

    fn run(self, session: &mut Session) -> Ending {
        let next_apply: fn(&str) -> String =
            |files| format!("the next `pm apply` of {files} brings back what it still declares");
        let closing = Closing { next_apply: Some(next_apply), ..Closing::default() };
        change::edit_and_close(session, Edit::Delete, self.scope.selection(self.apps)?, &self.wait, closing)
    }
}
