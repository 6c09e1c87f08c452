//! Commands that talk with processes over their channel.

mod metrics;
mod send;

pub(super) use metrics::Metrics;
pub(super) use send::Send;
