//! `POST /v1/send`: a message for processes.

use serde::{Deserialize, Serialize};

use super::Selection;
use crate::model::InstanceId;

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SendRequest {
    /// The apps, or copies of them.
    pub selection: Selection,
    /// The message: any JSON.
    pub message: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// Whose channel has it. That they have read it, only they can say.
    pub sent: Vec<InstanceId>,
    /// Who does not get it, and why.
    pub failed: Vec<NotSent>,
}

/// One that does not get a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotSent {
    /// Which copy.
    pub instance: InstanceId,
    /// What is in the way.
    pub why: WhyNotSent,
}

/// Why a process does not get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyNotSent {
    /// It does not run.
    NotRunning,
    /// It has no channel, or has closed it.
    NoChannel,
    /// It does not read its channel, which is full.
    Full,
}
