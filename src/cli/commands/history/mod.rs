//! `pm history`: what was declared, who changed it, how that went; and the way back, `pm rollback`.

mod rollback;

use std::num::NonZeroUsize;

use clap::{Args, Subcommand};

use crate::cli::args::{CliCommand, JsonArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::output::{history, in_file_units};
use crate::cli::session::{self, Session};
use crate::model::ProjectName;
use crate::wire::{Scope, TagRequest};

pub(super) use rollback::RollbackCommand;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct HistoryCommand {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: List,
}

#[derive(Args, Debug)]
struct List {
    /// Only the newest entries
    #[arg(short = 'n', long, value_name = "COUNT")]
    number: Option<NonZeroUsize>,
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    json: JsonArgs,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Show one entry: what was declared then, or what differs from another one
    Show {
        /// A generation or a tag
        #[arg(value_name = "ENTRY")]
        entry: String,
        /// Show what differs from this entry
        #[arg(long, value_name = "ENTRY")]
        diff: Option<String>,
        #[command(flatten)]
        project: ProjectArgs,
        #[command(flatten)]
        json: JsonArgs,
    },
    /// Name an entry; it is kept for as long as it has a name
    Tag {
        /// A generation or a tag
        #[arg(value_name = "ENTRY")]
        entry: String,
        /// Its name; another entry with this name loses it
        #[arg(value_name = "TAG", required_unless_present = "remove")]
        tag: Option<String>,
        /// Take its name away
        #[arg(long, conflicts_with = "tag")]
        remove: bool,
        #[command(flatten)]
        project: ProjectArgs,
        #[command(flatten)]
        json: JsonArgs,
    },
}

/// One project.
#[derive(Args, Debug, Clone, Default)]
struct ProjectArgs {
    /// The project; default: that of this folder, or the only one
    #[arg(short = 'p', long, value_name = "PROJECT")]
    project: Option<ProjectName>,
}

impl ProjectArgs {
    fn scope(self) -> Result<Scope, CommandError> {
        Ok(Scope { project: self.project, folder: Some(session::folder()?), everywhere: false })
    }
}

impl CliCommand for HistoryCommand {
    const NAME: &'static str = "history";
    const ABOUT: &'static str = "Show what was declared before: who changed what, and how that went";
    const EXAMPLES: &'static str = "Examples:
  pm history
  pm history show 41               what was declared at generation 41
  pm history show 43 --diff 41     what differs from generation 41
  pm history tag 41 v1.4           keep it under a name

An entry is a generation at which apps were added, changed or removed. The
newest 20 are kept, those with a tag, and the last healthy one of every app.
`pm rollback` goes back to one.";

    fn run(self, session: &mut Session) -> Ending {
        match self.action {
            None => list(session, self.list),
            Some(Action::Show { entry, diff, project, json }) => show(session, &entry, diff.as_deref(), project, json),
            Some(Action::Tag { entry, tag, project, json, remove: _ }) => put_tag(session, entry, tag, project, json),
        }
    }
}

fn list(session: &mut Session, list: List) -> Ending {
    session.screen.is_json = list.json.json;
    let scope = list.project.scope()?;
    let mut answer = Session::client()?.history(&scope)?;
    answer.entries.truncate(list.number.map_or(usize::MAX, NonZeroUsize::get));
    if list.json.json {
        session.screen.json(&answer)?;
    } else if answer.entries.is_empty() {
        session.screen.note(&format!("the history of {} is empty", answer.project));
    } else {
        let text = history::table(&answer, session.screen.paint(), session.screen.width());
        session.screen.data(text.as_bytes());
    }
    Ok(Code::Ok)
}

fn show(session: &mut Session, entry: &str, diff: Option<&str>, project: ProjectArgs, json: JsonArgs) -> Ending {
    session.screen.is_json = json.json;
    let answer = Session::client()?.history_entry(&project.scope()?, entry, diff)?;
    if json.json {
        session.screen.json(&in_file_units(&answer))?;
    } else {
        let text = history::entry(&answer, session.screen.paint(), session.screen.width());
        session.screen.data(text.as_bytes());
    }
    Ok(Code::Ok)
}

fn put_tag(session: &mut Session, entry: String, tag: Option<String>, project: ProjectArgs, json: JsonArgs) -> Ending {
    session.screen.is_json = json.json;
    let answer = Session::client()?.tag(&TagRequest { scope: project.scope()?, entry, tag })?;
    if json.json {
        session.screen.json(&answer)?;
    } else if let Some(row) = answer.entries.first() {
        let generation = row.generation;
        session.screen.note(&match &row.tag {
            Some(tag) => format!("generation {generation} of {} is {tag}", answer.project),
            None => format!("generation {generation} of {} has no tag", answer.project),
        });
    }
    Ok(Code::Ok)
}
