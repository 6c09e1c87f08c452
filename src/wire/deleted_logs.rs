//! `/v1/logs/deleted`: logs of apps that are deleted.

use serde::{Deserialize, Serialize};

use crate::model::{AppName, Bytes, ProjectName, WallTime};

/// The request of `POST /v1/logs/deleted`: which of them to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveLogsRequest {
    /// `api`, `shop:api`; empty = all.
    pub apps: Vec<String>,
}

/// The answer of `GET /v1/logs/deleted` (what there is) and of `POST` (what was removed).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedLogsAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// By project and app.
    pub apps: Vec<DeletedLogsRow>,
    /// Files that could not be removed, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
}

/// What is left of one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedLogsRow {
    /// Its project.
    pub project: ProjectName,
    /// Its name.
    pub app: AppName,
    /// How many files.
    pub files: u32,
    /// Their length together.
    pub bytes: Bytes,
    /// When something was last written.
    pub written: WallTime,
}
