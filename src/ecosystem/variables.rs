//! `${VAR}` in texts: `${VAR}`, `${VAR:-default}`, `${VAR-default}`, `${VAR:?message}`, `${VAR:+other}`, `$$`.
//!
//! Filled in after parsing, so a value can never add keys. A lone `$` is a dollar; `$VAR` without braces
//! stays as it is (a shell may want it).

use std::collections::BTreeMap;

use crate::model::Template;

/// Longest result of one text; `${A:-${A}…}` cannot grow without end.
const RESULT_BYTES_MAX: usize = 1 << 20;
const NESTING_MAX: u32 = 16;

/// Part of a text after its variables were looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    /// As written, or the value of a variable.
    Settled(String),
    /// Known per instance only: kept as `${NAME}`.
    PerInstance(String),
}

/// A text after its variables were looked up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Expanded {
    /// Settled pieces that come from variables are never joined with written ones, for splitting.
    pub pieces: Vec<(Piece, bool)>,
    /// Names of variables whose value came from the shell.
    pub from_shell: Vec<String>,
    bytes: usize,
}

/// Where a variable's value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Found {
    Value(String),
    Shell(String),
    PerInstance,
    Nothing,
}

/// What is wrong with a text; the range is in bytes of the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// `${VAR}` has neither value nor default.
    Unset { name: String, message: Option<String> },
    /// `${` without `}`, a bad name, an unknown operator, endless nesting.
    Malformed(String),
    /// The result is longer than a value may be.
    TooLong,
}

/// Where values come from.
pub(super) trait Lookup {
    fn find(&self, name: &str) -> Found;
}

impl Lookup for BTreeMap<String, String> {
    fn find(&self, name: &str) -> Found {
        self.get(name).map_or(Found::Nothing, |value| Found::Value(value.clone()))
    }
}

/// Looks up every variable in `text`.
pub(super) fn expand(text: &str, lookup: &dyn Lookup) -> Result<Expanded, Trouble> {
    let mut expanded = Expanded::default();
    walk(text, lookup, 0, false, &mut expanded)?;
    Ok(expanded)
}

impl Expanded {
    /// A text in which nothing is looked up.
    pub fn literal(text: &str) -> Self {
        Self { pieces: vec![(Piece::Settled(text.to_owned()), false)], from_shell: Vec::new(), bytes: text.len() }
    }

    /// Length of all pieces.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts what is about to be added.
    fn grow(&mut self, bytes: usize) -> Result<(), Trouble> {
        self.bytes += bytes;
        if self.bytes > RESULT_BYTES_MAX { Err(Trouble::TooLong) } else { Ok(()) }
    }

    /// The text, if nothing in it waits for the instance; else the name that does.
    pub fn settled(&self) -> Result<String, String> {
        self.pieces
            .iter()
            .map(|(piece, _)| match piece {
                Piece::Settled(text) => Ok(text.as_str()),
                Piece::PerInstance(name) => Err(name.clone()),
            })
            .collect()
    }

    /// The text with what the instance will fill in.
    pub fn template(&self) -> Template {
        template(self.pieces.iter().map(|(piece, _)| piece))
    }

    /// Split as a shell would, where a variable's value never adds a word or a quote.
    pub fn words(&self) -> Result<Vec<Template>, shell_words::ParseError> {
        // Every value is one private-use character while the line is split.
        const FIRST: u32 = 0xF_0000;
        let mut values: Vec<&Piece> = Vec::new();
        let mut line = String::new();
        for (piece, is_value) in &self.pieces {
            match piece {
                // A text that holds such characters itself is left whole.
                Piece::Settled(text) if !is_value && text.chars().all(|c| u32::from(c) < FIRST) => line.push_str(text),
                piece => {
                    let stand_in = u32::try_from(values.len()).ok().and_then(|at| char::from_u32(FIRST + at));
                    line.push(stand_in.unwrap_or('\u{FFFD}'));
                    values.push(piece);
                }
            }
        }
        let put_back = |word: String| {
            let mut text = String::with_capacity(word.len());
            for letter in word.chars() {
                let at = u32::from(letter).checked_sub(FIRST).and_then(|at| usize::try_from(at).ok());
                match at.and_then(|at| values.get(at)) {
                    Some(piece) => write_piece(&mut text, piece),
                    None if letter == '$' => text.push_str("$$"),
                    None => text.push(letter),
                }
            }
            Template::prepared(text)
        };
        Ok(shell_words::split(&line)?.into_iter().map(put_back).collect())
    }
}

fn template<'a>(pieces: impl Iterator<Item = &'a Piece>) -> Template {
    let mut text = String::new();
    for piece in pieces {
        write_piece(&mut text, piece);
    }
    Template::prepared(text)
}

fn write_piece(text: &mut String, piece: &Piece) {
    match piece {
        Piece::Settled(settled) => text.push_str(&settled.replace('$', "$$")),
        Piece::PerInstance(name) => {
            text.push_str("${");
            text.push_str(name);
            text.push('}');
        }
    }
}

