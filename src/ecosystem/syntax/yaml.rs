//! YAML 1.2: anchors, aliases and merge keys, and nothing guessed beyond the core schema.
//!
//! A plain scalar is a boolean only as `true` / `false`, a number only as YAML 1.2 writes one; `no`, `on`
//! and `1_000` are texts. Aliases copy their anchor, so the number of values is counted while building.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::super::built::VALUE_BYTES;
use super::super::diagnostic::{Findings, code};
use super::super::tree::{Entry, Kind, Node, Scalar, Span, Value};
use super::{DEPTH_MAX, NODES_MAX, TREE_BYTES_MAX};

pub(super) fn parse(text: &str, file: u32, report: &mut Findings) -> Option<Node> {
    let mut builder = Builder {
        offsets: Offsets::new(text),
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        nodes: 0,
        bytes: 0,
        remembered_bytes: 0,
        report,
    };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                let span = builder.offsets.span(file, span.start.index(), span.end.index());
                if !builder.take(event, span) {
                    return None;
                }
            }
            Err(problem) => {
                let at = builder.offsets.span(file, problem.marker().index(), problem.marker().index());
                let found = builder.report.error(code::SYNTAX, at, problem.info());
                if text.contains('\t') {
                    found.hint("indent YAML with spaces, not with tabs");
                }
                return None;
            }
        }
    }
    let root = builder.root.take();
    if root.is_none() {
        report.error(code::EMPTY_FILE, Span::new(file, 0..0), "the file contains only comments");
    }
    root
}

/// A list or table that is not closed yet.
struct Open {
    span: Span,
    anchor: usize,
    /// Values and bytes before it was opened, to know its size.
    before: Size,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// The key that waits for its value, if any.
    Map(Vec<Entry>, Option<(String, Span)>),
}

/// How many values something is, and how long their texts are.
#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    bytes: usize,
}

struct Builder<'a> {
    offsets: Offsets<'a>,
    open: Vec<Open>,
    /// Anchor → its value and its size.
    anchors: HashMap<usize, (Node, Size)>,
    root: Option<Node>,
    nodes: usize,
    bytes: usize,
    /// What the copies in `anchors` hold.
    remembered_bytes: usize,
    report: &'a mut Findings,
}

