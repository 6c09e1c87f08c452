//! `GET /v1/list` and `GET /v1/apps`: the live state next to the desired one.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{
    AppName, Bytes, DesiredState, Exit, Failure, Hook, Millis, ProjectName, ShownApp, Status, WallTime,
};

/// The answer of `GET /v1/list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// When this was so.
    pub now: WallTime,
    /// Every instance (and every app without one), ordered by project, app and slot.
    pub apps: Vec<Row>,
    /// What the daemon found when it started and has not reported yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One instance, or an app that has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `shop:api/0`; `shop:api` for an app with 0 instances.
    pub id: String,
    /// Project of the app.
    pub project: ProjectName,
    /// The app.
    pub app: AppName,
    /// Which copy; none for an app with 0 instances.
    pub slot: Option<u32>,
    /// It takes over the slot from the current instance, in a rollout.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_successor: bool,
    /// The app's namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its status: the word, its causes, and what happens next.
    pub status: Status,
    /// What its process does.
    pub phase: PhaseRow,
    /// It runs what nobody knows: the state that held its spec was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_spec_lost: bool,
    /// It is running, but no client can connect to one of its sockets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unreachable: bool,
    /// The desired state, if it is not simply "up".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_state: Option<DesiredState>,
    /// The main process.
    pub pid: Option<u32>,
    /// How long it has been running.
    pub uptime_ms: Option<Millis>,
    /// When it was started.
    pub started_at: Option<WallTime>,
    /// How many processes it has had.
    pub incarnation: u32,
    /// Restarts that were not requested.
    pub restarts: u32,
    /// Processes that did not end in time and were killed.
    #[serde(default)]
    pub force_kills: u32,
    /// Time until it fails, while it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_within_ms: Option<Millis>,
    /// What the process reports about itself (`STATUS=` of `sd_notify`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_text: Option<String>,
    /// The hook that its start or its stop waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<HookRow>,
    /// It should be running, but was stopped by `pm shutdown`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_shut_down: bool,
    /// What follows from its declaration.
    #[serde(flatten)]
    pub declared: DeclaredRow,
    /// How the last process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<Exit>,
    /// Memory of its tree, where that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<Bytes>,
    /// CPU of its tree in percent of one core, where that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f32>,
    /// The program.
    pub script: String,
}

/// What follows from the declaration of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredRow {
    /// The next time of its schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due: Option<WallTime>,
    /// The TCP port of this copy (`port`): that of its process, else of the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// A rollback to this generation has changed the app: an apply of what was rolled back leaves it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_to: Option<u64>,
}

/// What a process does; times as everywhere on the socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum PhaseRow {
    /// No process and none wanted.
    Stopped,
    /// A spawn is on its way.
    Starting,
    /// The process lives.
    Running {
        /// Its id.
        pid: u32,
        /// Since when.
        since: WallTime,
        /// Whether it is good.
        readiness: ReadinessRow,
    },
    /// It was asked to end, or what it left behind is being cleared away.
    Stopping {
        /// The main process while it lives.
        pid: Option<u32>,
        /// When SIGKILL follows.
        deadline: WallTime,
    },
    /// It ended by itself and is started again later.
    Backoff {
        /// When the next start is due.
        until: WallTime,
        /// How long the whole wait is, in milliseconds.
        delay: Millis,
        /// Which unstable start in a row that was.
        attempt: u32,
    },
    /// It is given up until a person applies or starts again.
    Errored {
        /// The failure after which it was given up.
        failure: Failure,
    },
    /// It ended in a way that its policy calls done.
    Done {
        /// Exit code or signal.
        exit: Exit,
    },
}

/// Whether a living process is good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ReadinessRow {
    /// It is, or nothing is declared that it would have to be.
    Ready,
    /// Not yet.
    Waiting {
        /// When it has failed.
        deadline: WallTime,
        /// What the last probe found.
        last: Option<String>,
    },
    /// It was; lately health probes fail.
    Failing {
        /// What the last probe found.
        last: String,
        /// How many in a row.
        failures: u32,
    },
}

/// A hook that a start or a stop waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRow {
    /// The hook that runs now.
    pub hook: Hook,
    /// For how long it has been running.
    pub runs_ms: Millis,
    /// How long it may take.
    pub limit_ms: Millis,
}

/// The answer of `GET /v1/list?brief=true`: what a table shows, in a third of the bytes. Borrows from its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BriefAnswer<'a> {
    /// Shape of this answer.
    pub format: u32,
    /// As in [`ListAnswer`].
    #[serde(borrow)]
    pub apps: Vec<BriefRow<'a>>,
    /// Warnings about the daemon's own state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A [`Row`] without what no table shows; what goes without saying is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BriefRow<'a> {
    /// Project of the app.
    #[serde(borrow)]
    pub project: Cow<'a, str>,
    /// The app.
    #[serde(borrow)]
    pub app: Cow<'a, str>,
    /// Which copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// It takes over the slot from the current instance, in a rollout.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_successor: bool,
    /// Its status, unless it is simply running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How long it has been running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<Millis>,
    /// Restarts that were not requested.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// Memory of its tree, where that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<Bytes>,
    /// CPU of its tree in percent of one core, where that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f32>,
    /// The TCP port of this copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The generation that a rollback brought the app back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_to: Option<u64>,
    /// The program.
    #[serde(borrow)]
    pub script: Cow<'a, str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The answer of `GET /v1/apps`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DescribeAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// When this was so.
    pub now: WallTime,
    /// The selected apps.
    pub apps: Vec<DescribedApp>,
}

/// Everything about one app. Secrets are masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DescribedApp {
    /// The last applied spec.
    pub spec: ShownApp,
    /// Should it run?
    pub desired_state: DesiredState,
    /// `pm scale`, if it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaled: Option<u32>,
    /// The generation that a rollback brought it back to, while it sticks to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_to: Option<u64>,
    /// Where the project was declared.
    pub files: Vec<PathBuf>,
    /// The profile in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Its instances.
    pub instances: Vec<Row>,
    /// Slots whose process still runs an older spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outdated_slots: Vec<u32>,
    /// Which of its limits cannot be had on this machine, and why; empty = all can.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub missing_limits: String,
    /// Its log files.
    pub logs: Vec<LogFiles>,
}

/// Where the output of one instance goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFiles {
    /// Which copy.
    pub slot: u32,
    /// Standard output.
    pub stdout: Option<PathBuf>,
    /// Standard error.
    pub stderr: Option<PathBuf>,
    /// What is written from these for other programs, each file once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub written: Vec<PathBuf>,
}
