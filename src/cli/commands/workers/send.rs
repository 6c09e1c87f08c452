//! `pm send`: a message for `process.on('message')`.

use clap::Args;
use serde::Serialize;

use super::attach::not_written;
use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::fail::{Code, Ending};
use crate::cli::session::Session;
use crate::model::InstanceId;
use crate::wire::{InputRequest, NotSent, SendRequest, WhyNotSent};

#[derive(Args, Debug)]
pub(in crate::cli) struct Send {
    /// `api`, `api/1`, `shop:api`, a namespace, `all`
    pub app: String,
    /// Any JSON: '{"log":"debug"}', '"reload"'; with --stdin any line
    pub message: String,
    /// Write the line to the standard input of an app with `stdin = "pipe"`
    #[arg(long)]
    pub stdin: bool,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for Send {
    const NAME: &'static str = "send";
    const ABOUT: &'static str = "Send a message to Node processes";
    const EXAMPLES: &'static str = "Examples:
  pm send api '{\"log\":\"debug\"}'     to every copy
  pm send api/1 '\"reload\"'          to one
  pm send game --stdin 'save-all'    a line for its standard input

`process.on('message', …)` of the app receives it. Cluster workers have a
channel, and apps with `ready.message` or `shutdown_with_message`. What workers
say themselves is in `pm events --follow`.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let selection = self.scope.selection(vec![self.app])?;
        if self.stdin {
            return to_stdin(session, &InputRequest { selection, line: self.message }, self.json);
        }
        let answer = Session::client()?.hand_over(&SendRequest { selection, message: self.message })?;
        let failed = answer.failed.iter();
        let failed = failed.map(|NotSent { instance, why }| format!("not sent to {instance}: {}", words(*why)));
        told(session, self.json, &answer, &answer.sent, failed.collect())
    }
}

fn to_stdin(session: &mut Session, request: &InputRequest, json: JsonArgs) -> Ending {
    let answer = Session::client()?.hand_over(request)?;
    told(session, json, &answer, &answer.sent, answer.failed.iter().map(not_written).collect())
}

/// Who got it, then a line for each that did not.
fn told(
    session: &mut Session,
    json: JsonArgs,
    answer: &impl Serialize,
    sent: &[InstanceId],
    failed: Vec<String>,
) -> Ending {
    let code = if failed.is_empty() { Code::Ok } else { Code::Error };
    if json.json {
        session.screen.json(answer)?;
        return Ok(code);
    }
    let names: Vec<String> = sent.iter().map(ToString::to_string).collect();
    let sent = (!names.is_empty()).then(|| format!("sent to {}", names.join(", ")));
    for line in sent.into_iter().chain(failed) {
        session.screen.line(&line);
    }
    Ok(code)
}

fn words(why: WhyNotSent) -> &'static str {
    match why {
        WhyNotSent::NotRunning => "it does not run",
        WhyNotSent::NoChannel => {
            "it has no channel; cluster workers have one, and apps with `ready.message` or `shutdown_with_message`"
        }
        WhyNotSent::Full => "it does not read its messages, and its channel is full",
    }
}