impl Builder<'_> {
    /// Takes one event; `false` = give up, the reason is in the report.
    fn take(&mut self, event: Event<'_>, span: Span) -> bool {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                let kind = match tag {
                    Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Kind::Text,
                    Some(tag) => return self.refuse_tag(span, &tag.suffix),
                    None if is_plain => plain_kind(&text),
                    None => Kind::Text,
                };
                let size = Size { nodes: 1, bytes: text.len() };
                let node = Node::scalar(kind, text, span);
                self.remember(anchor, &node, size);
                self.put(node, size)
            }
            Event::SequenceStart(anchor, tag) => self.open(Content::List(Vec::new()), anchor, tag.as_deref(), span),
            Event::MappingStart(anchor, tag) => self.open(Content::Map(Vec::new(), None), anchor, tag.as_deref(), span),
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((mut node, size)) => {
                    node.span = span;
                    self.put(node, size)
                }
                None => {
                    self.report.error(code::SYNTAX, span, "this alias refers to a value that contains it");
                    false
                }
            },
            Event::DocumentStart(_) if self.root.is_some() => {
                let message = "a second document in the file";
                self.report.error(code::SYNTAX, span, message).hint("one file holds one document: remove the `---`");
                false
            }
            _ => true,
        }
    }

    fn refuse_tag(&mut self, span: Span, suffix: &str) -> bool {
        self.report.error(code::SYNTAX, span, format!("the tag `!{suffix}` is not supported")).hint("remove it");
        false
    }

    fn open(&mut self, content: Content, anchor: usize, tag: Option<&saphyr_parser::Tag>, span: Span) -> bool {
        if let Some(tag) = tag {
            return self.refuse_tag(span, &tag.suffix);
        }
        if self.open.len() > DEPTH_MAX {
            self.report.error(code::TOO_LARGE, span, "nested deeper than 64 levels");
            return false;
        }
        let before = Size { nodes: self.nodes, bytes: self.bytes };
        self.open.push(Open { span, anchor, before, content });
        true
    }

    fn close(&mut self, end: Span) -> bool {
        let Some(open) = self.open.pop() else { return true };
        let value = match open.content {
            Content::List(nodes) => Value::List(nodes),
            Content::Map(entries, _) => Value::Map(self.merged(entries)),
        };
        let span = Span { end: end.end.max(open.span.end), ..open.span };
        let node = Node { value, span };
        let size = Size { nodes: self.nodes - open.before.nodes + 1, bytes: self.bytes - open.before.bytes };
        self.remember(open.anchor, &node, size);
        self.put(node, Size { nodes: 1, bytes: 0 })
    }

    fn remember(&mut self, anchor: usize, node: &Node, size: Size) {
        self.remembered_bytes += if anchor == 0 { 0 } else { size.bytes + size.nodes * VALUE_BYTES };
        if anchor != 0 && self.remembered_bytes <= TREE_BYTES_MAX {
            self.anchors.insert(anchor, (node.clone(), size));
        }
    }

    /// Puts a finished value into what is open.
    fn put(&mut self, node: Node, size: Size) -> bool {
        self.nodes += size.nodes;
        self.bytes += size.bytes;
        if self.bytes + self.remembered_bytes > TREE_BYTES_MAX {
            let message = format!("the texts exceed {} MiB, including aliases", TREE_BYTES_MAX >> 20);
            self.report.error(code::TOO_LARGE, node.span, message);
            return false;
        }
        if self.nodes > NODES_MAX {
            let message = "more than 100,000 values, including aliases";
            self.report.error(code::TOO_LARGE, node.span, message);
            return false;
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(nodes)) => nodes.push(node),
            Some(Content::Map(entries, waiting)) => match waiting.take() {
                Some((key, key_span)) => entries.push(Entry { key, key_span, node }),
                None => match node.value {
                    Value::Scalar(Scalar { text, .. }) => *waiting = Some((text, node.span)),
                    _ => {
                        self.report.error(code::SYNTAX, node.span, "a key must be a single value");
                        return false;
                    }
                },
            },
        }
        true
    }

    /// Checks for duplicate keys, and lays `<<` under the other keys.
    fn merged(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut own = Vec::with_capacity(entries.len());
        let mut seen: HashMap<String, Span> = HashMap::with_capacity(entries.len());
        let mut sources = Vec::new();
        for entry in entries {
            if let Some(first) = seen.insert(entry.key.clone(), entry.key_span) {
                let message = format!("the key `{}` appears twice", entry.key);
                self.report.error(code::DUPLICATE_KEY, entry.key_span, message).label(first, "first here");
                continue; // the first one stands for both
            }
            if entry.key == "<<" { sources.push(entry.node) } else { own.push(entry) }
        }
        for source in sources {
            let (span, tables) = (
                source.span,
                match source.value {
                    Value::List(nodes) => nodes,
                    value => vec![Node { value, span: source.span }],
                },
            );
            for table in tables {
                let Value::Map(entries) = table.value else {
                    self.report.error(code::WRONG_TYPE, span, "`<<` takes a table or a list of tables");
                    continue;
                };
                // What stands there already wins over what is merged in; earlier sources win over later ones.
                for entry in entries {
                    if !seen.contains_key(&entry.key) {
                        seen.insert(entry.key.clone(), entry.key_span);
                        own.push(entry);
                    }
                }
            }
        }
        own
    }
}

/// The YAML 1.2 core schema, with `true` / `false` in lower case only.
fn plain_kind(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "false" => return Kind::Boolean,
        ".inf" | "-.inf" | "+.inf" | ".nan" => return Kind::Float,
        _ => {}
    }
    let is_all = |text: &str, is: fn(char) -> bool| !text.is_empty() && text.chars().all(is);
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let hex = text.strip_prefix("0x").is_some_and(|digits| is_all(digits, |c| c.is_ascii_hexdigit()));
    let octal = text.strip_prefix("0o").is_some_and(|digits| is_all(digits, |c| ('0'..='7').contains(&c)));
    if hex || octal || is_all(unsigned, |c| c.is_ascii_digit()) {
        return Kind::Integer;
    }
    let is_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.contains(|c: char| c.is_ascii_digit())
        && unsigned.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-' | '+'))
        && unsigned.parse::<f64>().is_ok();
    if is_number { Kind::Float } else { Kind::Text }
}

/// The parser counts characters; places are bytes. Files in plain ASCII need no table.
struct Offsets<'a> {
    text: &'a str,
    starts: Vec<u32>,
}

impl<'a> Offsets<'a> {
    fn new(text: &'a str) -> Self {
        let is_ascii = text.is_ascii();
        let starts = text.char_indices().map(|(at, _)| u32::try_from(at).unwrap_or(u32::MAX));
        Self { text, starts: if is_ascii { Vec::new() } else { starts.collect() } }
    }

    fn byte(&self, character: usize) -> usize {
        if self.starts.is_empty() {
            return character.min(self.text.len());
        }
        self.starts.get(character).map_or(self.text.len(), |at| *at as usize)
    }

    fn span(&self, file: u32, start: usize, end: usize) -> Span {
        let (start, end) = (self.byte(start), self.byte(end));
        // Scalars that end a line carry the blanks after them.
        let trimmed = self.text.get(start..end).map_or(0, |text| text.trim_end().len());
        Span::new(file, start..start + trimmed)
    }
}
