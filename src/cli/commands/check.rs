//! `pm check`: is the file right?

use clap::Args;

use crate::cli::args::{CliCommand, JsonArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::file::{self, Daemon, FileArgs, Findings, Remarks};
use crate::cli::session::Session;
use crate::ecosystem::Reading;
use crate::wire::FORMAT;

#[derive(Args, Debug, Default)]
pub(in crate::cli) struct Check {
    #[command(flatten)]
    pub file: FileArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for Check {
    const NAME: &'static str = "check";
    const ALIASES: &'static [&'static str] = &["validate"];
    const ABOUT: &'static str = "Check the ecosystem file without touching or starting anything";
    const EXAMPLES: &'static str = "Examples:
  pm check
  pm check deploy/ecosystem.toml --env production
  pm check --json

Shows all errors at once. Exits with 0 if the file can be applied, 65 if not, and 8 if it declares no apps,
which an apply accepts with --allow-empty only.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let resolved = file::resolve(session, &self.file, false, Daemon::IfRunning)?;
        let reading = resolved.reading;
        let code = match &reading.proposed {
            Some(proposed) if proposed.apps.is_empty() => Code::Refused,
            Some(_) => Code::Ok,
            None => file::code_of(&reading),
        };
        if self.json.json {
            let diagnostics = &reading.diagnostics;
            session.screen.json(&Findings { format: FORMAT, exit_code: code as u8, diagnostics })?;
        } else {
            let Reading { diagnostics, files, secrets, .. } = &reading;
            file::show(session, diagnostics, files, secrets, Remarks::Listed);
            if let Some(proposed) = reading.proposed.as_ref().filter(|proposed| proposed.apps.is_empty()) {
                let message = format!("the file declares no apps for project `{}`", proposed.project);
                return Err(CommandError::new(code, message).hint("`pm apply --allow-empty` accepts it"));
            }
            if let Some(proposed) = &reading.proposed {
                let profile = resolved.profile.map(|name| format!(", profile {name}")).unwrap_or_default();
                let (project, apps) = (&proposed.project, proposed.apps.len());
                let apps = if apps == 1 { "1 app".to_owned() } else { format!("{apps} apps") };
                session.screen.note(&format!("ok: project {project}, {apps}{profile}"));
            }
        }
        if code == Code::Ok { Ok(code) } else { Err(CommandError::told(code as u8)) }
    }
}
