//! Events: facts for observers. Their sentences are made in `cli/output`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    AppName, Bytes, Condition, Exit, Failure, Hook, InstanceId, Millis, ProjectName, Rollback, RunSkip, SourceName,
    SourceNews, Unmet, VerbKind, WallTime,
};

/// One fact, numbered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Position in the journal, from 1; a cursor for followers.
    pub seq: u64,
    /// Wall clock of this machine.
    pub at: WallTime,
    /// Its subject.
    pub about: Subject,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// The subject of a fact.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The daemon itself.
    Daemon,
    /// A whole project.
    Project(ProjectName),
    /// An app.
    App(ProjectName, AppName),
    /// One instance.
    Instance(InstanceId),
}

impl Cause {
    /// Whether it was not requested: such a restart counts.
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::Policy | Self::NotReady | Self::Unhealthy { .. } | Self::OverMemory { .. } => true,
            Self::Apply { .. }
            | Self::Command { .. }
            | Self::Boot
            | Self::Watch { .. }
            | Self::Cron { .. }
            | Self::Dependency { .. }
            | Self::Revert
            | Self::SelfHeal => false,
        }
    }
}

impl Subject {
    /// The project, if the fact belongs to one.
    pub fn project(&self) -> Option<&ProjectName> {
        match self {
            Self::Daemon => None,
            Self::Project(project) | Self::App(project, _) => Some(project),
            Self::Instance(id) => Some(&id.app.project),
        }
    }

    /// The app, if the fact belongs to one.
    pub fn app(&self) -> Option<&AppName> {
        match self {
            Self::Daemon | Self::Project(_) => None,
            Self::App(_, app) => Some(app),
            Self::Instance(id) => Some(&id.app.name),
        }
    }
}

/// Which output of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A process that was left running by a stop.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LeftProcess {
    /// Its id.
    pub pid: u32,
    /// Its name, as set by the process.
    pub name: String,
}

impl LeftProcess {
    /// The first of them, for users, and how many more there are.
    pub fn list(processes: &[Self]) -> String {
        const SHOWN: usize = 8;
        let shown = processes.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match processes.len().saturating_sub(SHOWN) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    }
}

impl std::fmt::Display for LeftProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.pid, self.name)
    }
}

/// The user who made a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Actor {
    /// User id, as verified by the kernel.
    pub uid: u32,
    /// User name, or the number where there is none.
    pub name: Arc<str>,
}

/// The cause of an action.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum Cause {
    /// An apply.
    Apply {
        /// The user who requested it.
        by: Actor,
        /// The project's new generation.
        #[serde(rename = "project_generation")]
        generation: u64,
    },
    /// `pm restart`, `pm stop`, …
    Command {
        /// The user who requested it.
        by: Actor,
        /// The verb.
        verb: String,
    },
    /// The process ended, and its restart policy restarts it.
    Policy,
    /// The daemon (or the machine) started, and this should be running.
    Boot,
    /// Its process was not ready in time.
    NotReady,
    /// Its health probes failed.
    Unhealthy {
        /// The result of the last probe.
        why: String,
    },
    /// Its tree used too much memory.
    OverMemory {
        /// What it used.
        used: Bytes,
        /// The limit.
        limit: Bytes,
    },
    /// Watched files changed.
    Watch {
        /// The first of them.
        path: String,
        /// How many others.
        others: u32,
    },
    /// A scheduled time was due.
    Cron {
        /// When it was due.
        due: WallTime,
    },
    /// A dependency got a new process.
    Dependency {
        /// Which app.
        app: AppName,
    },
    /// A newer revision failed: the old one is restored.
    Revert,
    /// It was not as declared any more (`self_heal`).
    SelfHeal,
}

