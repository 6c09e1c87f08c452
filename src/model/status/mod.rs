//! The status of one instance: a word, its causes, and what happens next. That of a project is in `project`.

mod project;

use serde::{Deserialize, Serialize};

use super::{
    AppName, Cause, Condition, CronOverlap, Exit, Failure, HealAim, HealWhen, Hook, Millis, Rejection, RestartWhen,
    WallTime,
};

pub use project::{AppState, Deviation, HealthWord, ProjectState, SyncWord};

/// The status of one instance (or of an app without any). Computed in one place; lists, details and JSON only show it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// In one word.
    pub word: StatusWord,
    /// How many in a row: unstable starts (`backoff`, `errored`) or failed probes (`unhealthy`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// How much attention it deserves.
    pub severity: Severity,
    /// The causes, nearest first; never empty.
    pub because: Vec<Why>,
    /// What happens next, soonest first.
    pub next: Vec<NextStep>,
    /// Since when, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<WallTime>,
}

/// The words for tables and scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusWord {
    /// A process is alive and ready.
    Running,
    /// A process is being created, or is not ready yet.
    Starting,
    /// It was ready, and its health probes fail.
    Unhealthy,
    /// It is being stopped.
    Stopping,
    /// Nothing runs, and nothing is about to.
    Stopped,
    /// It waits for a dependency or for its scheduled time.
    Waiting,
    /// It failed and is restarted later.
    Backoff,
    /// It was given up.
    Errored,
    /// It has completed.
    Done,
}

impl StatusWord {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Unhealthy => "unhealthy",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Waiting => "waiting",
            Self::Backoff => "backoff",
            Self::Errored => "errored",
            Self::Done => "done",
        }
    }
}

/// How much attention a status deserves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Everything is as desired.
    Ok,
    /// Nothing is running, as desired.
    Idle,
    /// A transition is in progress.
    Pending,
    /// It runs or waits, but something is wrong.
    Warning,
    /// It does not work, or needs a user.
    Error,
}

/// One cause of a status.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Why {
    /// The cause for which its process was started.
    Started {
        /// The reason for the start.
        #[serde(flatten)]
        cause: Cause,
    },
    /// It is declared and was not stopped.
    Declared,
    /// Its process is not ready yet.
    NotReady {
        /// The result of the last probe.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<String>,
    },
    /// Its health probes fail.
    Unhealthy {
        /// How many in a row.
        failures: u32,
        /// The result of the last probe.
        last: String,
    },
    /// Restarts that were not requested.
    Restarted {
        /// How many since its declaration.
        restarts: u32,
    },
    /// Its last process was stopped because it was unhealthy.
    EndedFor {
        /// What was wrong.
        failure: Failure,
    },
    /// How its last process ended.
    LastExit {
        /// How it ended.
        exit: Exit,
    },
    /// The state that held its spec was lost.
    SpecLost,
    /// No client can connect to one of its sockets.
    Unreachable,
    /// Its process is suspended by a signal (SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU) and does nothing.
    Suspended,
    /// A hook runs.
    Hook {
        /// The hook.
        hook: Hook,
        /// For how long it has been running.
        runs_ms: Millis,
        /// How long it may take.
        limit_ms: Millis,
    },
    /// What the process reports about itself.
    StatusText {
        /// `STATUS=` of `sd_notify`.
        text: String,
    },
    /// Its process was asked to stop.
    Asked,
    /// Several starts in a row were unstable.
    Unstable {
        /// How many in a row.
        starts: u32,
        /// The whole wait before the next start.
        delay_ms: Millis,
        /// So many in a row are followed by another one at once; 0 = none, every restart waits the same time.
        #[serde(default)]
        at_once: u32,
        /// A run of this length ends the count.
        #[serde(default)]
        stable_ms: Millis,
    },
    /// Starts before this one were unstable, one after the other.
    UnstableBefore {
        /// How many in a row.
        starts: u32,
        /// So many in a row are followed by another one at once.
        at_once: u32,
    },
    /// Every restart of it waits so long.
    FixedDelay {
        /// How long.
        delay_ms: Millis,
    },
    /// It was given up.
    Failed {
        /// What went wrong.
        failure: Failure,
    },
    /// It ended in a way that its policy counts as done.
    Completed {
        /// How it ended.
        exit: Exit,
    },
    /// It waits for another app.
    WaitsFor {
        /// The app.
        app: AppName,
        /// The condition that it must meet.
        condition: Condition,
        /// Why it does not meet it yet.
        why: Unmet,
        /// For how long it has been waiting.
        waits_ms: Millis,
    },
    /// Only so many processes start at the same time.
    AwaitsPlace {
        /// How many.
        limit: u32,
        /// Its file says so (`start_concurrency`); otherwise it starts by itself, with everything else.
        is_declared: bool,
    },
    /// It is being built; its first process starts after that.
    Builds {
        /// For how long the build has been running.
        runs_ms: Millis,
        /// How long it may take.
        limit_ms: Millis,
    },
    /// An app that it depends on does not meet its condition yet; it is started when that does.
    Awaits {
        /// The app that it depends on.
        app: AppName,
        /// The condition that it must meet.
        condition: Condition,
        /// Why it does not meet it yet.
        why: Unmet,
    },
    /// A dependency that cannot be met without a user.
    Blocked {
        /// The app that it depends on.
        app: AppName,
        /// The condition that it must meet.
        condition: Condition,
        /// Why it cannot be met.
        why: Unmet,
    },
    /// The declared revision has failed before.
    Rejected {
        /// What failed.
        why: Rejection,
    },
    /// It could not be started.
    Refused {
        /// What was wrong with it.
        failure: Failure,
    },
    /// An apply deletes it.
    Leaving,
    /// No file declares it any more.
    Undeclared,
    /// Everything was stopped by `pm shutdown`.
    ShutDown,
    /// A user stopped the app.
    StoppedBy {
        /// The user's name.
        by: String,
        /// Even an apply does not start it.
        is_held: bool,
    },
    /// A user stopped this copy.
    SlotStopped,
    /// `autostart = false`, and it has not been started yet.
    NoAutostart,
    /// It is declared with 0 instances.
    NoInstances,
    /// Its next run is not due yet.
    NotDue,
    /// Nothing has started it yet.
    NotStarted,
    /// Its process runs an older declaration than the last applied one.
    Outdated,
}

