//! The format of the socket and of every `--json`: versioned, one file per resource.
//!
//! In:    words of [`crate::model`]         Out:  serde types that both ends share
//! Never: a decision; a socket; text for users
//! Walk:  [`crate::api`] → here → [`crate::client`] → [`crate::cli`]
//!
//! Every answer carries `format`. Keys are only ever added within one format.

mod change;
mod cron;
mod daemon;
mod deleted_logs;
mod environment;
mod event;
mod history;
mod input;
mod instances;
mod log;
mod message;
mod metrics;
mod problem;
mod project;
mod query;
mod rollout;
mod selection;
mod signal;
mod source;

pub use change::{
    AcceptedPlan, ApplyRequest, ChangeMessage, EditRequest, PlanAnswer, PlanDetail, PlanRequest, ProjectReport,
};
pub use cron::{CronAnswer, ScheduleRow};
pub use daemon::DaemonAnswer;
pub use deleted_logs::{DeletedLogsAnswer, DeletedLogsRow, RemoveLogsRequest};
pub use environment::EnvironmentAnswer;
pub use event::{EventMessage, EventsAnswer, EventsQuery};
pub use history::{
    AppDifference, HistoryAnswer, HistoryApp, HistoryDifference, HistoryEntryAnswer, HistoryRow, RollbackAnswer,
    RollbackRequest, TagRequest,
};
pub use input::{InputAnswer, InputRequest, NotWritten, WhyNotWritten};
pub use instances::{
    BriefAnswer, BriefRow, DeclaredRow, DescribeAnswer, DescribedApp, HookRow, ListAnswer, LogFiles, PhaseRow,
    ReadinessRow, Row,
};
pub use log::{LogLine, LogMessage, LogsAnswer, LogsFilter, LogsQuery};
pub use message::{NotSent, SendAnswer, SendRequest, WhyNotSent};
pub use metrics::{MetricsAnswer, NotMeasured};
pub use problem::{Problem, ProblemCode};
pub use project::{PinRow, ProjectRow, ProjectsAnswer, StatusAnswer, StatusRow};
pub use query::Query;
pub use rollout::{RolloutRequest, RolloutsAnswer};
pub use selection::{Scope, Selection};
pub use signal::{NotSignalled, SignalAnswer, SignalRequest, SignalledProcess, WhyNotSignalled};
pub use source::{
    AppReleases, SourceRequest, SourceRow, SourceWork, SourcesAnswer, StageRequest, SyncRequest, WebhookRow,
};

/// The words of a change are the reconciler's own: what it accepts and reports is what travels.
pub use crate::model::{
    Edit, OperationReport, OperationResult, Progress, Report, Rollback, RolloutCommand, RolloutStatus, WaitsFor,
};

/// The number in `format` of every answer.
pub const FORMAT: u32 = 1;

/// What client and daemon must agree on; another number is an error.
pub const PROTOCOL: u32 = 1;

/// Response header with the daemon's version; another one than the client's is a warning.
pub const VERSION_HEADER: &str = "pm-version";

/// Response header with [`PROTOCOL`].
pub const PROTOCOL_HEADER: &str = "pm-protocol";

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
