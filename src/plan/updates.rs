//! Rolling updates as far as they outlive a daemon: what each goes back to, and what is left of it.

use crate::model::{
    AppName, Change, Live, Note, Operation, Plan, Project, ProjectName, Reason, Standing, Update, Verb,
};

use super::instances_of;
use super::slots::{is_of_form, is_same_form, manner, running};
use super::target::Target;

/// What has to be kept of the updates that `plan` begins or turns back. One that follows another one that never came to
/// a good end goes back to where that one began. What an app with a new name goes back to bears that name, too. A pause
/// lasts as long as the form.
pub(super) fn changes(name: &ProjectName, stored: Option<&Project>, target: &Target, plan: &Plan) -> Vec<Change> {
    let Some(stored) = stored else { return Vec::new() };
    let mut changes = Vec::new();
    for (app, declared) in &target.project.apps {
        let known_as = known_as(stored, target, app);
        let Some(prior) = stored.apps.get(known_as).filter(|prior| prior.digest != declared.digest) else { continue };
        let known = stored.updates.get(known_as);
        let is_rolled = plan.operations.iter().any(|one| one.app == *app && matches!(one.verb, Verb::Roll { .. }));
        let from = known.and_then(|update| update.from.clone()).or_else(|| is_rolled.then(|| prior.form()));
        let from = from.map(|from| if known_as == app { from } else { from.renamed(&declared.spec) });
        let from = from.filter(|from| from.digest != declared.digest && !declared.spec.is_timed_task());
        let is_paused = known.is_some_and(|known| known.is_paused) && is_same_form(&prior.spec, &declared.spec);
        let next = Some(Update { from, is_paused, is_aborted: false }).filter(|next| *next != Update::default());
        if next.as_ref() != stored.updates.get(app) {
            changes.push(Change::Update { project: name.clone(), name: app.clone(), update: next.map(Box::new) });
        }
    }
    changes
}

/// The name that an app had until now.
fn known_as<'a>(stored: &Project, target: &'a Target, app: &'a AppName) -> &'a AppName {
    if stored.apps.contains_key(app) { app } else { target.renames.get(app).unwrap_or(app) }
}

/// Paused updates that these changes put an end to.
pub(super) fn notes(stored: Option<&Project>, target: &Target, changes: &[Change]) -> Vec<Note> {
    let Some(stored) = stored else { return Vec::new() };
    let ended = changes.iter().filter_map(|change| match change {
        Change::Update { name, update, .. } if !update.as_ref().is_some_and(|update| update.is_paused) => Some(name),
        _ => None,
    });
    let ended = ended.filter(|app| stored.is_paused(known_as(stored, target, app)));
    ended.map(|app| Note::PauseEnded { app: app.clone() }).collect()
}

/// What a person takes down as a whole is not held up in an update any more, and of new processes of the same form
/// nothing is left to do. A new form is still to be judged when the app is started again.
pub(super) fn release(project: &mut Project) {
    let Project { apps, updates, .. } = project;
    updates.retain(|app, update| {
        let is_down = apps.get(app).is_none_or(|declared| matches!(declared.standing, Standing::Stopped { .. }));
        update.is_paused &= !is_down;
        !is_down || *update != Update::default()
    });
}

/// What has to be stored so that the updates of apps that stay become those of `edited`.
pub(super) fn released(name: &ProjectName, stored: &Project, edited: &Project) -> Vec<Change> {
    let others = stored
        .updates
        .iter()
        .filter(|(app, update)| edited.apps.contains_key(*app) && edited.updates.get(*app) != Some(*update));
    let next = |app| edited.updates.get(app).cloned().map(Box::new);
    others.map(|(app, _)| Change::Update { project: name.clone(), name: app.clone(), update: next(app) }).collect()
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
