//! `pm list`: what runs.

use clap::Args;

use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::fail::{Code, Ending};
use crate::cli::output::instances;
use crate::cli::session::Session;
use crate::client;
use crate::wire::BriefAnswer;

#[derive(Args, Debug, Default)]
pub(in crate::cli) struct List {
    /// Only these apps: `api`, `api/1`, `shop:api`, a namespace
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for List {
    const NAME: &'static str = "list";
    const ALIASES: &'static [&'static str] = &["ls", "ps", "status"];
    const ABOUT: &'static str = "Show every instance: status, pid, uptime, restarts";
    const EXAMPLES: &'static str = "Examples:
  pm ls
  pm list api worker
  pm list -p shop --json";

    fn plain() -> Option<Self> {
        Some(Self::default())
    }

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
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
