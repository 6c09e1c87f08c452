//! `pm send`: a message for `process.on('message')`.

use std::fmt::Write as _;

use clap::Args;

use super::attach::not_written;
use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::fail::{Code, Ending};
use crate::cli::session::Session;
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
        let code = if answer.failed.is_empty() { Code::Ok } else { Code::Error };
        if self.json.json {
            session.screen.json(&answer)?;
            return Ok(code);
        }
        let mut text = String::new();
        if !answer.sent.is_empty() {
            let names: Vec<String> = answer.sent.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "sent to {}", names.join(", "));
        }
        for NotSent { instance, why } in &answer.failed {
            let _ = writeln!(text, "not sent to {instance}: {}", words(*why));
        }
        session.screen.data(text.as_bytes());
        Ok(code)
    }
}

fn to_stdin(session: &mut Session, request: &InputRequest, json: JsonArgs) -> Ending {
    let answer = Session::client()?.hand_over(request)?;
    let code = if answer.failed.is_empty() { Code::Ok } else { Code::Error };
    if json.json {
        session.screen.json(&answer)?;
        return Ok(code);
    }
    let mut text = String::new();
    if !answer.sent.is_empty() {
        let names: Vec<String> = answer.sent.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "sent to {}", names.join(", "));
    }
    for failed in &answer.failed {
        let _ = writeln!(text, "{}", not_written(failed));
    }
    session.screen.data(text.as_bytes());
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
