//! `pm scale`: more or fewer copies.

use clap::Args;

use crate::cli::args::{CliCommand, ScopeArgs};
use crate::cli::change::{self, WaitArgs};
use crate::cli::fail::Ending;
use crate::cli::session::Session;
use crate::wire::Edit;

#[derive(Args, Debug)]
pub(in crate::cli) struct Scale {
    /// `api`, `shop:api`
    pub app: String,
    /// The total number of copies
    #[arg(value_parser = count)]
    pub instances: u32,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// `+1` would be read as 1, and 1 is seldom what was meant.
fn count(text: &str) -> Result<u32, String> {
    if text.starts_with(['+', '-']) {
        return Err("write the total number of copies".into());
    }
    text.parse().map_err(|_| "not a number of copies".into())
}

impl CliCommand for Scale {
    const NAME: &'static str = "scale";
    const ABOUT: &'static str = "Change the number of copies of an app";
    const EXAMPLES: &'static str = "Examples:
  pm scale api 4
  pm scale api 0

Copies that stay keep their process. Where the file names a number, the next apply restores it
(`pm apply --keep-overrides` does not).";

    fn run(self, session: &mut Session) -> Ending {
        let selection = self.scope.selection(vec![self.app])?;
        change::edit(session, Edit::Scale { to: self.instances }, selection, &self.wait)
    }
}
