//! Where the output of one process ends and that of the next begins.

use super::{StreamKey, WallTime, Worker, sys};
use crate::logs::flow::Border;
use crate::logs::pump::Before;

impl Worker {
    /// What comes into the pipe from now on is of a process that begins `at` this time: it begins a line, and a part of
    /// its own of the log.
    pub(super) fn begin_process(&mut self, keys: &[StreamKey], before: Before, at: WallTime) {
        let at = self.written.open.time_of_next_process(at);
        for key in keys {
            self.begin_output(*key, before, at);
        }
    }

    fn begin_output(&mut self, key: StreamKey, before: Before, at: WallTime) {
        let Some(&token) = self.tokens.get(&key) else { return };
        let Some(flow) = self.flows.get_mut(&token) else { return };
        let position = match before {
            Before::Nothing => flow.moved, // whatever it holds, the new process may have written
            Before::Another | Before::ItsHook => flow.goal(),
        };
        flow.border = Some(Border { position, at, is_of_process: before != Before::ItsHook });
        if position > flow.moved {
            self.written.open.as_of = Some(at); // it came before
            self.serve(token);
            self.written.open.as_of = None;
        } else {
            self.pass_border(token);
        }
    }

    /// Notes the border once everything before it was taken out of the pipe. What cannot be noted now is not worth a word:
    /// the output itself will meet the same trouble.
    pub(super) fn pass_border(&mut self, token: u64) {
        let Some(flow) = self.flows.get_mut(&token) else { return };
        let moved = flow.moved;
        if let Some(border) = flow.border.take_if(|border| border.position <= moved) {
            let _ = self.written.open.begin(&flow.target, &border);
            self.export(token);
        }
    }

    /// A last line without its end is not continued by what is said beside the process. What is still in the pipe may be
    /// the rest of that line.
    pub(super) fn begin_line(&mut self, key: StreamKey) {
        let flow = self.tokens.get(&key).and_then(|token| self.flows.get(token));
        if let Some(flow) = flow.filter(|flow| sys::waiting_bytes(flow.pipe()) == 0) {
            let _ = self.written.open.end_last_line(&flow.target);
            if let Some(token) = self.tokens.get(&key).copied() {
                self.export(token);
            }
        }
    }
}
