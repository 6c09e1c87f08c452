//! The live state: the supervisor's published view of every instance.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{App, Bytes, Hook, InstanceId, Millis, Moment, WallTime};

/// A snapshot of all instances.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Live {
    /// By instance.
    pub instances: BTreeMap<InstanceId, LiveInstance>,
    /// Orders that could not be begun, by number: no instance could be made, or a rehearsal failed.
    pub refused: BTreeMap<InstanceId, (u64, Failure)>,
    /// Rehearsals that found nothing against a start, by number.
    pub rehearsed: BTreeMap<InstanceId, u64>,
}

/// One instance as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveInstance {
    /// What it is doing.
    pub phase: Phase,
    /// How many processes this instance has had; this is the number of the current one.
    pub incarnation: u32,
    /// Since when it is in its phase; a living process has a start instead.
    pub since: Option<Moment>,
    /// Restarts after exits that nobody requested.
    pub restarts: u32,
    /// What else is counted.
    pub counts: Counts,
    /// The spawn record: the spec that the current (or last) process was started with.
    pub spec: Arc<App>,
    /// The restart counter that it was started under.
    pub restart_requests: u64,
    /// When the current process was started.
    pub started: Option<WallTime>,
    /// How the last process ended.
    pub last_exit: Option<Exit>,
    /// Why the last process was stopped, if it was unhealthy and no new one was requested since.
    pub trouble: Option<Failure>,
    /// What the process reports about itself (`STATUS=` of `sd_notify`).
    pub status_text: Option<String>,
    /// The hook that its start or its stop waits for.
    pub hook: Option<HookUnderWay>,
    /// The newest order that it has taken up.
    pub taken: Taken,
    /// What follows once its process is gone, while it is being ended.
    pub following: Option<Following>,
    /// No client can connect to one of its sockets. Only known where it was looked for.
    pub is_unreachable: bool,
}

/// What is counted of an instance besides its restarts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Unstable starts in a row.
    pub unstable: u32,
    /// Processes that did not end in time and were killed.
    pub force_kills: u32,
}

/// An order that an instance has taken up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// Its number; 0 = none from this daemon.
    pub order: u64,
    /// How many restarts it had had by then.
    pub restarts: u32,
}

/// What follows once nothing of a process is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Following {
    /// The instance stays down.
    Rest,
    /// It is restarted.
    Start,
    /// It is forgotten.
    Removal,
    /// Its restart policy decides.
    Policy,
}

/// A hook that a start or a stop waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HookUnderWay {
    /// The hook that runs now.
    pub hook: Hook,
    /// Since when it was requested.
    pub since: Moment,
    /// How long it may take.
    pub limit: Millis,
}

/// What an instance is doing. Each variant carries its own data, so none can be out of place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Phase {
    /// No process and none wanted.
    Stopped,
    /// A spawn is on its way.
    Starting,
    /// The process is alive.
    Running {
        /// Its id.
        pid: u32,
        /// Since when.
        since: Moment,
        /// Whether it is ready.
        readiness: Readiness,
    },
    /// It was asked to end, or what it left behind is being cleared away.
    Stopping {
        /// The main process while it is alive.
        pid: Option<u32>,
        /// When SIGKILL follows.
        deadline: Moment,
    },
    /// It ended on its own and is started again later.
    Backoff {
        /// When the next start is due.
        until: Moment,
        /// How long the whole wait is.
        delay: Millis,
        /// Which unstable start in a row that was.
        attempt: u32,
    },
    /// It is given up until a user applies or starts again.
    Errored {
        /// The failure after which it was given up.
        failure: Failure,
    },
    /// It ended in a way that its policy counts as done.
    Done {
        /// Exit code or signal.
        exit: Exit,
    },
}

impl Phase {
    /// The word for tables and `--json`. A process that is not ready yet is starting.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting | Self::Running { readiness: Readiness::Waiting { .. }, .. } => "starting",
            Self::Running { .. } => "running",
            Self::Stopping { .. } => "stopping",
            Self::Backoff { .. } => "backoff",
            Self::Errored { .. } => "errored",
            Self::Done { .. } => "done",
        }
    }

    /// The main process, while there is one.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Running { pid, .. } => Some(*pid),
            Self::Stopping { pid, .. } => *pid,
            Self::Stopped | Self::Starting | Self::Backoff { .. } | Self::Errored { .. } | Self::Done { .. } => None,
        }
    }

    /// Whether a process may exist in this phase.
    pub fn is_alive(&self) -> bool {
        matches!(self, Self::Starting | Self::Running { .. } | Self::Stopping { .. })
    }
}

/// Whether a live process is ready and healthy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Readiness {
    /// It is, or nothing is declared that it would have to be.
    Ready,
    /// Not yet.
    Waiting {
        /// When it has failed.
        deadline: Moment,
        /// What the last probe found: `connection refused`.
        last: Option<String>,
    },
    /// It was; lately health probes fail.
    Failing {
        /// The result of the last probe.
        last: String,
        /// How many in a row.
        failures: u32,
    },
}

impl Readiness {
    /// Whether it is up as far as others are concerned.
    pub fn is_up(&self) -> bool {
        !matches!(self, Self::Waiting { .. })
    }
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// `exit(code)`.
    Code(i32),
    /// Ended by this signal.
    Signal(i32),
    /// It ended while nothing that could read its status was watching.
    Unknown,
}

