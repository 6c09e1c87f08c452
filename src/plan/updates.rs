//! Rolling updates as far as they outlive a daemon: what each goes back to, and what is left of it.

use crate::model::{Change, Live, Operation, Plan, Project, ProjectName, Reason, Update, Verb};

use super::instances_of;
use super::slots::{is_of_form, manner, running};
use super::target::Target;

/// What has to be kept of the updates that `plan` begins or turns back. One that follows another one that never came to
/// a good end goes back to where that one began. What an app with a new name goes back to bears that name, too.
pub(super) fn changes(name: &ProjectName, stored: Option<&Project>, target: &Target, plan: &Plan) -> Vec<Change> {
    let Some(stored) = stored else { return Vec::new() };
    let mut changes = Vec::new();
    for (app, declared) in &target.project.apps {
        let known_as = if stored.apps.contains_key(app) { app } else { target.renames.get(app).unwrap_or(app) };
        let Some(prior) = stored.apps.get(known_as).filter(|prior| prior.digest != declared.digest) else { continue };
        let known = stored.updates.get(known_as);
        let is_rolled = plan.operations.iter().any(|one| one.app == *app && matches!(one.verb, Verb::Roll { .. }));
        let from = known.and_then(|update| update.from.clone()).or_else(|| is_rolled.then(|| prior.form()));
        let from = from.map(|from| if known_as == app { from } else { from.renamed(&declared.spec) });
        let from = from.filter(|from| from.digest != declared.digest && !declared.spec.is_timed_task());
        let next = from.map(|from| Update { from: Some(from), ..Update::default() });
        if next.as_ref() != stored.updates.get(app) {
            changes.push(Change::Update { project: name.clone(), name: app.clone(), update: next.map(Box::new) });
        }
    }
    changes
}

/// Adds what is left of updates whose daemon is gone: slots that were replaced are judged, the others replaced.
pub fn add_unfinished(plan: &mut Plan, stored: &Project, live: &Live) {
    let instances = instances_of(&plan.project, live);
    for (app, update) in &stored.updates {
        let (Some(declared), Some(live)) = (stored.apps.get(app), instances.get(app)) else { continue };
        let wanted: Vec<u32> = live.keys().copied().filter(|slot| declared.should_run(*slot)).collect();
        if wanted.is_empty() {
            continue;
        }
        // What an update has stopped in order to replace it belongs to the update: if it does not come up, all go back.
        let is_of_update = |slot: &u32| live.get(slot).is_some_and(|live| !is_of_form(live, declared, *slot));
        plan.operations.retain(|one| match &one.verb {
            Verb::Start { slots } => update.from.is_none() || one.app != *app || !slots.iter().all(is_of_update),
            _ => true,
        });
        let interrupts = running(live, &wanted);
        let begun = plan.operations.iter_mut().find_map(|one| match &mut one.verb {
            Verb::Roll { slots, .. } if one.app == *app => Some((slots, &mut one.reasons)),
            _ => None,
        });
        match begun {
            Some((slots, reasons)) => {
                *slots = wanted;
                reasons.push(Reason::UpdateUnfinished);
            }
            None => plan.operations.push(Operation {
                app: app.clone(),
                verb: Verb::Roll { slots: wanted, manner: manner(&declared.spec, live) },
                reasons: vec![Reason::UpdateUnfinished],
                after: Vec::new(),
                interrupts,
            }),
        }
    }
}
