//! Whether a value looks as its row says: the check of a [`Shape`].

use std::fmt;

use crate::model::{Field, Shape, TextFormat};

use super::diagnostic::{Findings, code};
use super::formats::{Flaw, rule};
use super::nearest::did_you_mean;
use super::tree::{Entry, Kind, Node, integer};

/// Where a value stands, from the top: prints `apps.api.env.DB`.
#[derive(Clone, Copy)]
pub(super) struct Trail<'a> {
    pub parent: Option<&'a Trail<'a>>,
    pub name: &'a str,
}

impl<'a> Trail<'a> {
    pub fn root(name: &'a str) -> Self {
        Self { parent: None, name }
    }

    pub fn then<'b>(&'b self, name: &'b str) -> Trail<'b>
    where
        'a: 'b,
    {
        Trail { parent: Some(self), name }
    }
}

impl fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent.filter(|parent| !parent.name.is_empty()) {
            let dot = if self.name.starts_with('[') { "" } else { "." };
            write!(f, "{parent}{dot}")?;
        }
        f.write_str(self.name)
    }
}

/// Whether `${` opens a variable in the text (a doubled dollar does not).
pub(super) fn has_variables(text: &str) -> bool {
    text.contains("${") && text.replace("$$", "").contains("${")
}

impl Shape {
    /// Reports everything in `node` that does not fit.
    pub(super) fn check(&self, node: &Node, trail: Trail<'_>, report: &mut Findings) {
        if let Some(scalar) = node.as_scalar()
            && scalar.kind == Kind::Null
        {
            let message = format!("`{trail}` has no value");
            report
                .error(code::WRONG_TYPE, node.span, message)
                .hint(format!("set it to {}, or remove the key", self.words()));
            return;
        }
        match self {
            Self::Any(shapes) => self.check_any(shapes, node, trail, report),
            // The keys inside are checked one by one.
            Self::Keys(_) if node.as_map().is_some() => {}
            Self::Keys(_) => self.wrong_type(node, trail, report),
            Self::List(shape) => match node.as_list() {
                Some(nodes) => nodes.iter().for_each(|node| shape.check(node, trail, report)),
                None => self.wrong_type(node, trail, report),
            },
            Self::Table(keys, shape) => match node.as_map() {
                Some(entries) => check_table(*keys, shape, entries, trail, report),
                None => self.wrong_type(node, trail, report),
            },
            Self::Record(fields) => match node.as_map() {
                Some(entries) => check_record(fields, node, entries, trail, report),
                None => self.wrong_type(node, trail, report),
            },
            Self::Text | Self::TextFormat(_) | Self::Boolean | Self::Integer(..) | Self::Choice(_) => {
                self.check_scalar(node, trail, report);
            }
        }
    }

    fn check_scalar(&self, node: &Node, trail: Trail<'_>, report: &mut Findings) {
        let Some(scalar) = node.as_scalar().filter(|_| self.fits_kind(node)) else {
            return self.wrong_type(node, trail, report);
        };
        let text = scalar.text.as_str();
        let waits = has_variables(text) && scalar.kind == Kind::Text;
        let flaw = match self {
            Self::TextFormat(format) if rule(*format).takes_variables && waits => None,
            Self::TextFormat(format) => (rule(*format).check)(text).err(),
            Self::Boolean | Self::Integer(..) | Self::Choice(_) if waits => None,
            Self::Integer(min, max) => match integer(text) {
                Some(number) if (*min..=*max).contains(&number) => None,
                _ => Some(Flaw::new(format!("`{text}` is not between {min} and {max}"))),
            },
            Self::Choice(words) if !words.contains(&text) => {
                return self.wrong_word(words, text, node, trail, report);
            }
            _ => None,
        };
        if let Some(flaw) = flaw {
            let found = report.error(flaw.code, node.span, format!("`{trail}`: {}", flaw.message));
            found.hint = flaw.hint;
        }
    }

    /// Reports by the alternative that was most likely meant: the one that takes this kind of value.
    fn check_any(&self, shapes: &[Shape], node: &Node, trail: Trail<'_>, report: &mut Findings) {
        let fitting: Vec<&Self> = shapes.iter().filter(|shape| shape.fits_kind(node)).collect();
        if fitting.is_empty() {
            return self.wrong_type(node, trail, report);
        }
        // A wrong word is answered with everything that would be taken, not with the words alone.
        if let ([Self::Choice(words)], Some(text)) = (fitting.as_slice(), node.as_text())
            && !words.contains(&text)
        {
            return self.wrong_word(words, text, node, trail, report);
        }
        let mut best: Option<Findings> = None;
        for shape in fitting {
            let mut attempt = Findings::default();
            shape.check(node, trail, &mut attempt);
            if attempt.errors == 0 {
                report.findings.append(&mut attempt.findings);
                return;
            }
            if best.as_ref().is_none_or(|best| attempt.errors < best.errors) {
                best = Some(attempt);
            }
        }
        if let Some(mut best) = best {
            report.errors += best.errors;
            report.findings.append(&mut best.findings);
        }
    }

    /// An unknown word; `self` lists the accepted ones.
    fn wrong_word(&self, words: &[&str], text: &str, node: &Node, trail: Trail<'_>, report: &mut Findings) {
        let message = format!("`{trail}` takes {}, found `{text}`", self.words());
        // compose's words for the same ideas
        let meant = match text {
            "service_started" => "started",
            "service_healthy" => "ready",
            "service_completed_successfully" => "completed",
            _ => "",
        };
        let hint = match words.contains(&meant) {
            true => Some(format!("use \"{meant}\" instead")),
            false => did_you_mean(text, words.iter().copied()),
        };
        report.error(code::BAD_VALUE, node.span, message).hint = hint;
    }

