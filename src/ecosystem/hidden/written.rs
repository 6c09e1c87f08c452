//! Secrets as they are written: with escapes, in quotes of any kind, over several lines. A value is found by its place in
//! the file, not by its text. A file that does not parse has no places: there every text in quotes is read.

use std::cell::OnceCell;
use std::ops::Range;

use super::super::tree::{Entry, Node, Scalar, Span, Value};
use super::super::{SourceFile, diagnostic, syntax};
use crate::model::{Secrets, is_secret, is_secret_header, masked_words};

/// The table of a probe whose keys are names of headers.
pub(super) const HEADERS: &str = "headers";

/// One file, and its tree once that was asked for.
pub(in crate::ecosystem) struct WrittenFile<'a> {
    file: &'a SourceFile,
    /// `None` inside: it does not parse.
    tree: OnceCell<Option<Node>>,
}

impl<'a> WrittenFile<'a> {
    pub fn new(file: &'a SourceFile) -> Self {
        Self { file, tree: OnceCell::new() }
    }

    pub fn file(&self) -> &'a SourceFile {
        self.file
    }

    /// Where in these whole lines of the file values stand that are secret by their name, or that hold a secret which is
    /// written otherwise than it reads. From the beginning of the lines, each within one of them.
    pub fn secrets_in(&self, lines: Range<usize>, secrets: &Secrets) -> Vec<Range<usize>> {
        let Some(text) = self.file.text.get(lines.clone()).and_then(|text| std::str::from_utf8(text).ok()) else {
            return Vec::new();
        };
        let tree = self.tree.get_or_init(|| syntax::parse(self.file, 0, &mut diagnostic::Findings::default()));
        let Some(tree) = tree else { return of_quotes(text, secrets) };
        let mut search = WrittenSearch { text: &self.file.text, lines: lines.clone(), secrets, found: Vec::new() };
        search.node(None, tree);
        let found = search.found.into_iter();
        found
            .flat_map(|range| {
                by_line(text, range.start.max(lines.start) - lines.start..range.end.min(lines.end) - lines.start)
            })
            .collect()
    }
}

/// The pieces of a range that stand in one line each, without the blanks around them.
fn by_line(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let Some(piece) = text.get(range.clone()) else { return vec![range] };
    let mut at = range.start;
    let mut pieces = Vec::new();
    for line in piece.split_inclusive('\n') {
        let from = at + line.len() - line.trim_start().len();
        pieces.push(from..(at + line.trim_end().len()).max(from));
        at += line.len();
    }
    pieces
}

struct WrittenSearch<'a> {
    text: &'a [u8],
    lines: Range<usize>,
    secrets: &'a Secrets,
    found: Vec<Range<usize>>,
}

