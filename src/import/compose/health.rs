//! `healthcheck`: what is asked, how often, and when it counts.

use serde_json::{Map, Value};

use super::text::{duration, line_of, list, meant, milliseconds, plain};

/// What compose does without a word.
const INTERVAL: &str = "30s";
const TIMEOUT: &str = "30s";
const RETRIES: u64 = 3;

/// A health check, read.
pub(super) struct HealthCheck {
    command: Value,
    interval: String,
    timeout: String,
    failures: u64,
    start_period: Option<String>,
}

impl HealthCheck {
    /// Reads it; `None` if it is switched off. An error is the key and what was expected.
    pub(super) fn read(check: &Value) -> Result<Option<Self>, (&'static str, &'static str)> {
        if check.get("disable").and_then(Value::as_bool) == Some(true) {
            return Ok(None);
        }
        let test = check.get("test").ok_or(("test", "a command"))?;
        let words: Vec<String> = list(Some(test)).into_iter().filter_map(plain).collect();
        let line = match (test, words.as_slice()) {
            (Value::String(line), _) => line.clone(),
            (_, [kind, ..]) if kind == "NONE" => return Ok(None),
            (_, [kind, line]) if kind == "CMD-SHELL" => line.clone(),
            (_, [kind, rest @ ..]) if kind == "CMD" && !rest.is_empty() => {
                line_of(&Value::from(rest.to_vec())).map(|(line, _)| line).unwrap_or_default()
            }
            _ => return Err(("test", "a command: a text, or `CMD` or `CMD-SHELL` and its words")),
        };
        let length = |key: &'static str| match check.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => duration(value).map(Some).ok_or((key, "a duration such as \"30s\"")),
        };
        let failures = match check.get("retries") {
            None | Some(Value::Null) => RETRIES,
            Some(number) => number.as_u64().filter(|number| *number > 0).ok_or(("retries", "a number"))?,
        };
        let interval = length("interval")?.unwrap_or_else(|| INTERVAL.to_owned());
        let timeout = length("timeout")?.unwrap_or_else(|| TIMEOUT.to_owned());
        // Compose begins to count the interval at the end of a probe, we at its beginning.
        let is_longer = milliseconds(&timeout) > milliseconds(&interval);
        Ok(Some(Self {
            command: meant(&line),
            timeout: if is_longer { interval.clone() } else { timeout },
            interval,
            failures,
            start_period: length("start_period")?,
        }))
    }

    /// Whether it calls something: `exit 0` does not.
    pub(super) fn is_shell_of_container(&self) -> bool {
        self.command.as_str().is_some_and(|line| !line.starts_with("exit"))
    }

    /// The same as the key `health`.
    pub(super) fn health(&self) -> Value {
        let mut keys = Map::from_iter([
            ("exec".to_owned(), self.command.clone()),
            ("interval".to_owned(), Value::from(self.interval.as_str())),
            ("timeout".to_owned(), Value::from(self.timeout.as_str())),
            ("failures".to_owned(), Value::from(self.failures)),
            ("action".to_owned(), Value::from("none")),
        ]);
        if let Some(period) = &self.start_period {
            keys.insert("start_period".to_owned(), Value::from(period.as_str()));
        }
        Value::Object(keys)
    }

    /// What others wait for: the same question, until it is answered for the first time.
    pub(super) fn ready(&self) -> Value {
        Value::Object(Map::from_iter([("exec".to_owned(), self.command.clone())]))
    }
}
