//! The options, which may stand anywhere before `--`: their spellings, and whether they take a value.

use std::collections::BTreeMap;

/// What is wrong with a call, in one line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misuse(pub String);

/// What follows an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Arity {
    None,
    /// The next word, whatever it begins with (`-i -1`).
    Value,
    /// The next word, unless it is an option.
    Maybe,
}

use Arity::{Maybe, None as Alone, Value};

/// Long name (which the value is kept under), short name, what follows.
const OPTIONS: &[(&str, &str, Arity)] = &[
    ("name", "n", Value),
    ("instances", "i", Value),
    ("namespace", "", Value),
    ("cwd", "", Value),
    ("interpreter", "", Value),
    ("interpreter-args", "", Value),
    ("node-args", "", Value),
    ("execute-command", "x", Alone),
    ("force", "f", Alone),
    ("output", "o", Value),
    ("error", "e", Value),
    ("log", "l", Maybe),
    ("pid", "p", Value),
    ("log-type", "", Value),
    ("log-date-format", "", Value),
    ("time", "", Alone),
    ("disable-logs", "", Alone),
    ("merge-logs", "", Alone),
    ("env", "", Value),
    ("update-env", "a", Alone),
    ("filter-env", "", Maybe),
    ("watch", "", Maybe),
    ("ignore-watch", "", Value),
    ("watch-delay", "", Value),
    ("ext", "", Value),
    ("cron-restart", "c", Value),
    ("cron", "", Value),
    ("max-memory-restart", "", Value),
    ("max-restarts", "", Maybe),
    ("restart-delay", "", Value),
    ("exp-backoff-restart-delay", "", Value),
    ("stop-exit-codes", "", Value),
    ("no-autorestart", "", Alone),
    ("no-autostart", "", Alone),
    ("kill-timeout", "k", Value),
    ("listen-timeout", "", Value),
    ("wait-ready", "", Alone),
    ("shutdown-with-message", "", Alone),
    ("no-treekill", "", Alone),
    ("uid", "", Value),
    ("gid", "", Value),
    ("user", "u", Value),
    ("only", "", Value),
    ("parallel", "", Value),
    ("no-daemon", "", Alone),
    ("attach", "", Alone),
    ("mini-list", "m", Alone),
    ("sort", "", Value),
    ("write", "w", Alone),
    ("hp", "", Value),
    ("service-name", "", Value),
    ("wait-ip", "", Alone),
    ("no-vizion", "", Alone),
    ("no-pmx", "", Alone),
    ("no-automation", "", Alone),
    ("trace", "", Alone),
    ("v8", "", Alone),
    ("event-loop-inspector", "", Alone),
    ("deep-monitoring", "", Alone),
    ("source-map-support", "", Alone),
    ("disable-source-map-support", "", Alone),
    ("disable-trace", "", Alone),
    ("silent", "s", Alone),
    ("help", "h", Alone),
    ("version", "v", Alone),
    ("lines", "", Value),
    ("raw", "", Alone),
    ("out", "", Alone),
    ("err", "", Alone),
    ("json", "", Alone),
    ("format", "", Alone),
    ("timestamp", "", Maybe),
    ("nostream", "", Alone),
    ("highlight", "", Maybe),
    ("spa", "", Alone),
    ("basic-auth-username", "", Value),
    ("basic-auth-password", "", Value),
];

/// What was given, by long name; an option without a value has an empty one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DoorOptions(BTreeMap<&'static str, Vec<String>>);

impl DoorOptions {
    /// Whether it was given.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The value given last, if there is one.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.last().map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Every value, in the order in which they were typed.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        self.0.get(name).into_iter().flatten().map(String::as_str).filter(|value| !value.is_empty()).collect()
    }

    /// The names that were given.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.keys().copied()
    }

    /// Takes back a word that an option with a value of choice has swallowed (`start --watch app.js`).
    pub(super) fn give_back(&mut self) -> Option<String> {
        let swallowed = |(_, values): &(&&str, &mut Vec<String>)| values.iter().any(|value| !value.is_empty());
        let is_of_choice = |name: &str| OPTIONS.iter().any(|(known, _, arity)| *known == name && *arity == Maybe);
        let mut found = self.0.iter_mut().filter(|(name, _)| is_of_choice(name)).filter(swallowed);
        let (_, values) = found.next()?;
        values.iter_mut().rfind(|value| !value.is_empty()).map(std::mem::take)
    }

    /// Reads the option that `word` is, and what follows it.
    ///
    /// # Errors
    /// Nobody knows it, or its value is missing.
    pub(super) fn take(
        &mut self,
        word: &str,
        rest: &mut dyn Iterator<Item = String>,
    ) -> Result<Option<String>, Misuse> {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let known = OPTIONS.iter().find(|(known, ..)| *known == name).ok_or_else(|| unknown(word))?;
            return self.put((known.0, known.2), value, word, rest);
        }
        // `-am`: letters of options without a value; the last one may have one (`-n api`, `-i2`).
        let letters: Vec<char> = word[1..].chars().collect();
        for (at, letter) in letters.iter().enumerate() {
            let letter = if *letter == 'V' { 'v' } else { *letter };
            let known = OPTIONS.iter().find(|(_, short, _)| short.starts_with(letter));
            let known = known.ok_or_else(|| unknown(word))?;
            let joined: String = letters[at + 1..].iter().collect();
            let is_last = joined.is_empty() || known.2 != Alone;
            let value = (known.2 != Alone && !joined.is_empty()).then_some(joined);
            if is_last {
                return self.put((known.0, known.2), value, word, rest);
            }
            self.note(known.0, String::new());
        }
        Ok(None)
    }

    /// Notes an option with its value; what was read too far is given back.
    fn put(
        &mut self,
        (name, arity): (&'static str, Arity),
        joined: Option<String>,
        word: &str,
        rest: &mut dyn Iterator<Item = String>,
    ) -> Result<Option<String>, Misuse> {
        let mut unread = None;
        let value = match (arity, joined) {
            (Alone, _) => String::new(),
            (_, Some(value)) => value,
            (Value, None) => rest.next().ok_or_else(|| Misuse(format!("option `{word}` needs a value")))?,
            (Maybe, None) => match rest.next() {
                Some(next) if !next.starts_with('-') => next,
                next => {
                    unread = next;
                    String::new()
                }
            },
        };
        self.note(name, value);
        Ok(unread)
    }

    fn note(&mut self, name: &'static str, value: String) {
        self.0.entry(name).or_default().push(value);
    }
}

fn unknown(word: &str) -> Misuse {
    Misuse(format!("unknown option `{word}`"))
}