/// What an app that others depend on still lacks, or why it never meets the condition. `cli/output` words it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Unmet {
    /// Nothing has started it yet.
    NotStarted,
    /// It is a scheduled task, and its next run is not due yet.
    NotDue,
    /// It is being started.
    Starting,
    /// Its process is not ready yet.
    NotReady {
        /// The result of the last probe.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<String>,
    },
    /// It is still running, and has to complete.
    Running,
    /// It is being stopped.
    Stopping,
    /// It is restarted later.
    Backoff {
        /// Unstable starts in a row.
        starts: u32,
        /// How its last process ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<Exit>,
    },
    /// It is no longer declared.
    Undeclared,
    /// A user stopped it.
    StoppedBy {
        /// The user's name.
        by: String,
    },
    /// `autostart = false`, and it has not been started yet.
    NoAutostart,
    /// An apply deletes it.
    Leaving,
    /// Its declared revision failed before.
    Rejected {
        /// What failed.
        why: Rejection,
    },
    /// It ended in a way that its policy does not count as done.
    Ended {
        /// Exit code or signal.
        exit: Exit,
    },
    /// It was given up.
    Failed {
        /// What went wrong.
        failure: Failure,
    },
    /// It depends itself on something that is never met.
    Blocked {
        /// The app that it depends on.
        app: AppName,
        /// The condition that this one does not meet.
        condition: Condition,
        /// Why not.
        why: Box<Unmet>,
    },
}

/// One thing that happens next, or could.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum NextStep {
    /// Nothing, while its process is alive; afterwards its policy decides.
    RunsOn {
        /// After which exits it is started again.
        restart: RestartWhen,
    },
    /// It is probed again; it fails if it is not ready in time.
    ReadyWithin {
        /// The remaining time.
        within_ms: Millis,
    },
    /// It is restarted after more failed probes.
    RestartAfterFailures {
        /// How many more.
        failures: u32,
    },
    /// A failing probe is only reported.
    OnlyReported,
    /// Its process is started.
    Spawn {
        /// Once its hook has succeeded, within this time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_hook_ms: Option<Millis>,
    },
    /// SIGKILL, if it is still running by then.
    Kill {
        /// The grace period after it was asked to stop.
        patience_ms: Millis,
        /// It is asked to stop once its hook has ended, within this time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_hook_ms: Option<Millis>,
    },
    /// It is restarted.
    StartIn {
        /// The remaining time.
        in_ms: Millis,
    },
    /// It is started when the dependency is met.
    StartWhenMet,
    /// Nothing until an apply, a start or a restart.
    TryAgain,
    /// Nothing: it has completed.
    RunAgain,
    /// Nothing, until the hold ends.
    Unhold,
    /// Nothing until a user starts it.
    Start,
    /// Nothing until a user starts it by name: an apply does not.
    StartByHand,
    /// Nothing until a user or the file gives it copies.
    Scale,
    /// It is removed.
    Removal,
    /// `self_heal` puts it right.
    Heal {
        /// The difference that it ends.
        aim: HealAim,
        /// When, or why not.
        when: HealWhen,
    },
    /// A time of its schedule.
    Due {
        /// The next time that is due.
        at: WallTime,
        /// What the time means.
        then: DueThen,
    },
}

/// What happens to an instance at the next time of its schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DueThen {
    /// A service is restarted.
    Restart,
    /// A task runs.
    Run,
    /// The run is skipped if it is still waiting.
    LeftOutIfWaiting,
    /// The run is skipped if the last one is still going.
    LeftOutIfRunning,
    /// The run waits for the end of this one.
    Queued,
    /// The run replaces this one.
    Replaced,
}

impl From<CronOverlap> for DueThen {
    fn from(overlap: CronOverlap) -> Self {
        match overlap {
            CronOverlap::Skip => Self::LeftOutIfRunning,
            CronOverlap::Queue => Self::Queued,
            CronOverlap::Replace => Self::Replaced,
        }
    }
}
