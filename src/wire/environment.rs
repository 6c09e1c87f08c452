//! `GET /v1/env`: what an instance is started with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{Environment, Identity, InstanceId, ProcessLimits};

/// The answer of `GET /v1/env`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// The instance whose environment it is.
    pub instance: InstanceId,
    /// Names and values; secret ones are masked unless requested.
    pub env: Environment,
    /// Names whose value is masked.
    pub masked: Vec<String>,
    /// Working folder.
    pub cwd: PathBuf,
    /// User name or number; none = the daemon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Group name or number; none = the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Both in numbers, with the supplementary groups.
    pub identity: Identity,
    /// File mode mask.
    pub umask: u32,
    /// All limits of the process.
    pub limits: ProcessLimits,
}
