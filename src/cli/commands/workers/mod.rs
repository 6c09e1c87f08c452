//! Commands that talk with processes: over their channel, or by a signal.

mod metrics;
mod send;
mod signal;

pub(super) use metrics::Metrics;
pub(super) use send::Send;
pub(super) use signal::SignalCommand;
