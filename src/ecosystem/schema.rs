//! The JSON Schema (draft 2020-12), made from the same shapes that the parser checks.

use serde_json::{Map, Value as Json, json};

use crate::model::{KEYS, Key};

use super::keys::{self, NOT_IN_DEFAULTS, NOT_IN_PROFILES, PROJECT_KEYS, app_key};
use super::shape::{Field, Shape, TextFormat};

/// The schema of an ecosystem file, as committed under `schemas/`.
pub fn schema() -> Json {
    let of_key = |name: &str| PROJECT_KEYS.iter().find(|key| key.0 == name).map_or("", |key| key.2);
    let app = json!({ "$ref": "#/$defs/app" });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pm ecosystem file",
        "description": "Which apps should run on this machine.",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": false,
        "properties": {
            "$schema": { "description": "Where editors find this schema.", "type": ["string", "number", "boolean", "array", "object"] },
            "project": described(of(&keys::PROJECT), of_key("project")),
            "defaults": described(json!({ "$ref": "#/$defs/defaults" }), of_key("defaults")),
            "apps": described(json!({ "anyOf": [
                { "type": "array", "items": app },
                { "type": "object", "propertyNames": keys_of(&keys::APP_NAME), "additionalProperties": app },
            ] }), of_key("apps")),
            "self_heal": described(of(&keys::SELF_HEAL), of_key("self_heal")),
        },
        "$defs": definitions(),
    })
}

fn definitions() -> Json {
    let mut definitions = Map::new();
    definitions.insert("app".into(), level(&[], true));
    definitions.insert("defaults".into(), level(NOT_IN_DEFAULTS, true));
    definitions.insert("profile".into(), level(NOT_IN_PROFILES, false));
    definitions.insert("unset".into(), unset());
    for key in KEYS {
        if let Some(found) = app_key(key.name).or_else(|| app_key("env_x").filter(|_| key.name == "env_NAME")) {
            definitions.insert(format!("key.{}", key.name), of_app_key(key, found.shape));
        }
    }
    Json::Object(definitions)
}

/// The keys of an app, of `defaults`, or of a profile.
fn level(without: &[&str], has_profiles: bool) -> Json {
    let mut properties = Map::new();
    let mut not_both = Vec::new();
    for key in KEYS.iter().filter(|key| !without.contains(&key.name) && key.name != "env_NAME") {
        let reference = json!({ "$ref": format!("#/$defs/key.{}", key.name) });
        for name in std::iter::once(&key.name).chain(key.aliases) {
            properties.insert((*name).to_owned(), reference.clone());
        }
        for alias in key.aliases {
            not_both.push(json!({ "not": { "required": [key.name, alias] } }));
        }
    }
    let mut level = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if let Json::Object(map) = &mut level {
        map.insert("allOf".into(), Json::Array(not_both));
        if has_profiles {
            let reference = json!({ "$ref": "#/$defs/key.env_NAME" });
            map.insert("patternProperties".into(), json!({ "^env_(?!file$|none$).+$": reference }));
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

fn of_app_key(key: &Key, shape: &'static Shape) -> Json {
    let value = match key.name {
        "profiles" => json!({
            "type": "object",
            "propertyNames": keys_of(&keys::PROFILE_NAME),
            "additionalProperties": { "$ref": "#/$defs/profile" },
        }),
        "name" => return described(of(shape), &help(key)),
        _ => removable(of(shape)),
    };
    described(value, &help(key))
}

fn help(key: &Key) -> String {
    let later = if key.is_built { "" } else { " (Not implemented yet.)" };
    format!("{}{later} Default: {}. Example: {}", key.help, key.default, key.example)
}

fn described(mut schema: Json, words: &str) -> Json {
    if let Json::Object(map) = &mut schema {
        map.insert("description".into(), words.into());
    }
    schema
}

/// Every key also takes `{ unset = true }`.
fn removable(schema: Json) -> Json {
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
        Shape::TextFormat(form) => of_form(form),
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
            "type": "object", "propertyNames": keys_of(keys), "additionalProperties": removable(of(shape)),
        }),
        Shape::Record(fields) => of_record(fields),
        Shape::Any(shapes) => json!({ "anyOf": shapes.iter().map(of).collect::<Vec<_>>() }),
    }
}

fn keys_of(form: &TextFormat) -> Json {
    json!({ "pattern": form.pattern })
}

fn of_form(form: &TextFormat) -> Json {
    let mut shapes = vec![json!({ "type": "string", "pattern": form.pattern })];
    if form.takes_variables {
        shapes.push(json!({ "type": "string", "pattern": HAS_VARIABLE }));
    }
    if form.takes_zero {
        shapes.push(json!({ "const": 0 }));
    }
    if shapes.len() == 1 { shapes.remove(0) } else { json!({ "anyOf": shapes }) }
}

fn of_record(fields: &[Field]) -> Json {
    let one = |field: &Field| (field.name.to_owned(), described(removable(of(&field.shape)), field.help));
    let properties: Map<String, Json> = fields.iter().map(one).collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.is_required).map(|field| field.name).collect();
    let mut record = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if let (Json::Object(map), false) = (&mut record, required.is_empty()) {
        map.insert("required".into(), json!(required));
    }
    record
}
