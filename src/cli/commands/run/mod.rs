//! `pm run`: the apps of a file in the foreground, for a container.

use clap::Args;

use crate::cli::args::CliCommand;
use crate::cli::fail::Ending;
use crate::cli::file::{self, Daemon, FileArgs};
use crate::cli::run;
use crate::cli::session::Session;

#[derive(Args, Debug)]
pub(in crate::cli) struct RunFile {
    #[command(flatten)]
    pub file: FileArgs,
    /// Show the time of each line
    #[arg(short, long)]
    pub timestamps: bool,
}

impl CliCommand for RunFile {
    const NAME: &'static str = "run";
    const ABOUT: &'static str = "Run the apps of a file in the foreground, as the first process of a container";
    const EXAMPLES: &'static str = "Examples:
  pm run ecosystem.toml
  CMD [\"pm\", \"run\", \"/app/ecosystem.toml\"]      in a Dockerfile

What the apps print goes to standard output: as it is if the file declares one
process, else with the name of the app in front of each line.

It ends when all apps have ended for good: with the exit code of the only app
(128 + n after signal n), or of the app that failed first, else 0. SIGTERM and
SIGINT stop the apps in order; then the exit code is 0.

It needs a home (PM_HOME) in which no daemon is running.";

    fn run(self, session: &mut Session) -> Ending {
        run::run(session, self.timestamps, |session| {
            let resolved = file::resolve(session, &self.file, false, Daemon::MayStart)?;
            file::accept(session, resolved.reading)
        })
    }
}
