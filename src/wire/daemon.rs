//! `GET /v1/daemon`: information about the daemon.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{Millis, WallTime};

/// The answer of `GET /v1/daemon`, and of asking it to leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// Its process.
    pub pid: u32,
    /// The anchor's process.
    pub anchor_pid: u32,
    /// Its version.
    pub version: String,
    /// What client and daemon must agree on.
    pub protocol: u32,
    /// Its home.
    pub home: PathBuf,
    /// When it started.
    pub started_at: WallTime,
    /// How long ago that was.
    pub uptime_ms: Millis,
    /// Declared apps.
    pub apps: u32,
    /// Processes that run.
    pub running: u32,
    /// `pm shutdown` was requested: nothing starts until a user starts it.
    pub is_shut_down: bool,
}
