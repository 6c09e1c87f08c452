//! Turns HTTP requests on the Unix socket into questions and intents for the rooms below.
//!
//! In:    a listening socket, [`Context`]   Out:  JSON answers, streams of server-sent events
//! Never: a decision about apps; a second way to change Desired; waiting without a bound
//! Walk:  [`crate::client`] → here → [`crate::reconciler`], [`crate::supervisor`], [`crate::events`], [`crate::logs`]

mod answer;
mod apps;
mod blocking;
mod change;
mod daemon;
mod environment;
mod events;
mod logs;
mod rows;
mod select;
mod serve;
mod stream;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, mpsc, watch};

use crate::events::Events;
use crate::model::{Moment, WallTime};
use crate::os::Worker;
use crate::reconciler::Reconciler;
use crate::supervisor::Supervisor;

pub use serve::serve;

/// Most followers (log, event and progress streams) at a time.
const FOLLOWERS_MAX: usize = 64;

/// Everything that an answer may need; cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    /// The one way to change Desired.
    pub reconciler: Reconciler,
    /// What is.
    pub supervisor: Supervisor,
    /// What happened.
    pub events: Events,
    /// Ticks when a log file grew (`Pump::advanced`).
    pub log_growth: watch::Receiver<u64>,
    /// Folder of the default log files.
    pub logs_folder: PathBuf,
    /// What the daemon says about itself.
    pub daemon: DaemonFacts,
    /// The way to ask the daemon to leave.
    pub leave: mpsc::Sender<Leave>,
    /// Threads for reading logs from the disk.
    pub reader: Worker,
    /// Room for followers; `Followers::default()`.
    pub followers: Followers,
    /// What the next person is to be told.
    pub warnings: Warnings,
}

/// What does not change while a daemon lives.
#[derive(Clone, Debug)]
pub struct DaemonFacts {
    /// Its process.
    pub pid: u32,
    /// The anchor's process.
    pub anchor_pid: u32,
    /// `PM_HOME`.
    pub home: PathBuf,
    /// When it started, for people.
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

/// Counts streams.
#[derive(Clone, Debug)]
pub struct Followers(Arc<Semaphore>);

impl Default for Followers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(FOLLOWERS_MAX)))
    }
}

/// What was found when the daemon started and no person has been told yet.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// With these.
    pub fn new(warnings: Vec<String>) -> Self {
        Self(Arc::new(Mutex::new(warnings)))
    }

    /// For the answer that is being made; nobody else is told the same again.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
