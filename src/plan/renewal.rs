//! Dependencies that have had a new process since their dependents were started.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    AppName, Declared, LiveInstance, Moment, Note, OnDependencyRestart, Operation, Phase, Project, Verb, by_app,
};

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
    if !follows(target) {
        return None;
    }
    let newest = |app: &'a AppName| {
        let renewed = live.get(app)?.values().filter(|instance| instance.incarnation > 1);
        Some(Renewal { app, since: renewed.filter_map(|instance| good_since(instance)).max()? })
    };
    target.spec.depends_on.keys().filter_map(newest).max_by_key(|renewal| renewal.since)
}

/// Apps that will follow the renewals of this plan, although none of its steps is about them: one look after it has been
/// carried out gives them new processes. `names`: dependencies first, each with the name under which it lives.
pub(super) fn followers<'a>(
    project: &'a Project,
    names: impl Iterator<Item = (&'a AppName, &'a AppName)>,
    live: &Instances,
    operations: &[Operation],
) -> Vec<Note> {
    let mut renewed: BTreeSet<&AppName> = BTreeSet::new();
    let mut notes = Vec::new();
    if !project.apps.values().any(follows) {
        return notes;
    }
    let operations = by_app(operations);
    for (name, known_as) in names {
        let Some(declared) = project.apps.get(name) else { continue };
        let lives = live.get(known_as);
        let slots: BTreeSet<u32> =
            operations.get(name).into_iter().flatten().flat_map(|one| replaced(one, lives)).collect();
        let is_running = |slot: &u32, instance: &LiveInstance| {
            matches!(instance.phase, Phase::Running { .. }) && declared.should_run(*slot) && !slots.contains(slot)
        };
        let goes_on = lives.is_some_and(|live| live.iter().any(|(slot, instance)| is_running(slot, instance)));
        let dependency = declared.spec.depends_on.keys().find(|other| renewed.contains(other));
        match dependency.filter(|_| goes_on && follows(declared)) {
            Some(dependency) => {
                notes.push(Note::RestartsWith { app: name.clone(), dependency: dependency.clone() });
                renewed.insert(name);
            }
            None if !slots.is_empty() => drop(renewed.insert(name)),
            None => {}
        }
    }
    notes
}

/// Whether the app is restarted together with what it depends on.
fn follows(declared: &Declared) -> bool {
    declared.spec.on_dependency_restart == OnDependencyRestart::Restart
}

/// Slots that get another process than their first one.
fn replaced(operation: &Operation, live: Option<&BTreeMap<u32, &LiveInstance>>) -> Vec<u32> {
    let was_there = |slot: &u32| live.and_then(|live| live.get(slot)).is_some_and(|live| live.incarnation > 0);
    match &operation.verb {
        Verb::Roll { slots, .. } | Verb::Restart { slots, .. } => slots.clone(),
        Verb::Start { slots } => slots.iter().copied().filter(was_there).collect(),
        _ => Vec::new(),
    }
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
