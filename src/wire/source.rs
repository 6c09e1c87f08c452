//! `GET` and `POST /v1/sources`, `POST /v1/sources/sync`, and what the worker of a sync asks.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{
    AppName, CommitEntry, GitSource, ProjectName, SourceCommand, SourceName, SourceRecord, SourceSpec, SourceStatus,
    SourceTick, WallTime, WebhookStatus,
};

/// The answer of `GET /v1/sources`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcesAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// The daemon's clock.
    pub now: WallTime,
    /// All of them by name.
    pub sources: Vec<SourceRow>,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRow {
    /// Its name.
    pub source: SourceName,
    /// How it stands.
    pub status: SourceStatus,
    /// What a user said about it; its URL is without secrets.
    #[serde(flatten)]
    pub spec: SourceSpec,
    /// A user has suspended it.
    pub is_suspended: bool,
    /// How far it has come.
    #[serde(flatten)]
    pub record: SourceRecord,
    /// Apps that stay as a rollback has left them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_back: Vec<AppName>,
    /// Its webhook, without the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookRow>,
    /// The last look at it.
    pub tick: SourceTick,
}

/// The webhook of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRow {
    /// The address, as a user named it.
    pub listen: SocketAddr,
    /// The path of the calls.
    pub path: String,
    /// How it fares.
    #[serde(flatten)]
    pub status: WebhookStatus,
}

/// The body of `POST /v1/sources`. The answer is a [`SourcesAnswer`] with this source, unless it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRequest {
    /// Its name.
    pub source: SourceName,
    /// What is to change.
    #[serde(flatten)]
    pub command: SourceCommand,
}

/// The body of `POST /v1/sources/sync`: look now. Answered by a [`SourcesAnswer`]: the look after its number is the one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRequest {
    /// The source.
    pub source: SourceName,
    /// Deploy the newest commit whatever is known of it.
    #[serde(default)]
    pub is_forced: bool,
}

/// The body of `POST /v1/sources/stage`: what the worker does now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRequest {
    /// The source.
    pub source: SourceName,
    /// In a few words: `fetching 1a2b3c4`.
    pub stage: String,
}

/// The answer of `GET /v1/sources/work`: what the worker of a sync needs. The only one with the whole URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceWork {
    /// Shape of this answer.
    pub format: u32,
    /// What is kept of it.
    pub source: GitSource,
    /// The project, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// Generation of the project; 0: there is none.
    pub generation: u64,
    /// What the history says of the commit that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<CommitEntry>,
    /// What that commit has changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<AppName>,
    /// The name of the newest entry of the history; 0: there is none.
    pub newest_entry: u64,
    /// The releases that apps run from, or were rolled back from.
    pub releases: Vec<AppReleases>,
    /// All releases that the history or an app names: they must stay.
    pub needed: Vec<PathBuf>,
}

/// The releases of one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppReleases {
    /// Its name.
    pub app: AppName,
    /// Their folders.
    pub releases: Vec<PathBuf>,
}