/// Why a daemon ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// Another one takes over.
    Restart,
    /// It was told to; the apps run on.
    Stop,
    /// It was told to, and has stopped all apps.
    Shutdown,
    /// The same by a signal.
    Signal,
    /// Its anchor has died; another one takes over.
    AnchorGone,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Fact {
    /// A project's desired state was accepted.
    Accepted {
        /// The cause.
        #[serde(flatten)]
        cause: Cause,
        /// The new generation.
        generation: u64,
        /// What is done with which apps.
        changes: BTreeMap<VerbKind, Vec<AppName>>,
        /// Apps that it is about under another name: what they were called, or whom they replace.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        other_apps: Vec<AppName>,
    },
    /// A process runs.
    Started {
        /// Its id; 0 = unknown, because a daemon died before it could report it.
        pid: u32,
        /// The number of this process within its instance, from 1.
        incarnation: u32,
        /// Restarts that nobody requested so far, this one included: as in lists.
        #[serde(default)]
        restarts: u32,
        /// The cause of the start.
        #[serde(flatten)]
        cause: Cause,
    },
    /// Another process of the app has become its main one (`MAINPID=`); the app goes on.
    MainProcessChanged {
        /// Its id.
        pid: u32,
        /// The id of the one before.
        previous: u32,
    },
    /// A user has sent its main process a signal (`pm signal`).
    Signalled {
        /// The signal, as in `SIGHUP`.
        signal: String,
        /// Its id.
        pid: u32,
        /// Who has.
        by: Actor,
    },
    /// A process could not be started.
    StartFailed {
        /// The failure that counted.
        failure: Failure,
    },
    /// A process ended.
    Exited {
        /// Exit code or signal.
        exit: Exit,
        /// The number of this process within its instance, from 1.
        incarnation: u32,
        /// How long it ran.
        uptime: Millis,
        /// Whether the exit was requested.
        is_asked: bool,
    },
    /// It ended on its own; the next start waits.
    BackingOff {
        /// How long.
        delay: Millis,
        /// Unstable starts in a row.
        attempt: u32,
        /// Which restart that will be; 0 in what earlier versions told.
        #[serde(default)]
        restart: u32,
    },
    /// It is not restarted any more.
    GaveUp {
        /// The failure that counted.
        failure: Failure,
    },
    /// It ended in a way that its policy counts as done.
    Completed {
        /// Exit code or signal.
        exit: Exit,
    },
    /// It has sent a message to its parent: the app's own words. Told to followers only, never recorded.
    Message {
        /// JSON, cut if it is long.
        text: String,
        /// Messages before this one that were not passed on, because there were too many.
        #[serde(default)]
        skipped: u64,
    },
    /// It was asked to stop.
    Stopping {
        /// The cause of the stop.
        #[serde(flatten)]
        cause: Cause,
    },
    /// The deadline passed; SIGKILL was sent.
    ForceKilled {
        /// How many processes.
        processes: u32,
    },
    /// None of its processes is left, except those that may belong to another app.
    Stopped {
        /// Processes of this home whose app cannot be determined.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<LeftProcess>,
        /// It ran under an anchor that died: processes that had left its tree by then cannot be identified.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_unsure: bool,
    },
    /// Its process is ready.
    Ready {
        /// How long that took.
        after: Millis,
    },
    /// Its process was not ready in time.
    NotReady {
        /// The time limit.
        after: Millis,
        /// The result of the last probe.
        last: Option<String>,
    },
    /// A health probe failed.
    HealthFailed {
        /// What it found.
        why: String,
        /// How many in a row.
        failures: u32,
    },
    /// Health probes succeed again.
    Healthy,
    /// A start waits for a dependency.
    WaitsFor {
        /// Which app.
        app: AppName,
        /// The condition that it must meet.
        condition: Condition,
        /// Why it does not meet it yet.
        why: Unmet,
    },
    /// The kernel's out-of-memory killer ended it.
    OutOfMemory {
        /// The kernel named it; otherwise memory ran out at that moment and nothing here sent the signal.
        #[serde(default)]
        is_certain: bool,
        /// Another process of its tree, not its first one.
        #[serde(default)]
        is_child: bool,
    },
    /// Limits that this machine does not support.
    LimitsUnavailable {
        /// Which limits, the reason, and what would help.
        message: String,
    },
    /// A hook failed or took too long.
    HookFailed {
        /// Which: `pre_stop`.
        hook: Hook,
        /// How it ended, or that it timed out.
        message: String,
    },
    /// A scheduled run was skipped.
    CronSkipped {
        /// When it was due.
        due: WallTime,
        /// What stood in its way.
        why: RunSkip,
    },
    /// `self_heal` has put it right too often in a row, and pauses.
    SelfHealPaused {
        /// From when on it is done again.
        until: WallTime,
        /// How often it was done.
        count: u32,
    },
    /// A problem with watching its files.
    WatchTrouble {
        /// The sentence.
        message: String,
    },
    /// Its build command failed: the running processes are kept.
    BuildFailed {
        /// How it ended, and its last output.
        message: String,
    },
    /// A rollout of it failed.
    RolloutFailed {
        /// The copy whose new process failed.
        instance: InstanceId,
        /// Why, if it was given up or could not be started.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        /// How the new process ended, if it ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<Exit>,
        /// The outcome of the rollback.
        #[serde(default)]
        rollback: Rollback,
    },
    /// It is no longer declared.
    Deleted,
    /// It uses new values that need no new process.
    Reconfigured {
        /// The keys.
        fields: Vec<String>,
    },
    /// It was renamed and kept its process.
    Renamed {
        /// The old one.
        from: InstanceId,
    },
    /// Its log could not be written, and output was dropped.
    OutputDropped {
        /// Which output.
        stream: Stream,
        /// How much.
        bytes: u64,
    },
    /// The log disk is full; apps that write wait.
    LogDiskFull {
        /// The error of the kernel.
        message: String,
    },
    /// A daemon took over.
    DaemonStarted {
        /// Its process.
        pid: u32,
        /// The number of live instances that it found.
        found: u32,
        /// Its version.
        version: String,
    },
    /// The daemon is shutting down.
    DaemonStopping {
        /// The reason.
        why: LeaveReason,
    },
    /// Something became of a source, or of a commit of it.
    Source {
        /// Its name.
        source: SourceName,
        /// What became of it.
        #[serde(flatten)]
        news: SourceNews,
    },
    /// A problem with the daemon's own state, and what was done about it.
    Trouble {
        /// The sentence.
        message: String,
    },
}

