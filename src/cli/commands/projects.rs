//! `pm projects`: who owns what.

use clap::Args;

use crate::cli::args::{CliCommand, JsonArgs};
use crate::cli::fail::{Code, Ending};
use crate::cli::output::{TextTable, Tone};
use crate::cli::session::Session;

#[derive(Args, Debug)]
pub(in crate::cli) struct Projects {
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for Projects {
    const NAME: &'static str = "projects";
    const ABOUT: &'static str = "Show every project: its files, profile, apps";
    const EXAMPLES: &'static str = "Examples:
  pm projects
  pm projects --json

Apps started without a file belong to the project `_`.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let answer = Session::client()?.projects()?;
        if self.json.json {
            session.screen.json(&answer)?;
            return Ok(Code::Ok);
        }
        let mut table = TextTable::new(&["project", "apps", "running", "profile", "generation", "files"]);
        for row in &answer.projects {
            let files: Vec<String> = row.files.iter().map(|file| file.display().to_string()).collect();
            let tone = if row.running < row.wanted { Tone::Warn } else { Tone::Good };
            table.row().cell(row.project.as_str()).cell(row.apps.to_string());
            table.toned(format!("{}/{}", row.running, row.wanted), tone);
            table.cell(row.profile.as_deref().unwrap_or("-")).cell(row.generation.to_string());
            table.toned(files.join(" "), Tone::Faint);
        }
        let text = table.render(session.screen.paint(), session.screen.width());
        session.screen.data(text.as_bytes());
        Ok(Code::Ok)
    }
}
