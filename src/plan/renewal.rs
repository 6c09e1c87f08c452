//! Dependencies that have had a new process since their dependents were started.

use crate::model::{AppName, Declared, LiveInstance, Moment, OnDependencyRestart, Phase};

use super::Instances;

/// The newest process among the dependencies of an app that took the place of another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Renewal<'a> {
    /// Whose process it is.
    pub app: &'a AppName,
    /// Since when it runs.
    pub since: Moment,
}

/// The renewal that an app follows, if it follows any. The first process of a copy is no renewal: scaling a database
/// up does not restart who uses it.
pub(super) fn renewal<'a>(target: &'a Declared, live: &Instances) -> Option<Renewal<'a>> {
    if target.spec.on_dependency_restart != OnDependencyRestart::Restart {
        return None;
    }
    let newest = |app: &'a AppName| {
        let renewed = live.get(app)?.values().filter(|instance| instance.incarnation > 1);
        Some(Renewal { app, since: renewed.filter_map(|instance| good_since(instance)).max()? })
    };
    target.spec.depends_on.keys().filter_map(newest).max_by_key(|renewal| renewal.since)
}

impl Renewal<'_> {
    /// Whether this process is older.
    pub(super) fn outdates(self, instance: &LiveInstance) -> bool {
        matches!(instance.phase, Phase::Running { since, .. } if since < self.since)
    }
}

fn good_since(instance: &LiveInstance) -> Option<Moment> {
    match &instance.phase {
        Phase::Running { since, readiness, .. } if readiness.is_up() => Some(*since),
        _ => None,
    }
}
