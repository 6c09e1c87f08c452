//! Small decisions that several rooms share.
//!
//! In:    a policy and what was seen        Out:  a delay, a command line, an environment, a time, a yes or no
//! Never: I/O, clocks, randomness: time, zones, context and seeds are arguments
//! Walk:  [`crate::lifecycle`], [`crate::supervisor`], [`crate::reconciler`] and [`crate::sensors`] call it

mod at_start;
mod backoff;
mod cron;
mod dependency;
mod descriptors;
mod environment;
mod exec_size;
mod healing;
mod ignore;
mod logs;
mod message;
mod notification;
mod overlap;
mod ownership;
mod probe_url;
mod probing;
mod program;
mod shell_line;
mod sources;
mod start_mark;
mod status;
mod watch;

pub use at_start::{Channels, can_follow, fixed_at_start, socket_names};
pub use backoff::{RESTARTS_AT_ONCE, Verdict, after_exit, after_trouble, retry_delay};
pub use cron::{Cron, CronError, Ring, Timer};
pub use dependency::{DependencyStatus, coming, dependency};
pub use descriptors::DescriptorShares;
pub use environment::{Place, environment};
pub use exec_size::{TooLong, exec_size};
#[cfg(test)]
pub(crate) use healing::{HEALS_MAX, PAUSE};
pub use healing::{counted, healed, heals};
pub use ignore::{IgnoreRules, excludes_file};
pub use logs::{LineOrigin, LineWriter, check_timestamps, rotation, timestamp};
pub use message::{MESSAGE_BYTES_MAX, NotAMessage, message_line};
pub use notification::{CHANNEL_LINE_BYTES_MAX, ChannelLine, Notification, channel_lines, notifications};
pub use overlap::{Turn, overlap};
pub use ownership::{FoundStart, Owner, Parent, ProcessFacts, RowFacts, owners, starts};
pub use probe_url::{ProbeUrl, UrlError, is_header_name};
pub use probing::{next_in_interval, next_try, offset_in_interval};
pub use program::{Argv, argv};
pub use sources::{
    RestReason, SourceFacts, SourceStep, WebhookCheck, WindowError, after_tick, changed_source, check_windows,
    closed_until, next_step, pushed_branch, source_status,
};
pub use start_mark::StartMark;
pub use status::{CopyFacts, Facts, project_state, status};
pub use watch::{BurstState, Bursts, OwnFiles, WatchRoot, WatchRules};
