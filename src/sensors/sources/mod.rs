//! Git sources: when each is looked at, the worker that does it, and the webhooks that ask for it.
//!
//! A look is a process of its own (`pm source-worker NAME`): it asks the repository, and deploys as a client of this daemon. It
//! dies with the daemon; the next one looks at every source at once, and whatever was under way goes on. So a call of a webhook
//! that was answered is not lost either.

mod call;
mod handle;
mod listeners;
mod schedule;
mod worker;

pub use handle::{SourceTicks, Sources, WebhookStatuses};

use super::SensorDeps;

/// Starts the tasks.
pub(super) fn start(deps: SensorDeps) -> Sources {
    let (sources, asks) = Sources::new();
    tokio::spawn(listeners::run(deps.reconciler.clone(), sources.clone()));
    tokio::spawn(schedule::run(deps.reconciler, deps.home, asks, sources.ticks_sender()));
    sources
}
