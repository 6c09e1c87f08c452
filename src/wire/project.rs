//! `GET /v1/projects`: who owns what. `GET /v1/status`: how each project stands.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::HistoryRow;
use crate::model::{AppName, ProjectName, ProjectState, WallTime};

/// The answer of `GET /v1/projects`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectsAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// All projects by name.
    pub projects: Vec<ProjectRow>,
}

/// One project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRow {
    /// Its name.
    pub project: ProjectName,
    /// Grows with every accepted change.
    pub generation: u64,
    /// Folder of its first file.
    pub folder: PathBuf,
    /// Its complete file set.
    pub files: Vec<PathBuf>,
    /// The remembered profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Declared apps.
    pub apps: u32,
    /// Processes that run.
    pub running: u32,
    /// Processes that should run.
    pub wanted: u32,
}

/// The answer of `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// The daemon's clock.
    pub now: WallTime,
    /// By name.
    pub projects: Vec<StatusRow>,
    /// What the daemon found when it started; reported once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// How one project stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusRow {
    /// Its name.
    pub project: ProjectName,
    /// Grows with every accepted change.
    pub generation: u64,
    /// Its words, and those of its apps.
    #[serde(flatten)]
    pub state: ProjectState,
    /// The newest entry of its history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change: Option<HistoryRow>,
    /// Apps that a rollback has changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PinRow>,
}

/// An app that a rollback has changed, and that an apply of what was rolled back leaves as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRow {
    /// Its name.
    pub app: AppName,
    /// The generation that it was brought back to.
    pub generation: u64,
}
