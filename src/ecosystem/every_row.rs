//! Every row of the table of keys, tried with the reader and with the schema.

use std::sync::LazyLock;

use crate::model::{App, FILE_KEYS, Field, KEYS, Key, Level, Shape, TextFormat, app_key};

use super::fake::{World, source};
use super::{Diagnostic, Profile, ReadOptions, Reading, read, schema, to_json};

/// A machine on which everything exists that an example names.
fn world() -> World {
    let files = ["api/server.js", "src/a.js", ".env", "dist/a.js", "package-lock.json", "build"];
    let world = files.iter().fold(World::usual(), |world, file| {
        let text = if *file == ".env" { "FROM_FILE=1\n" } else { "" };
        world.file(&format!("/srv/shop/{file}"), text, false)
    });
    world.variable("AWS_REGION", "eu")
}

fn read_with(text: &str, profile: Option<&str>) -> Reading {
    let profile = profile.map_or(Profile::None, |name| Profile::Named(name.to_owned()));
    read(&[source("pm.toml", text)], &ReadOptions { profile, ..ReadOptions::default() }, &world())
}

fn json(text: &str) -> serde_json::Value {
    to_json(&source("pm.toml", text)).unwrap_or_else(|| panic!("no TOML: {text}"))
}

fn validator() -> &'static jsonschema::Validator {
    static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| jsonschema::validator_for(&schema()).unwrap());
    &VALIDATOR
}

/// `a.b` as lines of a TOML table: `a = { b = VALUE }`.
fn line(path: &str, value: &str) -> String {
    match path.split_once('.') {
        Some((name, below)) => format!("{name} = {{ {} }}", line(below, value)),
        None => format!("{path} = {value}"),
    }
}

#[test]
fn a_wrong_value_is_refused_at_every_row_by_reader_and_schema() {
    let validator = validator();
    let is_refused = |place: &str, text: &str| {
        let said: Vec<String> = read_with(text, None).diagnostics.into_iter().map(|found| found.message).collect();
        let wanted = format!("`{place}` takes ");
        assert!(said.iter().any(|message| message.starts_with(&wanted)), "{place}: {said:?}");
        assert!(!validator.is_valid(&json(text)), "{place}: the schema takes it");
    };
    for key in FILE_KEYS {
        is_refused(key.name, &format!("{} = 1.5", key.name));
    }
    for key in KEYS {
        let inside = key.inside();
        for name in key.names().map(|name| name.replace("NAME", "production")) {
            let paths = inside.iter().map(|(path, _)| format!("{name}.{path}"));
            for path in std::iter::once(name.clone()).chain(paths) {
                let written = line(&path, "1.5");
                is_refused(&format!("apps.api.{path}"), &format!("[apps.api]\n{written}"));
            }
        }
    }
}

#[test]
fn a_key_may_stand_where_its_row_says_in_reader_and_schema() {
    let validator = validator();
    for key in KEYS {
        for (level, head) in
            [(Level::App, "[apps.api]"), (Level::Defaults, "[defaults]"), (Level::Profile, "[apps.api.profiles.x]")]
        {
            let text = format!("{head}\n{}", key.example.replace("www-data", "www"));
            let reading = read_with(&text, None);
            let is_taken = !reading.diagnostics.iter().any(|found| found.code == "unknown-key");
            assert_eq!(is_taken, key.is_allowed(level), "{} at {level:?}: {:?}", key.name, reading.diagnostics);
            assert_eq!(validator.is_valid(&json(&text)), key.is_allowed(level), "{} at {level:?}", key.name);
        }
    }
}

/// What an app needs besides a key, for it to mean anything.
fn beside(key: &str, line: &str) -> String {
    let program = match key {
        "script" | "command" => "",
        "shell" => "command = \"sleep 1\"",
        _ => "script = \"server.js\"",
    };
    let more = match key {
        "socket_names" => "listen = [\"8080\"]",
        "socket_mode" | "socket_user" | "socket_group" => "listen = [\"unix:x.sock\"]",
        "increment_var" => "env = { METRICS_PORT = 9000 }",
        "group" => "user = \"www\"",
        "cluster" => "exec_mode = \"cluster\"",
        "ready" if line.contains("listening") => "exec_mode = \"cluster\"",
        "ready" | "health" => "port = 80",
        "listen_timeout" => "wait_ready = true",
        "cron_timezone" | "cron_overlap" => "kind = \"task\"\ncron_restart = \"@daily\"",
        _ => "",
    };
    format!("{program}\n{more}\n")
}

/// The app that a key belongs to, or what is wrong with it.
fn app(key: &Key, line: &str) -> Result<App, Vec<Diagnostic>> {
    let name = if key.name == "name" { "" } else { "name = \"it\"\n" };
    let text =
        format!("[[apps]]\n{name}{}{line}\n[[apps]]\nname = \"db\"\nscript = \"run.sh\"\n", beside(key.name, line));
    assert!(validator().is_valid(&json(&text)), "the schema refuses {line}");
    let is_of_profile = ["env_NAME", "profiles"].contains(&key.name) && !line.is_empty();
    let reading = read_with(&text, is_of_profile.then_some("production"));
    reading.proposed.map(|mut proposed| proposed.apps.remove(0)).ok_or(reading.diagnostics)
}

