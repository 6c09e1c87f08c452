//! Whether a line is wanted; and the lines around it.

use std::collections::VecDeque;

use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;

use super::LineLevel;
use crate::model::WallTime;

/// Lines before or after one that is wanted.
const CONTEXT_LINES_MAX: usize = 1000;
/// A compiled pattern takes no more memory than this.
const PATTERN_BYTES_MAX: usize = 2 << 20;

/// A filter in words: what a person asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LineWords {
    /// A regular expression (RE2's syntax; on bytes: `\w` and `-i` know ASCII only).
    pub pattern: Option<String>,
    /// Letters match in both cases.
    pub ignores_case: bool,
    /// Lines without the pattern.
    pub is_inverted: bool,
    /// At least so severe.
    pub level: Option<String>,
    /// Fields of JSON objects, or of `name=value` lines, that have this text.
    pub fields: Vec<(String, String)>,
    /// How many lines before and after each.
    pub around: (usize, usize),
}

/// Why there is no such filter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FilterError {
    /// The pattern.
    #[error("`{pattern}` is not a regular expression: {problem}")]
    Pattern {
        /// As given.
        pattern: String,
        /// What is wrong with it, in one line.
        problem: String,
    },
    /// The level.
    #[error("`{word}` is not a level: write trace, debug, info, warn, error or fatal")]
    Level {
        /// As given.
        word: String,
    },
}

/// Whether a line is wanted.
#[derive(Clone, Debug)]
pub struct LineFilter {
    pattern: Option<Regex>,
    is_inverted: bool,
    level: Option<LineLevel>,
    fields: Vec<(String, String)>,
    around: (usize, usize),
}

impl LineFilter {
    /// Compiles it; `None` where every line is wanted.
    ///
    /// # Errors
    /// The pattern or the level is none.
    pub fn new(words: &LineWords) -> Result<Option<Self>, FilterError> {
        if words.pattern.is_none() && words.level.is_none() && words.fields.is_empty() {
            return Ok(None);
        }
        let compile = |pattern: &String| {
            let mut builder = RegexBuilder::new(pattern);
            builder.unicode(false).multi_line(true).case_insensitive(words.ignores_case).size_limit(PATTERN_BYTES_MAX);
            builder.build().map_err(|error| {
                let problem = error.to_string();
                let problem = problem.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                FilterError::Pattern { pattern: pattern.clone(), problem }
            })
        };
        let level = |word: &String| LineLevel::parse(word).ok_or_else(|| FilterError::Level { word: word.clone() });
        let (before, after) = words.around;
        Ok(Some(Self {
            pattern: words.pattern.as_ref().map(compile).transpose()?,
            is_inverted: words.is_inverted,
            level: words.level.as_ref().map(level).transpose()?,
            fields: words.fields.clone(),
            around: (before.min(CONTEXT_LINES_MAX), after.min(CONTEXT_LINES_MAX)),
        }))
    }

    /// The pattern, if a line is wanted exactly when it has it, and alone.
    pub(super) fn only_pattern(&self) -> Option<&Regex> {
        let is_plain = !self.is_inverted && self.level.is_none() && self.fields.is_empty() && self.around == (0, 0);
        self.pattern.as_ref().filter(|_| is_plain)
    }

    /// Whether this line is wanted.
    pub fn wants(&self, line: &[u8]) -> bool {
        if self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(line) == self.is_inverted) {
            return false;
        }
        if self.level.is_none() && self.fields.is_empty() {
            return true;
        }
        let json = serde_json::from_slice::<Value>(line).ok().filter(Value::is_object);
        let is_severe =
            self.level.is_none_or(|least| LineLevel::of_line(line, json.as_ref()).is_some_and(|level| level >= least));
        is_severe && self.fields.iter().all(|(name, wanted)| has_field(line, json.as_ref(), name, wanted))
    }
}

fn has_field(line: &[u8], json: Option<&Value>, name: &str, wanted: &str) -> bool {
    match json {
        Some(object) => field(object, name).is_some_and(|value| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text == wanted
        }),
        None => logfmt(&String::from_utf8_lossy(line), name).is_some_and(|value| value == wanted),
    }
}

/// `req.method`: the field of that name, else the field `method` of the object `req`.
pub(super) fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    field(object.get(first)?, rest)
}

/// The value of `name=value` or `name="value"`.
pub(super) fn logfmt<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let at = line.match_indices(name).map(|(at, _)| at).find(|at| {
        let is_begin = *at == 0 || line.as_bytes()[at - 1].is_ascii_whitespace();
        is_begin && line.as_bytes().get(at + name.len()) == Some(&b'=')
    })?;
    let value = &line[at + name.len() + 1..];
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split(char::is_whitespace).next(),
    }
}

/// Lets the wanted lines of one log through, and those around them.
#[derive(Debug, Default)]
pub struct Sieve {
    before: VecDeque<(WallTime, Vec<u8>)>,
    after_left: usize,
}

impl Sieve {
    /// Takes the next line of the log; emits what is to be shown now.
    pub fn pass(&mut self, filter: &LineFilter, at: WallTime, text: Vec<u8>, mut emit: impl FnMut(WallTime, Vec<u8>)) {
        let (before, after) = filter.around;
        if filter.wants(&text) {
            self.before.drain(..).for_each(|(at, text)| emit(at, text));
            emit(at, text);
            self.after_left = after;
        } else if self.after_left > 0 {
            self.after_left -= 1;
            emit(at, text);
        } else if before > 0 {
            if self.before.len() == before {
                self.before.pop_front();
            }
            self.before.push_back((at, text));
        }
    }
}
