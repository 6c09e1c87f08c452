//! How a source stands, in one word, and when it is looked at again.

use crate::model::{GitSource, Millis, SourceStatus};

/// The longest wait after the repository could not be asked, unless the interval is longer.
const RETRY_MAX: Millis = Millis::seconds(600);
/// Doublings of the wait.
const DOUBLINGS_MAX: u32 = 10;

/// How it stands. `is_running`: a worker is at it; `is_unreachable`: the last look found nobody.
pub fn source_status(source: &GitSource, is_running: bool, is_unreachable: bool) -> SourceStatus {
    let record = &source.record;
    let last = record.attempted.as_deref();
    if record.under_way.is_some() || (is_running && last.is_none()) {
        SourceStatus::Syncing
    } else if source.is_suspended {
        SourceStatus::Suspended
    } else if record.stalled.is_some() {
        SourceStatus::Stalled
    } else if record.waiting.is_some() {
        SourceStatus::Waiting
    } else if last.is_some_and(|commit| record.failure_of(commit).is_some()) {
        SourceStatus::Failed
    } else if is_unreachable {
        SourceStatus::Unreachable
    } else if last.is_none() {
        SourceStatus::New
    } else {
        SourceStatus::Healthy
    }
}

/// How long until the next look, after so many in a row that found nobody.
pub fn after_tick(interval: Millis, failures: u32) -> Millis {
    let doubled = interval.0.saturating_mul(1 << failures.min(DOUBLINGS_MAX));
    Millis(doubled.min(RETRY_MAX.0.max(interval.0)))
}
