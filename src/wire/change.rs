//! Plans, applies and edits, and the messages of their progress.

use serde::{Deserialize, Serialize};

use super::{Problem, Selection};
use crate::model::{ApplyOptions, Digest, Edit, Plan, Progress, ProjectName, Proposed, Refusal, Report};

/// `POST /v1/plan`: what would an apply do?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanRequest {
    /// The resolved files.
    pub proposed: Proposed,
    /// What the user allows.
    #[serde(default)]
    pub options: ApplyOptions,
}

/// `POST /v1/apply`: the same, done. Answered by [`ChangeMessage`]s.
pub type ApplyRequest = PlanRequest;

/// Which operations of its plan an apply is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanDetail {
    /// All of them, also for apps that are kept as they are.
    Whole,
    /// Those that a user is shown (`?brief=true`).
    Changes,
}

/// The answer to a [`PlanRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// Names the plan: an apply may ask for this one or none (`shown` of its options).
    #[serde(default)]
    pub digest: Digest,
    /// The plan.
    #[serde(flatten)]
    pub plan: Plan,
    /// Why an apply of it is refused, until each is confirmed or fixed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
    /// What the daemon found when it started and has not reported yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `POST /v1/edit`: a change without a file. Answered by [`ChangeMessage`]s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditRequest {
    /// The edit.
    #[serde(flatten)]
    pub edit: Edit,
    /// Of which apps.
    #[serde(flatten)]
    pub selection: Selection,
}

/// One message of the stream that answers a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "message")]
pub enum ChangeMessage {
    /// The change is saved; from here on it happens whether or not anybody listens.
    Accepted {
        /// One plan per project.
        plans: Vec<AcceptedPlan>,
        /// What the daemon found when it started and has not reported yet.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    },
    /// One step.
    Progress {
        /// Of which project.
        project: ProjectName,
        /// One step that began, ended or waits.
        #[serde(flatten)]
        progress: Progress,
    },
    /// The listener was too slow; this many steps were skipped.
    Missed {
        /// Of which project.
        project: ProjectName,
        /// How many.
        count: u64,
    },
    /// Everything ended; the last message.
    Finished {
        /// One report per project.
        reports: Vec<ProjectReport>,
    },
    /// The daemon shuts down before the end; the next one continues. The last message.
    Interrupted {
        /// What interrupted it.
        problem: Problem,
    },
}

/// A plan that is being carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcceptedPlan {
    /// The project's generation from now on.
    pub accepted_generation: u64,
    /// What is done.
    #[serde(flatten)]
    pub plan: Plan,
}

/// How the change of one project ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectReport {
    /// The project that was changed.
    pub project: ProjectName,
    /// Its operations and their results.
    #[serde(flatten)]
    pub report: Report,
}
