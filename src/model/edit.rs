//! Changes that users make without a file.

use serde::{Deserialize, Serialize};

use super::AppId;

/// A change that a user makes without a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "edit")]
pub enum Edit {
    /// `pm start api`.
    Start,
    /// `pm stop api`; `is_held` survives applies.
    Stop {
        /// `--hold`.
        is_held: bool,
    },
    /// `pm restart api`.
    Restart,
    /// `pm reload api`: new processes for what runs, one after the other and without a gap where that is possible.
    Reload,
    /// New processes for what runs, has ended or was given up, because something automatic asks: what a user stopped
    /// stays stopped.
    AutoRestart,
    /// `pm cron run api`: what the clock would do, now.
    Run,
    /// `pm delete api`.
    Delete,
    /// `pm scale api 4`.
    Scale {
        /// The new number of copies.
        to: u32,
    },
    /// `pm unhold`.
    Unhold,
}

impl Edit {
    /// The verb of the command that asks for it.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop { .. } => "stop",
            Self::Restart | Self::AutoRestart => "restart",
            Self::Reload => "reload",
            Self::Run => "run",
            Self::Delete => "delete",
            Self::Scale { .. } => "scale",
            Self::Unhold => "unhold",
        }
    }
}

/// What an edit is about: whole apps, or one slot of one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The app.
    pub app: AppId,
    /// One slot only (restart, start, stop).
    pub slot: Option<u32>,
}
