//! How severe a line is, as far as it says so itself.

use serde_json::Value;

/// How severe a line is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LineLevel {
    /// Finer than debug.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// The usual.
    Info,
    /// Something may be wrong.
    Warn,
    /// Something is wrong.
    Error,
    /// Nothing goes on.
    Fatal,
}

/// Names of a level's field in JSON, as loggers write them.
const FIELDS: [&str; 6] = ["level", "severity", "lvl", "levelname", "log.level", "loglevel"];
/// In a line that is no JSON, the level is one of the first words.
const WORDS_MAX: usize = 6;

impl LineLevel {
    /// Reads the word of a person or a logger: `warn`, `WARNING`, `err`, `critical`; pino's numbers.
    pub fn parse(word: &str) -> Option<Self> {
        if let Ok(number) = word.parse::<u32>() {
            return Self::of_number(number);
        }
        Some(match word.to_ascii_lowercase().as_str() {
            "trace" | "silly" | "verbose" => Self::Trace,
            "debug" => Self::Debug,
            "info" | "information" | "notice" | "log" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" | "err" => Self::Error,
            "fatal" | "critical" | "crit" | "alert" | "emerg" | "emergency" | "panic" => Self::Fatal,
            _ => return None,
        })
    }

    /// pino and bunyan: 10, 20, …, 60.
    fn of_number(number: u32) -> Option<Self> {
        Some(match number {
            10..=19 => Self::Trace,
            20..=29 => Self::Debug,
            30..=39 => Self::Info,
            40..=49 => Self::Warn,
            50..=59 => Self::Error,
            60..=69 => Self::Fatal,
            _ => return None,
        })
    }

    /// Of a line: the field of a JSON object, `level=…`, or one of the first words in capitals.
    pub(super) fn of_line(line: &[u8], json: Option<&Value>) -> Option<Self> {
        if let Some(object) = json {
            let field = FIELDS.iter().find_map(|name| super::filter::field(object, name))?;
            return match field {
                Value::Number(number) => Self::of_number(u32::try_from(number.as_u64()?).ok()?),
                other => Self::parse(other.as_str()?),
            };
        }
        let text = without_colours(&String::from_utf8_lossy(&line[..line.len().min(400)]));
        if let Some(word) = FIELDS.iter().find_map(|name| super::filter::logfmt(&text, name)) {
            return Self::parse(word);
        }
        let is_of_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        let mut seen = 0;
        let mut from = 0;
        while let Some(start) = text[from..].find(is_of_word).map(|start| from + start) {
            let end = text[start..].find(|letter| !is_of_word(letter)).map_or(text.len(), |end| start + end);
            let word = &text[start..end];
            // In small letters it is a level only where it is set apart: `error: …`, `[error]`.
            let is_apart = text[end..].starts_with(':') || text[..start].ends_with('[') && text[end..].starts_with(']');
            let is_capital = word.bytes().all(|byte| byte.is_ascii_uppercase());
            if word.len() >= 3
                && (is_capital || is_apart)
                && !word.starts_with(|first: char| first.is_ascii_digit())
                && let Some(level) = Self::parse(word)
            {
                return Some(level);
            }
            // Dates and times before it are words, too.
            seen += usize::from(!word.starts_with(|first: char| first.is_ascii_digit()));
            if seen == WORDS_MAX {
                return None;
            }
            from = end;
        }
        None
    }
}

/// Without the codes that colour a terminal.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..start]);
        let code = &rest[start + 2..];
        let end = code.find(|letter: char| letter.is_ascii_alphabetic()).map_or(code.len(), |end| end + 1);
        rest = &code[end..];
    }
    plain.push_str(rest);
    plain
}
