//! `GET /v1/logs`: lines of output, as one answer or as a stream.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Problem, ProblemCode, Query, Selection};
use crate::model::{Event, InstanceId, Stream, WallTime};

/// Which lines: what follows the `?` of `GET /v1/logs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogsQuery {
    /// Of which apps.
    pub selection: Selection,
    /// The number of newest lines of each app.
    pub lines: Option<usize>,
    /// None older than this.
    pub since: Option<WallTime>,
    /// One output only.
    pub stream: Option<Stream>,
    /// Keep following new lines.
    pub follow: bool,
}

impl LogsQuery {
    /// For a URL.
    pub fn query(&self) -> Query {
        let stream = self.stream.map(|stream| match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        });
        self.selection
            .query()
            .with("lines", self.lines)
            .with("since", self.since.map(|time| time.0))
            .with("stream", stream)
            .with_flag("follow", self.follow)
    }

    /// From a URL.
    ///
    /// # Errors
    /// A value of the wrong kind.
    pub fn from_query(query: &Query) -> Result<Self, Problem> {
        let stream = match query.text("stream") {
            None => None,
            Some("stdout") => Some(Stream::Stdout),
            Some("stderr") => Some(Stream::Stderr),
            Some(_) => return Err(Problem::new(ProblemCode::BadRequest, "`stream` is `stdout` or `stderr`")),
        };
        Ok(Self {
            selection: Selection::from_query(query)?,
            lines: query.value("lines")?,
            since: query.value("since")?.map(WallTime),
            stream,
            follow: query.flag("follow"),
        })
    }
}

/// The answer of `GET /v1/logs` without `follow`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// In time order.
    pub lines: Vec<LogLine>,
    /// Files that could not be read, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// Why older lines that were asked for are not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When the daemon received it.
    pub at: WallTime,
    /// The instance that wrote it.
    pub instance: InstanceId,
    /// Which output.
    pub stream: Stream,
    /// The text; what is not UTF-8 is replaced.
    pub text: String,
    /// The bytes in hexadecimal, if `text` is not exactly what was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
}

/// One message of `GET /v1/logs?follow=true`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "message")]
pub enum LogMessage {
    /// The copies that are followed; the first message.
    Begins {
        /// In the order of their names.
        instances: Vec<InstanceId>,
    },
    /// A line.
    Line(LogLine),
    /// A process of one of the copies started or ended.
    Event {
        /// What happened.
        event: Box<Event>,
    },
    /// Older lines that were asked for are not there.
    LeftOut {
        /// Why, and where they are.
        why: String,
    },
    /// A file cannot be read.
    Unread {
        /// Which, and why.
        why: String,
    },
    /// The reader fell behind; this many bytes were skipped (the files have them).
    Missed {
        /// How much.
        bytes: u64,
    },
}

impl LogLine {
    /// Puts a line on the wire.
    pub fn new(at: WallTime, instance: InstanceId, stream: Stream, bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self { at, instance, stream, text, hex: None },
            Err(wrong) => {
                let text = String::from_utf8_lossy(wrong.as_bytes()).into_owned();
                let hex = wrong.as_bytes().iter().fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                });
                Self { at, instance, stream, text, hex: Some(hex) }
            }
        }
    }

    /// The bytes as the process wrote them.
    pub fn bytes(&self) -> Vec<u8> {
        let Some(hex) = &self.hex else { return self.text.clone().into_bytes() };
        let pairs = hex.as_bytes().chunks_exact(2);
        pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_come_back_exactly() {
        let id: InstanceId = "shop:api/0".parse().unwrap();
        for bytes in [b"plain".to_vec(), "gr\u{fc}n".into(), vec![b'a', 0xff, 0, b'b']] {
            let line = LogLine::new(WallTime(1), id.clone(), Stream::Stdout, bytes.clone());
            assert_eq!(line.bytes(), bytes);
        }
    }
}
