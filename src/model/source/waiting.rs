//! What keeps a commit waiting: windows, and a user who has to approve it.

use serde::{Deserialize, Serialize};

use crate::model::WallTime;

/// Windows of one source.
pub const WINDOWS_MAX: usize = 20;

/// When commits of a source are deployed by themselves.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SyncPolicy {
    /// Only in these times: `Mon-Fri 09:00-17:00`. Empty: at any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<String>,
    /// The time zone of the windows; `None`: that of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Each commit waits until a user approves it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_approval: bool,
}

impl SyncPolicy {
    /// Every commit is deployed at once.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A commit that is not deployed yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WaitingCommit {
    /// In hexadecimal digits.
    pub commit: String,
    /// What it waits for.
    #[serde(flatten)]
    pub wait: CommitWait,
    /// When that was known.
    pub since: WallTime,
}

/// What a commit waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "waits_for")]
pub enum CommitWait {
    /// A user: `pm source approve`.
    Approval,
    /// The next window.
    Window {
        /// When it opens.
        until: WallTime,
    },
}
