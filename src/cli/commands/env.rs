//! `pm env`: what a process is started with.

use clap::Args;

use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::fail::{Code, Ending};
use crate::cli::output::harmless;
use crate::cli::session::Session;

#[derive(Args, Debug)]
pub(in crate::cli) struct Env {
    /// `api`, `api/1`, `shop:api`
    pub app: String,
    /// Show secret values
    #[arg(long)]
    pub reveal: bool,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for Env {
    const NAME: &'static str = "env";
    const ABOUT: &'static str = "Show the environment of an app's process";
    const EXAMPLES: &'static str = "Examples:
  pm env api
  pm env api/1 --json
  pm env api --reveal     with secret values";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let selection = self.scope.selection(vec![self.app])?;
        let answer = Session::client()?.environment(&selection, self.reveal)?;
        if self.json.json {
            session.screen.json(&answer)?;
            return Ok(Code::Ok);
        }
        for (name, value) in &answer.env {
            // Elsewhere than on a terminal the value is wanted as it is.
            let value = if session.screen.is_out_terminal { harmless(value) } else { value.into() };
            session.screen.raw(format!("{name}={value}\n").as_bytes());
        }
        Ok(Code::Ok)
    }
}
