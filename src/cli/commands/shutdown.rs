//! `pm shutdown`: stop everything, and keep it stopped.

use clap::Args;

use crate::cli::args::CliCommand;
use crate::cli::change::{self, Closing, WaitArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::Session;
use crate::client::ClientError;
use crate::model::Millis;
use crate::os::{self, Home, Lock};

/// Daemon and anchor end within this once no app is left.
const PATIENCE: Millis = Millis::seconds(15);
/// How often is looked whether they have.
const LOOK_EVERY: Millis = Millis(2);

#[derive(Args, Debug)]
pub(in crate::cli) struct Shutdown {
    #[command(flatten)]
    pub wait: WaitArgs,
}

impl CliCommand for Shutdown {
    const NAME: &'static str = "shutdown";
    const ALIASES: &'static [&'static str] = &["kill"];
    const ABOUT: &'static str = "Stop every app of every project, then the daemon";
    const EXAMPLES: &'static str = "Examples:
  pm shutdown

This is remembered: the next `pm list` starts a daemon, but no app.
`pm start all -A` or `pm apply` starts the apps again.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.wait.json.json;
        let home = Session::home()?;
        let Some(client) = Session::client_if_needed()? else {
            session.screen.note("no daemon is running: nothing to stop");
            return Ok(Code::Ok);
        };
        let messages = match client.shut_down() {
            Err(ClientError::CannotBegin { reason, is_ending: true }) => {
                return without_daemon(session, &home, &reason);
            }
            other => other?,
        };
        let closing = Closing { failures_only: true, ..Closing::default() };
        let code = change::follow_and_close(session, messages, &self.wait, None, closing)?;
        if !self.wait.detach {
            wait_for_end(&home)?;
        }
        Ok(code)
    }
}

/// The anchor stops the apps itself: SIGTERM to all at once, SIGKILL ten seconds later.
fn without_daemon(session: &mut Session, home: &Home, reason: &str) -> Ending {
    session.screen.note(&format!("warning: the daemon cannot start: {reason}"));
    wait_for_end(home)?;
    session.screen.note(
        "all apps are stopped and the anchor has exited; this is not remembered: once a daemon can start, it starts them again",
    );
    Ok(Code::Ok)
}

/// The anchor holds the lock of the home for as long as it lives.
pub(super) fn wait_for_end(home: &Home) -> Result<(), CommandError> {
    let give_up = os::now().after(PATIENCE);
    while os::now() < give_up {
        match Lock::try_exclusive(&home.lock()) {
            Ok(None) => os::pause(LOOK_EVERY),
            // Ours now, or no run folder at all: nobody runs there.
            Ok(Some(_)) | Err(_) => return Ok(()),
        }
    }
    Err(CommandError::new(
        Code::TimedOut,
        format!("the apps are stopped, but the daemon did not stop within {PATIENCE}"),
    ))
}
