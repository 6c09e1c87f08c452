//! `pm clean`: what deleted apps have left, and its removal.

use clap::Args;

use crate::cli::args::{CliCommand, JsonArgs};
use crate::cli::fail::{Code, Ending};
use crate::cli::output::time::Clock;
use crate::cli::output::{TextTable, Tone};
use crate::cli::session::Session;
use crate::os;
use crate::wire::{DeletedLogsAnswer, RemoveLogsRequest};

#[derive(Args, Debug)]
pub(in crate::cli) struct Clean {
    /// Remove the logs of these deleted apps: `api`, `shop:api`
    #[arg(value_name = "APP", conflicts_with = "all")]
    pub apps: Vec<String>,
    /// Remove the logs of all deleted apps
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for Clean {
    const NAME: &'static str = "clean";
    const ABOUT: &'static str = "List or remove the logs of deleted apps";
    const EXAMPLES: &'static str = "Examples:
  pm clean                list them, with their sizes
  pm clean api shop:old   remove the logs of these
  pm clean --all          remove all of them

Logs of an app that is declared or running are never touched, nor are files that `out_file` or `error_file` named.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let is_removal = self.all || !self.apps.is_empty();
        let mut client = Session::client()?;
        let answer = if is_removal {
            client.remove_deleted_logs(&RemoveLogsRequest { apps: self.apps })?
        } else {
            client.deleted_logs()?
        };
        let code = if answer.troubles.is_empty() { Code::Ok } else { Code::Error };
        if self.json.json {
            session.screen.json(&answer)?;
        } else if is_removal {
            removed(session, &answer);
        } else {
            list(session, &answer);
        }
        Ok(code)
    }
}

fn list(session: &mut Session, answer: &DeletedLogsAnswer) {
    if answer.apps.is_empty() {
        return session.screen.note("no logs of deleted apps");
    }
    let mut table = TextTable::new(&["project", "app", "files", "size", "last written"]);
    let (clock, now) = (Clock::local(), os::wall());
    for row in &answer.apps {
        table.row().cell(row.project.as_str()).cell(row.app.as_str()).cell(row.files.to_string());
        table.cell(row.bytes.to_string());
        table.toned(clock.short(row.written, now), Tone::Faint);
    }
    let text = table.render(session.screen.paint(), session.screen.width());
    session.screen.data(text.as_bytes());
    session.screen.note("`pm clean APP` removes those of an app, `pm clean --all` all of them");
}

fn removed(session: &mut Session, answer: &DeletedLogsAnswer) {
    for trouble in &answer.troubles {
        session.screen.note(trouble);
    }
    for row in &answer.apps {
        let files = if row.files == 1 { "1 file".to_owned() } else { format!("{} files", row.files) };
        session.screen.note(&format!("removed {files} ({}) of {}:{}", row.bytes, row.project, row.app));
    }
    if answer.apps.is_empty() && answer.troubles.is_empty() {
        session.screen.note("nothing to remove");
    }
}