impl WrittenSearch<'_> {
    fn node(&mut self, name: Option<&str>, node: &Node) {
        match &node.value {
            Value::Scalar(scalar) => self.scalar(is_secret(name.unwrap_or_default(), &scalar.text), scalar, node.span),
            Value::Map(entries) => {
                for Entry { key, key_span, node } in entries {
                    self.written_otherwise(key, *key_span);
                    match node.as_scalar() {
                        Some(scalar) if name == Some(HEADERS) && is_secret_header(key, &scalar.text) => {
                            self.scalar(true, scalar, node.span);
                        }
                        _ => self.node(Some(key), node),
                    }
                }
            }
            Value::List(nodes) => {
                self.words(nodes);
                for node in nodes {
                    self.node(name, node);
                }
            }
        }
    }

    /// What only the words before it make a secret.
    fn words(&mut self, nodes: &[Node]) {
        if !nodes.iter().any(|node| self.is_shown(node.span)) {
            return;
        }
        let texts: Vec<&Node> = nodes.iter().filter(|node| node.as_text().is_some()).collect();
        let words: Vec<&str> = texts.iter().filter_map(|node| node.as_text()).collect();
        for ((node, word), shown) in texts.iter().zip(&words).zip(masked_words(None, &words)) {
            if *word != shown && self.is_shown(node.span) && self.reads_otherwise(word, node.span) {
                self.found.push(self.without_quotes(node.span));
            }
        }
    }

    fn scalar(&mut self, is_secret: bool, scalar: &Scalar, span: Span) {
        if is_secret && self.is_shown(span) {
            self.found.push(self.without_quotes(span));
        } else {
            self.written_otherwise(&scalar.text, span);
        }
    }

    /// A secret that a search for its text does not find.
    fn written_otherwise(&mut self, value: &str, span: Span) {
        if self.is_shown(span) && self.reads_otherwise(value, span) && !self.secrets.ranges(value).is_empty() {
            self.found.push(self.without_quotes(span));
        }
    }

    fn is_shown(&self, span: Span) -> bool {
        (span.start as usize) < self.lines.end && span.end as usize > self.lines.start
    }

    fn reads_otherwise(&self, value: &str, span: Span) -> bool {
        self.text.get(self.without_quotes(span)) != Some(value.as_bytes())
    }

    /// The place of a value without its quotes, or without the sign that begins a block.
    fn without_quotes(&self, span: Span) -> Range<usize> {
        let (start, end) = (span.start as usize, span.end as usize);
        let written = self.text.get(start..end).unwrap_or_default();
        let is_quoted =
            |quote: &[u8]| written.len() >= 2 * quote.len() && written.starts_with(quote) && written.ends_with(quote);
        for quote in [&b"\"\"\""[..], b"'''", b"\"", b"'"] {
            if is_quoted(quote) {
                return start + quote.len()..end - quote.len();
            }
        }
        match written.first() {
            Some(b'|' | b'>') => {
                let line = written.iter().position(|byte| *byte == b'\n').map_or(written.len(), |at| at + 1);
                start + line..end
            }
            _ => start..end,
        }
    }
}

/// Texts in quotes that hold a secret once their escapes are read: from the left, each line for itself.
fn of_quotes(text: &str, secrets: &Secrets) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let mut at = 0;
        while let Some((open, quote)) = line[at..].char_indices().find(|(_, letter)| matches!(letter, '"' | '\'')) {
            let first = at + open + 1;
            let (value, length) = read_quoted(&line[first..], quote);
            let written = &line[first..first + length];
            if value != written && !secrets.ranges(&value).is_empty() {
                found.push(start + first..start + first + length);
            }
            at = (first + length + 1).min(line.len());
        }
        start += line.len();
    }
    found
}

/// What stands up to the closing quote (or the end of the line), its escapes read as any format would; and how long it is
/// as written.
fn read_quoted(text: &str, quote: char) -> (String, usize) {
    let mut value = String::new();
    let mut rest = text.trim_end_matches(['\n', '\r']);
    let length = rest.len();
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match letter {
            // Two of them are one in YAML.
            '\'' if quote == '\'' && rest.starts_with('\'') => {
                value.push('\'');
                rest = &rest[1..];
            }
            letter if letter == quote => return (value, length - rest.len() - 1),
            '\\' if quote == '"' => rest = read_escape(rest, &mut value),
            letter => value.push(letter),
        }
    }
    (value, length)
}

/// Reads what follows a backslash; returns what is left.
fn read_escape<'a>(text: &'a str, value: &mut String) -> &'a str {
    let Some(letter) = text.chars().next() else { return text };
    let rest = &text[letter.len_utf8()..];
    let digits = match letter {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => {
            value.push(match letter {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'e' => '\u{1b}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                '0' => '\0',
                other => other,
            });
            return rest;
        }
    };
    let number = |text: &str, digits: usize| text.get(..digits).and_then(|text| u32::from_str_radix(text, 16).ok());
    let Some(first) = number(rest, digits) else { return rest };
    let after = &rest[digits..];
    // JSON writes what is beyond the first plane as two halves.
    let second =
        after.strip_prefix("\\u").and_then(|text| number(text, 4)).filter(|_| (0xD800..0xDC00).contains(&first));
    if let Some(second) = second.filter(|second| (0xDC00..0xE000).contains(second)) {
        value.extend(char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)));
        return &after[6..];
    }
    value.extend(char::from_u32(first));
    after
}

#[cfg(test)]
mod tests;
