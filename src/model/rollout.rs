//! A rolling update that is under way, and the command that a person gave it.

use serde::{Deserialize, Serialize};

use super::{AppId, UpdateStrategy};

/// One rolling update.
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
    /// What it is told to do: go on, pause, or roll back.
    pub command: RolloutCommand,
}

/// A command for a rolling update.
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
