//! Metrics that the workers of an app report → one exposition in the text format of Prometheus.
//!
//! In:    answers of prom-client, what was kept   Out:  merged metrics, their text, what to keep
//! Never: I/O, clocks; a number that is not one that a worker has reported, or the merge of several
//! Walk:  [`crate::api`] asks the workers through [`crate::supervisor`] → here → the text
//!
//! The format: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

mod exposition;
mod kept;
mod merge;
mod metric;
#[cfg(test)]
mod tests;

pub use exposition::exposition;
pub use kept::{Gathered, KeptMetrics, ProcessKey};
pub use merge::SERIES_MAX;
pub use metric::{Metric, NoMetrics, read_answer};
