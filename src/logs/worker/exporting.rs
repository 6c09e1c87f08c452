//! What the thread does about files that are written from logs.

use super::{Flow, LogTarget, Notice, Worker};
use crate::model::Stream;

impl Worker {
    /// A stream has a log and files that are written from it, or other ones than before. What an earlier daemon has left
    /// undone is done.
    pub(super) fn begin_exports(&mut self, token: u64) {
        let Some(flow) = self.flows.get(&token) else { return };
        self.written.begin_exports(&flow.target);
        self.export(token);
    }

    /// Writes the lines by which the log of a stream has grown. Where that does not work, the stream waits as if the log
    /// itself could not be written.
    pub(super) fn export(&mut self, token: u64) {
        self.export_up_to(token, false);
    }

    /// Somebody waits for the last words of a process: they are all there, and a last line without its end is written.
    pub(super) fn export_last_words(&mut self, token: u64, goal: u64) {
        if self.flows.get(&token).is_some_and(|flow| flow.moved >= goal) {
            self.export_up_to(token, true);
        }
    }

    fn export_up_to(&mut self, token: u64, is_over: bool) {
        let Some(flow) = self.flows.get(&token) else { return };
        if let Err(error) = self.written.export(&flow.target, flow.key.stream, is_over) {
            self.blocked(token, &error);
        }
    }

    /// A stream has another target than before.
    pub(super) fn change_exports(&mut self, token: u64, before: &LogTarget) {
        let Some(stream) = self.flows.get(&token).map(|flow| flow.key.stream) else { return };
        self.end_log(before, stream);
        self.begin_exports(token);
    }

    /// A stream is gone.
    pub(super) fn end_exports(&mut self, gone: &Flow) {
        self.end_log(&gone.target, gone.key.stream);
    }

    /// Nothing is written from a log any more, unless it has another writer: the copy that takes the place of this one.
    fn end_log(&mut self, target: &LogTarget, stream: Stream) {
        let is_shared = self.flows.values().any(|flow| flow.target.location == target.location);
        if target.exports.is_empty() || is_shared {
            return;
        }
        if let Err(error) = self.written.end_exports(target, stream) {
            let (instance, path) = (target.instance.clone(), target.location.path.clone());
            (self.notices)(Notice::Trouble { instance, stream, path, message: error.sentence() });
        }
    }
}
