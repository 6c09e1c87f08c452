//! Sensors: probes, changed files, the clock, used memory.
//!
//! In:    Desired and Live, as they change     Out:  observations for the supervisor, triggers for the reconciler
//! Never: a decision (those are `rules`' and `lifecycle`'s), a second way to start or stop anything
//! Walk:  kernel → here → [`crate::supervisor`] (about one process) or [`crate::reconciler`] (about an app)
//!
//! Each sensor is one task that lives as long as the daemon. It keeps nothing that the next daemon could not see
//! again on its own; what it could not (a changed file whose build is in progress) is noted in the run folder.

mod address;
mod clock;
mod command;
mod healing;
mod http;
mod log_line;
mod memory;
mod probe;
mod probes;
mod sources;
#[cfg(feature = "tls")]
mod tls;
mod usage;
#[cfg(target_os = "linux")]
mod watch;

pub use sources::{SourceTicks, Sources, WebhookStatuses};
pub use usage::{Usage, Used};

use crate::events::Events;
use crate::os::{Home, Worker};
use crate::reconciler::Reconciler;
use crate::supervisor::Supervisor;

/// The rooms that sensors work with.
#[derive(Clone, Debug)]
pub struct SensorDeps {
    /// Knows what should be; is told what concerns an app.
    pub reconciler: Reconciler,
    /// Knows the live state; is told what concerns one process.
    pub supervisor: Supervisor,
    /// Where logs and the daemon's own files are.
    pub home: Home,
    /// Ticks when any log grew.
    pub log_growth: tokio::sync::watch::Receiver<u64>,
    /// Reads them.
    pub reader: Worker,
    /// Is told what nobody else would tell.
    pub events: Events,
}

/// Starts all sensors. Must be called inside the runtime.
pub fn start(deps: SensorDeps) -> Sources {
    #[cfg(target_os = "linux")]
    tokio::spawn(watch::run(deps.clone()));
    tokio::spawn(clock::run(deps.clone()));
    tokio::spawn(memory::watch(deps.supervisor.clone()));
    tokio::spawn(probes::follow(deps.clone()));
    tokio::spawn(healing::run(deps.clone()));
    sources::start(deps)
}
