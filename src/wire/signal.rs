//! `POST /v1/signal`: a signal for processes.

use serde::{Deserialize, Serialize};

use super::Selection;
use crate::model::InstanceId;

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalRequest {
    /// The apps, or copies of them.
    pub selection: Selection,
    /// The signal: a name with or without `SIG`, or a number.
    pub signal: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// The name of the signal, as in `SIGHUP`.
    pub signal: String,
    /// Its number.
    pub number: i32,
    /// Who has got it. What they make of it, only they can say.
    pub sent: Vec<SignalledProcess>,
    /// Who has not, and why.
    pub failed: Vec<NotSignalled>,
}

/// A process that has got a signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalledProcess {
    /// Which copy.
    pub instance: InstanceId,
    /// Its main process.
    pub pid: u32,
}

/// One that has not got a signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotSignalled {
    /// Which copy.
    pub instance: InstanceId,
    /// What is in the way.
    pub why: WhyNotSignalled,
}

/// Why a process has not got a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyNotSignalled {
    /// It does not run.
    NotRunning,
    /// The daemon may not signal it: it runs as another user.
    NotAllowed,
}
