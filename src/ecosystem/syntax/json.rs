//! JSON with comments; `.jsonc` may also have trailing commas. Nothing else is lenient.

use std::collections::HashMap;

use jsonc_parser::ast;
use jsonc_parser::common::Range;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::super::diagnostic::{Findings, code};
use super::super::tree::{Entry, Kind, Node, Span, Value};

pub(super) fn parse(text: &str, file: u32, allow_trailing_commas: bool, report: &mut Findings) -> Option<Node> {
    let options = ParseOptions {
        allow_comments: true,
        allow_loose_object_property_names: false,
        allow_trailing_commas,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    match parse_to_ast(text, &CollectOptions::default(), &options) {
        Ok(result) => match result.value {
            Some(value) => Some(node(&value, file, report)),
            None => {
                report.error(code::EMPTY_FILE, Span::new(file, 0..0), "the file contains only comments");
                None
            }
        },
        Err(problem) => {
            let range = problem.range();
            let mut message = problem.kind().to_string();
            if let Some(first) = message.get_mut(..1) {
                first.make_ascii_lowercase();
            }
            report.error(code::SYNTAX, Span::new(file, range.start..range.end), message);
            None
        }
    }
}

fn node(value: &ast::Value<'_>, file: u32, report: &mut Findings) -> Node {
    let at = |range: Range| Span::new(file, range.start..range.end);
    match value {
        ast::Value::StringLit(text) => Node::scalar(Kind::Text, text.value.clone(), at(text.range)),
        ast::Value::NumberLit(number) => {
            let kind = if number.value.contains(['.', 'e', 'E']) { Kind::Float } else { Kind::Integer };
            Node::scalar(kind, number.value, at(number.range))
        }
        ast::Value::BooleanLit(boolean) => {
            Node::scalar(Kind::Boolean, if boolean.value { "true" } else { "false" }, at(boolean.range))
        }
        ast::Value::NullKeyword(null) => Node::scalar(Kind::Null, "null", at(null.range)),
        ast::Value::Array(array) => {
            let nodes = array.elements.iter().map(|value| node(value, file, report)).collect();
            Node { value: Value::List(nodes), span: at(array.range) }
        }
        ast::Value::Object(object) => {
            let mut seen: HashMap<&str, Span> = HashMap::new();
            let mut entries = Vec::with_capacity(object.properties.len());
            for property in &object.properties {
                let (key, key_span) = match &property.name {
                    ast::ObjectPropName::String(text) => (text.value.as_ref(), at(text.range)),
                    ast::ObjectPropName::Word(word) => (word.value, at(word.range)),
                };
                let node = node(&property.value, file, report);
                if let Some(first) = seen.insert(key, key_span) {
                    // The first one stands for both: what else could be said of two is only confusing.
                    report
                        .error(code::DUPLICATE_KEY, key_span, format!("the key `{key}` appears twice"))
                        .label(first, "first here");
                } else {
                    entries.push(Entry { key: key.to_owned(), key_span, node });
                }
            }
            Node { value: Value::Map(entries), span: at(object.range) }
        }
    }
}
