//! `pm rollback`: declare and run again what was declared before.

use clap::Args;

use super::ProjectArgs;
use crate::cli::args::CliCommand;
use crate::cli::change::{self, Closing, WaitArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::output;
use crate::cli::session::Session;
use crate::model::{AppName, RollbackOptions};
use crate::wire::{RollbackAnswer, RollbackRequest};

#[derive(Args, Debug)]
pub(in crate::cli) struct RollbackCommand {
    #[command(flatten)]
    project: ProjectArgs,
    /// A generation or a tag; default: the newest one before at which every app was healthy
    #[arg(long, value_name = "ENTRY")]
    to: Option<String>,
    /// Only these apps
    #[arg(long = "app", value_name = "APP", value_delimiter = ',')]
    apps: Vec<AppName>,
    #[command(flatten)]
    deletes: DeleteArgs,
    /// Only if the project is at this generation (else exit 4)
    #[arg(long, value_name = "N")]
    if_generation: Option<u64>,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// What it may delete.
#[derive(Args, Debug)]
struct DeleteArgs {
    /// Delete apps that were not declared then
    #[arg(long, conflicts_with = "apps")]
    prune: bool,
    /// Accept that more than half of the project is deleted
    #[arg(long, short = 'y')]
    yes: bool,
}

/// Whether anything is done.
#[derive(Args, Debug)]
struct LookArgs {
    /// Show the plan and do nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: exit with 0 if there is nothing to do, with 2 if there is
    #[arg(long, requires = "dry_run")]
    detailed_exitcode: bool,
}

impl CliCommand for RollbackCommand {
    const NAME: &'static str = "rollback";
    const ABOUT: &'static str = "Declare and run again what was declared before";
    const EXAMPLES: &'static str = "Examples:
  pm rollback                  to the last generation at which all was healthy
  pm rollback --to 41          to this one; --to v1.4 to a tag
  pm rollback --app api        one app only
  pm rollback --dry-run        what would happen

It is an apply of the old specs: same plan, same waiting, same exit codes. Apps
that were declared since stay; --prune deletes them. Afterwards `pm apply` leaves
each app as it is until the file declares something else of it than what was
rolled back; `pm apply --again` applies that all the same. Files of your apps are
not changed.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.wait.json.json;
        session.screen.is_quiet = self.wait.quiet;
        let scope = self.project.scope()?;
        let DeleteArgs { prune, yes } = self.deletes;
        let options = RollbackOptions { to: self.to, apps: self.apps, prune, yes, if_generation: self.if_generation };
        let mut request = RollbackRequest { scope, options };
        let mut client = Session::client()?;
        let answer = client.plan_rollback(&request)?;
        session.compare_versions(&client);
        if self.look.dry_run {
            return show(session, &answer, self.look.detailed_exitcode);
        }
        if let Some(refusal) = answer.refusals.into_iter().next() {
            return Err(CommandError::from(refusal));
        }
        // Exactly this one, whatever happens in between.
        request.options.to = Some(answer.to.to_string());
        request.scope.project = Some(answer.plan.project);
        if !self.wait.quiet && !self.wait.json.json {
            session.screen.note(&format!("rollback to generation {}", answer.to));
        }
        change::say_on_interrupt();
        let messages = client.roll_back(&request)?;
        let nothing = format!("nothing to do: all is as at generation {}", answer.to);
        let closing = Closing { nothing: Some(nothing), ..Closing::default() };
        change::follow_and_close(session, messages, &self.wait, None, closing)
    }
}

fn show(session: &mut Session, answer: &RollbackAnswer, is_detailed: bool) -> Ending {
    if session.screen.is_json {
        session.screen.json(answer)?;
    } else {
        let text = output::rollback_text(answer, session.screen.paint(), session.screen.width());
        session.screen.wrapped(&text);
    }
    let is_pending = !answer.plan.is_empty() || !answer.refusals.is_empty();
    Ok(if is_detailed && is_pending { Code::Pending } else { Code::Ok })
}
