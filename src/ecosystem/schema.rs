//! The JSON Schema (draft 2020-12), made from the same shapes that the parser checks.

use serde_json::{Map, Value as Json, json};

use crate::model::{FILE_KEYS, Field, KEYS, Key, Level, Shape, TextFormat};

use super::formats::rule;

/// The schema of an ecosystem file, as committed under `schemas/`.
pub fn schema() -> Json {
    let mut properties = Map::new();
    properties.insert(
        "$schema".into(),
        json!({
            "description": "Where editors find this schema.",
            "type": ["string", "number", "boolean", "array", "object"],
        }),
    );
    for key in FILE_KEYS {
        properties.insert(key.name.into(), described(of(&key.shape), key.help));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pm ecosystem file",
        "description": "Which apps should run on this machine.",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": false,
        "properties": properties,
        "patternProperties": { OWN_NOTE: true },
        "$defs": definitions(),
    })
}

/// Keys for whoever writes the file.
const OWN_NOTE: &str = "^x-";

fn definitions() -> Json {
    let mut definitions = Map::new();
    for at in [Level::App, Level::Defaults, Level::Profile] {
        definitions.insert(name_of(at).into(), level(at));
    }
    definitions.insert("unset".into(), unset());
    for key in KEYS {
        definitions.insert(format!("key.{}", key.name), of_key(key));
    }
    Json::Object(definitions)
}

fn name_of(level: Level) -> &'static str {
    match level {
        Level::App => "app",
        Level::Defaults => "defaults",
        Level::Profile => "profile",
    }
}

/// The keys of an app, of `defaults`, or of a profile.
fn level(at: Level) -> Json {
    let mut properties = Map::new();
    let mut not_both = Vec::new();
    let mut patterns = Map::from_iter([(OWN_NOTE.to_owned(), Json::Bool(true))]);
    for key in KEYS.iter().filter(|key| key.is_allowed(at)) {
        let reference = json!({ "$ref": format!("#/$defs/key.{}", key.name) });
        if key.name == "env_NAME" {
            patterns.insert("^env_(?!file$|none$).+$".into(), reference);
            continue;
        }
        for name in key.names() {
            properties.insert(name.to_owned(), reference.clone());
        }
        for alias in key.aliases {
            not_both.push(json!({ "not": { "required": [key.name, alias] } }));
        }
    }
    let mut level = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if let Json::Object(map) = &mut level {
        map.insert("allOf".into(), Json::Array(not_both));
        if !patterns.is_empty() {
            map.insert("patternProperties".into(), Json::Object(patterns));
        }
    }
    level
}

fn unset() -> Json {
    json!({
        "description": "Removes the value from defaults, an earlier file or the app itself.",
        "type": "object", "additionalProperties": false, "required": ["unset"],
        "properties": { "unset": { "const": true } },
    })
}

fn of_key(key: &Key) -> Json {
    let value = match key.name {
        // An app cannot lose its name.
        "name" => of(&key.shape),
        _ => removable(&key.shape),
    };
    described(value, &help(key))
}

fn help(key: &Key) -> String {
    let later = if key.is_built { "" } else { " (Not implemented yet.)" };
    format!("{}{later} Default: {}. Example: {}", key.help, key.default, key.example)
}

fn help_of_field(field: &Field) -> String {
    match field.default {
        "none" => field.help.to_owned(),
        default => format!("{} Default: {default}.", field.help),
    }
}

fn described(mut schema: Json, words: &str) -> Json {
    if let Json::Object(map) = &mut schema {
        map.insert("description".into(), words.into());
    }
    schema
}

/// A value that may be `{ unset = true }` instead, as every one may that does not hold keys of an app.
fn removable(shape: &Shape) -> Json {
    let schema = of(shape);
    if shape.has_app_keys() {
        return schema;
    }
    let unset = json!({ "$ref": "#/$defs/unset" });
    match schema {
        Json::Object(mut map) if map.len() == 1 && map.contains_key("anyOf") => {
            if let Some(Json::Array(shapes)) = map.get_mut("anyOf") {
                shapes.push(unset);
            }
            Json::Object(map)
        }
        other => json!({ "anyOf": [other, unset] }),
    }
}

const HAS_VARIABLE: &str = r"^(?:[^$]|\$\$|\$(?![\${]))*\$\{";

/// One shape.
fn of(shape: &Shape) -> Json {
    let waiting = || json!({ "type": "string", "pattern": HAS_VARIABLE });
    match shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::TextFormat(format) => of_format(*format),
        Shape::Boolean => json!({ "anyOf": [{ "type": "boolean" }, waiting()] }),
        Shape::Integer(min, max) => {
            let mut integer = json!({ "type": "integer" });
            if let Json::Object(map) = &mut integer {
                // The ends of 64 bits are no limit that a reader should have to read.
                if *min != i64::MIN {
                    map.insert("minimum".into(), (*min).into());
                }
                if *max != i64::MAX {
                    map.insert("maximum".into(), (*max).into());
                }
            }
            json!({ "anyOf": [integer, waiting()] })
        }
        Shape::Choice(words) => json!({ "anyOf": [{ "enum": words }, waiting()] }),
        Shape::List(shape) => json!({ "type": "array", "items": of(shape) }),
        Shape::Table(keys, shape) => json!({
            "type": "object", "propertyNames": { "pattern": rule(*keys).pattern }, "additionalProperties": removable(shape),
        }),
        Shape::Record(fields) => of_record(fields),
        Shape::Keys(level) => json!({ "$ref": format!("#/$defs/{}", name_of(*level)) }),
        Shape::Any(shapes) => json!({ "anyOf": shapes.iter().map(of).collect::<Vec<_>>() }),
    }
}

fn of_format(format: TextFormat) -> Json {
    let rule = rule(format);
    let mut shapes = vec![json!({ "type": "string", "pattern": rule.pattern })];
    if rule.takes_variables {
        shapes.push(json!({ "type": "string", "pattern": HAS_VARIABLE }));
    }
    if rule.takes_zero {
        shapes.push(json!({ "const": 0 }));
    }
    if shapes.len() == 1 { shapes.remove(0) } else { json!({ "anyOf": shapes }) }
}

fn of_record(fields: &[Field]) -> Json {
    let one = |field: &Field| (field.name.to_owned(), described(removable(&field.shape), &help_of_field(field)));
    let properties: Map<String, Json> = fields.iter().map(one).collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.is_required).map(|field| field.name).collect();
    let mut record = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if let (Json::Object(map), false) = (&mut record, required.is_empty()) {
        map.insert("required".into(), json!(required));
    }
    record
}
