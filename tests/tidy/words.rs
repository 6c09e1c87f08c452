//! One meaning per word: docs/glossary.md as a test. An old word does not come back as an identifier.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Code, assert_clean, name_of, rust_files};

/// Words that no identifier has as a part (`take_seats`, `SeatRow`), and what to write instead.
const OLD_PARTS: &[(&str, &str)] = &[
    ("barred", "blocked"),
    ("bell", "waker"),
    ("crew", "elastic pool"),
    ("deed", "action"),
    ("epoch", "restart requests"),
    ("happening", "event"),
    ("happenings", "events"),
    ("heir", "launcher"),
    ("judge", "evaluate"),
    ("keeper", "store handle"),
    ("leash", "hook handle"),
    ("leashes", "hook handles"),
    ("manner", "strategy"),
    ("parked", "not started"),
    ("recycle", "restart"),
    ("roster", "registry"),
    ("seat", "reserved descriptor"),
    ("seats", "reserved descriptors"),
    ("standing", "desired state, saved state"),
    ("standpoint", "dependency status"),
    ("strays", "leftover successors"),
    ("surroundings", "host, deps, environment"),
    ("voices", "channels"),
];

/// Words that are not an identifier by themselves; inside a longer one they may be right.
const OLD_NAMES: &[(&str, &str)] = &[
    ("Ask", "SendStopSignal"),
    ("Form", "Revision, TextFormat"),
    ("beat", "last_watchdog_ping"),
    ("Member", "Instance"),
    ("Tell", "Emit"),
    ("tell_missed", "emit_missed"),
    ("will", "command"),
];

/// Where an old word still stands: the word, and the beginning of the names of the files. May only shrink.
const LEFT: &[(&str, &str)] = &[];

#[test]
fn an_old_word_is_no_identifier() {
    let mut wrong = String::new();
    let mut used = BTreeSet::new();
    for file in rust_files("src") {
        let name = name_of(&file);
        for (at, line) in Code::read(&file).lines.iter().enumerate() {
            for (old, new) in old_words(line) {
                if let Some(left) = LEFT.iter().find(|(word, place)| *word == old && name.starts_with(place)) {
                    used.insert(left);
                    continue;
                }
                let _ = writeln!(wrong, "{name}:{}: `{old}` is {new} by now. See docs/glossary.md.", at + 1);
            }
        }
    }
    for (word, place) in LEFT.iter().filter(|left| !used.contains(left)) {
        let _ = writeln!(wrong, "{place}: `{word}` is gone. Take it out of LEFT in tests/tidy/words.rs.");
    }
    assert_clean(&wrong);
}

/// The old words among the identifiers of a line.
fn old_words(line: &str) -> BTreeSet<(&'static str, &'static str)> {
    let mut found = BTreeSet::new();
    for identifier in identifiers(line) {
        let parts = parts(identifier);
        found.extend(OLD_PARTS.iter().filter(|(old, _)| parts.iter().any(|part| part == old)));
        found.extend(OLD_NAMES.iter().filter(|(old, _)| identifier == *old));
    }
    found
}

/// What stands outside of quotes and begins with a letter.
fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    let outside = line.split('"').step_by(2);
    let words = outside.flat_map(|code| code.split(|letter: char| !letter.is_alphanumeric() && letter != '_'));
    words.filter(|word| word.starts_with(|first: char| first.is_alphabetic()) && *word != "UNIX_EPOCH")
}

/// `take_seats`, `TakeSeats` and `TAKE_SEATS` have the parts `take` and `seats`.
fn parts(identifier: &str) -> Vec<String> {
    let is_loud = identifier.chars().all(|letter| !letter.is_lowercase());
    let mut parts = vec![String::new()];
    for letter in identifier.chars() {
        if letter == '_' || (letter.is_uppercase() && !is_loud) {
            parts.push(String::new());
        }
        if letter != '_'
            && let Some(part) = parts.last_mut()
        {
            part.extend(letter.to_lowercase());
        }
    }
    parts
}

#[test]
fn identifiers_are_taken_apart() {
    for identifier in ["take_seats", "TakeSeats", "TAKE_SEATS"] {
        let parts: Vec<String> = parts(identifier).into_iter().filter(|part| !part.is_empty()).collect();
        assert_eq!(parts, ["take", "seats"], "{identifier}");
    }
    assert_eq!(old_words("let seated = \"seat\"; go(a.will);"), BTreeSet::from([("will", "command")]));
}

/// The rooms in which each type name is defined.
pub(super) fn rooms_of_types() -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in rust_files("src") {
        let room = super::ratchets::room_of(&file);
        for name in Code::read(&file).lines.iter().filter_map(|line| defined_type(line)) {
            found.entry(name.to_owned()).or_default().insert(room.clone());
        }
    }
    found
}

/// The name of a type that begins on this line.
fn defined_type(line: &str) -> Option<&str> {
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.trim_start(),
        None => line,
    };
    let name = ["struct ", "enum ", "trait ", "type "].iter().find_map(|kind| line.strip_prefix(kind))?;
    Some(&name[..name.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(name.len())])
}
