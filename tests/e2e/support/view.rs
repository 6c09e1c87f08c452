//! What `--json` shows, reduced to what the tests ask. The only place that knows those shapes.

use serde_json::Value;

/// One instance of `pm list --json`.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceView {
    /// `api/0`: without the project.
    pub id: String,
    /// `shop`.
    pub project: String,
    /// `running`, `stopped`, `backoff`, …
    pub phase: String,
    /// The main process.
    pub pid: Option<u32>,
    /// How many processes this instance has had.
    pub generation: u64,
    /// Restarts that nobody asked for.
    pub restarts: u64,
}

impl InstanceView {
    /// Every instance in a document of `pm list --json`.
    pub fn all(list: &Value) -> Vec<Self> {
        let rows = list.as_array().or_else(|| find(list, "instances").and_then(Value::as_array));
        rows.unwrap_or_else(|| panic!("no instances in {list:#}")).iter().map(Self::one).collect()
    }

    fn one(row: &Value) -> Self {
        let id = row["id"].as_str().or(row["instance"].as_str()).unwrap_or_else(|| panic!("no id in {row:#}"));
        let (project, id) = id.split_once(':').unwrap_or((row["project"].as_str().unwrap_or_default(), id));
        let number = |name: &str| row[name].as_u64().unwrap_or_default();
        Self {
            id: id.to_owned(),
            project: project.to_owned(),
            phase: phase(row),
            pid: row["pid"].as_u64().or(row["phase"]["pid"].as_u64()).and_then(|pid| u32::try_from(pid).ok()),
            generation: number("generation"),
            restarts: number("restarts"),
        }
    }
}

fn phase(row: &Value) -> String {
    let word = row["phase"].as_str().or(row["phase"]["is"].as_str()).or(row["status"].as_str());
    word.unwrap_or_else(|| panic!("no phase in {row:#}")).to_owned()
}

/// One event of `pm events --json`.
#[derive(Clone, Debug, PartialEq)]
pub struct AppEvent {
    /// Its number.
    pub seq: u64,
    /// `started`, `exited`, …
    pub fact: String,
    /// `shop:api/0` where it is about an instance.
    pub about: String,
    /// The how-manieth process of the instance.
    pub generation: Option<u64>,
    /// The exit code, where it is about an exit with one.
    pub exit_code: Option<i64>,
}

impl AppEvent {
    /// Every event of `pm events --json`: one document, or one per line.
    pub fn all(text: &str) -> Vec<Self> {
        let documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let documents = documents.map(|document| document.unwrap_or_else(|error| panic!("{error} in {text}")));
        documents
            .flat_map(|document| match find(&document, "events").or(Some(&document)) {
                Some(Value::Array(events)) => events.clone(),
                _ => vec![document],
            })
            .map(|event| Self::one(&event))
            .collect()
    }

    fn one(event: &Value) -> Self {
        Self {
            seq: event["seq"].as_u64().unwrap_or_else(|| panic!("no seq in {event:#}")),
            fact: event["event"].as_str().unwrap_or_default().to_owned(),
            about: event["about"]["instance"].as_str().unwrap_or_default().to_owned(),
            generation: event["generation"].as_u64(),
            exit_code: event["exit"]["code"].as_i64(),
        }
    }
}

/// The first value under `key`, however deep.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(key).or_else(|| map.values().find_map(|inner| find(inner, key))),
        Value::Array(list) => list.iter().find_map(|inner| find(inner, key)),
        _ => None,
    }
}

/// Every number under `key`, however deep.
pub fn numbers_of(value: &Value, key: &str) -> Vec<u64> {
    match value {
        Value::Object(map) => {
            let here = map.get(key).and_then(Value::as_u64);
            here.into_iter().chain(map.values().flat_map(|inner| numbers_of(inner, key))).collect()
        }
        Value::Array(list) => list.iter().flat_map(|inner| numbers_of(inner, key)).collect(),
        _ => Vec::new(),
    }
}

/// Whether `key` stands anywhere in the document with this text.
pub fn has_any(value: &Value, key: &str, text: &str) -> bool {
    match value {
        Value::Object(map) => {
            map.get(key).is_some_and(|here| here == text) || map.values().any(|inner| has_any(inner, key, text))
        }
        Value::Array(list) => list.iter().any(|inner| has_any(inner, key, text)),
        _ => false,
    }
}
