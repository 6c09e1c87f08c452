//! Text → tree: one front end per format, with the same limits for all.

mod foreign;
mod json;
mod toml;
mod yaml;

use std::path::Path;

use super::SourceFile;
use super::diagnostic::{Findings, code};
use super::tree::{Node, Span, Value};

const FILE_BYTES_MAX: usize = 4 << 20;
const NODES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 64;
const SCALAR_BYTES_MAX: usize = 1 << 20;
/// Texts of a tree together, after every alias was put in place of its name.
const TREE_BYTES_MAX: usize = 16 << 20;
const TOO_MANY_VALUES: &str = "more than 100,000 values";

/// Reads one file; problems go to the report, the tree is whatever could be understood.
pub(super) fn parse(file: &SourceFile, index: u32, report: &mut Findings) -> Option<Node> {
    let start = Span::new(index, 0..0);
    if file.text.len() > FILE_BYTES_MAX {
        let message = format!("the file is larger than 4 MiB ({} bytes)", file.text.len());
        report.error(code::TOO_LARGE, start, message);
        return None;
    }
    let text = match std::str::from_utf8(&file.text) {
        Ok(text) => text,
        Err(problem) => {
            let at = problem.valid_up_to();
            let message = "this byte is not UTF-8";
            report.error(code::ENCODING, Span::new(index, at..at + 1), message).hint("save the file as UTF-8");
            return None;
        }
    };
    if text.trim().is_empty() {
        report.error(code::EMPTY_FILE, start, "the file is empty").hint("declare an app: `[[apps]]`");
        return None;
    }
    if !file.is_translated
        && let Some(foreign) = foreign::of_text(&file.path, text)
    {
        refuse(&foreign, start, report);
        return None;
    }
    if let Some(at) = too_many_commas(text) {
        report.error(code::TOO_LARGE, Span::new(index, at..at + 1), TOO_MANY_VALUES);
        return None;
    }
    let tree = match extension(&file.path) {
        _ if file.is_translated => json::parse(text, index, false, report),
        "toml" => toml::parse(text, index, report),
        "yaml" | "yml" => yaml::parse(text, index, report),
        "json" => json::parse(text, index, false, report),
        "jsonc" => json::parse(text, index, true, report),
        _ => {
            report
                .error(code::UNKNOWN_FORMAT, start, "the file name does not reveal the format")
                .hint("name it .toml, .yaml, .yml, .json or .jsonc");
            None
        }
    }?;
    if !file.is_translated
        && let Some(foreign) = foreign::of_tree(&file.path, &tree)
    {
        refuse(&foreign, start, report);
        return None;
    }
    let mut budget = Budget::new();
    if let Some((span, what)) = budget.measure(&tree, 0) {
        report.error(code::TOO_LARGE, span, what);
        return None;
    }
    if !matches!(tree.value, Value::Map(_)) {
        let found = tree.words();
        report
            .error(code::WRONG_TYPE, tree.span, format!("the file holds {found}, not a table with `apps`"))
            .hint("put the apps under the key `apps`");
        return None;
    }
    Some(tree)
}

/// The data of a file, whatever declares it: YAML, or JSON with comments.
///
/// # Errors
/// It does not parse, or it is too large; the first reason.
pub(super) fn data(path: &Path, text: &str) -> Result<serde_json::Value, String> {
    let mut report = Findings::default();
    let tree = match extension(path) {
        "json" | "jsonc" => json::parse(text, 0, true, &mut report),
        _ => yaml::parse(text, 0, &mut report),
    };
    let mut budget = Budget::new();
    match tree {
        Some(tree) if report.errors == 0 => match budget.measure(&tree, 0) {
            None => Ok(tree.to_json()),
            Some((_, what)) => Err(what.to_owned()),
        },
        _ => Err(report.findings.first().map_or_else(|| "it does not parse".to_owned(), |found| found.message.clone())),
    }
}

fn refuse(foreign: &foreign::Foreign, start: Span, report: &mut Findings) {
    let message = format!("this is {}, not an ecosystem file", foreign.what);
    report.error(code::UNKNOWN_FORMAT, start, message).hint(foreign.hint);
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

/// Where a text has more commas outside of quotes than it may have values. A parser needs a hundred times the length of
/// such a text before the values could be counted. A quote ends with its line, so that an apostrophe hides nothing.
fn too_many_commas(text: &str) -> Option<usize> {
    if text.len() <= NODES_MAX {
        return None;
    }
    let (mut quote, mut is_escaped, mut commas) = (None, false, 0_usize);
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (_, b'\n') => (quote, is_escaped) = (None, false),
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(b'"'), b'\\') => is_escaped = true,
            (Some(open), byte) if byte == open => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b',') if commas >= NODES_MAX => return Some(at),
            (None, b',') => commas += 1,
            _ => {}
        }
    }
    None
}

/// How many values a tree may hold.
struct Budget {
    left: usize,
}

impl Budget {
    fn new() -> Self {
        Self { left: NODES_MAX }
    }

    /// The first value that breaks a limit.
    fn measure(&mut self, node: &Node, depth: usize) -> Option<(Span, &'static str)> {
        if depth > DEPTH_MAX {
            return Some((node.span, "nested deeper than 64 levels"));
        }
        self.left = match self.left.checked_sub(1) {
            Some(left) => left,
            None => return Some((node.span, TOO_MANY_VALUES)),
        };
        match &node.value {
            Value::Scalar(scalar) if scalar.text.len() > SCALAR_BYTES_MAX => {
                Some((node.span, "a single value of more than 1 MiB"))
            }
            Value::Scalar(_) => None,
            Value::List(nodes) => nodes.iter().find_map(|node| self.measure(node, depth + 1)),
            Value::Map(entries) => entries.iter().find_map(|entry| self.measure(&entry.node, depth + 1)),
        }
    }
}
