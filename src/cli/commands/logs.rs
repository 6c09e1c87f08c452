//! `pm logs`: what apps print.

use clap::Args;

use crate::cli::args::{CliCommand, JsonArgs, ScopeArgs};
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::output::lines::LineFormat;
use crate::cli::output::{event, time};
use crate::cli::session::Session;
use crate::model::Stream;
use crate::os;
use crate::wire::{LogMessage, LogsQuery};

#[derive(Args, Debug)]
pub(in crate::cli) struct Logs {
    /// `api`, `api/1`, `shop:api`, a namespace; omit it for every app of this project (`-A`: of all)
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,
    /// Keep following new lines
    #[arg(short, long)]
    pub follow: bool,
    /// The number of newest lines of each app, or `all` (15; with --since all of them)
    #[arg(short = 'n', long, value_name = "N", value_parser = line_count)]
    pub lines: Option<usize>,
    /// Only lines newer than this: `10m`, `2h`, `2026-11-22T14:30`
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
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

impl CliCommand for Logs {
    const NAME: &'static str = "logs";
    const ALIASES: &'static [&'static str] = &["log"];
    const ABOUT: &'static str = "Show what apps print, merged in time order";
    const EXAMPLES: &'static str = "Examples:
  pm logs                 the last lines of each app of this project
  pm logs -f api worker   and new lines
  pm logs api --since 10m --stderr
  pm logs api/0 --raw -n all > api.log

The logs of a deleted app can be read as long as its files are there.";

    fn run(self, session: &mut Session) -> Ending {
        session.screen.is_json = self.json.json;
        let now = os::wall();
        let usage = |message: String| CommandError::new(Code::Usage, message);
        let since = self.since.as_deref().map(|text| time::since(text, now)).transpose().map_err(usage)?;
        let stream = match (self.stdout, self.stderr) {
            (true, _) => Some(Stream::Stdout),
            (_, true) => Some(Stream::Stderr),
            (false, false) => None,
        };
        let selection = self.scope.selection_here(self.apps)?;
        let query = LogsQuery { selection, lines: self.lines, since, stream, follow: self.follow };
        let format = LineFormat::new(self.raw, self.timestamps);
        if self.follow { follow(session, &query, format, self.json) } else { show(session, &query, format, self.json) }
    }
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
    format.expect(&answer.lines);
    for line in &answer.lines {
        format.print(&mut session.screen, line);
    }
    Ok(code)
}

fn follow(session: &mut Session, query: &LogsQuery, mut format: LineFormat, json: JsonArgs) -> Ending {
    let mut messages = Session::client()?.follow_logs(query)?;
    while let Some(message) = messages.read()? {
        match message {
            LogMessage::Begins { instances } => format.expect_copies(instances),
            message if json.json => session.screen.compact(&message)?,
            LogMessage::Event { event } if !format.is_raw => {
                session.screen.flush();
                let text = session.screen.paint_notes().faint(&event::sentence(&event));
                session.screen.note(&text);
            }
            LogMessage::Event { .. } => {}
            LogMessage::Line(line) => format.print(&mut session.screen, &line),
            LogMessage::Unread { why } | LogMessage::LeftOut { why } => session.screen.note(&why),
            LogMessage::Missed { bytes } => {
                session.screen.note(&format!("({bytes} bytes skipped; the files have them)"));
            }
        }
        // Nothing more waits in our buffer: the user sees what there is.
        if !messages.has_more() {
            session.screen.flush();
        }
        if session.screen.is_unread() {
            return Ok(Code::Ok);
        }
    }
    Err(CommandError::new(Code::Unreachable, "the daemon ended this stream").hint("run the command again"))
}
