//! `pm apply`: make what runs equal to the file.

use clap::Args;

use super::plan;
use crate::cli::args::Verb;
use crate::cli::change::{self, WaitArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::file::{self, Daemon, FileArgs};
use crate::cli::output;
use crate::cli::session::Session;
use crate::cli::sudo;
use crate::client::{Client, ClientError};
use crate::model::{AppName, ApplyOptions};
use crate::wire::{ApplyRequest, PlanAnswer, Problem, ProblemCode};

#[derive(Args, Debug, Default)]
pub(in crate::cli) struct Apply {
    #[command(flatten)]
    pub file: FileArgs,
    #[command(flatten)]
    pub options: OptionArgs,
    /// Show the plan and do nothing (the same as `pm plan`)
    #[arg(long)]
    pub dry_run: bool,
    /// Show the plan and ask; that plan is carried out or (exit 4) none
    #[arg(long)]
    pub ask: bool,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// What the person allows.
#[derive(Args, Debug, Default, Clone)]
pub(in crate::cli) struct OptionArgs {
    /// Only these apps; nothing is deleted
    #[arg(long, value_name = "APP", value_delimiter = ',')]
    pub only: Vec<AppName>,
    /// Keep apps that left the file
    #[arg(long)]
    pub no_prune: bool,
    /// A file without apps is meant: all apps of the project are deleted
    #[arg(long)]
    pub allow_empty: bool,
    /// Another set of files for the same project is meant
    #[arg(long)]
    pub replace_files: bool,
    /// Deleting more than half of the project is meant
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Keep what was set by `pm scale`
    #[arg(long)]
    pub keep_overrides: bool,
}

impl OptionArgs {
    pub(in crate::cli) fn options(&self) -> ApplyOptions {
        ApplyOptions {
            only: self.only.clone(),
            no_prune: self.no_prune,
            allow_empty: self.allow_empty,
            replace_files: self.replace_files,
            yes: self.yes,
            keep_overrides: self.keep_overrides,
            is_wakeup: false,
            shown: None,
        }
    }
}

impl Verb for Apply {
    const NAME: &'static str = "apply";
    const ABOUT: &'static str = "Make what runs equal to the ecosystem file";
    const EXAMPLES: &'static str = "Examples:
  pm apply                                the file of this folder
  pm apply deploy/ecosystem.toml --env production
  pm apply base.toml extra.toml           several files, merged
  pm apply --only api --timeout 30s       one app, wait at most 30 seconds
  pm apply --dry-run                      what would happen

An app that left the file is deleted; --no-prune keeps it. Applying twice changes nothing.";

    fn run(self, session: &mut Session) -> Ending {
        if self.dry_run {
            return plan::Plan {
                file: self.file,
                options: self.options,
                json: self.wait.json,
                ..plan::Plan::default()
            }
            .run(session);
        }
        run(&self, session)
    }
}

/// Reads, sends, follows.
pub(in crate::cli) fn run(apply: &Apply, session: &mut Session) -> Ending {
    session.screen.is_json = apply.wait.json.json;
    session.screen.is_quiet = apply.wait.quiet;
    let resolved = file::resolve(session, &apply.file, false, Daemon::MayStart)?;
    let proposed = file::accept(session, resolved.reading)?;
    sudo::check(&Session::home()?, &proposed.project)?;
    let mut client = resolved.client.map_or_else(Session::client, Ok)?;
    let mut request = ApplyRequest { proposed, options: apply.options.options() };
    let shown = if apply.ask { Some(ask(session, &mut client, &request)?) } else { None };
    request.options.shown = shown.as_ref().map(|shown| shown.digest);
    session.compare_versions(&client);
    let origin = request.proposed.origin.clone();
    change::say_on_interrupt();
    let messages = match client.apply(&request) {
        Err(ClientError::Problem(problem)) if problem.code == ProblemCode::Stale => {
            return Err(stale(request, shown, problem));
        }
        answer => answer?,
    };
    let wait = WaitArgs { quiet: apply.wait.quiet || apply.ask, ..apply.wait.clone() };
    change::follow(session, messages, &wait, Some(&origin))
}

/// Shows the plan and asks for consent to it.
fn ask(session: &mut Session, client: &mut Client, request: &ApplyRequest) -> Result<PlanAnswer, CommandError> {
    let answer = client.plan(request)?;
    session.warn(&answer.warnings);
    let text = output::answer_text(&answer, &request.proposed.origin, session.screen.paint_notes());
    session.screen.note(text.trim_end());
    // Nobody is asked about what is refused.
    if let Some(refusal) = answer.refusals.first() {
        return Err(refusal.clone().into());
    }
    if !answer.plan.is_empty() && !agreed(session)? {
        return Err(CommandError::new(Code::Error, "nothing was done"));
    }
    Ok(answer)
}

/// Somebody else was faster: what they have changed of the plan that was agreed to.
fn stale(request: ApplyRequest, shown: Option<PlanAnswer>, problem: Problem) -> CommandError {
    let options = ApplyOptions { shown: None, ..request.options };
    let now = Session::client().ok().and_then(|mut client| client.plan(&ApplyRequest { options, ..request }).ok());
    let details = shown.zip(now).map(|(shown, now)| output::plan_changes(&shown.plan, &now.plan));
    CommandError { details: details.unwrap_or_default(), ..problem.into() }
}

/// Asks on the terminal; without one there is nobody to ask.
fn agreed(session: &mut Session) -> Result<bool, CommandError> {
    if !session.screen.is_in_terminal() {
        let error = CommandError::new(Code::Usage, "`--ask` needs a terminal, and there is none");
        return Err(error.hint("leave it out, or look first: `pm plan`"));
    }
    session.screen.ask("Do it? [y/N] ").map_err(|error| CommandError::system("cannot read the answer", &error))
}
