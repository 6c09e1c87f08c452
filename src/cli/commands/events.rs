//! `pm events`: what happened.

use clap::Args;

use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::output::time::Clock;
use crate::cli::output::{event, wrap_hanging};
use crate::cli::session::Session;
use crate::model::Event;
use crate::wire::{EventMessage, EventsQuery};

/// Where the further lines of a sentence begin.
const SENTENCE_AT: usize = 25;

#[derive(Args, Debug)]
pub(in crate::cli) struct Events {
    /// `api`, `api/1`, `shop:api`, a namespace; deleted apps work, too
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,
    /// Keep following new events
    #[arg(short, long)]
    pub follow: bool,
    /// The number of newest events
    #[arg(short = 'n', long, visible_alias = "limit", value_name = "N")]
    pub lines: Option<usize>,
    /// Only events after this number
    #[arg(long, value_name = "SEQ")]
    pub after: Option<u64>,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl CliCommand for Events {
    const NAME: &'static str = "events";
    const ABOUT: &'static str = "Show what happened: starts, exits, changes, each with its cause";
    const EXAMPLES: &'static str = "Examples:
  pm events
  pm events api -n 50
  pm events --follow --json | jq -r .event.event

With --follow and --json every line is one document.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let selection = self.scope.selection(self.apps)?;
        let query = EventsQuery { selection, after: self.after, limit: self.lines, follow: self.follow };
        if self.follow {
            return follow(session, &query, self.json);
        }
        let answer = Session::client()?.events(&query)?;
        if self.json.json {
            session.screen.json(&answer)?;
            return Ok(Code::Ok);
        }
        let clock = Clock::local();
        for event in &answer.events {
            print(session, &clock, event);
        }
        Ok(Code::Ok)
    }
}

fn print(session: &mut Session, clock: &Clock, event: &Event) {
    let time = session.screen.paint().faint(&clock.text(event.at));
    let mut text = String::new();
    wrap_hanging(&mut text, &format!("{time}  {}", event::sentence(event)), session.screen.width(), SENTENCE_AT);
    session.screen.data(text.as_bytes());
}

fn follow(session: &mut Session, query: &EventsQuery, json: JsonArgs) -> Ending {
    let mut messages = Session::client()?.follow_events(query)?;
    let clock = Clock::local();
    while let Some(message) = messages.read()? {
        match message {
            message if json.json => session.screen.compact(&message)?,
            EventMessage::Event { event } => print(session, &clock, &event),
            EventMessage::Missed { count } => {
                session.screen.note(&format!("({count} events skipped; the journal has them)"));
            }
        }
        session.screen.flush();
        if session.screen.is_unread() {
            return Ok(Code::Ok);
        }
    }
    Err(CommandError::new(Code::Unreachable, "the daemon ended this stream").hint("run the command again"))
}
