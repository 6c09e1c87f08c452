//! `pm version`: the versions of this command and of the daemon.

use clap::Args;

use crate::cli::args::{CliCommand, JsonArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::Session;
use crate::wire::{FORMAT, PROTOCOL, VERSION};

#[derive(Args, Debug)]
pub(in crate::cli) struct Version {
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for Version {
    const NAME: &'static str = "version";
    const ABOUT: &'static str = "Show the version of this command and of the running daemon";
    const EXAMPLES: &'static str = "Examples:
  pm version
  pm version --json";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let daemon = match daemon_version() {
            Ok(daemon) => daemon,
            // Ours is known whatever the home is like; the error says why nobody can know of the other.
            Err(error) => {
                if !self.json.json {
                    session.screen.line(&format!("pm {VERSION}"));
                }
                return Err(error);
            }
        };
        if self.json.json {
            let document =
                serde_json::json!({ "format": FORMAT, "version": VERSION, "protocol": PROTOCOL, "daemon": daemon });
            session.screen.json(&document)?;
        } else {
            session.screen.line(&format!("pm {VERSION}"));
            session.screen.line(&format!("daemon {}", daemon.as_deref().unwrap_or("not running")));
        }
        Ok(Code::Ok)
    }
}

/// The version of the daemon of this home; `None` if none runs.
fn daemon_version() -> Result<Option<String>, CommandError> {
    Session::home()?.check_owner()?;
    let client = Session::client_if_running()?;
    Ok(client.and_then(|mut client| client.daemon().ok()).map(|answer| answer.version))
}
