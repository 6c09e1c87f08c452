//! `pm pm2`, or the program called `pm2`: PM2's own command line.

use std::ffi::OsString;
use std::path::Path;

use clap::Args;

use crate::cli::args::{self, CliCommand};
use crate::cli::door;
use crate::cli::fail::Ending;
use crate::cli::session::Session;

#[derive(Args, Debug)]
pub(in crate::cli) struct Pm2 {
    /// A command of PM2 with its words and options
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

impl CliCommand for Pm2 {
    const NAME: &'static str = "pm2";
    const ABOUT: &'static str = "Understand PM2's command line (also as a link called `pm2`)";
    const EXAMPLES: &'static str = "Examples:
  pm pm2 start app.js -n api -i 2 -- --port 8080
  pm pm2 startOrReload ecosystem.config.js --env production
  pm pm2 restart 0
  pm pm2 jlist
  alias pm2='pm pm2'

The apps are the same as for every other command. Exit codes are PM2's: 0 or 1.
`pm pm2 help` lists the commands.";

    fn run(self, session: &mut Session) -> Ending {
        door::run(session, &self.words, native)
    }
}

/// The words of a call that is PM2's whole: `pm pm2 …`, or a link named `pm2`, `pm2-runtime`, `pm2-docker`, `pm2-dev`.
pub(in crate::cli) fn asked(argv: &[OsString]) -> Option<Vec<OsString>> {
    let name = Path::new(argv.first()?).file_name()?.to_str()?;
    let words = |first: &[&str], rest: &[OsString]| {
        first.iter().map(OsString::from).chain(rest.iter().cloned()).collect::<Vec<OsString>>()
    };
    let rest = &argv[1..];
    match name {
        "pm2" => Some(words(&[], rest)),
        "pm2-runtime" | "pm2-docker" | "pm2-dev" => {
            let command = if name == "pm2-dev" { "dev" } else { "run" };
            let rest = if rest.first().is_some_and(|word| word == "start") { &rest[1..] } else { rest };
            Some(words(&[door::NATIVE, command], rest))
        }
        _ if rest.first().is_some_and(|word| word == "pm2") => Some(rest[1..].to_vec()),
        _ => None,
    }
}

/// Does what those words say.
pub(in crate::cli) fn answer(session: &mut Session, words: &[OsString]) -> Ending {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    door::run(session, &words, native)
}

/// One of `pm`'s own commands.
fn native(session: &mut Session, words: &[&str]) -> Ending {
    let argv: Vec<OsString> = std::iter::once(&"pm").chain(words).map(OsString::from).collect();
    args::parse(&argv)?(session)
}
