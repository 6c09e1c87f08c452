//! What a message about a file must not show: the secrets in it, and the lines that may hold one.

mod written;

use std::ops::Range;

use written::HEADERS;
pub(super) use written::WrittenFile;

use super::environment::EnvFiles;
use super::tree::{Entry, Node, Value};
use super::{Host, SourceFile, diagnostic, syntax};
use crate::model::{HIDDEN, Secrets, is_secret, is_secret_header, is_secret_name};

/// Lines above a place that may say what stands in it.
const LINES_ABOVE: usize = 3;
/// Lines above a place among which the key of an open value is searched.
const LINES_SEARCHED: usize = 500;

/// Every secret in the files, the env files, the variables given by hand and those of the shell.
pub(super) fn secrets(
    files: &[SourceFile],
    env_files: &EnvFiles,
    given: impl Iterator<Item = (impl AsRef<str>, impl AsRef<str>)>,
    world: &dyn Host,
) -> Secrets {
    let mut secrets = Secrets::default();
    for (index, file) in (0_u32..).zip(files) {
        // What is wrong with it was already reported.
        let tree = syntax::parse(file, index, &mut diagnostic::Findings::default());
        if let Some(tree) = tree {
            take(None, &tree, &mut secrets);
        }
    }
    for (name, value) in env_files.pairs() {
        secrets.add_value(name, value);
    }
    for (name, value) in given {
        secrets.add_value(name.as_ref(), value.as_ref());
    }
    for (name, value) in world.variables().iter().filter(|(name, _)| is_secret_name(name)) {
        secrets.add_value(name, value);
    }
    secrets
}

fn take(name: Option<&str>, node: &Node, secrets: &mut Secrets) {
    match &node.value {
        Value::Scalar(scalar) => secrets.add_value(name.unwrap_or_default(), &scalar.text),
        Value::Map(entries) => {
            for Entry { key, node, .. } in entries {
                match node.as_text() {
                    Some(text) if name == Some(HEADERS) && is_secret_header(key, text) => secrets.add(text),
                    _ => take(Some(key), node, secrets),
                }
            }
        }
        Value::List(nodes) => {
            let words: Vec<&str> = nodes.iter().filter_map(Node::as_text).collect();
            secrets.add_words(None, &words);
            for node in nodes {
                take(name, node, secrets);
            }
        }
    }
}

/// A piece of a file without its secrets.
pub(super) struct Shown {
    pub text: String,
    hidden: Vec<Range<usize>>,
}

impl Shown {
    /// Whole lines, the text above them, and where in the lines secrets are known to stand.
    pub fn new(above: &str, lines: &str, secrets: &Secrets, known: Vec<Range<usize>>) -> Self {
        let near = above.match_indices('\n').rev().nth(LINES_ABOVE).map_or(0, |(at, _)| at + 1);
        let context = [&above[near..], lines].concat();
        let offset = above.len() - near;
        let mut hidden: Vec<Range<usize>> = secrets
            .ranges(&context)
            .into_iter()
            .map(|range| range.start.saturating_sub(offset)..range.end.saturating_sub(offset))
            .collect();
        hidden.extend(of_keys(above, lines));
        hidden.extend(known);
        let hidden = crate::model::merged_ranges(hidden);
        let mut text = String::with_capacity(lines.len());
        let mut at = 0;
        for range in &hidden {
            text.push_str(&lines[at..range.start]);
            text.push_str(HIDDEN);
            at = range.end;
        }
        text.push_str(&lines[at..]);
        Self { text, hidden }
    }

    /// Where a place of the lines is now; of what is hidden the beginning or the end.
    pub fn at(&self, place: usize, is_end: bool) -> usize {
        let mut now = place;
        for range in self.hidden.iter().filter(|range| range.start < place) {
            if place < range.end {
                let into = place - range.start;
                return if is_end { now - into + HIDDEN.len() } else { now - into };
            }
            now = now + HIDDEN.len() - range.len();
        }
        now
    }
}

