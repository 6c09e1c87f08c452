//! `pm dev`: the apps of a file in the foreground, restarted when files change, stopped by Ctrl-C.

use clap::Args;

use crate::cli::args::CliCommand;
use crate::cli::dev;
use crate::cli::fail::Ending;
use crate::cli::file::FileArgs;
use crate::cli::session::Session;

#[derive(Args, Debug)]
pub(in crate::cli) struct Dev {
    #[command(flatten)]
    pub file: FileArgs,
    /// Do not restart apps when files change
    #[arg(long)]
    pub no_watch: bool,
    /// Show the time of each line
    #[arg(short, long)]
    pub timestamps: bool,
}

impl CliCommand for Dev {
    const NAME: &'static str = "dev";
    const ABOUT: &'static str = "Run the apps of a file in the foreground and restart them when files change";
    const EXAMPLES: &'static str = "Examples:
  pm dev                  the file of this folder
  pm dev --env local      with a profile

Every app without a `watch` key watches its folder. The file is watched, too:
saving it applies it; an error in it is shown and changes nothing. On a terminal
r restarts all, q quits.

In a linked git worktree (`git worktree add`) the project is `shop@WORKTREE`: it
runs beside that of the other worktrees, unless --worktree=false is given.

Ctrl-C stops all apps of the project and deletes those that this command
declared; a second Ctrl-C returns at once.";

    fn run(self, session: &mut Session) -> Ending {
        let worktree = self.file.worktree.or(Some(true));
        let file = FileArgs { watches_by_default: !self.no_watch, worktree, ..self.file };
        dev::run(session, file, self.no_watch, self.timestamps)
    }
}
