//! `GET /v1/projects`: who owns what.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::ProjectName;

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
