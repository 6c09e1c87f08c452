//! `pm unhold`: let applies start a held app again.

use clap::Args;

use crate::cli::args::{CliCommand, ScopeArgs};
use crate::cli::change::{self, Closing, WaitArgs};
use crate::cli::fail::Ending;
use crate::cli::session::Session;
use crate::model::DesiredState;
use crate::wire::Edit;

#[derive(Args, Debug)]
pub(in crate::cli) struct Unhold {
    /// `api`, `shop:api`, a namespace, `all`
    #[arg(value_name = "APP", required = true)]
    pub apps: Vec<String>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub wait: WaitArgs,
}

impl CliCommand for Unhold {
    const NAME: &'static str = "unhold";
    const ABOUT: &'static str = "End the hold of `pm stop --hold`: an apply or `pm start` may start the apps again";
    const EXAMPLES: &'static str = "Examples:
  pm unhold billing
  pm unhold all";

    fn run(self, session: &mut Session) -> Ending {
        let selection = self.scope.selection(self.apps)?;
        let described = Session::client()?.describe(&selection)?;
        let held = described
            .apps
            .iter()
            .filter(|app| matches!(app.desired_state, DesiredState::Stopped { is_held: true, .. }));
        let names: Vec<String> = held.map(|app| app.spec.name.to_string()).collect();
        let nothing = if names.is_empty() {
            "nothing is held".to_owned()
        } else {
            format!("no longer held, still stopped: {}; `pm apply` or `pm start` starts them", names.join(", "))
        };
        let closing = Closing { nothing: Some(nothing), ..Closing::default() };
        change::edit_and_close(session, Edit::Unhold, selection, &self.wait, closing)
    }
}
