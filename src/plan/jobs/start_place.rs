//! Where an app stands that is to start when not all of them may start at the same time.

use crate::model::{HookUnderWay, Kind, LiveInstance, Millis, Moment, Phase, Readiness, Unready};

/// Whether an app that is to start may, where not all of them may start at the same time; or what comes before that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum StartPlace {
    #[default]
    None,
    Wanted,
    Given,
    /// An older job still works on the app, since then.
    Behind(Moment),
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

/// What holds up a process that is not ready yet.
pub(super) fn not_ready(live: &LiveInstance) -> Option<Unready> {
    if let Some(HookUnderWay { hook, limit, .. }) = live.hook {
        return Some(Unready::Hook { hook, limit_ms: limit });
    }
    match &live.phase {
        Phase::Running { readiness: Readiness::Waiting { last: Some(last), .. }, .. } => {
            Some(Unready::Probe { last: last.clone(), status_text: live.status_text.clone() })
        }
        _ => None,
    }
}