/// The values in `lines` whose key says that they are secret, whatever the format, however broken.
fn of_keys(above: &str, lines: &str) -> Vec<Range<usize>> {
    let mut hidden = Vec::new();
    let mut is_inside = above.lines().rev().take(LINES_SEARCHED).find_map(opens_secret).unwrap_or(false);
    let mut headers = HeaderLines::default();
    let above: Vec<&str> = above.lines().rev().take(LINES_SEARCHED).collect();
    above.into_iter().rev().for_each(|line| headers.go_on(line));
    let mut start = 0;
    for line in lines.split_inclusive('\n') {
        let text = line.trim_end();
        let from = text.len() - text.trim_start().len();
        match key_of(text) {
            Some((name, value))
                if is_secret(name, bare(&text[value..]))
                    || (name != HEADERS && headers.is_open() && is_secret_header(name, bare(&text[value..]))) =>
            {
                let rest = bare(&text[value..]);
                let at = value + text[value..].find(rest).unwrap_or(0);
                hidden.push(start + at..start + at + rest.len());
            }
            Some((name, value)) if is_table_of_headers(name) => {
                hidden.extend(
                    of_inline_headers(&text[value..])
                        .map(|range| start + value + range.start..start + value + range.end),
                );
            }
            None if is_inside && !is_heading(text) => hidden.push(start + from..start + text.len()),
            _ => {}
        }
        is_inside = opens_secret(text).unwrap_or(is_inside);
        headers.go_on(text);
        start += line.len();
    }
    hidden
}

/// Whether lines belong to the headers of a probe, in whatever format.
#[derive(Default)]
struct HeaderLines {
    /// Blanks before the key `headers`; keys further to the right are names. A TOML heading: none is further left.
    indent: Option<usize>,
    is_heading: bool,
}

impl HeaderLines {
    fn is_open(&self) -> bool {
        self.is_heading || self.indent.is_some()
    }

    fn go_on(&mut self, line: &str) {
        let text = line.trim();
        if text.starts_with('[') && text.ends_with(']') {
            self.is_heading = is_table_of_headers(text.trim_matches(['[', ']']));
            self.indent = None;
            return;
        }
        let Some((name, value)) = key_of(line) else { return };
        let indent = line.len() - line.trim_start().len();
        if self.indent.is_some_and(|opened| indent <= opened) {
            self.indent = None;
        }
        let opens = ["", "{"].contains(&line[value..].trim());
        if is_table_of_headers(name) && opens {
            self.indent = Some(indent);
        }
    }
}

/// `headers`, `ready.headers`.
fn is_table_of_headers(name: &str) -> bool {
    name.rsplit('.').next() == Some(HEADERS)
}

/// What stands in `{ Name = "value", … }`, but for the braces.
fn of_inline_headers(value: &str) -> Option<Range<usize>> {
    let inner = value.strip_prefix('{')?.trim_end();
    let end = inner.find('}').unwrap_or(inner.len());
    let is_known = inner[..end].split(',').filter_map(key_of_pair).all(|(name, value)| !is_secret_header(name, value));
    (!is_known).then_some(1..1 + end)
}

fn key_of_pair(pair: &str) -> Option<(&str, &str)> {
    let (name, value) = pair.split_once(['=', ':'])?;
    Some((bare(name), bare(value)))
}

/// Whether a line begins a secret that continues below; `None` if it has no key.
fn opens_secret(line: &str) -> Option<bool> {
    let (name, value) = key_of(line)?;
    let value = line[value..].trim();
    let opens = ["", "|", "|-", "|+", ">", ">-", ">+", "[", "\"\"\"", "'''"].contains(&value) || is_open(value);
    Some(opens && is_secret_name(name))
}

/// A quote or bracket that the line does not close.
fn is_open(value: &str) -> bool {
    let long = ["\"\"\"", "'''"].iter().find(|quote| value.starts_with(**quote));
    match (long, value.chars().next()) {
        (Some(quote), _) => !value[quote.len()..].contains(quote),
        (None, Some(quote @ ('"' | '\'' | '`'))) => !value[1..].contains(quote),
        (None, Some('[')) => !value.contains(']'),
        _ => value.contains("-----BEGIN ") && !value.contains("-----END "),
    }
}

