//! Turns HTTP requests on the Unix socket into queries and intents for the rooms below.
//!
//! In:    a listening socket, [`Context`]   Out:  JSON answers, streams of server-sent events
//! Never: a decision about apps; a second way to change Desired; waiting without a bound
//! Walk:  [`crate::client`] → here → [`crate::reconciler`], [`crate::supervisor`], [`crate::events`], [`crate::logs`]

mod answer;
mod apps;
mod blocking;
mod caller;
mod change;
mod cron;
mod daemon;
mod environment;
mod events;
mod inputs;
mod logs;
mod messages;
mod metrics;
mod projects;
mod rollouts;
mod room;
mod rows;
mod select;
mod serve;
mod signals;
mod stream;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, mpsc, watch};

use crate::events::Events;
use crate::model::{Desired, Moment, WallTime};
use crate::os::Worker;
use crate::reconciler::Reconciler;
use crate::rules::DescriptorShares;
use crate::sensors::{Sources, Usage};
use crate::supervisor::Supervisor;
use rows::SceneFacts;

pub use metrics::MetricsFolder;
pub use serve::serve;

/// Everything that an answer may need; cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    /// The one way to change Desired.
    pub reconciler: Reconciler,
    /// What is.
    pub supervisor: Supervisor,
    /// What the apps use.
    pub usage: Usage,
    /// The looks at Git sources.
    pub sources: Sources,
    /// What happened.
    pub events: Events,
    /// Ticks when a log file grew (`Pump::advanced`).
    pub log_growth: watch::Receiver<u64>,
    /// Folder of the default log files.
    pub logs_folder: PathBuf,
    /// Counters that outlive their workers.
    pub metrics: MetricsFolder,
    /// What the daemon says about itself.
    pub daemon: DaemonFacts,
    /// The way to ask the daemon to leave.
    pub leave: mpsc::Sender<Leave>,
    /// Threads for reading logs from the disk.
    pub reader: Worker,
    /// Room for followers.
    pub followers: Followers,
    /// Connections at a time; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// What the next answer to a user reports.
    pub warnings: Warnings,
}

impl Context {
    /// What rows are made of besides what is declared and what lives.
    fn scene_facts(&self, desired: &Desired) -> SceneFacts {
        SceneFacts {
            waiting: self.reconciler.waiting(),
            due: cron::due(desired),
            files: self.reconciler.changed_files(),
        }
    }
}

/// What does not change while a daemon is running.
#[derive(Clone, Debug)]
pub struct DaemonFacts {
    /// Its process.
    pub pid: u32,
    /// The anchor's process.
    pub anchor_pid: u32,
    /// `PM_HOME`.
    pub home: PathBuf,
    /// When it started, for users.
    pub started_at: WallTime,
    /// When it started, for durations.
    pub started: Moment,
}

/// How the daemon should leave. Sent once its answer is on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// `pm daemon restart`: another one takes over, apps untouched.
    Restart,
    /// `pm daemon stop`: daemon and anchor end; no app runs.
    Stop,
    /// `pm shutdown`: everything was stopped; daemon and anchor end.
    ShutDown,
}

/// Counts streams, and the files that are kept open for them.
#[derive(Clone, Debug)]
pub struct Followers {
    observers: Arc<Semaphore>,
    changes: Arc<Semaphore>,
    files: Arc<Semaphore>,
}

impl Followers {
    /// As many as these shares allow.
    pub fn new(shares: &DescriptorShares) -> Self {
        let room = |count| Arc::new(Semaphore::new(count));
        Self { observers: room(shares.observers), changes: room(shares.changes), files: room(shares.followed_files) }
    }
}

/// What was found when the daemon started and has not been reported to a user yet.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// With these.
    pub fn new(warnings: Vec<String>) -> Self {
        Self(Arc::new(Mutex::new(warnings)))
    }

    /// Takes the warnings for an answer; they are reported only once.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
