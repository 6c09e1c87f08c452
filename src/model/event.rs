//! Facts, told to whoever listens. Words for people are made at the edge (`cli/output`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AppName, Bytes, Condition, Exit, Failure, InstanceId, Millis, ProjectName, Rollback, WallTime};

/// One fact, numbered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Position in the journal, from 1; a cursor for followers.
    pub seq: u64,
    /// Wall clock of this machine.
    pub at: WallTime,
    /// About what.
    pub about: Subject,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What a fact is about.
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
    /// Whether nobody asked for it: such a restart counts.
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::Policy | Self::NotReady | Self::Unhealthy { .. } | Self::OverMemory { .. } => true,
            Self::Apply { .. }
            | Self::Command { .. }
            | Self::Boot
            | Self::Watch { .. }
            | Self::Cron { .. }
            | Self::Dependency { .. }
            | Self::Revert => false,
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

/// A process that goes on although it was looked for to be ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LeftProcess {
    /// Its id.
    pub pid: u32,
    /// What it calls itself.
    pub name: String,
}

impl LeftProcess {
    /// Some of them, for people.
    pub fn list(processes: &[Self]) -> String {
        processes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl std::fmt::Display for LeftProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.pid, self.name)
    }
}

/// Who asked: the user behind the socket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Actor {
    /// User id, proven by the kernel.
    pub uid: u32,
    /// User name, or the number where there is none.
    pub name: Arc<str>,
}

/// Why something was done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum Cause {
    /// An apply, by whom, to which generation.
    Apply {
        /// Whoever asked for it.
        by: Actor,
        /// The project's new generation.
        #[serde(rename = "project_generation")]
        generation: u64,
    },
    /// `pm restart`, `pm stop`, …
    Command {
        /// Whoever asked for it.
        by: Actor,
        /// The verb.
        verb: String,
    },
    /// The process ended and its policy says again.
    Policy,
    /// The daemon (or the machine) started and this should run.
    Boot,
    /// Its process was not good in time.
    NotReady,
    /// Its health probes failed.
    Unhealthy {
        /// What the last one found.
        why: String,
    },
    /// Its tree used too much memory.
    OverMemory {
        /// What it used.
        used: Bytes,
        /// What it may use.
        limit: Bytes,
    },
    /// Watched files changed.
    Watch {
        /// The first of them.
        path: String,
        /// How many others.
        others: u32,
    },
    /// Its time had come.
    Cron {
        /// When it was due.
        due: WallTime,
    },
    /// Something that it depends on got a new process.
    Dependency {
        /// Which app.
        app: AppName,
    },
    /// A newer spec failed: the old one comes back.
    Revert,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Fact {
    /// A project's desired state was accepted.
    Accepted {
        /// What asked for it.
        #[serde(flatten)]
        cause: Cause,
        /// The new generation.
        generation: u64,
        /// One line: `start a1, a2, a3 and 297 more; roll web`.
        summary: String,
        /// The apps that it changes; empty in what earlier versions told.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        apps: Vec<AppName>,
    },
    /// A process runs.
    Started {
        /// Its id; 0 = a daemon died before it could tell, and the next one no longer knew.
        pid: u32,
        /// The how-manieth of this instance.
        generation: u32,
        /// Restarts that nobody asked for by then, this one included: as in lists.
        #[serde(default)]
        restarts: u32,
        /// What asked for the start.
        #[serde(flatten)]
        cause: Cause,
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
        /// The how-manieth of this instance.
        generation: u32,
        /// How long it ran.
        uptime: Millis,
        /// Whether it had been asked to.
        is_asked: bool,
    },
    /// It ended by itself; the next start waits.
    BackingOff {
        /// How long.
        delay: Millis,
        /// Unstable starts in a row.
        attempt: u32,
        /// Which restart that will be; 0 in what earlier versions told.
        #[serde(default)]
        restart: u32,
    },
    /// It is not started again by itself.
    GaveUp {
        /// The failure that counted.
        failure: Failure,
    },
    /// It ended in a way that its policy calls done.
    Completed {
        /// Exit code or signal.
        exit: Exit,
    },
    /// It was asked to stop.
    Stopping {
        /// What asked for the stop.
        #[serde(flatten)]
        cause: Cause,
    },
    /// The deadline passed; SIGKILL was sent.
    ForceKilled {
        /// How many processes.
        processes: u32,
    },
    /// Nothing of it is left, but for what may be of another app.
    Stopped {
        /// Of this home, and nobody can tell of which app.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<LeftProcess>,
        /// It ran under an anchor that died: what had left its tree by then cannot be told from anything else.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_unsure: bool,
    },
    /// Its process is good.
    Ready {
        /// How long that took.
        after: Millis,
    },
    /// Its process was not good in time.
    NotReady {
        /// How long it had.
        after: Millis,
        /// What the last probe found.
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
    /// A start waits for something that it depends on.
    WaitsFor {
        /// Which app.
        app: AppName,
        /// What has to have happened to it.
        condition: Condition,
        /// How it is at present.
        why: String,
    },
    /// The kernel's out-of-memory killer ended it.
    OutOfMemory {
        /// The kernel names it; otherwise memory ran out at that moment, and nobody here sent the signal.
        #[serde(default)]
        is_certain: bool,
        /// Not its first process, but another one of its tree.
        #[serde(default)]
        is_child: bool,
    },
    /// Limits that cannot be had on this machine.
    LimitsUnavailable {
        /// Which, why, and what would help.
        message: String,
    },
    /// A hook failed or took too long.
    HookFailed {
        /// Which: `pre_stop`.
        hook: String,
        /// What it ended with, or that it took too long.
        message: String,
    },
    /// A time of its schedule was left out.
    CronSkipped {
        /// When it was due.
        due: WallTime,
        /// A sentence for a person.
        why: String,
    },
    /// Something about watching its files that a person should know.
    WatchTrouble {
        /// The sentence.
        message: String,
    },
    /// Its build command failed: what runs is kept.
    BuildFailed {
        /// How it ended and the last of what it printed.
        message: String,
    },
    /// A rolling update of it failed.
    UpdateFailed {
        /// The copy whose new process was no good.
        instance: InstanceId,
        /// Why, if it was given up or could not be started.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        /// How the new process ended, if it ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<Exit>,
        /// What became of the version before.
        #[serde(default)]
        rollback: Rollback,
    },
    /// It is no longer declared.
    Deleted,
    /// New values that needed no new process.
    Updated {
        /// The keys.
        fields: Vec<String>,
    },
    /// It bears a new name and kept its process.
    Renamed {
        /// The old one.
        from: InstanceId,
    },
    /// Its log could not be written and output was thrown away.
    OutputDropped {
        /// Which output.
        stream: Stream,
        /// How much.
        bytes: u64,
    },
    /// The log disk is full; apps that write wait.
    LogDiskFull {
        /// What the kernel said.
        message: String,
    },
    /// A daemon took over.
    DaemonStarted {
        /// Its process.
        pid: u32,
        /// How many live instances it found.
        found: u32,
        /// Its version.
        version: String,
    },
    /// The daemon leaves.
    DaemonStopping {
        /// `restart`, `shutdown`, `stop`.
        why: String,
    },
    /// Something is wrong with the daemon's own state; the text says what and what was done.
    Trouble {
        /// The sentence.
        message: String,
    },
}

impl Fact {
    /// Whether a fact about a project is of interest to who asks about one of its apps.
    pub fn concerns(&self, app: &AppName) -> bool {
        match self {
            Self::Accepted { apps, .. } => apps.is_empty() || apps.contains(app),
            _ => true,
        }
    }
}
