//! `pm signal`: a signal for the main process of apps.

use std::fmt::Write as _;

use clap::Args;

use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::fail::{Code, Ending};
use crate::cli::session::Session;
use crate::wire::{NotSignalled, SignalRequest, SignalledProcess, WhyNotSignalled};

#[derive(Args, Debug)]
pub(in crate::cli) struct SignalCommand {
    /// `HUP`, `SIGUSR2`, `10`, `RTMIN+3`
    pub signal: String,
    /// `api`, `api/1`, `shop:api`, a namespace, `all`
    #[arg(value_name = "APP", required = true)]
    pub apps: Vec<String>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for SignalCommand {
    const NAME: &'static str = "signal";
    const ABOUT: &'static str = "Send a signal to the main process of apps";
    const EXAMPLES: &'static str = "Examples:
  pm signal HUP api          every copy: read the configuration again
  pm signal USR2 api/1       one copy
  pm signal RTMIN+3 api

The main process of each copy gets it, nothing below that. What the app makes of
it is its own matter: if it ends by it, that counts as an end on its own, and
its `restart` says what follows. `pm stop` and `pm reload` are the way to stop
and to replace apps. Exits with 1 if a copy did not get it.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let selection = self.scope.selection(self.apps)?;
        let answer = Session::client()?.hand_over(&SignalRequest { selection, signal: self.signal })?;
        let code = if answer.failed.is_empty() { Code::Ok } else { Code::Error };
        if self.json.json {
            session.screen.json(&answer)?;
            return Ok(code);
        }
        let mut text = String::new();
        for SignalledProcess { instance, pid } in &answer.sent {
            let _ = writeln!(text, "{} sent to {instance} (process {pid})", answer.signal);
        }
        for NotSignalled { instance, why } in &answer.failed {
            let _ = writeln!(text, "{} not sent to {instance}: {}", answer.signal, words(*why));
        }
        session.screen.data(text.as_bytes());
        Ok(code)
    }
}

fn words(why: WhyNotSignalled) -> &'static str {
    match why {
        WhyNotSignalled::NotRunning => "it does not run",
        WhyNotSignalled::NotAllowed => "it runs as another user, whom the daemon may not signal",
    }
}