fn walk(text: &str, lookup: &dyn Lookup, depth: u32, is_value: bool, out: &mut Expanded) -> Result<(), Trouble> {
    if depth > NESTING_MAX {
        return Err(Trouble::Malformed("`${…}` is nested deeper than 16 levels".to_owned()));
    }
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        push(out, &rest[..at], is_value)?;
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            push(out, "$", is_value)?;
            rest = tail;
        } else if let Some(inside) = after.strip_prefix('{') {
            let end = closing(inside).ok_or_else(|| Trouble::Malformed("`${` without `}`".to_owned()))?;
            variable(&inside[..end], lookup, depth, out)?;
            rest = &inside[end + 1..];
        } else {
            push(out, "$", is_value)?;
            rest = after;
        }
    }
    push(out, rest, is_value)
}

fn push(out: &mut Expanded, text: &str, is_value: bool) -> Result<(), Trouble> {
    out.grow(text.len())?;
    match out.pieces.last_mut() {
        _ if text.is_empty() => {}
        Some((Piece::Settled(last), false)) if !is_value => last.push_str(text),
        _ => out.pieces.push((Piece::Settled(text.to_owned()), is_value)),
    }
    Ok(())
}

/// Where the `}` is that closes what the text opens.
fn closing(inside: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let bytes = inside.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'$') => at += 1,
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 1;
            }
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

fn variable(inside: &str, lookup: &dyn Lookup, depth: u32, out: &mut Expanded) -> Result<(), Trouble> {
    let length = inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inside.len());
    let (name, operator) = inside.split_at(length);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Trouble::Malformed(format!("`${{{inside}}}` does not begin with a variable name")));
    }
    let found = lookup.find(name);
    let is_empty = matches!(&found, Found::Value(text) | Found::Shell(text) if text.is_empty());
    let is_set = found != Found::Nothing;
    let unset = |message: &str| Trouble::Unset {
        name: name.to_owned(),
        message: (!message.is_empty()).then(|| message.to_owned()),
    };
    // A colon counts an empty value as unset.
    let (counts, sign, word) = match operator.strip_prefix(':') {
        Some(tail) => (is_set && !is_empty, tail.get(..1), tail.get(1..)),
        None => (is_set, operator.get(..1), operator.get(1..)),
    };
    let word = word.unwrap_or_default();
    match sign {
        None | Some("") if operator.is_empty() && is_set => return put(name, found, out),
        None | Some("") if operator.is_empty() => return Err(unset("")),
        Some("-" | "?") if counts => return put(name, found, out),
        Some("-") => return walk(word, lookup, depth + 1, true, out),
        Some("?") => return Err(unset(word)),
        Some("+") if counts => return walk(word, lookup, depth + 1, true, out),
        Some("+") => {}
        _ => {
            let message = format!("`${{{inside}}}`: expected `:-`, `-`, `:?`, `?`, `:+` or `+` after the name");
            return Err(Trouble::Malformed(message));
        }
    }
    Ok(())
}

fn put(name: &str, found: Found, out: &mut Expanded) -> Result<(), Trouble> {
    out.grow(match &found {
        Found::Value(text) | Found::Shell(text) => text.len(),
        Found::PerInstance | Found::Nothing => name.len(),
    })?;
    match found {
        Found::Value(text) => out.pieces.push((Piece::Settled(text), true)),
        Found::Shell(text) => {
            out.pieces.push((Piece::Settled(text), true));
            if !out.from_shell.iter().any(|known| known == name) {
                out.from_shell.push(name.to_owned());
            }
        }
        Found::PerInstance => out.pieces.push((Piece::PerInstance(name.to_owned()), true)),
        Found::Nothing => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, Trouble> {
        let values = BTreeMap::from([("A".to_owned(), "1 2".to_owned()), ("E".to_owned(), String::new())]);
        expand(text, &values).map(|expanded| expanded.settled().unwrap())
    }

    #[test]
    fn defaults_follow_the_rules_of_a_shell() {
        for (text, expected) in [
            ("x${A}y", "x1 2y"),
            ("${E}", ""),
            ("${E:-d}", "d"),
            ("${E-d}", ""),
            ("${U-d}", "d"),
            ("${U:-}", ""),
            ("${A:+x}${E:+x}${E+y}${U+z}", "xy"),
            ("${U:-a${V:-b}c}", "abc"),
            ("$$ $${A} $HOME 5$", "$ ${A} $HOME 5$"),
            ("${U:-}}", "}"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_an_error_and_never_a_literal() {
        for text in ["${U}", "${E:?why}", "${U?why}", "${", "${}", "${A", "${1}", "${A!x}", "${A:}", "${A b}"] {
            assert!(filled(text).is_err(), "{text}");
        }
        let deep = format!("{}x{}", "${U:-".repeat(40), "}".repeat(40));
        assert!(filled(&deep).is_err());
    }

    #[test]
    fn a_value_never_adds_words_to_a_command() {
        let values = BTreeMap::from([("A".to_owned(), "1 '2".to_owned())]);
        let words = expand("run --a ${A} 'x ${A}' ${U:-b c}", &values).unwrap().words().unwrap();
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["run", "--a", "1 '2", "x 1 '2", "b c"]);
    }
}