    fn fits_kind(&self, node: &Node) -> bool {
        let kind = node.as_scalar().map(|scalar| (scalar.kind, scalar.text.as_str()));
        let waits = matches!(kind, Some((Kind::Text, text)) if has_variables(text));
        match self {
            Self::Text | Self::Choice(_) => matches!(kind, Some((Kind::Text, _))),
            Self::TextFormat(format) => match kind {
                Some((Kind::Text, _)) => true,
                // A bare number gets the form's own words about units.
                Some((Kind::Integer, _)) => rule(*format).takes_zero,
                _ => false,
            },
            Self::Boolean => waits || matches!(kind, Some((Kind::Boolean, _))),
            Self::Integer(..) => waits || matches!(kind, Some((Kind::Integer, _))),
            Self::List(_) => node.as_list().is_some(),
            Self::Table(..) | Self::Record(_) | Self::Keys(_) => node.as_map().is_some(),
            Self::Any(shapes) => shapes.iter().any(|shape| shape.fits_kind(node)),
        }
    }

    fn wrong_type(&self, node: &Node, trail: Trail<'_>, report: &mut Findings) {
        let message = format!("`{trail}` takes {}, found {}", self.words(), node.words());
        let found = report.error(code::WRONG_TYPE, node.span, message);
        if let Some(hint) = self.type_hint(node) {
            found.hint(hint);
        }
    }

    fn type_hint(&self, node: &Node) -> Option<String> {
        let scalar = node.as_scalar()?;
        let text = &scalar.text;
        let takes_text = self.takes(|shape| matches!(shape, Self::Text | Self::TextFormat(_)));
        let takes_boolean = self.takes(|shape| matches!(shape, Self::Boolean));
        match scalar.kind {
            Kind::Text if takes_boolean && matches!(text.as_str(), "yes" | "on" | "y" | "True" | "TRUE") => {
                Some("write true".to_owned())
            }
            Kind::Text if takes_boolean && matches!(text.as_str(), "no" | "off" | "n" | "False" | "FALSE") => {
                Some("write false".to_owned())
            }
            Kind::Text if !takes_text && (integer(text).is_some() || matches!(text.as_str(), "true" | "false")) => {
                Some("remove the quotes".to_owned())
            }
            Kind::Integer | Kind::Float | Kind::Boolean | Kind::Date if takes_text && self.accepts_text(text) => {
                Some(format!("put it in quotes: \"{text}\""))
            }
            _ => None,
        }
    }

    fn accepts_text(&self, text: &str) -> bool {
        match self {
            Self::Text => true,
            Self::TextFormat(format) => (rule(*format).check)(text).is_ok(),
            Self::Any(shapes) => shapes.iter().any(|shape| shape.accepts_text(text)),
            _ => false,
        }
    }

    fn takes(&self, is: fn(&Self) -> bool) -> bool {
        is(self) || matches!(self, Self::Any(shapes) if shapes.iter().any(|shape| shape.takes(is)))
    }

    /// With an article, for messages.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Text => "a string".to_owned(),
            Self::TextFormat(format) => rule(*format).words.to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Integer(..) => "an integer".to_owned(),
            // The first ones of a long list are its main spellings.
            Self::Choice(words) => listed(&words[..words.len().min(12)]),
            Self::List(shape) => match shape.words().as_str() {
                "a string" => "a list of strings".to_owned(),
                "an integer" => "a list of integers".to_owned(),
                item => format!("a list (each item {item})"),
            },
            Self::Table(..) | Self::Record(_) | Self::Keys(_) => "a table".to_owned(),
            Self::Any(shapes) => {
                let words: Vec<String> = shapes.iter().map(Self::words).collect();
                words.join(" or ")
            }
        }
    }
}

/// `"a"`, `"b"` or `"c"`.
pub(super) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Checks the value of a key, where `{ unset = true }` is always accepted.
pub(super) fn check_value(shape: &Shape, node: &Node, trail: Trail<'_>, report: &mut Findings) {
    if !node.is_unset() {
        shape.check(node, trail, report);
    }
}

fn check_table(keys: TextFormat, shape: &Shape, entries: &[Entry], trail: Trail<'_>, report: &mut Findings) {
    for entry in entries {
        if let Err(flaw) = (rule(keys).check)(&entry.key) {
            report.error(flaw.code, entry.key_span, format!("`{trail}`: {}", flaw.message)).hint = flaw.hint;
        }
        check_value(shape, &entry.node, trail.then(&entry.key), report);
    }
}

fn check_record(fields: &[Field], node: &Node, entries: &[Entry], trail: Trail<'_>, report: &mut Findings) {
    for entry in entries {
        match fields.iter().find(|field| field.name == entry.key) {
            Some(field) => check_value(&field.shape, &entry.node, trail.then(&entry.key), report),
            None => {
                let message = format!("unknown key `{}` in `{trail}`", entry.key);
                let names = fields.iter().map(|field| field.name);
                let hint = did_you_mean(&entry.key, names.clone())
                    .unwrap_or_else(|| format!("known keys: {}", names.collect::<Vec<_>>().join(", ")));
                report.error(code::UNKNOWN_KEY, entry.key_span, message).hint(hint);
            }
        }
    }
    for field in fields.iter().filter(|field| field.is_required) {
        if !entries.iter().any(|entry| entry.key == field.name) {
            report.error(code::MISSING_KEY, node.span, format!("`{trail}` needs the key `{}`", field.name));
        }
    }
}