/// Whether a value makes another app, or is refused because its behaviour is not built.
fn has_effect(key: &Key, is_built: bool, without: &str, with: &str) {
    let with_it = app(key, &with.replace("www-data", "www"));
    if is_built {
        assert!(with_it.is_ok(), "{with}: {with_it:#?}");
        assert_ne!(with_it, app(key, without), "{with} has no effect");
    } else {
        let codes: Vec<&str> = with_it.unwrap_err().iter().map(|found| found.code).collect();
        assert_eq!(codes, ["unsupported"], "{with}");
    }
}

#[test]
fn the_example_of_every_row_is_read_into_the_app() {
    for key in KEYS {
        has_effect(key, key.is_built, "", key.example);
    }
}

/// Another value than the default.
fn sample(path: &str, field: &Field) -> String {
    let of = |shape: &Shape| match shape {
        Shape::Boolean => Some((field.default != "true").to_string()),
        Shape::Integer(least, most) => Some(7.clamp(*least, *most).to_string()),
        Shape::Choice(words) => {
            let other = words.iter().find(|word| format!("\"{word}\"") != field.default);
            other.map(|word| format!("\"{word}\""))
        }
        Shape::Table(..) => Some("{ Accept = \"text/plain\" }".to_owned()),
        Shape::TextFormat(format) => Some(match (format, path) {
            (TextFormat::Duration, _) => "\"7s\"".to_owned(),
            (TextFormat::Size, _) => "\"64M\"".to_owned(),
            (_, "http" | "http.url") => "\"http://127.0.0.1/x\"".to_owned(),
            (_, "tcp") => "\"127.0.0.1:81\"".to_owned(),
            (_, "path") => "\".env\"".to_owned(),
            _ => "\"true\"".to_owned(),
        }),
        _ => None,
    };
    let shapes = if let Shape::Any(shapes) = &field.shape { shapes } else { std::slice::from_ref(&field.shape) };
    shapes.iter().find_map(of).unwrap_or_else(|| panic!("{path}: {:?}", field.shape))
}

/// The table of a key without a value and with it, and with whatever else it has to hold.
fn tables(key: &Key, path: &str, value: &str) -> (String, String) {
    const URL: &str = "url = \"http://127.0.0.1/\"";
    const TCP: &str = "tcp = \"127.0.0.1:80\"";
    let probes = ["http", "tcp", "exec", "log", "notify", "message", "listening"];
    let has_probe = ["ready", "health"].contains(&key.name);
    let (without, with) = match path.split_once('.') {
        Some(("http", "url")) => (format!("http = {{ {URL} }}"), line(path, value)),
        Some(("http", name)) => (format!("http = {{ {URL} }}"), format!("http = {{ {URL}, {name} = {value} }}")),
        _ if has_probe && probes.contains(&path) => (TCP.to_owned(), line(path, value)),
        _ if has_probe => (TCP.to_owned(), format!("{TCP}, {}", line(path, value))),
        _ => (String::new(), line(path, value)),
    };
    let table = |inside: &str| if inside.is_empty() { String::new() } else { format!("{} = {{ {inside} }}", key.name) };
    (table(&without), table(&with))
}

#[test]
fn every_row_inside_a_table_is_read_into_the_app() {
    let mut tried = 0;
    for key in KEYS {
        for (path, field) in key.inside() {
            // An app without the file is the same, except for an error.
            if (key.name, path.as_str()) == ("env_file", "required") {
                continue;
            }
            let value = sample(&path, field);
            let (without, with) = tables(key, &path, &value);
            has_effect(key, path != "compress", &without, &with);
            if path != "compress" && field.shape.of_free_names().is_none() {
                let filled_in = format!("\"${{UNSET:-{}}}\"", value.trim_matches('"'));
                assert_eq!(app(key, &tables(key, &path, &filled_in).1), app(key, &with), "{filled_in} in {with}");
            }
            tried += 1;
        }
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn a_variable_says_what_stands_for_it() {
    for (key, filled_in, written) in [
        ("depends_on", "{ db = \"${UNSET:-ready}\" }", "{ db = \"ready\" }"),
        ("env_file", "{ path = \"none\", required = \"${UNSET:-false}\" }", "{ path = \"none\", required = false }"),
        ("ready", "{ tcp = \"80\", notify = \"${UNSET:-false}\" }", "{ tcp = \"80\" }"),
        ("log_rotate", "{ compress = \"${UNSET:-false}\" }", "{}"),
        ("stop_exit_codes", "[\"${UNSET:-7}\", \"${UNSET:-8}\"]", "[7, 8]"),
    ] {
        let key = app_key(key).unwrap();
        let read = |value: &str| app(key, &line(key.name, value)).unwrap();
        assert_eq!(read(filled_in), read(written), "{} = {filled_in}", key.name);
    }
    for (line, place) in [
        ("depends_on = { db = \"${UNSET:-soon}\" }", "depends_on.db"),
        ("health = { tcp = \"80\", action = \"${UNSET:-stop}\" }", "health.action"),
        ("update = { auto_revert = \"${UNSET:-2}\" }", "update.auto_revert"),
        ("ready = { http = { url = \"http://h/\", status = \"${UNSET:-99}\" } }", "ready.http.status"),
        ("stop_exit_codes = [\"${UNSET:-256}\"]", "stop_exit_codes"),
    ] {
        let found = app(app_key(line.split(' ').next().unwrap()).unwrap(), line).unwrap_err();
        assert!(found.iter().all(|found| found.message.starts_with(&format!("`it.{place}`"))), "{line}: {found:?}");
    }
}
