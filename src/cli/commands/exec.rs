//! `pm exec`: a command in an app's context: environment, folder, user and groups, mask, limits.

use std::ffi::OsStr;

use clap::Args;

use crate::cli::args::{CliCommand, ScopeArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::Session;
use crate::os::{self, Taken};

#[derive(Args, Debug)]
pub(in crate::cli) struct Exec {
    /// `api`, `api/1`, `shop:api`
    pub app: String,
    /// The command, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    #[command(flatten)]
    pub scope: ScopeArgs,
}

impl CliCommand for Exec {
    const NAME: &'static str = "exec";
    const ABOUT: &'static str = "Run a command with an app's environment, folder and user";
    const EXAMPLES: &'static str = "Examples:
  pm exec api -- npm run migrate
  pm exec shop:api/1 -- env
  pm exec worker -- sh

The command runs in this terminal, with the app's groups, umask and limits, and
its exit code is returned.";

    fn run(self, session: &mut Session) -> Ending {
        let selection = self.scope.selection(vec![self.app])?;
        let place = Session::client()?.environment(&selection, true)?;
        session.screen.flush();
        let Some((word, args)) = self.command.split_first() else {
            return Err(CommandError::new(Code::Usage, "no command after `--`"));
        };
        let path = place.env.get("PATH").map(String::as_str).unwrap_or_default();
        let beside = place.cwd.join(word);
        let word_is_path = word.contains('/');
        let found = if word_is_path { Some(beside) } else { os::find_program(OsStr::new(word), OsStr::new(path)) };
        let Some(program) = found else {
            return Err(CommandError::new(Code::Error, format!("no program `{word}` on the app's PATH"))
                .hint("`pm env APP` shows its PATH"));
        };
        let taken = os::take_on(&place.identity, place.umask, &place.limits).map_err(|error| {
            let user = os::user_name(place.identity.uid);
            CommandError::system(format!("cannot become user `{user}`, which the app runs as"), &error)
        })?;
        if let Some(note) = differences(&taken) {
            os::write_stderr(&note);
        }
        let error = os::become_program(&program, args, &place.env, &place.cwd);
        Err(CommandError::system(format!("cannot run `{}` in `{}`", program.display(), place.cwd.display()), &error))
    }
}

/// What only root could have made the same, in words.
fn differences(taken: &Taken) -> Option<String> {
    let groups = taken.has_other_groups.then_some("supplementary groups");
    let all: Vec<&str> = groups.into_iter().chain(taken.other_limits.iter().map(String::as_str)).collect();
    let note = format!("note: these differ from the app, since only root can change them: {}\n", all.join(", "));
    (!all.is_empty()).then_some(note)
}
