//! A rollout in progress, and the command that a user gave it.

use serde::{Deserialize, Serialize};

use super::{AppId, UpdateStrategy};

/// One rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutStatus {
    /// The app.
    pub app: AppId,
    /// Slots that have been replaced.
    pub done: Vec<u32>,
    /// Slots that have not, those that are being replaced now included.
    pub left: Vec<u32>,
    /// Which process comes first.
    pub strategy: UpdateStrategy,
    /// Whether it continues, is paused, or rolls back.
    pub command: RolloutCommand,
}

/// A command for a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RolloutCommand {
    /// Replace the remaining slots.
    Continue,
    /// Begin no further slot.
    Pause,
    /// Roll back.
    Abort,
}
