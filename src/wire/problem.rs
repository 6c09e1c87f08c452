//! The one shape of all errors.

use serde::{Deserialize, Serialize};

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// Stable word for scripts.
    pub code: ProblemCode,
    /// The exit code of the command.
    pub exit_code: u8,
    /// The sentence.
    pub message: String,
    /// What to do, in the imperative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Further lines: candidates, causes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// The kinds of problems, by their stable word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// No app has this name.
    NoSuchApp,
    /// There was no process of this kind.
    NoSuchProcess,
    /// Several apps have this name.
    Ambiguous,
    /// The request is invalid.
    Usage,
    /// Another user or project owns it.
    Ownership,
    /// A safety rule refuses it.
    Refused,
    /// What was agreed to is not what would be done.
    Stale,
    /// The state could not be written.
    NotStored,
    /// A file could not be read.
    NotRead,
    /// The daemon is shutting down.
    ShuttingDown,
    /// Too many followers or connections.
    Busy,
    /// No such route, or a body that is not what the route takes.
    BadRequest,
    /// A body of more bytes than are accepted.
    TooLarge,
    /// The caller is another user.
    Forbidden,
}

impl ProblemCode {
    /// The exit code of a command that ends with this.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::NoSuchApp
            | Self::NoSuchProcess
            | Self::NotStored
            | Self::NotRead
            | Self::Busy
            | Self::BadRequest
            | Self::TooLarge => 1,
            Self::Stale => 4,
            Self::Ownership => 5,
            Self::Refused => 8,
            Self::Ambiguous | Self::Usage => 64,
            Self::ShuttingDown | Self::Forbidden => 69,
        }
    }

    /// The HTTP status that it travels with.
    pub fn http_status(self) -> u16 {
        match self {
            Self::NoSuchApp | Self::NoSuchProcess => 404,
            Self::Ambiguous | Self::Ownership | Self::Refused | Self::Stale => 409,
            Self::Usage | Self::BadRequest => 400,
            Self::NotStored | Self::NotRead => 500,
            Self::ShuttingDown | Self::Busy => 503,
            Self::Forbidden => 403,
            Self::TooLarge => 413,
        }
    }
}

impl Problem {
    /// A problem without hint and details.
    pub fn new(code: ProblemCode, message: impl Into<String>) -> Self {
        Self { code, exit_code: code.exit_code(), message: message.into(), hint: None, details: Vec::new() }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With further lines.
    #[must_use]
    pub fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }
}
