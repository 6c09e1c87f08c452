//! `pm logs`: what apps print.

use clap::Args;

use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::log_stream::follow_logs;
use crate::cli::output::lines::LineFormat;
use crate::cli::output::time::Clock;
use crate::cli::output::{event, time};
use crate::cli::session::Session;
use crate::cli::{change, file};
use crate::model::{Event, Fact, Millis, Stream, WallTime};
use crate::os;
use crate::wire::{EventsQuery, LogMessage, LogsFilter, LogsQuery, Selection};

#[derive(Args, Debug)]
pub(in crate::cli) struct Logs {
    /// `api`, `api/1`, `shop:api`, a namespace; omit it for every app of this project (`-A`: of all)
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,
    /// Keep following new lines
    #[arg(short, long)]
    pub follow: bool,
    /// The number of newest lines of each app, or `all` (15; with --since, --until, --previous or a filter all of them)
    #[arg(short = 'n', long, value_name = "N", value_parser = line_count)]
    pub lines: Option<usize>,
    #[command(flatten)]
    pub when: WhenArgs,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Standard output only
    #[arg(long, visible_alias = "out", conflicts_with = "stderr")]
    pub stdout: bool,
    /// Standard error only
    #[arg(long, visible_alias = "err")]
    pub stderr: bool,
    /// Print the bytes as they were written, without prefixes
    #[arg(long, conflicts_with_all = ["json", "timestamps"])]
    pub raw: bool,
    /// Show the time of each line
    #[arg(short, long)]
    pub timestamps: bool,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

/// Which lines, by when and by which process they were printed.
#[derive(Args, Debug, Default)]
pub(in crate::cli) struct WhenArgs {
    /// Only lines newer than this: `10m`, `2h`, `2026-11-22T14:30`
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only lines older than this
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    pub until: Option<String>,
    /// Only what the process before the present one printed
    #[arg(long, conflicts_with = "follow")]
    pub previous: bool,
    /// Only lines around the last crash of these apps: so long before and after it (10s)
    #[arg(long, value_name = "SPAN", num_args = 0..=1, require_equals = true, default_missing_value = "10s",
        value_parser = change::duration, conflicts_with_all = ["follow", "since", "until", "previous"])]
    pub around_crash: Option<Millis>,
}

/// Which lines, by what is in them.
#[derive(Args, Debug, Default)]
pub(in crate::cli) struct FilterArgs {
    /// Only lines that match this regular expression
    #[arg(short = 'g', long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// --grep: letters match in both cases
    #[arg(short, long, requires = "grep")]
    pub ignore_case: bool,
    /// --grep: lines that do not match
    #[arg(short = 'v', long, requires = "grep")]
    pub invert_match: bool,
    /// Lines around each one that is found
    #[arg(short = 'C', long, value_name = "N", conflicts_with_all = ["before", "after"])]
    pub context: Option<usize>,
    /// Lines before each one that is found
    #[arg(long, value_name = "N")]
    pub before: Option<usize>,
    /// Lines after each one that is found
    #[arg(long, value_name = "N")]
    pub after: Option<usize>,
    /// Only lines at least so severe: trace, debug, info, warn, error, fatal
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<String>,
    /// Only lines with this field (several: with all of them)
    #[arg(long = "field", value_name = "NAME=TEXT", value_parser = file::pair)]
    pub fields: Vec<(String, String)>,
}

impl WhenArgs {
    /// The times between which lines are wanted. Says which crash they are around.
    fn span(
        &self,
        session: &mut Session,
        selection: &Selection,
        json: JsonArgs,
    ) -> Result<(Option<WallTime>, Option<WallTime>), CommandError> {
        if let Some(span) = self.around_crash {
            let crash = last_crash(selection)?;
            if !json.json {
                session.screen.note(&format!("{}  {}", Clock::local().text(crash.at), event::sentence(&crash)));
            }
            let (before, after) = (crash.at.0.saturating_sub(span.0), crash.at.0.saturating_add(span.0));
            return Ok((Some(WallTime(before)), Some(WallTime(after))));
        }
        let now = os::wall();
        let time = |text: Option<&String>| text.map(|text| time::since(text, now)).transpose();
        let usage = |message: String| CommandError::new(Code::Usage, message);
        Ok((time(self.since.as_ref()).map_err(usage)?, time(self.until.as_ref()).map_err(usage)?))
    }
}

