//! `pm rollout`: show, pause, resume or abort rollouts.

use clap::{Args, Subcommand};

use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::output::{TextTable, Tone};
use crate::cli::session::Session;
use crate::client::Client;
use crate::model::UpdateStrategy;
use crate::wire::{RolloutCommand, RolloutRequest, RolloutStatus, RolloutsAnswer};

#[derive(Args, Debug)]
pub(in crate::cli) struct Rollout {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Show every rollout in progress
    Status {
        #[command(flatten)]
        json: JsonArgs,
    },
    /// Start no further slot
    Pause(Apps),
    /// Replace the remaining slots
    Resume(Apps),
    /// Roll back: replaced slots get the old version again
    Abort(Apps),
}

#[derive(Args, Debug)]
struct Apps {
    /// `api`, `shop:api`, a namespace, `all`
    #[arg(value_name = "APP", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    json: JsonArgs,
}

impl CliCommand for Rollout {
    const NAME: &'static str = "rollout";
    const ABOUT: &'static str = "Show, pause, resume or abort rollouts";
    const EXAMPLES: &'static str = "Examples:
  pm rollout status
  pm rollout pause api
  pm rollout abort api     roll back; the apply exits with code 6";

    fn run(self, session: &mut Session) -> Ending {
        let is_json = self.action.is_json();
        session.screen.is_json = is_json;
        let mut client = Session::client()?;
        let answer = match self.action {
            Action::Status { .. } => client.rollouts(None)?,
            Action::Pause(apps) => want(&mut client, apps, RolloutCommand::Pause)?,
            Action::Resume(apps) => want(&mut client, apps, RolloutCommand::Continue)?,
            Action::Abort(apps) => want(&mut client, apps, RolloutCommand::Abort)?,
        };
        if is_json {
            session.screen.json(&answer)?;
        } else if answer.rollouts.is_empty() {
            session.screen.note("no rollout is in progress");
        } else {
            let text = table(&answer.rollouts).render(session.screen.paint(), session.screen.width());
            session.screen.data(text.as_bytes());
        }
        Ok(Code::Ok)
    }
}

impl Action {
    fn is_json(&self) -> bool {
        match self {
            Self::Status { json } => json.json,
            Self::Pause(apps) | Self::Resume(apps) | Self::Abort(apps) => apps.json.json,
        }
    }
}

fn want(client: &mut Client, apps: Apps, command: RolloutCommand) -> Result<RolloutsAnswer, CommandError> {
    let selection = apps.scope.selection(apps.names)?;
    Ok(client.rollouts(Some(&RolloutRequest { command, selection }))?)
}

fn table(rollouts: &[RolloutStatus]) -> TextTable<'static> {
    let mut table = TextTable::new(&["app", "state", "replaced", "strategy"]);
    for rollout in rollouts {
        let (word, tone) = match rollout.command {
            RolloutCommand::Continue => ("rolling", Tone::Good),
            RolloutCommand::Pause => ("paused", Tone::Warn),
            RolloutCommand::Abort => ("rolling back", Tone::Bad),
        };
        let strategy = match rollout.strategy {
            UpdateStrategy::Rolling => "new before old",
            UpdateStrategy::Restart | UpdateStrategy::Together => "brief gap",
        };
        table.row().cell(rollout.app.to_string()).toned(word, tone);
        table.cell(format!("{} of {}", rollout.done.len(), rollout.done.len() + rollout.left.len())).cell(strategy);
    }
    table
}
