//! Commands that talk with processes: over their channel or their standard input, or by a signal.

mod attach;
mod metrics;
mod send;
mod signal;

pub(super) use attach::Attach;
pub(super) use metrics::Metrics;
pub(super) use send::Send;
pub(super) use signal::SignalCommand;
