//! `GET /v1/metrics`: what the workers of an app report of themselves.

use serde::{Deserialize, Serialize};

use crate::model::{AppId, InstanceId};

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// Whose metrics these are.
    pub app: AppId,
    /// Whose numbers are in it.
    pub answered: Vec<InstanceId>,
    /// Who was not asked, because it is not ready yet.
    pub starting: Vec<InstanceId>,
    /// Who has not answered; of these the counters are those of their last answer.
    pub failed: Vec<NotMeasured>,
    /// What is missing for another reason, in words.
    pub notes: Vec<String>,
    /// The metrics, merged, in the text format of Prometheus.
    pub exposition: String,
}

/// A worker that has not reported its metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotMeasured {
    /// Which copy.
    pub instance: InstanceId,
    /// What is in the way, in words.
    pub why: String,
}
