//! How a project stands as a whole: whether it is as declared, and whether that works.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Status;
use crate::model::{AppName, Rejection, WallTime};

/// Whether a project runs what its last accepted change declares.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncWord {
    /// It does.
    Synced,
    /// Something differs: each app says what.
    OutOfSync,
}

impl SyncWord {
    /// For a table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::OutOfSync => "out of sync",
        }
    }
}

/// Whether what should run works, the best one first: a project has the last word among those of its apps, an app among
/// those of its copies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthWord {
    /// All that should run is ready; or nothing should, as declared.
    Healthy,
    /// A user stopped it or paused its rollout.
    Suspended,
    /// It starts, stops, waits for another app, or is being rolled out.
    Progressing,
    /// It should run, no process of it does, and none comes without a user.
    Missing,
    /// It fails: unhealthy, in backoff, given up, unreachable or suspended by a signal.
    Degraded,
    /// Its spec was lost.
    Unknown,
}

impl HealthWord {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Suspended => "suspended",
            Self::Progressing => "progressing",
            Self::Missing => "missing",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
        }
    }
}

/// One way in which an app is not as declared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Deviation {
    /// A user stopped it.
    Stopped {
        /// The user's name.
        by: String,
        /// Wall clock of the daemon.
        at: WallTime,
        /// Even an apply does not start it.
        is_held: bool,
    },
    /// A user stopped these copies.
    SlotsStopped {
        /// Their slots.
        slots: Vec<u32>,
    },
    /// `pm scale` overrides the file.
    Scaled {
        /// Copies that an operator requested.
        to: u32,
        /// Copies that the file declares.
        declared: u32,
    },
    /// `pm shutdown` stopped it.
    ShutDown,
    /// Processes run another revision than the last accepted one.
    Outdated {
        /// Their slots.
        slots: Vec<u32>,
    },
    /// A rollout is in progress.
    Rollout {
        /// A user paused it.
        is_paused: bool,
    },
    /// The last rollout failed and is not tried again by itself.
    RolloutFailed {
        /// What failed.
        why: Rejection,
        /// The revision before runs again.
        is_rolled_back: bool,
    },
    /// It is to be deleted once everything else of its apply has succeeded.
    Leaving,
    /// Processes run that nothing declares.
    Undeclared,
    /// A file of `restart_on` has other contents than when it was applied. Looked for where `self_heal` is not off.
    Contents {
        /// The first of them.
        path: PathBuf,
        /// How many others.
        others: u32,
        /// Since when that has been known.
        at: WallTime,
    },
    /// A file that its process was started from has changed since.
    Stale {
        /// The script, or one of `restart_on`.
        path: PathBuf,
        /// When it was changed.
        at: WallTime,
    },
}

/// One app of a project.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AppState {
    /// Its name.
    pub app: AppName,
    /// Whether it is as declared.
    pub sync: SyncWord,
    /// Whether it works.
    pub health: HealthWord,
    /// How it differs from what is declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deviations: Vec<Deviation>,
    /// The slot of the copy that is worst off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// The status of that copy.
    pub status: Status,
}

/// A project as a whole: the worst of its apps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProjectState {
    /// Whether it is as declared.
    pub sync: SyncWord,
    /// Whether it works.
    pub health: HealthWord,
    /// Its apps by name.
    pub apps: Vec<AppState>,
}
