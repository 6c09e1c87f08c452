//! `pm import`: an `ecosystem.toml` made from PM2's configuration, from what PM2 runs, a Procfile or a compose file.

use std::io;
use std::path::PathBuf;

use clap::Args;

use crate::cli::args::CliCommand;
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::file;
use crate::cli::foreign;
use crate::cli::host::LocalHost;
use crate::cli::output::harmless;
use crate::cli::pm2;
use crate::cli::session::{self, Session};
use crate::ecosystem::{self, ReadOptions, SourceFile};
use crate::os;
use crate::pm2::to_toml;

/// What is written.
const NAME: &str = "ecosystem.toml";

#[derive(Args, Debug, Default)]
pub(in crate::cli) struct Import {
    /// PM2's file, a compose file or a Procfile; default: the first one in this folder, PM2's before others
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What PM2 runs now, or else has saved, in place of a file
    #[arg(long, conflicts_with = "file")]
    pub from_pm2: bool,
    /// Where to write; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace a file that exists
    #[arg(long)]
    pub force: bool,
}

impl CliCommand for Import {
    const NAME: &'static str = "import";
    const ABOUT: &'static str = "Make an ecosystem.toml from PM2, a Procfile or a compose file";
    const EXAMPLES: &'static str = "Examples:
  pm import                               ecosystem.config.js → ecosystem.toml
  pm import deploy/ecosystem.config.cjs
  pm import pm2.json -o -                 show what would be written
  pm import --from-pm2                    the apps that PM2 runs, or has saved
  pm import Procfile
  pm import compose.yaml                  services that name their command

What is ignored or means something else is a comment in the file. Values that the configuration takes from the shell are
written as `${NAME}`, also inside of a text, and `{ ...process.env }` becomes `inherit`; what is computed from them otherwise
(encoded, cut) is copied, so look through the file (mode 0600) before you share it. Nothing is started.
PM2's files also work as they are: `pm apply ecosystem.config.js`.";

    fn run(self, session: &mut Session) -> Ending {
        let folder = session::folder()?;
        let (translation, name, beside) = if self.from_pm2 {
            let (translation, from) = pm2::running(session)?;
            (translation, from, folder.join(NAME))
        } else {
            let path = match &self.file {
                Some(path) => file::absolute(&folder, path),
                None => found(&folder)?,
            };
            let text = file::load(&path, &LocalHost::new(&session.pipes))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (foreign::read(session, &path, text)?, name, path.with_file_name(NAME))
        };
        let toml = to_toml(&translation, &name);
        let target = match self.output {
            Some(output) if output.as_os_str() == "-" => {
                session.screen.data(toml.as_bytes());
                return Ok(Code::Ok);
            }
            Some(output) => file::absolute(&folder, &output),
            None => beside,
        };
        if !self.force && os::exists(&target) {
            let message = format!("`{}` exists already", target.display());
            return Err(
                CommandError::new(Code::Refused, message).hint("`--force` replaces it; `-o -` only shows the file")
            );
        }
        os::write_atomically(&target, toml.as_bytes(), 0o600)
            .map_err(|error: io::Error| CommandError::system(format!("cannot write `{}`", target.display()), &error))?;
        for remark in &translation.remarks {
            session.screen.note(&format!("note: {}", harmless(&remark.line())));
        }
        let apps = translation.apps.len();
        let apps = if apps == 1 { "1 app".to_owned() } else { format!("{apps} apps") };
        session.screen.note(&format!("wrote {}: {apps}", harmless(&target.to_string_lossy())));
        let errors = errors_of(session, SourceFile::new(target, toml.into_bytes()));
        session.screen.note(match errors {
            0 => "next: `pm plan` shows what an apply would do",
            _ => "next: `pm check` shows what is to be changed for this machine",
        });
        Ok(Code::Ok)
    }
}

/// How many errors the written file has here; paths of another machine are the usual ones.
fn errors_of(session: &Session, file: SourceFile) -> usize {
    let reading = ecosystem::read(&[file], &ReadOptions::default(), &LocalHost::new(&session.pipes));
    if reading.proposed.is_some() { 0 } else { reading.diagnostics.len() }
}

/// The file of another tool in this folder: of PM2, else of others.
fn found(folder: &std::path::Path) -> Result<PathBuf, CommandError> {
    let names = pm2::NAMES.iter().chain(&foreign::NAMES);
    let here = names.map(|name| folder.join(name)).find(|path| os::exists(path));
    here.ok_or_else(|| {
        let message = format!(
            "no file of PM2, no compose file and no Procfile (`{}`, …) in `{}`",
            pm2::NAMES[0],
            folder.display()
        );
        CommandError::new(Code::File, message).hint("name it: `pm import FILE`; `--from-pm2` takes what PM2 runs")
    })
}
