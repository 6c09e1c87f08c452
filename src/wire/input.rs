//! `POST /v1/input`: a line for the standard input of processes.

use serde::{Deserialize, Serialize};

use super::Selection;
use crate::model::InstanceId;

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputRequest {
    /// The apps, or copies of them.
    pub selection: Selection,
    /// The line, without its line feed; at most 4,095 bytes.
    pub line: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// In whose pipe the line is. Whether they read it, only they can say.
    pub sent: Vec<InstanceId>,
    /// Who has not got it, and why.
    pub failed: Vec<NotWritten>,
}

/// One that has not got a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotWritten {
    /// Which copy.
    pub instance: InstanceId,
    /// What is in the way.
    pub why: WhyNotWritten,
}

/// Why a process has not got a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyNotWritten {
    /// It does not run.
    NotRunning,
    /// Its standard input is no pipe of `pm`: `stdin = "pipe"` is not declared, or the process has closed it.
    NoPipe,
    /// It does not read, and its pipe is full.
    Full,
    /// The daemon may not look into it: it runs as another user, or forbids that.
    NotAllowed,
}
