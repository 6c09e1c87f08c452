//! Secrets in every quoting of every format, with mistakes around them → messages without them.
#![expect(clippy::unnecessary_wraps, reason = "ways to write a text are of one type; some can write any")]

use proptest::prelude::*;

use crate::ecosystem::fake::{World, source};
use crate::ecosystem::{ReadOptions, read, render};

/// How a text is written in one format.
type Quoting = (&'static str, fn(&str) -> Option<String>);

fn escaped(text: &str, short: &[(char, &str)], writes_all: bool) -> String {
    let letter = |letter: char| match short.iter().find(|(known, _)| *known == letter) {
        Some((_, escape)) => (*escape).to_owned(),
        None if writes_all || letter.is_control() => {
            let units =
                letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>();
            units.concat()
        }
        None => letter.to_string(),
    };
    text.chars().map(letter).collect()
}

const SHORT: &[(char, &str)] = &[('"', "\\\""), ('\\', "\\\\"), ('\n', "\\n"), ('\t', "\\t")];

fn basic(text: &str) -> Option<String> {
    Some(format!("\"{}\"", escaped(text, SHORT, false)))
}

fn numbers(text: &str) -> Option<String> {
    let is_plain = text.chars().all(|letter| u32::from(letter) < 0xD800);
    is_plain.then(|| format!("\"{}\"", escaped(text, &[], true)))
}

fn pairs(text: &str) -> Option<String> {
    Some(format!("\"{}\"", escaped(text, &[], true)))
}

fn literal(text: &str) -> Option<String> {
    (!text.contains(['\'', '\n'])).then(|| format!("'{text}'"))
}

fn long(text: &str) -> Option<String> {
    Some(format!("\"\"\"\n{}\"\"\"", escaped(text, &SHORT[..2], false)))
}

fn long_literal(text: &str) -> Option<String> {
    (!text.contains("'''") && !text.ends_with('\'')).then(|| format!("'''\n{text}'''"))
}

fn doubled(text: &str) -> Option<String> {
    (!text.contains('\n')).then(|| format!("'{}'", text.replace('\'', "''")))
}

fn folded(text: &str) -> Option<String> {
    // A line break in quotes is a blank, and a backslash before it is nothing.
    let (first, rest) = text.split_at(text.char_indices().nth(3)?.0);
    let [first, rest] = [first, rest].map(|text| escaped(text, SHORT, false));
    Some(format!("\"{first}\\\n        {rest}\""))
}

fn block(text: &str) -> Option<String> {
    let is_plain = !text.contains('\t') && text.lines().all(|line| !line.trim().is_empty());
    is_plain.then(|| format!("|-\n        {}", text.replace('\n', "\n        ")))
}

const TOML: &[Quoting] =
    &[("basic", basic), ("numbers", numbers), ("literal", literal), ("long", long), ("long literal", long_literal)];
const YAML: &[Quoting] =
    &[("basic", basic), ("numbers", numbers), ("doubled", doubled), ("folded", folded), ("block", block)];
const JSON: &[Quoting] = &[("basic", basic), ("pairs", pairs)];

/// Files in which something is wrong with or beside the value V; in the last ones of each format, with the whole file.
const FILES: &[(&str, &[Quoting], &str)] = &[
    ("a.toml", TOML, "[[apps]]\nscript = \"s\"\nenv = { DB_PASSWORD = V, A = [1] }\n"),
    ("a.toml", TOML, "[[apps]]\nscript = \"s\"\nargs = [\"--password\", V, 1.5]\n"),
    ("a.toml", TOML, "[[apps]]\nscript = V\nenv = { DB_PASSWORD = V }\n"),
    ("a.toml", TOML, "[[apps]]\nscript = \"s\"\nkill_timeout = V\nenv = { DB_PASSWORD = V }\n"),
    ("a.toml", TOML, "[[apps]]\nscript = \"s\"\npassword = V\n"),
    ("a.toml", TOML, "[[apps]]\nscript = \"s\"\n[apps.env]\nDB_PASSWORD = V x\n"),
    ("a.yaml", YAML, "apps:\n  - script: s\n    kill_timeout: V\n    env:\n      DB_PASSWORD: V\n"),
    ("a.yaml", YAML, "apps:\n  - script: s\n    password: V\n"),
    ("a.json", JSON, "{\"apps\":[{\"script\":\"s\",\"env\":{\"DB_PASSWORD\":V},\"x\":1}]}"),
    ("a.json", JSON, "{\"apps\":[{\"script\":\"s\",\"kill_timeout\":V,\"env\":{\"DB_PASSWORD\":V}}]}"),
    ("a.json", JSON, "{\"apps\":[{\"script\":\"s\",\"env\":{\"DB_PASSWORD\":V \"B\":1}}]}"),
];

/// Everything that is said about a file, as text and as data.
fn said(name: &str, text: &str, given: &str) -> String {
    let world = World::usual().variable("OTHER_TOKEN", given);
    let reading = read(&[source(name, text)], &ReadOptions::default(), &world);
    assert!(!reading.diagnostics.is_empty(), "{text}");
    let data = serde_json::to_string(&reading.diagnostics).unwrap();
    format!("{}\n{data}", render(&reading.diagnostics, &reading.files, &reading.secrets, false))
}

/// A secret of two pieces that nothing else contains, with what needs an escape around and between them.
fn secret() -> impl Strategy<Value = String> {
    let odd =
        || proptest::collection::vec(prop::sample::select(vec!['"', '\'', '\\', 'é', '😀', '#', '$', '\n']), 1..4);
    (odd(), odd()).prop_map(|(middle, end)| {
        let text = |letters: Vec<char>| letters.into_iter().collect::<String>();
        // A `$` begins a variable.
        format!("Qq7first{}second7qQ{}", text(middle), text(end)).replace('$', "%").trim_end().to_owned()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn no_way_to_write_a_secret_shows_it(secret in secret()) {
        for (name, quotings, file) in FILES {
            for (way, quoting) in *quotings {
                let Some(value) = quoting(&secret) else { continue };
                let text = file.replace('V', &value);
                let said = said(name, &text, &secret);
                for piece in ["Qq7first", "second7qQ", "7fir", "cond7"] {
                    prop_assert!(!said.contains(piece), "{way}: {piece}\n{text}\n--\n{said}");
                }
                if *way == "numbers" || *way == "pairs" {
                    prop_assert!(!said.contains("\\u0037"), "{way}\n{text}\n--\n{said}");
                }
            }
        }
    }
}

#[test]
fn only_the_value_is_hidden() {
    let said = said(
        "a.toml",
        "[[apps]]\nscript = \"s\"\nenv = { A_TOKEN = \"ab\\\"cd\\\"ef\", B = [1], C = \"it\\\"s\" }",
        "x",
    );
    assert!(said.contains("env = { A_TOKEN = \"(sensitive)\", B = [1], C = \"it\\\"s\" }"), "{said}");
}