impl FilterArgs {
    fn words(self) -> LogsFilter {
        let around = |own: Option<usize>| own.or(self.context).unwrap_or(0);
        LogsFilter {
            around: (around(self.before), around(self.after)),
            pattern: self.grep,
            ignores_case: self.ignore_case,
            is_inverted: self.invert_match,
            level: self.level,
            fields: self.fields,
        }
    }
}

impl CliCommand for Logs {
    const NAME: &'static str = "logs";
    const ALIASES: &'static [&'static str] = &["log"];
    const ABOUT: &'static str = "Show what apps print, merged in time order";
    const EXAMPLES: &'static str = "Examples:
  pm logs                 the last lines of each app of this project
  pm logs -f api worker   and new lines
  pm logs api --since 10m --stderr
  pm logs api/0 --raw -n all > api.log
  pm logs -g 'timeout|refused' -i -C 3    lines that match, with three around each
  pm logs api --previous                  what the process before the present one printed
  pm logs api --around-crash=1m           a minute around its last crash
  pm logs api --level warn --field req.method=POST --since 1h

--level and --field read JSON lines and `name=value` lines; --level also one of the first words (`ERROR`).

The logs of a deleted app can be read as long as its files are there; `pm clean` lists and removes them.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let stream = match (self.stdout, self.stderr) {
            (true, _) => Some(Stream::Stdout),
            (_, true) => Some(Stream::Stderr),
            (false, false) => None,
        };
        let selection = self.scope.selection_here(self.apps)?;
        let (since, until) = self.when.span(session, &selection, self.json)?;
        let (lines, previous, filter) = (self.lines, self.when.previous, self.filter.words());
        let query = LogsQuery { selection, lines, since, until, stream, previous, follow: self.follow, filter };
        let format = LineFormat::new(self.raw, self.timestamps);
        if self.follow { follow(session, &query, format, self.json) } else { show(session, &query, format, self.json) }
    }
}

/// The newest one that is recorded.
fn last_crash(selection: &Selection) -> Result<Event, CommandError> {
    let query = EventsQuery { selection: selection.clone(), limit: Some(usize::MAX), ..EventsQuery::default() };
    let events = Session::client()?.events(&query)?.events;
    let is_crash = |fact: &Fact| matches!(fact, Fact::Exited { exit, is_asked: false, .. } if !exit.is_success());
    events.into_iter().rev().find(|event| is_crash(&event.fact)).ok_or_else(|| {
        CommandError::new(Code::Error, "no crash of these apps is recorded").hint("`pm events` shows what is")
    })
}

fn line_count(text: &str) -> Result<usize, String> {
    if text == "all" { Ok(usize::MAX) } else { text.parse().map_err(|_| "write a number, or `all`".to_owned()) }
}

fn show(session: &mut Session, query: &LogsQuery, mut format: LineFormat, json: JsonArgs) -> Ending {
    let answer = Session::client()?.logs(query)?;
    let is_nothing_read = answer.lines.is_empty() && !answer.unread.is_empty();
    let code = if is_nothing_read { Code::Error } else { Code::Ok };
    if json.json {
        session.screen.json(&answer)?;
        return Ok(code);
    }
    for message in answer.unread.iter().chain(&answer.left_out) {
        session.screen.note(message);
    }
    if query.previous && answer.lines.is_empty() && query.filter.is_none() {
        session.screen.note("the process before printed nothing");
    }
    format.expect(&answer.lines);
    for line in &answer.lines {
        format.print(&mut session.screen, line);
    }
    Ok(code)
}

fn follow(session: &mut Session, query: &LogsQuery, format: LineFormat, json: JsonArgs) -> Ending {
    follow_logs(session, query, format, |session, format, message| match message {
        message if json.json => session.screen.compact(&message).map(|()| None),
        LogMessage::Event { event } if !format.is_raw => {
            session.screen.flush();
            let text = session.screen.paint_notes().faint(&event::sentence(&event));
            session.screen.note(&text);
            Ok(None)
        }
        message => Ok(Some(message)),
    })
}