impl Exit {
    /// Code 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match super::keys::signal_name(*number) {
                Some(name) => write!(f, "signal {name}"),
                None => write!(f, "signal {number}"),
            },
            Self::Unknown => f.write_str("unknown exit status"),
        }
    }
}

/// Why an instance was given up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "because")]
pub enum Failure {
    /// It could not be started at all.
    Spawn {
        /// What the kernel said, and to which step.
        error: SpawnError,
    },
    /// `max_restarts` unstable starts in a row.
    TooManyRestarts {
        /// How many.
        starts: u32,
        /// How the last one ended.
        exit: Exit,
        /// Why the last one was ended, if it did not end on its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<Box<Failure>>,
    },
    /// It ended in failure and its policy is never to restart.
    Exited {
        /// Exit code or signal.
        exit: Exit,
    },
    /// Its process was not ready in time.
    NotReady {
        /// The time limit.
        after: Millis,
        /// The result of the last probe.
        last: Option<String>,
    },
    /// Its process ended before it was ready.
    EndedUnready {
        /// Exit code or signal.
        exit: Exit,
    },
    /// A user aborted the rollout.
    Aborted,
    /// Its health probes failed, and its policy is never to restart.
    Unhealthy {
        /// The result of the last probe.
        why: String,
    },
    /// The hook that runs before it failed.
    Hook {
        /// Which hook.
        hook: Hook,
        /// Why: how it ended, or that it took too long.
        message: String,
    },
    /// Its build failed, before there was a process.
    Build {
        /// How it ended.
        message: String,
        /// The last lines that it printed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        printed: Vec<String>,
    },
    /// It used too much memory, and its policy is never to restart.
    OverMemory {
        /// What its tree used.
        used: Bytes,
        /// The limit.
        limit: Bytes,
    },
}

impl Failure {
    /// Whether what was requested may work a little later, and no fault of the app is known.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Spawn { error } if error.is_passing)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawn { error } => error.fmt(f),
            Self::TooManyRestarts { starts, exit, trouble } => {
                write!(f, "gave up after {starts} unstable starts in a row, the last one ")?;
                match trouble.as_deref() {
                    None => write!(f, "ended with {exit}"),
                    Some(Self::Unhealthy { why }) => write!(f, "was stopped as unhealthy: {why}"),
                    Some(Self::OverMemory { used, limit }) => {
                        write!(f, "was stopped over its memory limit: {used} of {limit}")
                    }
                    Some(other) => other.fmt(f),
                }
            }
            Self::Exited { exit } => write!(f, "ended with {exit} and is not restarted"),
            Self::NotReady { after, last: None } => write!(f, "was not ready after {after}"),
            Self::NotReady { after, last: Some(last) } => write!(f, "was not ready after {after}: {last}"),
            Self::EndedUnready { exit } => write!(f, "ended with {exit} before it was ready"),
            Self::Aborted => f.write_str("the rolling update was aborted"),
            Self::Unhealthy { why } => write!(f, "is unhealthy: {why}"),
            Self::Hook { hook, message } => write!(f, "failed in its hook `{}`: {message}", hook.as_str()),
            Self::Build { message, .. } => write!(f, "the build failed: {message}"),
            Self::OverMemory { used, limit } => write!(f, "used {used} of memory, more than {limit}"),
        }
    }
}

/// A spawn that failed: the step, the thing, and what the kernel said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SpawnError {
    /// The step.
    pub stage: SpawnStage,
    /// The file, folder or user that the step was about.
    pub subject: String,
    /// `errno`; 0 where the kernel was not asked.
    pub errno: i32,
    /// What `errno` means: `No such file or directory`.
    pub message: String,
    /// The same start may succeed a little later without any change: it is retried and does not count against
    /// the app.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_passing: bool,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} `{}`: {}", self.stage.words(), self.subject, self.message)
    }
}

/// The step of a spawn at which it failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpawnStage {
    /// Finding the program on PATH.
    Find,
    /// Looking up the user or group.
    User,
    /// Making or opening the pipes for its output.
    Output,
    /// Opening its notify socket or its message channel.
    Channels,
    /// Listening at an address for it.
    Listen,
    /// A free entry in the process table.
    TableEntry,
    /// `clone(2)`.
    Clone,
    /// `setsid(2)`.
    Session,
    /// `setgroups`, `setgid`, `setuid`.
    Identity,
    /// Whether the kernel has made it that user, group and groups.
    IdentityCheck,
    /// `chdir(2)`.
    Folder,
    /// `dup2(2)` of stdin, stdout, stderr.
    Descriptors,
    /// `setrlimit(2)`, `setpriority(2)`, the score of the out-of-memory killer.
    Limits,
    /// `execve(2)`.
    Exec,
}

impl SpawnStage {
    fn words(self) -> &'static str {
        match self {
            Self::Find => "find",
            Self::User => "look up user",
            Self::Output => "open the output of",
            Self::Channels => "open the notify socket or the message channel of",
            Self::Listen => "listen on",
            Self::TableEntry => "find a free table entry for",
            Self::Clone => "create a process for",
            Self::Session => "create a session for",
            Self::Identity => "become user",
            Self::IdentityCheck => "confirm the switch to user",
            Self::Folder => "enter folder",
            Self::Descriptors => "connect the output of",
            Self::Limits => "set the limits of",
            Self::Exec => "execute",
        }
    }
}
