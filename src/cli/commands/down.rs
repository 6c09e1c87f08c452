//! `pm down`: stop and forget this project.

use clap::Args;

use crate::cli::args::CliCommand;
use crate::cli::change::{self, WaitArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::session::{self, Session};
use crate::model::ProjectName;
use crate::wire::Edit;
use crate::wire::{ProjectRow, Scope, Selection};

#[derive(Args, Debug)]
pub(in crate::cli) struct Down {
    /// This project instead of the one of the current folder
    #[arg(short = 'p', long, value_name = "PROJECT")]
    pub project: Option<ProjectName>,
    #[command(flatten)]
    pub wait: WaitArgs,
}

impl CliCommand for Down {
    const NAME: &'static str = "down";
    const ABOUT: &'static str = "Stop and forget every app of this project";
    const EXAMPLES: &'static str = "Examples:
  pm down                 the project of this folder
  pm down -p shop

The opposite of `pm apply`. Logs stay.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.wait.json.json;
        let projects = Session::client()?.projects()?.projects;
        let project = match self.project {
            Some(project) => project,
            None => own(&projects)?,
        };
        let scope = Scope { project: Some(project), ..Scope::default() };
        let selection = Selection { selectors: vec!["all".to_owned()], scope };
        change::edit(session, Edit::Delete, selection, &self.wait)
    }
}

/// The one project that was declared in this folder or the nearest above. Nothing is guessed here.
fn own(projects: &[ProjectRow]) -> Result<ProjectName, CommandError> {
    let folder = session::folder()?;
    for folder in folder.ancestors() {
        let here: Vec<&ProjectRow> = projects.iter().filter(|project| project.folder == folder).collect();
        match here.as_slice() {
            [] => {}
            [one] => return Ok(one.project.clone()),
            several => {
                let details = several.iter().map(|project| project.project.to_string()).collect();
                let message = format!("several projects were applied from `{}`", folder.display());
                return Err(CommandError { details, ..CommandError::new(Code::Usage, message) }
                    .hint("choose one: `pm down -p PROJECT`"));
            }
        }
    }
    let message = format!("no project was applied from `{}` or a parent folder", folder.display());
    Err(CommandError::new(Code::Usage, message)
        .hint("`pm projects` lists the projects; choose one with `pm down -p PROJECT`"))
}
