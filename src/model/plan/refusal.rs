//! Why a plan is not carried out, and what confirms it.

use serde::{Deserialize, Serialize};

/// The flag that confirms a refused plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// `--allow-empty`.
    AllowEmpty,
    /// `--replace-files`.
    ReplaceFiles,
    /// `--yes`.
    Yes,
    /// `--again`.
    Again,
}

impl Confirm {
    /// As typed.
    pub fn flag(self) -> &'static str {
        match self {
            Self::AllowEmpty => "--allow-empty",
            Self::ReplaceFiles => "--replace-files",
            Self::Yes => "--yes",
            Self::Again => "--again",
        }
    }
}

/// Why a plan is not carried out. The message names the thing and the next step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Decides the exit code.
    pub kind: RefusalKind,
    /// What is refused and why.
    pub message: String,
    /// What to do instead.
    pub hint: Option<String>,
    /// The flag that confirms it, if one does.
    pub confirm: Option<Confirm>,
}

/// The kind of a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// Owned by another project or user: exit 5.
    Ownership,
    /// A safety rule: exit 8.
    Safety,
    /// The call is invalid: exit 64.
    Usage,
    /// Another plan than the one that was agreed to: exit 4.
    Stale,
}
