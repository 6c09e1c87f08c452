//! `pm completions`: for the shell.

use clap::Args;
use clap_complete::Shell;

use crate::cli::args::{self, CliCommand};
use crate::cli::complete;
use crate::cli::fail::{Code, Ending};
use crate::cli::session::Session;

#[derive(Args, Debug)]
pub(in crate::cli) struct Completions {
    /// The shell
    pub shell: Shell,
}

impl CliCommand for Completions {
    const NAME: &'static str = "completions";
    const ABOUT: &'static str = "Print a completion script for a shell";
    const EXAMPLES: &'static str = "Examples:
  pm completions bash > ~/.local/share/bash-completion/completions/pm
  pm completions fish > ~/.config/fish/completions/pm.fish

They know the apps, projects, profiles and keys of the moment: the script asks
`pm` for them.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.raw(&args::complete(self.shell));
        session.screen.raw(complete::script(self.shell).as_bytes());
        Ok(Code::Ok)
    }
}
