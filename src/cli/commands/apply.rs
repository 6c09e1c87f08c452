//! `pm apply`: run what the file declares.

use clap::Args;

use super::plan;
use crate::cli::args::CliCommand;
use crate::cli::change::{self, WaitArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::file::{self, Daemon, FileArgs};
use crate::cli::output;
use crate::cli::saved_plan::{self, SavedPlan};
use crate::cli::session::Session;
use crate::cli::sudo;
use crate::client::{Client, ClientError};
use crate::model::{AppName, ApplyGuard, ApplyOptions, Plan};
use crate::wire::{ApplyRequest, PlanAnswer, PlanDetail, Problem, ProblemCode};

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

/// What the user allows.
#[derive(Args, Debug, Default, Clone)]
pub(in crate::cli) struct OptionArgs {
    /// Only these apps; nothing is deleted
    #[arg(long, value_name = "APP", value_delimiter = ',')]
    pub only: Vec<AppName>,
    /// Keep apps that are no longer in the file
    #[arg(long)]
    pub no_prune: bool,
    /// Accept a file without apps: every app of the project is deleted
    #[arg(long)]
    pub allow_empty: bool,
    /// Accept another set of files for the same project
    #[arg(long)]
    pub replace_files: bool,
    /// Accept that more than half of the project is deleted
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Keep the number of copies set by `pm scale`
    #[arg(long)]
    pub keep_overrides: bool,
    #[command(flatten)]
    pub guard: GuardArgs,
}

/// What must not happen by accident.
#[derive(Args, Debug, Default, Clone)]
pub(in crate::cli) struct GuardArgs {
    /// Apply what was rolled back once more
    #[arg(long)]
    pub again: bool,
    /// Only if the project is at this generation (else exit 4); 0 = only if it is new
    #[arg(long, value_name = "N")]
    pub if_generation: Option<u64>,
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
            guard: ApplyGuard { again: self.guard.again, if_generation: self.guard.if_generation },
            source: None,
        }
    }
}

impl CliCommand for Apply {
    const NAME: &'static str = "apply";
    const ABOUT: &'static str = "Run what the ecosystem file declares: start, replace, stop, delete";
    const EXAMPLES: &'static str = "Examples:
  pm apply                                the file of this folder
  pm apply deploy/ecosystem.toml --env production
  pm apply base.toml extra.toml           several files, merged
  pm apply --only api --timeout 30s       one app, wait at most 30 seconds
  pm apply --dry-run                      what would happen
  pm apply release.pmp                    a plan that `pm plan -o` has saved
  pm apply --if-generation 41             only if nothing came in between

An app that is no longer in the file is deleted; --no-prune keeps it.
Applying twice changes nothing.";

    fn run(self, session: &mut Session) -> Ending {
        if let Some(saved) = saved_plan::named(&self.file)? {
            return run_saved(&self, saved, session);
        }
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
    let request = ApplyRequest { proposed, options: apply.options.options() };
    let shown = if apply.ask { Some(ask(session, &mut client, &request)?.plan) } else { None };
    let wait = WaitArgs { quiet: apply.wait.quiet || apply.ask, ..apply.wait.clone() };
    send(session, client, (request, shown), &wait)
}

/// A plan of a file: exactly this is done, or nothing.
fn run_saved(apply: &Apply, saved: SavedPlan, session: &mut Session) -> Ending {
    session.screen.is_json = apply.wait.json.json;
    session.screen.is_quiet = apply.wait.quiet;
    if apply.options.options() != ApplyOptions::default() || apply.file.profile.is_some() || apply.ask {
        let error = CommandError::new(Code::Usage, "a saved plan has its options already");
        return Err(error.hint("of those that say what is done, it takes only `--var`"));
    }
    if apply.dry_run {
        return plan::show_saved(session, &saved);
    }
    saved.check_inputs(session, &apply.file.vars)?;
    let resolved = file::resolve(session, &saved.files(&apply.file.vars), false, Daemon::MayStart)?;
    let proposed = file::accept(session, resolved.reading)?;
    saved.check(&proposed)?;
    sudo::check(&Session::home()?, &proposed.project)?;
    let client = resolved.client.map_or_else(Session::client, Ok)?;
    let request = ApplyRequest { proposed, options: saved.options };
    send(session, client, (request, Some(saved.plan)), &apply.wait)
}

/// Sends and follows. `shown`: the plan that the person has seen, which is carried out or none.
fn send(
    session: &mut Session,
    client: Client,
    (mut request, shown): (ApplyRequest, Option<Plan>),
    wait: &WaitArgs,
) -> Ending {
    request.options.shown = shown.as_ref().map(Plan::digest);
    session.compare_versions(&client);
    let origin = request.proposed.origin.clone();
    change::say_on_interrupt();
    let detail = if wait.json.json { PlanDetail::Whole } else { PlanDetail::Changes };
    let messages = match client.apply(&request, detail) {
        Err(ClientError::Problem(problem)) if problem.code == ProblemCode::Stale => {
            return Err(stale(request, shown, problem));
        }
        answer => answer?,
    };
    change::follow(session, messages, wait, Some(&origin))
}

/// Shows the plan and asks for consent to it.
fn ask(session: &mut Session, client: &mut Client, request: &ApplyRequest) -> Result<PlanAnswer, CommandError> {
    let answer = client.plan(request)?;
    session.warn(&answer.warnings);
    let (paint, width) = (session.screen.paint_notes(), session.screen.notes_width());
    let text = output::answer_text(&answer, &request.proposed.origin, paint, width);
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
fn stale(request: ApplyRequest, shown: Option<Plan>, problem: Problem) -> CommandError {
    let options = ApplyOptions { shown: None, guard: ApplyGuard::default(), ..request.options };
    let now = Session::client().ok().and_then(|mut client| client.plan(&ApplyRequest { options, ..request }).ok());
    let details = shown.zip(now).map(|(shown, now)| output::plan_changes(&shown, &now.plan));
    CommandError { details: details.unwrap_or_default(), ..problem.into() }
}

/// Asks on the terminal; without one there is nobody to ask.
fn agreed(session: &mut Session) -> Result<bool, CommandError> {
    if !session.screen.is_in_terminal() {
        let error = CommandError::new(Code::Usage, "`--ask` needs a terminal, but there is none");
        return Err(error.hint("omit it, or look at the plan first: `pm plan`"));
    }
    session.screen.ask("Apply? [y/N] ").map_err(|error| CommandError::system("cannot read the answer", &error))
}
