//! The one tree that TOML, YAML and JSON become: every value keeps its text as written and its place.

/// A range of bytes in one of the files that were read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Span {
    pub file: u32,
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(file: u32, range: std::ops::Range<usize>) -> Self {
        // Files are limited to 4 MiB, so offsets always fit.
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { file, start: offset(range.start), end: offset(range.end) }
    }
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub value: Value,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One `key = value`, in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub key_span: Span,
    pub node: Node,
}

/// A single value: what kind it is by the rules of its format, and its text as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Scalar {
    pub kind: Kind,
    pub text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    Integer,
    Float,
    Boolean,
    Date,
    Null,
}

impl Kind {
    /// With an article, for messages.
    pub fn words(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Integer => "an integer",
            Self::Float => "a number with a fraction",
            Self::Boolean => "a boolean",
            Self::Date => "a date",
            Self::Null => "nothing",
        }
    }
}

impl Node {
    pub fn scalar(kind: Kind, text: impl Into<String>, span: Span) -> Self {
        Self { value: Value::Scalar(Scalar { kind, text: text.into() }), span }
    }

    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        self.as_scalar().filter(|scalar| scalar.kind == Kind::Text).map(|scalar| scalar.text.as_str())
    }

    pub fn as_map(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(nodes) => Some(nodes),
            _ => None,
        }
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// `{ unset = true }`: removes the key that it is the value of.
    pub fn is_unset(&self) -> bool {
        matches!(self.as_map(), Some([only]) if only.key == "unset" && only.node.as_scalar().is_some_and(|s| s.text == "true"))
    }

    /// What was found, for messages.
    pub fn words(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) => scalar.kind.words(),
            Value::List(_) => "a list",
            Value::Map(_) => "a table",
        }
    }

    /// As JSON, for the schema tests and for users: numbers and booleans by their kind.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::List(nodes) => nodes.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect())
            }
            Value::Scalar(Scalar { kind, text }) => match kind {
                Kind::Integer => integer(text).map_or_else(|| Json::String(text.clone()), Json::from),
                Kind::Float => text.parse::<f64>().map_or_else(|_| Json::String(text.clone()), Json::from),
                Kind::Boolean => Json::Bool(text == "true"),
                Kind::Null => Json::Null,
                Kind::Text | Kind::Date => Json::String(text.clone()),
            },
        }
    }
}

/// Reads decimal, `0x`, `0o`, `0b`, with `_` between digits; `None` if it does not fit 64 bits.
pub(super) fn integer(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i64::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    Some(if is_negative { -value } else { value })
}
