//! `pm cron`: schedules, and running one now.

use clap::{Args, Subcommand};

use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::change::{self, WaitArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::output::schedules;
use crate::cli::session::Session;
use crate::wire::Edit;

#[derive(Args, Debug)]
pub(in crate::cli) struct Cron {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum Action {
    /// Show every schedule: pattern, zone, next time, last run
    List(List),
    /// Show the next times of an app
    Next(Next),
    /// Do now what is due at the next time: run a task, restart a service
    Run(Run),
}

#[derive(Args, Debug)]
pub(in crate::cli) struct List {
    /// Only these apps: `backup`, `shop:backup`, a namespace
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Next {
    /// `backup`, `shop:backup`
    pub app: String,
    /// The number of times
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub count: u32,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Run {
    /// `backup`, `shop:backup`
    pub app: String,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
}

impl CliCommand for Cron {
    const NAME: &'static str = "cron";
    const ABOUT: &'static str = "Show schedules, or run one now";
    const EXAMPLES: &'static str = "Examples:
  pm cron list
  pm cron next backup --count 3
  pm cron run backup

`cron_restart` in the ecosystem file declares a schedule.
`pm stop` suspends it, `pm start` resumes it.";

    fn run(self, session: &mut Session) -> Ending {
        match self.action {
            Action::List(list) => list.show(session),
            Action::Next(next) => next.show(session),
            Action::Run(run) => {
                let selection = run.scope.selection(vec![run.app])?;
                change::edit(session, Edit::Run, selection, &run.wait)
            }
        }
    }
}

impl List {
    fn show(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let answer = Session::client()?.schedules(&self.scope.selection(self.apps)?, 1)?;
        if self.json.json {
            session.screen.json(&answer)?;
        } else if answer.schedules.is_empty() {
            session.screen.note("no app has a schedule; add `cron_restart` to an app in an ecosystem file");
        } else {
            let text = schedules::table(&answer, session.screen.paint(), session.screen.width());
            session.screen.data(text.as_bytes());
        }
        Ok(Code::Ok)
    }
}

impl Next {
    fn show(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let selection = self.scope.selection(vec![self.app.clone()])?;
        let answer = Session::client()?.schedules(&selection, self.count)?;
        if answer.schedules.is_empty() {
            return Err(CommandError::new(Code::Error, format!("`{}` has no schedule", self.app))
                .hint("add `cron_restart` to it in its ecosystem file"));
        }
        if self.json.json {
            session.screen.json(&answer)?;
            return Ok(Code::Ok);
        }
        for schedule in &answer.schedules {
            session.screen.data(schedules::next(schedule, answer.now).as_bytes());
        }
        Ok(Code::Ok)
    }
}
