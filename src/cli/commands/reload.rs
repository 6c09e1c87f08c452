//! `pm reload`: not built; said, not faked.

use clap::Args;

use crate::cli::args::Verb;
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::Session;

#[derive(Args, Debug)]
pub(in crate::cli) struct Reload {
    /// `api`, `shop:api`, a namespace, `all`
    #[arg(value_name = "APP", required = true)]
    pub apps: Vec<String>,
}

impl Verb for Reload {
    const NAME: &'static str = "reload";
    const ABOUT: &'static str = "(not built yet) Replace processes without a gap";
    const EXAMPLES: &'static str = "Examples:
  pm reload api           says that it is not built
  pm restart api          replaces the processes, with a brief gap";

    fn run(self, _session: &mut Session) -> Ending {
        let apps = self.apps.join(" ");
        Err(CommandError::new(Code::Error, "replacing processes without a gap is not built yet; nothing was done")
            .hint(format!("`pm restart {apps}` does it with a brief gap")))
    }
}
