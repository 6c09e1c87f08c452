//! The progress and the report of a change.

use serde::{Deserialize, Serialize};

use super::{AppName, Condition, Exit, Failure, Hook, InstanceId, LeftProcess, Millis, Moment, Unmet, VerbKind};

/// One line of progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "progress")]
pub enum Progress {
    /// An operation begins.
    Began {
        /// The app.
        app: AppName,
        /// The verb: `start`, `roll`, …
        verb: VerbKind,
    },
    /// An operation ended.
    Ended(OperationReport),
    /// A start waits for another app.
    Waits {
        /// The app.
        app: AppName,
        /// For what.
        waits_for: WaitsFor,
    },
    /// A new process is not ready yet.
    Unready {
        /// The instance that is waited for.
        instance: InstanceId,
        /// What holds it up.
        why: Unready,
    },
    /// The rolling update of the app is paused, and the operation waits until it is resumed.
    Paused {
        /// The app.
        app: AppName,
    },
    /// An app was stopped, and these may be of it, or of another app that runs: they are left alone.
    Left {
        /// The app.
        app: AppName,
        /// The processes.
        processes: Vec<LeftProcess>,
        /// A process that nobody can tell from others may still run: an anchor has died.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_unsure: bool,
    },
    /// Everything ended.
    Finished(Report),
}

/// How one operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationReport {
    /// The app.
    pub app: AppName,
    /// The verb: `start`, `roll`, …
    pub verb: VerbKind,
    /// What became of it.
    pub result: OperationResult,
    /// How long it took.
    pub took: Millis,
}

/// The result of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum OperationResult {
    /// As planned.
    Done,
    /// A task has run to its end, successfully.
    Completed,
    /// It failed.
    Failed {
        /// Which instance.
        instance: InstanceId,
        /// Why, if the instance was given up or could not be started.
        failure: Option<Failure>,
        /// How the process ended, if it ended.
        exit: Option<Exit>,
        /// The last lines that it printed.
        last_lines: Vec<String>,
        /// The outcome of the rollback.
        #[serde(default)]
        rollback: Rollback,
    },
    /// Something that it needed failed, or deletes are withheld.
    Skipped {
        /// What stood in its way.
        why: Skip,
    },
    /// A later command took over.
    Superseded,
}

/// Why an operation was skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Skip {
    /// A dependency is not met without a user.
    Blocked {
        /// The app that it depends on.
        app: AppName,
        /// The condition that this one does not meet.
        condition: Condition,
        /// Why not.
        why: Unmet,
    },
    /// A dependency of the same change failed or was skipped.
    DependencyFailed,
    /// An earlier operation of the same app failed.
    EarlierFailed,
    /// The app's own processes, started by an earlier change, did not come up.
    DidNotComeUp,
    /// Another operation of the apply did not succeed: it deletes nothing.
    DeletesWithheld,
    /// A later command took over.
    Superseded,
}

/// What holds up a new process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Unready {
    /// A hook has not finished.
    Hook {
        /// The hook.
        hook: Hook,
        /// How long it may take.
        limit_ms: Millis,
    },
    /// Its build has not ended; there is no process yet.
    Build {
        /// How long it may take.
        limit_ms: Millis,
    },
    /// Its last probe failed.
    Probe {
        /// The result: `connection refused`.
        last: String,
        /// What the process reports about itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status_text: Option<String>,
    },
}

/// What became of the version before, after a replacement had failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rollback {
    /// There was none, or it is not wanted: the new version stays declared.
    #[default]
    None,
    /// The version before is declared again, and none of its processes had been stopped.
    NotNeeded,
    /// The version before is declared again, and new processes of it run.
    Done,
    /// The version before could not be started again.
    Failed,
}

/// How the whole of it ended.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// In the order in which they ended.
    pub operations: Vec<OperationReport>,
    /// The project's generation afterwards.
    pub generation: u64,
    /// How long it took.
    pub took: Millis,
}

/// What holds a start up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartWait {
    /// Another app.
    Dependency(WaitsFor),
    /// Only so many processes start at the same time.
    Place {
        /// How many.
        limit: u32,
        /// The file says so (`start_concurrency`); otherwise it starts by itself, with everything else.
        is_declared: bool,
    },
    /// Its build, which comes before its first process.
    Build {
        /// Since when.
        since: Moment,
    },
}

/// What a start waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitsFor {
    /// The app that it depends on.
    pub app: AppName,
    /// What has to have happened to it.
    pub condition: Condition,
    /// Why it has not happened yet.
    pub why: Unmet,
    /// Since when.
    pub since: Moment,
}
