//! `pm describe`: everything about an app.

use clap::Args;

use super::plan;
use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::fail::{Code, Ending};
use crate::cli::file;
use crate::cli::output::{details, in_file_units};
use crate::cli::saved_plan;
use crate::cli::session::{self, Session};

#[derive(Args, Debug)]
pub(in crate::cli) struct Describe {
    /// `api`, `api/1`, `shop:api`, a namespace, `all`; or the file of a saved plan
    #[arg(value_name = "APP", required = true)]
    pub apps: Vec<String>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for Describe {
    const NAME: &'static str = "describe";
    const ALIASES: &'static [&'static str] = &["show", "info", "desc"];
    const ABOUT: &'static str = "Show everything about an app: declaration, instances, log files";
    const EXAMPLES: &'static str = "Examples:
  pm describe api
  pm show shop:api --json
  pm show release.pmp         a plan that `pm plan -o` has saved";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        if let [one] = self.apps.as_slice()
            && let Some(saved) = saved_plan::load(&file::absolute(&session::folder()?, one.as_ref()))?
        {
            return plan::show_saved(session, &saved);
        }
        let mut client = Session::client()?;
        let answer = client.describe(&self.scope.selection(self.apps)?)?;
        session.compare_versions(&client);
        if self.json.json {
            session.screen.json(&in_file_units(&answer))?;
            return Ok(Code::Ok);
        }
        for app in &answer.apps {
            let text = details::text(app, session.screen.paint(), session.screen.width());
            session.screen.data(text.as_bytes());
        }
        Ok(Code::Ok)
    }
}
