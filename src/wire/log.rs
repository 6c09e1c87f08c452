//! `GET /v1/logs`: lines of output, as one answer or as a stream.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Problem, ProblemCode, Query, Selection};
use crate::model::{Event, InstanceId, LogForm, Stream, WallTime};

/// Which lines: what follows the `?` of `GET /v1/logs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogsQuery {
    /// Of which apps.
    pub selection: Selection,
    /// The number of newest lines of each app.
    pub lines: Option<usize>,
    /// None older than this.
    pub since: Option<WallTime>,
    /// None from this on.
    pub until: Option<WallTime>,
    /// One output only.
    pub stream: Option<Stream>,
    /// Lines with these marks only.
    pub filter: LogsFilter,
    /// Of each log only what the process before the present one has printed.
    pub previous: bool,
    /// Keep following new lines.
    pub follow: bool,
}

/// Which lines of a log, by what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogsFilter {
    /// A regular expression.
    pub pattern: Option<String>,
    /// Letters match in both cases.
    pub ignores_case: bool,
    /// Lines without the pattern.
    pub is_inverted: bool,
    /// At least so severe.
    pub level: Option<String>,
    /// Fields that have this text.
    pub fields: Vec<(String, String)>,
    /// How many lines before and after each.
    pub around: (usize, usize),
}

impl LogsFilter {
    /// Whether every line is wanted.
    pub fn is_none(&self) -> bool {
        self.pattern.is_none() && self.level.is_none() && self.fields.is_empty()
    }

    fn add_to(&self, query: Query) -> Query {
        let (before, after) = self.around;
        let lines = |count: usize| (count > 0).then_some(count);
        let query = query
            .with("grep", self.pattern.as_ref())
            .with_flag("ignore_case", self.ignores_case)
            .with_flag("invert", self.is_inverted)
            .with("level", self.level.as_ref())
            .with("before", lines(before))
            .with("after", lines(after));
        self.fields.iter().fold(query, |query, (name, text)| query.with("field", Some(format!("{name}={text}"))))
    }

    fn from_query(query: &Query) -> Result<Self, Problem> {
        let field = |text: &str| text.split_once('=').map(|(name, text)| (name.to_owned(), text.to_owned()));
        let wrong = || Problem::new(ProblemCode::BadRequest, "`field` is `NAME=TEXT`");
        Ok(Self {
            pattern: query.text("grep").map(str::to_owned),
            ignores_case: query.flag("ignore_case"),
            is_inverted: query.flag("invert"),
            level: query.text("level").map(str::to_owned),
            fields: query.texts("field").map(field).collect::<Option<_>>().ok_or_else(wrong)?,
            around: (query.value("before")?.unwrap_or(0), query.value("after")?.unwrap_or(0)),
        })
    }
}

impl LogsQuery {
    /// For a URL.
    pub fn query(&self) -> Query {
        let stream = self.stream.map(|stream| match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        });
        let query = self
            .selection
            .query()
            .with("lines", self.lines)
            .with("since", self.since.map(|time| time.0))
            .with("until", self.until.map(|time| time.0))
            .with("stream", stream)
            .with_flag("previous", self.previous)
            .with_flag("follow", self.follow);
        self.filter.add_to(query)
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
            until: query.value("until")?.map(WallTime),
            stream,
            filter: LogsFilter::from_query(query)?,
            previous: query.flag("previous"),
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
    /// The instance that wrote it, or one of those that did.
    pub instance: InstanceId,
    /// Which output.
    pub stream: Stream,
    /// The text; what is not UTF-8 is replaced.
    pub text: String,
    /// The bytes in hexadecimal, if `text` is not exactly what was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
    /// Who writes into the same file: the line may be of one of these as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<InstanceId>,
    /// How its app wants lines to be shown.
    #[serde(default, skip_serializing_if = "LogForm::is_plain")]
    pub shown_as: LogForm,
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
        let (shared_with, shown_as) = (Vec::new(), LogForm::default());
        match String::from_utf8(bytes) {
            Ok(text) => Self { at, instance, stream, text, hex: None, shared_with, shown_as },
            Err(wrong) => {
                let text = String::from_utf8_lossy(wrong.as_bytes()).into_owned();
                let hex = wrong.as_bytes().iter().fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                });
                Self { at, instance, stream, text, hex: Some(hex), shared_with, shown_as }
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
    fn a_query_comes_out_of_its_url_again() {
        let filter = LogsFilter {
            pattern: Some("a+b|c d".into()),
            ignores_case: true,
            is_inverted: true,
            level: Some("warn".into()),
            fields: vec![("req.method".into(), "GET".into()), ("x".into(), "a=b&c".into())],
            around: (2, 3),
        };
        let (since, until) = (Some(WallTime(1)), Some(WallTime(2)));
        let (lines, stream) = (Some(7), Some(Stream::Stderr));
        for filter in [filter, LogsFilter::default()] {
            let query =
                LogsQuery { lines, since, until, stream, previous: true, follow: true, filter, ..LogsQuery::default() };
            let url = query.query().on("/v1/logs");
            let (_, text) = url.split_once('?').unwrap();
            assert_eq!(LogsQuery::from_query(&Query::parse(text)).unwrap(), query, "{url}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_come_back_exactly() {
        let id: InstanceId = "shop:api/0".parse().unwrap();
        for bytes in [b"plain".to_vec(), "gr\u{fc}n".into(), vec![b'a', 0xff, 0, b'b']] {
            let line = LogLine::new(WallTime(1), id.clone(), Stream::Stdout, bytes.clone());
            assert_eq!(line.bytes(), bytes);
        }
    }
}