/// The key of a line of any format, and where its value begins: `key = `, `- "key": `, `export KEY=`, `KEY value`.
fn key_of(line: &str) -> Option<(&str, usize)> {
    let start = line.len() - line.trim_start_matches([' ', '\t', '-', '{', ',']).len();
    let rest = line[start..].strip_prefix("export ").unwrap_or(&line[start..]);
    let start = line.len() - rest.len();
    let quote = rest.chars().next().filter(|first| matches!(first, '"' | '\''));
    let name_at = start + quote.map_or(0, char::len_utf8);
    let is_name_letter = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    let name_end = name_at + line[name_at..].find(|letter| !is_name_letter(letter)).unwrap_or(line.len() - name_at);
    let name = &line[name_at..name_end];
    let after = line[name_end..].strip_prefix(|letter| Some(letter) == quote).unwrap_or(&line[name_end..]);
    let sign = after.trim_start();
    let value = sign.strip_prefix(['=', ':']);
    let is_loud = name.len() > 1 && name.chars().all(|letter| !letter.is_ascii_lowercase()) && after.starts_with(' ');
    let value = value.or_else(|| is_loud.then_some(sign))?;
    (!name.is_empty()).then(|| (name, line.len() - value.trim_start().len()))
}

/// A value without its quotes and what may stand behind it.
fn bare(value: &str) -> &str {
    value.trim().trim_end_matches([',', '}']).trim().trim_matches(['"', '\'', '`'])
}

fn is_heading(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || (line.starts_with('[') && line.ends_with(']')) || matches!(line, "]" | "}" | "'''" | "\"\"\"")
}

#[cfg(test)]
mod tests {
    use crate::ecosystem::fake::{World, read_toml, source};
    use crate::ecosystem::{ReadOptions, read, render};
    use crate::model::KEYS;

    const SECRET: &str = "hunter2-s3cret";

    /// Everything that is said about a file, as text and as data.
    fn said(name: &str, text: &str) -> String {
        let world = World::usual();
        let reading = read(&[source(name, text)], &ReadOptions::default(), &world);
        assert!(!reading.diagnostics.is_empty(), "{text}");
        let data = serde_json::to_string(&reading.diagnostics).unwrap();
        format!("{}\n{data}", render(&reading.diagnostics, &reading.files, &reading.secrets, false))
    }

    #[test]
    fn a_message_shows_no_secret_that_stands_in_its_line_or_value() {
        for (name, text) in [
            ("a.toml", "[[apps]]\nscript = \"s\"\nenv = { A = 1.5, DB_PASSWORD = \"SECRET\" }"),
            ("a.toml", "[[apps]]\nscript = \"s\"\nenv = { DB_PASSWORD = [\"SECRET\"] }"),
            ("a.toml", "[[apps]]\nscript = \"s\"\npassword = \"SECRET\""),
            ("a.toml", "[[apps]]\nscript = \"s\"\nargs = [\"--password\", \"SECRET\", 1.5]"),
            (
                "a.toml",
                "[[apps]]\nscript = \"s\"\nargs = [\"--password=SECRET\"]\nhealth = { http = \"http://u:SECRET@h:99999/\" }",
            ),
            ("a.toml", "[[apps]]\nscript = \"s\"\nready = { http = \"http://h/?token=SECRET\", timeout = 5 }"),
            (
                "a.toml",
                "[[apps]]\nscript = \"s\"\nready = { http = \"http://h/\", headers = { Authorization = \"Bearer SECRET\" }, x = 1 }",
            ),
            (
                "a.toml",
                "[[apps]]\nscript = \"s\"\nbuild = \"x --token SECRET\"\nhooks = { pre_start = \"y API_KEY=SECRET\", q = 1 }",
            ),
            (
                "a.toml",
                "[[apps]]\nscript = \"s\"\nready = { http = \"http://h/\", headers = { X-Foo = \"SECRET\" }, x = 1 }",
            ),
            (
                "a.toml",
                "[[apps]]\nscript = \"s\"\n[apps.ready]\nhttp = \"http://h/\"\nheaders = { X-Foo = \"SECRET\", x = }",
            ),
            ("a.toml", "[[apps]]\nscript = \"s\"\n[apps.ready.headers]\nX-Foo = \"SECRET"),
            ("a.yaml", "apps:\n  - script: s\n    ready:\n      headers:\n        X-Foo: \"SECRET\n"),
            ("a.toml", "[[apps]]\nscript = \"missing --token=SECRET\""),
            ("a.toml", "[[apps]]\ncommand = \"nosuch --token SECRET\""),
            ("a.toml", "[[apps]]\nscript = \"s\"\n[apps.env]\nDB_PASSWORD = \"SECRET"),
            ("a.toml", "[[apps]]\nscript = \"s\"\n[apps.env]\nDB_PASSWORD = SECRET"),
            ("a.toml", "[[apps]]\nscript = \"s\"\n[apps.env]\nDB_PASSWORD SECRET"),
            ("a.toml", "[[apps]]\nscript = \"s\"\n[apps.env]\nPRIVATE_KEY = \"\"\"\nabc\nSECRET \\q\n\"\"\""),
            ("a.yaml", "apps:\n  - script: s\n    env:\n      DB_PASSWORD: \"SECRET\n"),
            ("a.yaml", "apps:\n  - script: s\n    env: { DB_PASSWORD: SECRET, A: [1] }\n"),
            ("a.yaml", "apps:\n  - script: s\n    args:\n      - --password\n      - SECRET\n      - [1]\n"),
            ("a.yaml", "apps:\n  - script: s\n    env:\n      KEY: |\n        abc\n        SECRET\n       bad\n"),
            ("a.json", "{\"apps\":[{\"script\":\"s\",\"env\":{\"DB_PASSWORD\":\"SECRET\"},\"x\":1}]}"),
            ("a.json", "{\"apps\":[{\"script\":\"s\",\"env\":{\"DB_PASSWORD\":\"SECRET\" \"B\":1}}]}"),
        ] {
            let text = text.replace("SECRET", SECRET);
            let said = said(name, &text);
            assert!(!said.contains(SECRET), "{text}\n--\n{said}");
        }
    }

