//! Bytes of a log → what is written for other programs.

use serde::{Deserialize, Serialize};

use super::read::Times;
use crate::rules::LineWriter;

/// How what is written joins what the file ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Joint {
    /// Both begin a line.
    Fresh,
    /// The line in which the file ends goes on.
    Continues,
    /// The file ends in a line of another log, which has to be ended. `was_begun`: what is written is the rest of a line
    /// whose beginning stands further up.
    EndsAnother {
        /// The rest of a line.
        was_begun: bool,
    },
    /// The rest of a line whose beginning stands further up, as a line of its own.
    Begun,
}

/// Writes lines in the form of a file. What does not end in a line feed is a piece of a line; only a text can be continued.
pub(super) fn render(data: &[u8], times: &Times, joint: Joint, writer: &mut LineWriter<'_>, out: &mut Vec<u8>) {
    let is_rest = !matches!(joint, Joint::Fresh | Joint::EndsAnother { was_begun: false });
    let is_continued = joint == Joint::Continues;
    if matches!(joint, Joint::EndsAnother { .. }) {
        out.push(b'\n');
    }
    let mut from = 0;
    for end in memchr::memchr_iter(b'\n', data) {
        let is_first = from == 0;
        // The end of a line that stands already is no line.
        if !(is_first && is_rest && !is_continued && end == from) {
            writer.write(&data[from..end], times.of(from), is_first && is_continued, out);
            out.push(b'\n');
        }
        from = end + 1;
    }
    if from < data.len() {
        writer.write(&data[from..], times.of(from), from == 0 && is_continued, out);
        if !writer.can_continue() {
            out.push(b'\n');
        }
    }
}
