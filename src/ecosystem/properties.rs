//! What holds for every text: no panic, limits that hold, and form that makes no difference.

use std::fmt::Write as _;
use std::time::Instant;

use proptest::prelude::*;

use crate::model::Proposed;

use super::fake::{World, source};
use super::{ReadOptions, Reading, SourceFile, read, render};

const NAMES: [&str; 5] = ["pm.toml", "pm.yaml", "pm.json", "pm.jsonc", "pm.txt"];

fn read_one(name: &str, text: &[u8]) -> Reading {
    let file = SourceFile::new(format!("/srv/shop/{name}").into(), text.to_vec());
    let reading = read(&[file], &ReadOptions { with_sources: true, ..Default::default() }, &World::usual());
    let text = render(&reading.diagnostics, &reading.files, &reading.secrets, false);
    assert_eq!(text.is_empty(), reading.diagnostics.is_empty());
    reading
}

/// Pieces that are likely to lead deep into the parsers.
fn fragments() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "[[apps]]",
        "[apps.a]",
        "apps:",
        "{",
        "}",
        "[",
        "]",
        "\n",
        "  ",
        "- ",
        "name",
        "script",
        "=",
        ":",
        " ",
        ",",
        "\"",
        "'",
        "run.sh",
        "env",
        "&a",
        "*a",
        "<<",
        "null",
        "1",
        "0x",
        "-",
        "true",
        "${",
        "}",
        "$$",
        "${A:-",
        "#",
        "//",
        "/*",
        "depends_on",
        "unset",
        "instances",
        "\u{FEFF}",
        "é",
        "\t",
        "---",
        "|",
        ">",
        "\\",
        "\r\n",
        "\0",
        "1e9",
        "kill_timeout",
        "profiles",
        "env_x",
        "5s",
        "~",
        "!",
        "%",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for name in NAMES {
            read_one(name, &bytes);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in fragments()) {
        for name in NAMES {
            read_one(name, text.as_bytes());
        }
    }

    #[test]
    fn no_value_makes_it_panic(value in "\\PC{0,40}", key in prop::sample::select(crate::model::KEYS)) {
        let quoted = serde_json::Value::String(value);
        read_one("pm.json", format!("{{\"apps\":[{{\"name\":\"a\",\"script\":\"run.sh\",\"{}\":{quoted}}}]}}", key.name).as_bytes());
        read_one("pm.json", format!("{{\"apps\":[{{\"name\":\"a\",\"{}\":[{quoted},{{\"x\":{quoted}}}]}}]}}", key.name).as_bytes());
    }

    #[test]
    fn order_comments_and_format_make_no_difference(apps in prop::collection::vec(made_up_app(), 1..5), turn in 0_usize..7) {
        let toml = proposed("pm.toml", &as_toml(&apps, 0));
        prop_assert_eq!(&toml, &proposed("pm.toml", &as_toml(&apps, turn)));
        prop_assert_eq!(&toml, &proposed("pm.yaml", &as_yaml(&apps, turn)));
        prop_assert_eq!(&toml, &proposed("pm.json", &as_json(&apps, turn)));
    }
}

