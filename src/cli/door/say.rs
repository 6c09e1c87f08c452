//! What was done, in PM2's manner.

use super::super::session::Session;

/// A line about what was done, where PM2 writes it: standard output.
pub(super) fn say(session: &mut Session, text: &str) {
    if !session.screen.is_quiet {
        session.screen.line(&format!("[PM2] {text}"));
    }
}
