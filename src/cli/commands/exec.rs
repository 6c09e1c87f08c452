//! `pm exec`: a command in an app's environment, folder and user.

use std::ffi::OsStr;

use clap::Args;

use crate::cli::args::{ScopeArgs, Verb};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::Session;
use crate::os::{self, RunAs};
use crate::wire::EnvironmentAnswer;

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

impl Verb for Exec {
    const NAME: &'static str = "exec";
    const ABOUT: &'static str = "Run a command in an app's environment, folder and user";
    const EXAMPLES: &'static str = "Examples:
  pm exec api -- npm run migrate
  pm exec shop:api/1 -- env
  pm exec worker -- sh

It runs here, in this terminal; its exit code is the command's.";

    fn run(self, session: &mut Session) -> Ending {
        let selection = self.scope.selection(vec![self.app])?;
        let place = Session::client()?.environment(&selection, true)?;
        session.screen.flush();
        let Some((word, args)) = self.command.split_first() else {
            return Err(CommandError::new(Code::Usage, "there is no command after `--`"));
        };
        let path = place.env.get("PATH").map(String::as_str).unwrap_or_default();
        let beside = place.cwd.join(word);
        let word_is_path = word.contains('/');
        let found = if word_is_path { Some(beside) } else { os::find_program(OsStr::new(word), OsStr::new(path)) };
        let Some(program) = found else {
            return Err(CommandError::new(Code::Error, format!("there is no program `{word}` on the app's PATH"))
                .hint("`pm env APP` shows the PATH"));
        };
        let run_as = run_as(&place)?;
        let error = os::become_program(&program, args, &place.env, &place.cwd, &run_as);
        Err(CommandError::system(format!("cannot run `{}` in `{}`", program.display(), place.cwd.display()), &error))
    }
}

fn run_as(place: &EnvironmentAnswer) -> Result<RunAs, CommandError> {
    let unknown = |what: &str, name: &str| CommandError::new(Code::Error, format!("there is no {what} `{name}`"));
    let user = match &place.user {
        Some(name) => Some(os::user_named(name).ok().flatten().ok_or_else(|| unknown("user", name))?),
        None => None,
    };
    let gid = match &place.group {
        Some(name) => Some(os::group_id(name).ok().flatten().ok_or_else(|| unknown("group", name))?),
        None => user.as_ref().map(|user| user.gid),
    };
    Ok(RunAs { uid: user.map(|user| user.uid), gid })
}
