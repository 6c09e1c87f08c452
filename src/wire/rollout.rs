//! `GET` and `POST /v1/rollouts`: rollouts in progress.

use serde::{Deserialize, Serialize};

use super::{RolloutCommand, RolloutStatus, Selection};

/// The answer to both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutsAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// Those in progress; in the answer to a command, those that it applies to.
    pub rollouts: Vec<RolloutStatus>,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutRequest {
    /// The command.
    pub command: RolloutCommand,
    /// The apps.
    pub selection: Selection,
}
