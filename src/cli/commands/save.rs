//! `pm save`: there is nothing to save.

use clap::Args;

use crate::cli::args::CliCommand;
use crate::cli::fail::{Code, Ending};
use crate::cli::session::Session;

#[derive(Args, Debug)]
pub(in crate::cli) struct Save {}

impl CliCommand for Save {
    const NAME: &'static str = "save";
    const ABOUT: &'static str = "(not needed) Every accepted change is saved at once";
    const EXAMPLES: &'static str = "Examples:
  pm save                 reports that there is nothing to save";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.note("nothing to save: every accepted change is saved at once. After a reboot the first `pm` command starts what should run; after `pm boot enable` that happens at boot");
        Ok(Code::Ok)
    }
}
