//! New lines of logs, until nobody reads them any more.

use super::fail::{Code, CommandError, Ending};
use super::output::lines::LineFormat;
use super::session::Session;
use crate::wire::{LogMessage, LogsQuery};

/// Follows logs. `show` takes what it shows in its own way, and hands back what is to be shown as everywhere.
///
/// # Errors
/// The daemon refuses it, or ended.
pub(super) fn follow_logs(
    session: &mut Session,
    query: &LogsQuery,
    mut format: LineFormat,
    mut show: impl FnMut(&mut Session, &mut LineFormat, LogMessage) -> Result<Option<LogMessage>, CommandError>,
) -> Ending {
    let mut messages = Session::client()?.follow_logs(query)?;
    while let Some(message) = messages.read()? {
        let rest = match message {
            LogMessage::Begins { instances } => {
                format.expect_copies(instances);
                None
            }
            message => show(session, &mut format, message)?,
        };
        match rest {
            Some(LogMessage::Line(line)) => format.print(&mut session.screen, &line),
            Some(LogMessage::Unread { why } | LogMessage::LeftOut { why }) => session.screen.note(&why),
            Some(LogMessage::Missed { bytes }) => {
                session.screen.note(&format!("({bytes} bytes skipped; the files have them)"));
            }
            Some(LogMessage::Begins { .. } | LogMessage::Event { .. }) | None => {}
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