    /// Every key that there is, with a secret in every text of its example, in every way a secret can be known.
    #[test]
    fn no_key_shows_a_secret_whether_it_is_accepted_or_refused() {
        let mut accepted = 0;
        for key in KEYS.iter().filter(|key| key.example.contains('"')) {
            let program =
                if ["script", "command", "shell"].contains(&key.name) { "" } else { "script = \"server.js\"\n" };
            for way in ["TEXT --token SECRET", "--password=SECRET", "http://u:SECRET@h/", "http://h/?api_key=SECRET"] {
                if key.kind == "path" && way.contains("://") {
                    continue; // a path is cleaned, and is no URL any more
                }
                let text = |piece: (usize, &'static str)| {
                    if piece.0.is_multiple_of(2) { piece.1.to_owned() } else { way.replace("TEXT", piece.1) }
                };
                let example: Vec<String> = key.example.split('"').enumerate().map(text).collect();
                let file = format!("[[apps]]\n{program}{}", example.join("\"").replace("SECRET", SECRET));
                let reading = read_toml(&file);
                let mut said = render(&reading.diagnostics, &reading.files, &reading.secrets, false);
                said += &serde_json::to_string(&reading.diagnostics).unwrap();
                for app in reading.proposed.iter().flat_map(|proposed| &proposed.apps) {
                    said += &serde_json::to_string(&app.shown()).unwrap();
                    accepted += 1;
                }
                assert!(!said.contains(SECRET), "{file}\n--\n{said}");
            }
        }
        assert!(accepted >= 40, "only {accepted} are accepted");
    }

    #[test]
    fn what_is_ours_is_never_hidden() {
        let text = said("a.toml", "[[apps]]\nscript = \"a\u{1b}b\"");
        assert!(text.contains("invalid basic string"), "{text}");
        assert!(!text.contains(crate::model::HIDDEN), "{text}");
    }

    #[test]
    fn the_mark_stands_under_what_it_means() {
        let reading = read_toml("[[apps]]\nscript = \"s\"\nenv = { A_TOKEN = \"SECRET-long-long-long\", B = 1.5 }");
        let text = render(&reading.diagnostics, &reading.files, &reading.secrets, false);
        let line = "env = { A_TOKEN = \"(sensitive)\", B = 1.5 }";
        let at = text.find(line).unwrap_or_else(|| panic!("{text}"));
        let below = text[at..].lines().nth(1).unwrap();
        let column = text[at..].lines().next().unwrap().find("1.5").unwrap();
        assert!(below[below.find('|').unwrap() + 2..].chars().nth(column) == Some('^'), "{text}");
    }
}
