//! How one instance stands: a word, the causes behind it, and what happens next.

use serde::{Deserialize, Serialize};

use super::{AppName, Cause, Condition, CronOverlap, Exit, Failure, Hook, Millis, RestartWhen, WallTime};

/// How one instance (or an app without any) stands. Made in one place; lists, details and JSON only show it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// In one word.
    pub word: StatusWord,
    /// Of what the word is about, in a row: unstable starts (`backoff`, `errored`) or failed probes (`unhealthy`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// How much attention it deserves.
    pub severity: Severity,
    /// The causes, nearest first; never empty.
    pub because: Vec<Why>,
    /// What happens next, soonest first.
    pub next: Vec<NextStep>,
    /// Since when it stands so, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<WallTime>,
}

/// The words for tables and scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusWord {
    /// A process lives and is ready.
    Running,
    /// A process is being made, or is not ready yet.
    Starting,
    /// It was ready, and its health probes fail.
    Unhealthy,
    /// It is being ended.
    Stopping,
    /// Nothing runs, and nothing is about to.
    Stopped,
    /// For a dependency, or for its time.
    Waiting,
    /// It failed and is started again later.
    Backoff,
    /// It was given up.
    Errored,
    /// It has run to its end.
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
    /// As it should be.
    Ok,
    /// Nothing runs, as intended.
    Idle,
    /// On its way.
    Pending,
    /// It runs or waits, and something is not as it should be.
    Warning,
    /// Not without a person, or not working.
    Error,
}

/// One cause of a status.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Why {
    /// Its process was started for this.
    Started {
        /// The reason for the start.
        #[serde(flatten)]
        cause: Cause,
    },
    /// It is declared, and nobody has stopped it.
    Declared,
    /// Its process is not ready yet.
    NotReady {
        /// What the last probe found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<String>,
    },
    /// Its health probes fail.
    Unhealthy {
        /// How many in a row.
        failures: u32,
        /// What the last one found.
        last: String,
    },
    /// Restarts that nobody asked for.
    Restarted {
        /// How many since its declaration.
        restarts: u32,
    },
    /// Its last process was ended, because it was no good.
    EndedFor {
        /// What was found.
        failure: Failure,
    },
    /// How its last process ended.
    LastExit {
        /// How it ended.
        exit: Exit,
    },
    /// The state that held its spec was lost.
    SpecLost,
    /// Nobody can connect to one of its sockets.
    Unreachable,
    /// A hook runs.
    Hook {
        /// The hook.
        hook: Hook,
        /// For how long it has been running.
        runs_ms: Millis,
        /// How long it may take.
        limit_ms: Millis,
    },
    /// What the process says about itself.
    Says {
        /// `STATUS=` of `sd_notify`.
        text: String,
    },
    /// Its process was asked to end.
    Asked,
    /// Starts were unstable, one after the other.
    Unstable {
        /// How many in a row.
        starts: u32,
        /// How long the next one waits in all.
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
    /// It ended in a way that its policy calls done.
    Completed {
        /// How it ended.
        exit: Exit,
    },
    /// It waits for another app.
    WaitsFor {
        /// The app.
        app: AppName,
        /// What has to have happened to it.
        condition: Condition,
        /// How that stands.
        why: String,
        /// For how long it has been waiting.
        waits_ms: Millis,
    },
    /// What it depends on will not come by itself.
    Blocked {
        /// The app that it depends on.
        app: AppName,
        /// What has to happen to it.
        condition: Condition,
        /// Why it does not.
        why: String,
    },
    /// What is declared has failed before.
    Rejected {
        /// Which copy, and why.
        why: String,
    },
    /// Its start could not be begun.
    Refused {
        /// What was wrong with it.
        failure: Failure,
    },
    /// An apply removes it.
    Leaving,
    /// No file declares it any more.
    Undeclared,
    /// Everything was stopped by `pm shutdown`.
    ShutDown,
    /// A person stopped the app.
    StoppedBy {
        /// The person's name.
        by: String,
        /// An apply respects it, too.
        is_held: bool,
    },
    /// A person stopped this copy.
    SlotStopped,
    /// `autostart = false`, and nobody has started it yet.
    NoAutostart,
    /// It is declared with 0 instances.
    NoInstances,
    /// Its time has not come.
    NotDue,
    /// Nothing has started it yet.
    NotStarted,
    /// Its process runs an older declaration than the last applied one.
    Outdated,
}

/// One thing that happens next, or would.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum NextStep {
    /// Nothing, while its process lives; afterwards its policy decides.
    RunsOn {
        /// After which exits it is started again.
        restart: RestartWhen,
    },
    /// It is probed again; without success it has failed.
    ReadyWithin {
        /// In this time.
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
        /// Once its hook has ended well, within this time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_hook_ms: Option<Millis>,
    },
    /// SIGKILL, if it has not ended by then.
    Kill {
        /// The time it has after it was asked.
        patience_ms: Millis,
        /// It is asked once its hook has ended, within this time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_hook_ms: Option<Millis>,
    },
    /// It is started again.
    StartIn {
        /// In this time.
        in_ms: Millis,
    },
    /// It is started when the dependency has come.
    StartWhenMet,
    /// Nothing by itself: an apply, a start or a restart tries again.
    TryAgain,
    /// Nothing: it has run to its end.
    RunAgain,
    /// Nothing, until the hold ends.
    Unhold,
    /// Nothing by itself: a person starts it.
    Start,
    /// It goes away.
    Removal,
    /// A time of its schedule.
    Due {
        /// The next time that is due.
        at: WallTime,
        /// What the time means.
        then: DueThen,
    },
}

/// What a time of a schedule means for an instance as it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DueThen {
    /// A service is restarted.
    Restart,
    /// A task runs.
    Run,
    /// The time is left out, if it still waits.
    LeftOutIfWaiting,
    /// The time is left out, if the run still goes on.
    LeftOutIfRunning,
    /// The run waits for the end of this one.
    Queued,
    /// The run takes the place of this one.
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
