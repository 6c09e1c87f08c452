//! `pm daemon`: show, replace or stop the daemon.

use clap::{Args, Subcommand};

use super::shutdown::wait_for_end;
use crate::cli::args::{CliCommand, JsonArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::Session;
use crate::client::{self, Client, ClientError, DaemonEnd};
use crate::model::Millis;
use crate::os;
use crate::wire::DaemonAnswer;

/// A new daemon answers within this.
const PATIENCE: Millis = Millis::seconds(10);
/// How often is looked whether it does.
const LOOK_EVERY: Millis = Millis(2);

#[derive(Args, Debug)]
pub(in crate::cli) struct Daemon {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Action {
    /// Run in the foreground, for a service unit or a container; SIGTERM stops the apps, then the daemon
    Run,
    /// Show whether it is running, for how long, and where
    Status(JsonArgs),
    /// Replace the daemon with a new one of this version; apps are not touched
    Restart(JsonArgs),
    /// Stop the daemon and its anchor; refused while apps are running
    Stop(JsonArgs),
}

impl CliCommand for Daemon {
    const NAME: &'static str = "daemon";
    const ABOUT: &'static str = "Show, replace or stop the daemon";
    const EXAMPLES: &'static str = "Examples:
  pm daemon status --json
  pm daemon restart       after an upgrade; apps keep running
  pm daemon stop

  pm daemon run           the main process of a service unit (Type=notify, KillMode=process) or a container

The first command that needs the daemon starts it in the background.";

    fn run(self, session: &mut Session) -> Ending {
        match self.action {
            Action::Run => run(),
            Action::Status(json) => status(session, json),
            Action::Restart(json) => restart(session, json),
            Action::Stop(json) => stop(session, json),
        }
    }
}

/// This process becomes the anchor.
fn run() -> Ending {
    Err(client::run_in_foreground(&Session::home()?).into())
}

fn status(session: &mut Session, json: JsonArgs) -> Ending {
    session.screen.is_json = json.json;
    let home = Session::home()?;
    let Some(mut client) = Session::client_if_running()? else {
        return Err(CommandError::new(
            Code::Unreachable,
            format!("no daemon is running for `{}`", home.root.display()),
        ));
    };
    let answer = client.daemon()?;
    session.compare_versions(&client);
    show(session, json, &answer)
}

fn show(session: &mut Session, json: JsonArgs, answer: &DaemonAnswer) -> Ending {
    if json.json {
        session.screen.json(answer)?;
        return Ok(Code::Ok);
    }
    let shut_down = if answer.is_shut_down { "; shut down: nothing starts until you start it" } else { "" };
    for (name, value) in [
        ("daemon", format!("running for {}{shut_down}", answer.uptime_ms)),
        ("version", answer.version.clone()),
        ("pid", answer.pid.to_string()),
        ("anchor", answer.anchor_pid.to_string()),
        ("home", answer.home.display().to_string()),
        ("apps", format!("{}, {} processes", answer.apps, answer.running)),
    ] {
        session.screen.line(&format!("{name:8} {value}"));
    }
    Ok(Code::Ok)
}

fn restart(session: &mut Session, json: JsonArgs) -> Ending {
    session.screen.is_json = json.json;
    let home = Session::home()?;
    let Some(mut client) = Session::client_if_running()? else {
        let answer = Session::client()?.daemon()?;
        return show(session, json, &answer);
    };
    let old = client.end_daemon(DaemonEnd::Restart)?;
    let give_up = os::now().after(PATIENCE);
    while os::now() < give_up {
        // Refused or broken in between: the old one has left, the new one is not there yet.
        match Client::connect(&home).and_then(|mut client| client.daemon()) {
            Ok(answer) if answer.pid != old.pid => return show(session, json, &answer),
            Err(error @ ClientError::CannotBegin { .. }) => return Err(error.into()),
            Ok(_) | Err(_) => os::pause(LOOK_EVERY),
        }
    }
    Err(CommandError::new(Code::TimedOut, format!("the new daemon did not answer within {PATIENCE}"))
        .hint(format!("see `{}` for the reason", home.daemon_log().display())))
}

fn stop(session: &mut Session, json: JsonArgs) -> Ending {
    session.screen.is_json = json.json;
    let home = Session::home()?;
    let Some(mut client) = Session::client_if_running()? else {
        session.screen.note("no daemon is running");
        return Ok(Code::Ok);
    };
    let answer = client.end_daemon(DaemonEnd::Stop)?;
    drop(client);
    wait_for_end(&home)?;
    if json.json {
        session.screen.json(&answer)?;
    } else {
        session.screen.note("the daemon has stopped");
    }
    Ok(Code::Ok)
}
