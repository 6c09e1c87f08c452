//! logs: the last lines, then new ones.

use super::super::fail::{Code, CommandError, Ending};
use super::super::log_stream::follow_logs;
use super::super::output::lines::LineFormat;
use super::super::session::Session;
use super::scene::{DoorScene, ListedProcess, everywhere};
use crate::model::Stream;
use crate::pm2::DoorCall;
use crate::wire::{LogLine, LogMessage, LogsFilter, LogsQuery};

/// As many of each, unless told otherwise.
const LINES: usize = 15;

pub(super) fn logs(session: &mut Session, call: &DoorCall) -> Ending {
    let options = &call.options;
    let scene = DoorScene::ask(session)?;
    let meant: Vec<ListedProcess<'_>> = match call.targets.first() {
        Some(word) => scene.named(word)?,
        None => scene.members().collect(),
    };
    if meant.is_empty() {
        return Err(CommandError::new(Code::Error, "there is no app, so there are no logs"));
    }
    let lines = match options.text("lines") {
        Some(text) => {
            text.parse().map_err(|_| CommandError::new(Code::Usage, format!("`--lines {text}`: not a number")))?
        }
        None => LINES,
    };
    let stream = match (options.has("out"), options.has("err")) {
        (true, false) => Some(Stream::Stdout),
        (false, true) => Some(Stream::Stderr),
        _ => None,
    };
    let is_followed = !options.has("nostream");
    let query = LogsQuery {
        selection: everywhere(scene.selectors(&meant)),
        lines: Some(lines),
        stream,
        follow: is_followed,
        filter: LogsFilter::default(),
        ..LogsQuery::default()
    };
    let mut format = LineFormat::new(options.has("raw"), options.has("timestamp"));
    let is_json = options.has("json");
    if !is_followed {
        let answer = Session::client()?.logs(&query)?;
        for why in answer.unread.iter().chain(&answer.left_out) {
            session.screen.note(why);
        }
        format.expect(&answer.lines);
        for line in &answer.lines {
            print(session, &mut format, line, is_json)?;
        }
        return Ok(Code::Ok);
    }
    follow_logs(session, &query, format, |session, format, message| match message {
        LogMessage::Line(line) => print(session, format, &line, is_json).map(|()| None),
        message => Ok(Some(message)),
    })
}

fn print(session: &mut Session, format: &mut LineFormat, line: &LogLine, is_json: bool) -> Result<(), CommandError> {
    if !is_json {
        format.print(&mut session.screen, line);
        return Ok(());
    }
    session.screen.compact(&serde_json::json!({
        "message": line.text,
        "timestamp": line.at.0,
        "type": if line.stream == Stream::Stderr { "err" } else { "out" },
        "process_id": line.instance.slot,
        "app_name": line.instance.app.name,
    }))
}
