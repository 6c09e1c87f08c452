//! `GET /v1/history`, `GET /v1/history/entry`, `POST /v1/history/tag`, `POST /v1/rollback`: what was declared before, and the
//! way back there.

use serde::{Deserialize, Serialize};

use super::Scope;
use crate::model::{
    Actor, AppName, AppOutcome, Digest, EntryOrigin, EntryResult, FieldChange, Plan, ProjectName, Provenance, Refusal,
    RollbackOptions, ShownApp, WallTime,
};

/// The answer of `GET /v1/history`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// The daemon's clock.
    pub now: WallTime,
    /// The project.
    pub project: ProjectName,
    /// Its generation now; it may have no entry, as of a restart or a scale.
    pub generation: u64,
    /// The newest first.
    pub entries: Vec<HistoryRow>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// Its name.
    pub generation: u64,
    /// When it was accepted.
    pub at: WallTime,
    /// The user; none for what was declared before there was a history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// The kind of command.
    #[serde(flatten)]
    pub origin: EntryOrigin,
    /// The name that a user gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The files and the commit that it came from.
    #[serde(default, skip_serializing_if = "Provenance::is_empty")]
    pub provenance: Provenance,
    /// How it went.
    pub result: EntryResult,
    /// Every app that was declared then is or was healthy, or had nothing to run.
    pub is_healthy: bool,
    /// The same is declared now.
    pub is_current: bool,
    /// Apps that it declared for the first time.
    pub added: Vec<AppName>,
    /// Apps that it declared otherwise.
    pub changed: Vec<AppName>,
    /// Apps that it removed.
    pub removed: Vec<AppName>,
    /// Those of them that failed.
    pub failed: Vec<AppName>,
    /// How many apps were declared then.
    pub apps: u32,
}

/// The answer of `GET /v1/history/entry`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntryAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// The daemon's clock.
    pub now: WallTime,
    /// The project.
    pub project: ProjectName,
    /// The entry.
    pub entry: HistoryRow,
    /// What was declared then.
    pub apps: Vec<HistoryApp>,
    /// The difference, if another entry was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<HistoryDifference>,
}

/// An app as it was declared at a generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryApp {
    /// Its name.
    pub app: AppName,
    /// What became of it.
    pub outcome: AppOutcome,
    /// Its spec without its secrets; none if it was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<ShownApp>,
}

/// What differs between two entries: from the other one to this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryDifference {
    /// The other one.
    pub from: u64,
    /// Apps that only this one has.
    pub added: Vec<AppName>,
    /// Apps that only the other one has.
    pub removed: Vec<AppName>,
    /// Apps that both have.
    pub changed: Vec<AppDifference>,
}

/// What differs between two declarations of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppDifference {
    /// Its name.
    pub app: AppName,
    /// Its fields; secrets are hidden.
    pub fields: Vec<FieldChange>,
    /// Variables of the recorded shell environment that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
}

/// The body of `POST /v1/history/tag`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRequest {
    /// From where the project is looked for.
    pub scope: Scope,
    /// A generation or a tag.
    pub entry: String,
    /// The tag; none: it is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// The body of `POST /v1/rollback` and `POST /v1/rollback/plan`. The first is answered by
/// [`ChangeMessage`](super::ChangeMessage)s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackRequest {
    /// From where the project is looked for.
    pub scope: Scope,
    /// What it is to do.
    #[serde(flatten)]
    pub options: RollbackOptions,
}

/// The answer of `POST /v1/rollback/plan`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollbackAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// The generation that it goes back to.
    pub to: u64,
    /// Names the plan.
    pub digest: Digest,
    /// The plan.
    #[serde(flatten)]
    pub plan: Plan,
    /// Why it is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
}