/// `key = value` with values that are written alike as JSON, YAML (flow) and TOML.
type MadeUp = Vec<(&'static str, String)>;

fn made_up_app() -> impl Strategy<Value = MadeUp> {
    let text = "[ -~é]{0,12}".prop_map(|text| serde_json::Value::String(text.replace('$', "$$")).to_string());
    let texts = prop::collection::vec(text.clone(), 0..4).prop_map(|texts| format!("[{}]", texts.join(", ")));
    (texts, text, 0_u32..10, any::<bool>(), 1_u32..60).prop_map(|(args, value, instances, autostart, seconds)| {
        vec![
            ("script", "\"run.sh\"".to_owned()),
            ("args", args.clone()),
            ("env", value),
            ("instances", instances.to_string()),
            ("interpreter", "\"sh\"".to_owned()),
            ("autostart", autostart.to_string()),
            ("kill_timeout", format!("\"{seconds}s\"")),
        ]
    })
}

fn turned(app: &MadeUp, turn: usize) -> MadeUp {
    let mut app = app.clone();
    let length = app.len();
    app.rotate_left(turn % length);
    app
}

fn as_toml(apps: &[MadeUp], turn: usize) -> String {
    let mut text = String::new();
    for (at, app) in apps.iter().enumerate() {
        let _ = writeln!(text, "[[apps]]{}\nname = \"app-{at}\"", if turn > 0 { "  # an app" } else { "" });
        for (key, value) in turned(app, turn) {
            let value = if key == "env" { format!("{{ A = {value} }}") } else { value };
            let _ = writeln!(text, "{}{key} = {value}", " ".repeat(turn));
        }
    }
    text
}

fn as_yaml(apps: &[MadeUp], turn: usize) -> String {
    let mut text = "# a comment\napps:\n".to_owned();
    for (at, app) in apps.iter().enumerate() {
        let _ = writeln!(text, "  app-{at}:");
        for (key, value) in turned(app, turn) {
            let value = if key == "env" { format!("{{A: {value}}}") } else { value };
            let _ = writeln!(text, "    {key}:   {value}");
        }
    }
    text
}

fn as_json(apps: &[MadeUp], turn: usize) -> String {
    let app = |(at, app): (usize, &MadeUp)| {
        let one = |(key, value): (&str, String)| match key {
            "env" => format!("\"env\": {{ \"A\": {value} }}"),
            _ => format!("\"{key}\": {value}"),
        };
        let keys: Vec<String> = turned(app, turn).into_iter().map(one).collect();
        format!("{{ \"name\": \"app-{at}\", {} }}", keys.join(", "))
    };
    let apps: Vec<String> = apps.iter().enumerate().map(app).collect();
    format!("{{ /* a comment */ \"apps\": [{}] }}", apps.join(","))
}

fn proposed(name: &str, text: &str) -> Proposed {
    let reading = read_one(name, text.as_bytes());
    let mut proposed = reading.proposed.unwrap_or_else(|| panic!("{text}\n{:#?}", reading.diagnostics));
    proposed.origin.files.clear();
    proposed
}

#[test]
fn huge_and_deep_files_are_refused_in_time() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(20_000), close.repeat(20_000));
    let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let _ = writeln!(laughs, "a{level}: &a{level} [{}]", vec![format!("*a{}", level - 1); 9].join(","));
    }
    let mut chain = "a0: &a0 x\n".to_owned();
    for level in 1..3000 {
        let _ = writeln!(chain, "a{level}: &a{level} [*a{}]", level - 1);
    }
    for (name, text) in [
        ("pm.toml", "# x\n".repeat((4 << 20) / 4 + 1)),
        ("pm.toml", format!("a = {}", deep("[", "]"))),
        ("pm.toml", format!("a = {}1{}", "{b = ".repeat(70), "}".repeat(70))),
        ("pm.toml", format!("{} = 1", vec!["a"; 10_000].join("."))),
        ("pm.yaml", deep("[", "]")),
        ("pm.yaml", deep("{a: ", "}")),
        ("pm.yaml", laughs),
        ("pm.yaml", chain),
        ("pm.yaml", "- ".repeat(20_000)),
        ("pm.json", deep("[", "]")),
        ("pm.json", format!("{{\"apps\":[{}1]}}", "1,".repeat(100_001))),
        ("pm.json", format!("{{\"apps\":\"{}\"}}", "x".repeat((1 << 20) + 1))),
    ] {
        let begin = Instant::now();
        let reading = read_one(name, text.as_bytes());
        assert!(reading.proposed.is_none(), "{name}: {}", &text[..40]);
        // A debug build on a busy machine; what must not happen takes hours.
        assert!(begin.elapsed().as_secs() < 20, "{name}: {}", &text[..40]);
    }
}

#[test]
fn a_thousand_apps_are_read_in_linear_time() {
    let mut text = String::new();
    for at in 0..1000 {
        let _ = writeln!(text, "[[apps]]\nname = \"app-{at}\"\nscript = \"server.js\"\nport = {}", 2000 + at);
        let _ = writeln!(text, "env = {{ A = \"${{LANG}}\", B = \"2\" }}");
        if at > 0 {
            let _ = writeln!(text, "depends_on = [\"app-{}\"]", at - 1);
        }
    }
    let reading = read(&[source("pm.toml", &text)], &ReadOptions::default(), &World::usual());
    assert_eq!(reading.diagnostics, []);
    assert_eq!(reading.proposed.unwrap().apps.len(), 1000);
}
