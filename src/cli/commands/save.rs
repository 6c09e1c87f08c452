//! `pm save`: there is nothing to save.

use clap::Args;

use crate::cli::args::Verb;
use crate::cli::fail::{Code, Ending};
use crate::cli::session::Session;

#[derive(Args, Debug)]
pub(in crate::cli) struct Save {}

impl Verb for Save {
    const NAME: &'static str = "save";
    const ABOUT: &'static str = "(nothing to do) Every accepted change is kept at once";
    const EXAMPLES: &'static str = "Examples:
  pm save                 says that there is nothing to save";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.note("nothing to save: every accepted change is kept at once. After a reboot the first `pm` command starts what should run; `pm daemon run` in a service unit does so without anybody");
        Ok(Code::Ok)
    }
}
