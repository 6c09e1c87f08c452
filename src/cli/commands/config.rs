//! `pm config`: the resolved file.

use clap::Args;
use serde::Serialize;

use crate::cli::args::{CliCommand, JsonArgs};
use crate::cli::fail::{Code, Ending};
use crate::cli::file::{self, Daemon, FileArgs};
use crate::cli::output::{TextTable, Tone, in_file_units};
use crate::cli::session::Session;
use crate::ecosystem::{Source, SourceFrom};
use crate::model::{App, Origin, ProjectName, ShownApp};
use crate::wire::FORMAT;

#[derive(Args, Debug, Default)]
pub(in crate::cli) struct Config {
    #[command(flatten)]
    pub file: FileArgs,
    /// Show where each value came from
    #[arg(long)]
    pub sources: bool,
    /// Show secret values
    #[arg(long)]
    pub reveal: bool,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    project: &'a ProjectName,
    origin: &'a Origin,
    apps: &'a [ShownApp],
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<&'a [Source]>,
}

impl CliCommand for Config {
    const NAME: &'static str = "config";
    const ABOUT: &'static str = "Show the fully resolved ecosystem file: merged, with defaults, profile and variables";
    const EXAMPLES: &'static str = "Examples:
  pm config
  pm config --env production | jq '.apps[].run.env'
  pm config --sources     which line, env file or shell variable each value came from";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let resolved = file::resolve(session, &self.file, self.sources, Daemon::IfRunning)?;
        let sources = resolved.reading.sources.clone();
        let proposed = file::accept(session, resolved.reading)?;
        let shown = if self.reveal { App::revealed } else { App::shown };
        let apps: Vec<ShownApp> = proposed.apps.iter().map(shown).collect();
        if self.sources && !self.json.json {
            let text = table(&sources).render(session.screen.paint(), session.screen.width());
            session.screen.data(text.as_bytes());
            return Ok(Code::Ok);
        }
        let document = Document {
            format: FORMAT,
            project: &proposed.project,
            origin: &proposed.origin,
            apps: &apps,
            sources: self.sources.then_some(sources.as_slice()),
        };
        session.screen.json(&in_file_units(&document))?;
        Ok(Code::Ok)
    }
}

fn table(sources: &[Source]) -> TextTable<'_> {
    let mut table = TextTable::new(&["value", "from"]);
    for source in sources {
        let from = match &source.from {
            SourceFrom::File { place, variables } => {
                let shell = if variables.is_empty() {
                    String::new()
                } else {
                    format!(", {} from the shell", variables.join(", "))
                };
                format!("{}:{}:{}{shell}", place.file.display(), place.line, place.column)
            }
            SourceFrom::EnvFile { file } => file.display().to_string(),
            SourceFrom::Shell => "the shell (inherit)".to_owned(),
        };
        table.row().cell(source.path.as_str()).toned(from, Tone::Faint);
    }
    table
}
