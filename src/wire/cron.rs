//! `GET /v1/cron`: the schedules of apps.

use serde::{Deserialize, Serialize};

use crate::model::{AppName, CronOverlap, DesiredState, Exit, Kind, ProjectName, WallTime};

/// The answer of `GET /v1/cron`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CronAnswer {
    /// Shape of this answer.
    pub format: u32,
    /// The clock on the wall, for "in 5 minutes".
    pub now: WallTime,
    /// The selected apps that have a schedule, ordered by project and app.
    pub schedules: Vec<ScheduleRow>,
}

/// The schedule of one app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleRow {
    /// Project of the app.
    pub project: ProjectName,
    /// The app.
    pub app: AppName,
    /// A service is restarted at its times, a task is run.
    pub kind: Kind,
    /// The pattern as declared.
    pub pattern: String,
    /// The zone in which it is meant.
    pub zone: String,
    /// What happens to a run of a task that is due while the last one is still going.
    pub overlap: CronOverlap,
    /// `waiting`, `running`, `errored`, …: the state of its first copy.
    pub status: String,
    /// Why the schedule is suspended, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_state: Option<DesiredState>,
    /// It has been suspended since `pm shutdown`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_shut_down: bool,
    /// Its next times, as many as requested; none while it is suspended.
    pub next: Vec<WallTime>,
    /// When its newest process was started, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_start: Option<WallTime>,
    /// How the last process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<Exit>,
}
