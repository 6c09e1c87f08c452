//! What `--json` shows, reduced to what the tests ask. The only place that knows those shapes.

use serde_json::Value;

/// One instance of `pm list --json`.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceView {
    /// `api/0`: without the project; `api/0+` while it is to take a slot over.
    pub id: String,
    /// `shop`.
    pub project: String,
    /// `running`, `stopped`, `backoff`, …
    pub phase: String,
    /// The main process.
    pub pid: Option<u32>,
    /// Restarts that were not requested.
    pub restarts: u64,
}

impl InstanceView {
    /// Every instance in a document of `pm list --json`; an app without instances has none.
    pub fn all(list: &Value) -> Vec<Self> {
        let rows = list["apps"].as_array().unwrap_or_else(|| panic!("no apps in {list:#}"));
        rows.iter().filter(|row| row["slot"].is_u64()).map(Self::one).collect()
    }

    fn one(row: &Value) -> Self {
        let text = |name: &str| row[name].as_str().unwrap_or_else(|| panic!("no {name} in {row:#}")).to_owned();
        Self {
            id: text("id").split_once(':').map(|(_, id)| id.to_owned()).unwrap_or_default(),
            project: text("project"),
            phase: row["status"]["word"].as_str().unwrap_or_else(|| panic!("no status in {row:#}")).to_owned(),
            pid: row["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()),
            restarts: row["restarts"].as_u64().unwrap_or_default(),
        }
    }
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
    pub incarnation: Option<u64>,
    /// The exit code, where it is about an exit with one.
    pub exit_code: Option<i64>,
}

impl AppEvent {
    /// Every event in a document of `pm events --json`.
    pub fn all(document: &Value) -> Vec<Self> {
        let events = document["events"].as_array().unwrap_or_else(|| panic!("no events in {document:#}"));
        events.iter().map(Self::one).collect()
    }

    fn one(event: &Value) -> Self {
        Self {
            seq: event["seq"].as_u64().unwrap_or_else(|| panic!("no seq in {event:#}")),
            fact: event["event"].as_str().unwrap_or_default().to_owned(),
            about: event["about"]["instance"].as_str().unwrap_or_default().to_owned(),
            incarnation: event["incarnation"].as_u64(),
            exit_code: event["exit"]["code"].as_i64(),
        }
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
