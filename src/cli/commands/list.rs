//! `pm list`: what runs.

use clap::Args;

use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::output::instances;
use crate::cli::session::Session;
use crate::client;
use crate::model::Millis;
use crate::os;
use crate::wire::{BriefAnswer, Selection};

/// How often `--watch` looks.
const LOOK_EVERY: Millis = Millis(1000);

#[derive(Args, Debug, Default)]
pub(in crate::cli) struct List {
    /// Only these apps: `api`, `api/1`, `shop:api`, a namespace
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,
    /// Keep showing it, until Ctrl-C
    #[arg(short, long)]
    pub watch: bool,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for List {
    const NAME: &'static str = "list";
    const ALIASES: &'static [&'static str] = &["ls", "ps"];
    const ABOUT: &'static str = "Show every instance: status, pid, uptime, restarts";
    const EXAMPLES: &'static str = "Examples:
  pm ls
  pm list api worker
  pm list --watch
  pm list -p shop --json";

    fn plain() -> Option<Self> {
        Some(Self::default())
    }

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        if self.watch {
            return watch(session, &self.scope.selection(self.apps)?, self.json);
        }
        let mut client = Session::client()?;
        let selection = self.scope.selection(self.apps)?;
        if self.json.json {
            let answer = client.list(&selection)?;
            session.compare_versions(&client);
            session.warn(&answer.warnings);
            session.screen.json(&answer)?;
            return Ok(Code::Ok);
        }
        let text = client.brief_list(&selection)?;
        session.compare_versions(&client);
        let answer: BriefAnswer<'_> = client::understood(&text)?;
        session.warn(&answer.warnings);
        if answer.apps.is_empty() {
            session.screen.note("no apps yet: `pm apply` in a folder with an ecosystem file, or `pm start SCRIPT`");
        } else {
            let text = instances::table(&answer.apps, session.screen.paint(), session.screen.width());
            session.screen.data(text.as_bytes());
        }
        Ok(Code::Ok)
    }
}

/// Draws the table again and again, until nobody reads it any more. It starts no daemon: one that was shut down stays so.
fn watch(session: &mut Session, selection: &Selection, json: JsonArgs) -> Ending {
    let mut is_first = true;
    while !session.screen.is_unread() {
        let client = Session::client_if_running()?;
        if json.json {
            if let Some(mut client) = client {
                session.screen.compact(&client.list(selection)?)?;
            }
        } else {
            let text = match client {
                Some(mut client) => shown(session, &client.brief_list(selection)?)?,
                None => "no daemon is running\n".to_owned(),
            };
            session.screen.redraw(&text, is_first);
        }
        session.screen.flush();
        is_first = false;
        os::pause(LOOK_EVERY);
    }
    Ok(Code::Ok)
}

fn shown(session: &mut Session, text: &[u8]) -> Result<String, CommandError> {
    let answer: BriefAnswer<'_> = client::understood(text)?;
    if answer.apps.is_empty() {
        return Ok("no apps yet\n".to_owned());
    }
    Ok(instances::table(&answer.apps, session.screen.paint(), session.screen.width()))
}
