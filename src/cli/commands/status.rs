//! `pm status`: whether each project is as declared, and whether it works.

use clap::Args;

use crate::cli::args::{CliCommand, JsonArgs};
use crate::cli::fail::{Code, Ending};
use crate::cli::output::status::project;
use crate::cli::session::Session;
use crate::model::{HealthWord, ProjectName, SyncWord};
use crate::wire::StatusRow;

#[derive(Args, Debug)]
pub(in crate::cli) struct ProjectStatus {
    /// Only these projects
    #[arg(value_name = "PROJECT")]
    projects: Vec<ProjectName>,
    /// Exit with 2 if a project is out of sync, 7 while one is progressing, 6 if one is not healthy
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    json: JsonArgs,
}

impl CliCommand for ProjectStatus {
    const NAME: &'static str = "status";
    const ABOUT: &'static str = "Show whether each project is as declared, and whether it works";
    const EXAMPLES: &'static str = "Examples:
  pm status
  pm status shop
  pm status shop --exit-code       for scripts: 0 if it is synced and healthy

With --exit-code, of several causes: 6 (degraded, missing or unknown) before 7
(progressing) before 2 (out of sync or suspended).

Both words are derived from what is declared and from what runs, each time.
`pm list` shows the processes; `pm why APP` explains one.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let mut client = Session::client()?;
        let answer = client.status(&self.projects)?;
        session.compare_versions(&client);
        session.warn(&answer.warnings);
        if self.json.json {
            session.screen.json(&answer)?;
        } else if answer.projects.is_empty() {
            session.screen.note("no projects yet: `pm apply` in a folder with an ecosystem file declares one");
        } else {
            let text = project::text(&answer, session.screen.paint(), session.screen.width());
            session.screen.data(text.as_bytes());
        }
        Ok(if self.exit_code { code(&answer.projects) } else { Code::Ok })
    }
}

/// What `--exit-code` makes of all projects.
fn code(projects: &[StatusRow]) -> Code {
    let health = projects.iter().map(|row| row.state.health).max().unwrap_or(HealthWord::Healthy);
    let sync = projects.iter().map(|row| row.state.sync).max().unwrap_or(SyncWord::Synced);
    match (health, sync) {
        (HealthWord::Missing | HealthWord::Degraded | HealthWord::Unknown, _) => Code::Unhealthy,
        (HealthWord::Progressing, _) => Code::TimedOut,
        (HealthWord::Suspended, _) | (_, SyncWord::OutOfSync) => Code::Pending,
        (HealthWord::Healthy, SyncWord::Synced) => Code::Ok,
    }
}
