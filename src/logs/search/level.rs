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
        let text = String::from_utf8_lossy(&line[..line.len().min(400)]);
        if let Some(word) = FIELDS.iter().find_map(|name| super::filter::logfmt(&text, name)) {
            return Self::parse(word);
        }
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.' && letter != '_');
        let words = words.filter(|word| !word.is_empty());
        let is_level = |word: &&str| word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_uppercase());
        // Dates and times before it are words, too.
        words
            .filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit()))
            .take(WORDS_MAX)
            .filter(is_level)
            .find_map(Self::parse)
    }
}
