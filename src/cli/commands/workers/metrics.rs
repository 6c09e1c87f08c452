//! `pm metrics`: one exposition of all workers.

use clap::Args;

use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::fail::{Code, Ending};
use crate::cli::output::harmless;
use crate::cli::session::Session;
use crate::wire::NotMeasured;

#[derive(Args, Debug)]
pub(in crate::cli) struct Metrics {
    /// `api`, `shop:api`
    pub app: String,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for Metrics {
    const NAME: &'static str = "metrics";
    const ABOUT: &'static str = "Print the metrics of all workers of a cluster as one";
    const EXAMPLES: &'static str = "Examples:
  pm metrics api

The workers of a cluster are asked for what prom-client has counted, and the
answers are merged: counters and histograms are added up, also those of workers
that have been replaced; gauges follow their `aggregator`. The text is in the
format that Prometheus reads.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let selection = self.scope.selection(vec![self.app])?;
        let answer = Session::client()?.metrics(&selection)?;
        let code = if answer.failed.is_empty() { Code::Ok } else { Code::Error };
        if self.json.json {
            session.screen.json(&answer)?;
            return Ok(code);
        }
        // A file or a pipe gets it as it is.
        if session.screen.is_out_terminal {
            for line in answer.exposition.lines() {
                session.screen.raw(format!("{}\n", harmless(line)).as_bytes());
            }
        } else {
            session.screen.raw(answer.exposition.as_bytes());
        }
        for instance in &answer.starting {
            session.screen.note(&format!("warning: {instance} is not ready yet: it was not asked"));
        }
        for NotMeasured { instance, why } in &answer.failed {
            session.screen.note(&format!("warning: no metrics of {instance}: {}", harmless(why)));
        }
        for note in &answer.notes {
            session.screen.note(&format!("warning: {}", harmless(note)));
        }
        Ok(code)
    }
}
