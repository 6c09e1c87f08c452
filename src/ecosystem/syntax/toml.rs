//! TOML 1.1: keys and values with their byte ranges.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::diagnostic::{Findings, code};
use super::super::tree::{Entry, Kind, Node, Span, Value};

/// Longest text in which all mistakes are looked for. Of a longer one the first is told: its parser keeps every mistake,
/// and there may be one for every other byte.
const RECOVERED_BYTES_MAX: usize = 256 << 10;

pub(super) fn parse(text: &str, file: u32, report: &mut Findings) -> Option<Node> {
    let (table, problems) = if text.len() <= RECOVERED_BYTES_MAX {
        DeTable::parse_recoverable(text)
    } else {
        match DeTable::parse(text) {
            Ok(table) => (table, Vec::new()),
            Err(problem) => (Spanned::new(0..0, DeTable::new()), vec![problem]),
        }
    };
    for problem in &problems {
        let span = problem.span().unwrap_or(0..0);
        let message = problem.message().lines().next().unwrap_or("this is not TOML");
        if message.contains("duplicate key") {
            let key = text.get(span.clone()).unwrap_or_default();
            let message = format!("the key `{key}` appears twice");
            report.error(code::DUPLICATE_KEY, Span::new(file, span), message).hint("remove one of them");
        } else {
            report.error(code::SYNTAX, Span::new(file, span), message);
        }
    }
    // The recovered rest of a broken file would only give follow-up errors.
    problems.is_empty().then(|| map(table.get_ref(), Span::new(file, 0..0), file))
}

fn map(table: &DeTable<'_>, span: Span, file: u32) -> Node {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().clone().into_owned(),
            key_span: Span::new(file, key.span()),
            node: node(value, file),
        })
        .collect();
    // The table is sorted by name; users see their own order.
    entries.sort_by_key(|entry| entry.key_span.start);
    Node { value: Value::Map(entries), span }
}

fn node(value: &Spanned<DeValue<'_>>, file: u32) -> Node {
    let span = Span::new(file, value.span());
    match value.get_ref() {
        DeValue::String(text) => Node::scalar(Kind::Text, text.clone(), span),
        DeValue::Integer(number) => {
            let prefix = match number.radix() {
                16 => "0x",
                8 => "0o",
                2 => "0b",
                _ => "",
            };
            let text = number.as_str();
            let text = if text.contains(prefix) { text.to_owned() } else { format!("{prefix}{text}") };
            Node::scalar(Kind::Integer, text, span)
        }
        DeValue::Float(number) => Node::scalar(Kind::Float, number.as_str(), span),
        DeValue::Boolean(is_true) => Node::scalar(Kind::Boolean, if *is_true { "true" } else { "false" }, span),
        DeValue::Datetime(date) => Node::scalar(Kind::Date, date.to_string(), span),
        DeValue::Array(values) => {
            Node { value: Value::List(values.iter().map(|value| node(value, file)).collect()), span }
        }
        DeValue::Table(table) => map(table, span, file),
    }
}
