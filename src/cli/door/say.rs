//! What was done, in PM2's manner.

use super::super::fail::Code;
use super::super::session::Session;

/// A line about what was done, where PM2 writes it: standard output.
pub(super) fn say(session: &mut Session, text: &str) {
    if !session.screen.is_quiet {
        session.screen.line(&format!("[PM2] {text}"));
    }
}

/// The same, if it came out well. What did not has been told already.
pub(super) fn say_done(session: &mut Session, code: Code, text: &str) {
    if code == Code::Ok {
        say(session, text);
    }
}