impl Fact {
    /// Whether a fact about a project concerns one of its apps.
    pub fn concerns(&self, app: &AppName) -> bool {
        match self {
            Self::Accepted { changes, other_apps, .. } => {
                changes.values().flatten().chain(other_apps).any(|one| one == app)
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Why;

    /// One of each.
    fn causes() -> Vec<Cause> {
        let by = || Actor { uid: 1000, name: "alice".into() };
        vec![
            Cause::Apply { by: by(), generation: 3 },
            Cause::Command { by: by(), verb: "restart".into() },
            Cause::Policy,
            Cause::Boot,
            Cause::NotReady,
            Cause::Unhealthy { why: "refused".into() },
            Cause::OverMemory { used: Bytes(2), limit: Bytes(1) },
            Cause::Watch { path: "src/a.js".into(), others: 0 },
            Cause::Watch { path: "src/a.js".into(), others: 7 },
            Cause::Cron { due: WallTime(5) },
            Cause::Dependency { app: "db".parse().unwrap() },
            Cause::Revert,
            Cause::SelfHeal,
        ]
    }

    #[test]
    fn what_stands_beside_a_cause_is_read_as_it_was_written() {
        let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<AppName>>();
        for cause in causes() {
            for other_apps in [names(&[]), names(&["old", "older"])] {
                let changes = [(VerbKind::Rename, names(&["new"]))].into();
                let accepted = Fact::Accepted { cause: cause.clone(), generation: 2, changes, other_apps };
                let started = Fact::Started { pid: 7, incarnation: 2, restarts: 1, cause: cause.clone() };
                for fact in [accepted, started, Fact::Stopping { cause: cause.clone() }] {
                    let event = Event { seq: 1, at: WallTime(2), about: Subject::Daemon, fact };
                    let text = serde_json::to_string(&event).unwrap();
                    assert_eq!(serde_json::from_str::<Event>(&text).ok(), Some(event), "{text}");
                }
            }
            let why = Why::Started { cause };
            let text = serde_json::to_string(&why).unwrap();
            assert_eq!(serde_json::from_str::<Why>(&text).ok(), Some(why), "{text}");
        }
    }
}
