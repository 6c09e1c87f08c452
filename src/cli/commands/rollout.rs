//! `pm rollout`: see, pause, resume or abort rolling updates.

use clap::{Args, Subcommand};

use crate::cli::args::{JsonArgs, ScopeArgs, Verb};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::output::{Table, Tone};
use crate::cli::session::Session;
use crate::client::Client;
use crate::model::UpdateStrategy;
use crate::wire::{Rollout as State, RolloutRequest, RolloutWill, RolloutsAnswer};

#[derive(Args, Debug)]
pub(in crate::cli) struct Rollout {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Show every rolling update that is under way
    Status {
        #[command(flatten)]
        json: JsonArgs,
    },
    /// Begin no further slot
    Pause(Apps),
    /// Go on
    Resume(Apps),
    /// Go back: slots that were replaced get the old form again
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

impl Verb for Rollout {
    const NAME: &'static str = "rollout";
    const ABOUT: &'static str = "See, pause, resume or abort rolling updates";
    const EXAMPLES: &'static str = "Examples:
  pm rollout status
  pm rollout pause api
  pm rollout abort api     the old version runs again; the apply ends with exit code 6";

    fn run(self, session: &mut Session) -> Ending {
        let is_json = self.action.is_json();
        session.screen.is_json = is_json;
        let mut client = Session::client()?;
        let answer = match self.action {
            Action::Status { .. } => client.rollouts()?,
            Action::Pause(apps) => want(&mut client, apps, RolloutWill::Pause)?,
            Action::Resume(apps) => want(&mut client, apps, RolloutWill::Go)?,
            Action::Abort(apps) => want(&mut client, apps, RolloutWill::Abort)?,
        };
        if is_json {
            session.screen.json(&answer)?;
        } else if answer.rollouts.is_empty() {
            session.screen.note("nothing is being updated");
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

fn want(client: &mut Client, apps: Apps, will: RolloutWill) -> Result<RolloutsAnswer, CommandError> {
    let selection = apps.scope.selection(apps.names)?;
    Ok(client.want_rollout(&RolloutRequest { will, selection })?)
}

fn table(rollouts: &[State]) -> Table<'static> {
    let mut table = Table::new(&["app", "state", "replaced", "strategy"]);
    for rollout in rollouts {
        let (word, tone) = match rollout.will {
            RolloutWill::Go => ("rolling", Tone::Good),
            RolloutWill::Pause => ("paused", Tone::Warn),
            RolloutWill::Abort => ("going back", Tone::Bad),
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
