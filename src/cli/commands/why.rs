//! `pm why`: the causes of the state of an app, and what happens next.

use clap::Args;
use serde::Serialize;

use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::fail::{Code, Ending};
use crate::cli::output::time::Clock;
use crate::cli::output::{Paint, event, harmless, in_file_units, status, wrap_hanging};
use crate::cli::session::Session;
use crate::model::{Event, Status, Subject};
use crate::wire::{DescribedApp, EventsQuery, FORMAT, LogLine, LogsQuery, Row};

/// Events that are looked at per app.
const EVENTS_MAX: usize = 200;
/// Events that are shown per copy.
const EVENTS_SHOWN: usize = 8;
/// Where the further lines of a sentence and of an event begin.
const SENTENCE_AT: usize = 4;
const EVENT_AT: usize = 27;
/// Last lines of output.
const LINES_SHOWN: usize = 5;

#[derive(Args, Debug)]
pub(in crate::cli) struct Why {
    /// `api`, `api/1`, `shop:api`
    pub app: String,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    why: Vec<Answer<'a>>,
    apps: &'a [DescribedApp],
    events: &'a [Event],
    last_lines: &'a [LogLine],
}

/// The answer for one copy: its status, and the same in sentences.
#[derive(Serialize)]
struct Answer<'a> {
    id: &'a str,
    status: &'a Status,
    because: Vec<String>,
    next: String,
}

impl<'a> Answer<'a> {
    fn of(row: &'a Row) -> Self {
        let status = &row.status;
        Self { id: &row.id, status, because: status::causes(status), next: status::next(status) }
    }
}

impl CliCommand for Why {
    const NAME: &'static str = "why";
    const ABOUT: &'static str = "Explain why an app is as it is, and what happens next";
    const EXAMPLES: &'static str = "Examples:
  pm why api
  pm why api/1 --json";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let selection = self.scope.selection(vec![self.app])?;
        let mut client = Session::client()?;
        let apps = client.describe(&selection)?.apps;
        let events = EventsQuery { selection: selection.clone(), limit: Some(EVENTS_MAX), ..EventsQuery::default() };
        let events = client.events(&events)?.events;
        let lines = LogsQuery { selection, lines: Some(LINES_SHOWN), ..LogsQuery::default() };
        let last_lines = client.logs(&lines)?.lines;
        if self.json.json {
            let why = apps.iter().flat_map(|app| &app.instances).map(Answer::of).collect();
            let answer = Document { format: FORMAT, why, apps: &apps, events: &events, last_lines: &last_lines };
            session.screen.json(&in_file_units(&answer))?;
            return Ok(Code::Ok);
        }
        let clock = Clock::local();
        for row in apps.iter().flat_map(|app| &app.instances) {
            let told = Story {
                row,
                events: &events,
                clock: &clock,
                paint: session.screen.paint(),
                width: session.screen.width(),
            };
            session.screen.data(told.text().as_bytes());
        }
        last(session, &last_lines);
        Ok(Code::Ok)
    }
}

/// The story of one copy.
struct Story<'a> {
    row: &'a Row,
    events: &'a [Event],
    clock: &'a Clock,
    paint: Paint,
    width: Option<usize>,
}

impl Story<'_> {
    fn text(&self) -> String {
        let label = status::label(&self.row.status);
        let mut text = format!("{}: {label}\n", self.paint.strong(&self.row.id));
        for cause in status::causes(&self.row.status) {
            self.sentence(&mut text, &format!("because {cause}"));
        }
        self.sentence(&mut text, &format!("next: {}", status::next(&self.row.status)));
        let about: Vec<&Event> = self.events.iter().filter(|event| self.is_about(event)).collect();
        for event in &about[about.len().saturating_sub(EVENTS_SHOWN)..] {
            let time = self.paint.faint(&self.clock.text(event.at));
            wrap_hanging(&mut text, &format!("  {time}  {}", event::sentence(event)), self.width, EVENT_AT);
        }
        text
    }

    /// Indented, and broken between words where the terminal is too narrow.
    fn sentence(&self, text: &mut String, sentence: &str) {
        wrap_hanging(text, &format!("  {sentence}"), self.width, SENTENCE_AT);
    }

    fn is_about(&self, event: &Event) -> bool {
        match &event.about {
            Subject::Instance(id) => id.to_string() == self.row.id,
            Subject::App(project, app) => *project == self.row.project && *app == self.row.app,
            Subject::Project(project) => *project == self.row.project && event.fact.concerns(&self.row.app),
            Subject::Daemon => false,
        }
    }
}

fn last(session: &mut Session, lines: &[LogLine]) {
    if lines.is_empty() {
        return;
    }
    session.screen.line("last output:");
    for line in lines {
        let slot = line.instance.slot;
        session.screen.line(&format!("  {}/{slot} | {}", line.instance.app.name, harmless(&line.text)));
    }
}
