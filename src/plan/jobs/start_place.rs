//! Where an app stands that is to start when not all of them may start at the same time.

use crate::model::{Kind, LiveInstance, Millis, Phase, Readiness};

/// Whether an app that is to start may, where not all of them may start at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum StartPlace {
    #[default]
    None,
    Wanted,
    Given,
}

/// A start that is under way keeps others waiting no longer than this, whatever becomes of it.
pub(super) const PLACE_MAX: Millis = Millis::seconds(60);

/// Whether a process that was ordered still puts the load of a start on the machine: not while it waits to be tried
/// again, and not as a task that does its work.
pub(super) fn is_starting(live: &LiveInstance) -> bool {
    match &live.phase {
        Phase::Backoff { .. } => false,
        Phase::Running { readiness, .. } => {
            live.spec.kind != Kind::Task || matches!(readiness, Readiness::Waiting { .. })
        }
        _ => true,
    }
}
