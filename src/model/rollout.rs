//! A rolling update that is under way, and what people want of it.

use serde::{Deserialize, Serialize};

use super::{AppId, UpdateStrategy};

/// One rolling update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The app.
    pub app: AppId,
    /// Slots that have been replaced.
    pub done: Vec<u32>,
    /// Slots that have not, those that are being replaced now included.
    pub left: Vec<u32>,
    /// Which process comes first.
    pub strategy: UpdateStrategy,
    /// Whether it goes on.
    pub will: RolloutWill,
}

/// What is wanted of a rolling update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RolloutWill {
    /// Go on.
    Go,
    /// Begin no further slot.
    Pause,
    /// Go back.
    Abort,
}
