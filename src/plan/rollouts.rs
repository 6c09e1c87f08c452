//! The stored part of rollouts, which outlives the daemon: what each is rolled back to, and what is left to do.

use std::collections::BTreeMap;

use crate::model::{
    App, AppId, AppName, Cause, Change, Command, DesiredState, Failure, InstanceId, Live, LiveInstance, Note,
    Operation, Plan, Project, ProjectName, Reason, Rejection, Rollout, Summary, UpdateStrategy, Verb, by_app,
};

use super::instances_of;
use super::slots::{is_of_revision, is_same_revision, running, strategy};
use super::target::Target;

/// What has to be stored about the rollouts that `plan` begins or rolls back. A rollout that follows an unfinished one is
/// rolled back to where that one began. What a renamed app is rolled back to gets the new name, too. A pause lasts as long
/// as the revision.
pub(super) fn changes(
    name: &ProjectName,
    stored: Option<&Project>,
    target: &Target,
    plan: &Plan,
    is_asked: bool,
) -> Vec<Change> {
    let Some(stored) = stored else { return Vec::new() };
    let mut changes = if is_asked { forgiven(name, stored, target) } else { Vec::new() };
    let operations = by_app(&plan.operations);
    for (app, declared) in &target.project.apps {
        let known_as = known_as(stored, target, app);
        let Some(prior) = stored.apps.get(known_as).filter(|prior| prior.digest != declared.digest) else { continue };
        let known = stored.rollouts.get(known_as);
        let is_rolled =
            operations.get(app).is_some_and(|all| all.iter().any(|one| matches!(one.verb, Verb::Roll { .. })));
        let from = known.and_then(|rollout| rollout.from.clone()).or_else(|| is_rolled.then(|| prior.revision()));
        let from = from.map(|from| if known_as == app { from } else { from.renamed(&declared.spec) });
        let from = from.filter(|from| from.digest != declared.digest && !declared.spec.is_timed_task());
        let is_paused = known.is_some_and(|known| known.is_paused) && is_same_revision(&prior.spec, &declared.spec);
        let next = Some(Rollout { from, is_paused, ..Rollout::default() }).filter(|next| *next != Rollout::default());
        if next.as_ref() != stored.rollouts.get(app) {
            changes.push(Change::Rollout { project: name.clone(), name: app.clone(), rollout: next.map(Box::new) });
        }
    }
    changes
}

/// A user applies what has failed: it is tried once more.
fn forgiven(name: &ProjectName, stored: &Project, target: &Target) -> Vec<Change> {
    let is_meant = |app: &AppName| !target.untouched.contains(app) && target.project.apps.contains_key(app);
    let rejected = stored.rollouts.iter().filter(|(app, rollout)| rollout.rejected.is_some() && is_meant(app));
    let cleared = |(app, rollout): (&AppName, &Rollout)| {
        let left = Rollout { rejected: None, ..rollout.clone() };
        let rollout = Some(left).filter(|left| *left != Rollout::default()).map(Box::new);
        Change::Rollout { project: name.clone(), name: app.clone(), rollout }
    };
    rejected.map(cleared).collect()
}

/// Whether what is declared of an app has failed: nothing automatic tries it again.
fn is_rejected(stored: &Project, app: &AppName) -> bool {
    let rejected = stored.rollouts.get(app).and_then(|rollout| rollout.rejected.as_ref());
    let declared = stored.apps.get(app).map(|declared| declared.digest);
    rejected.is_some_and(|rejected| Some(rejected.digest) == declared)
}

/// Whether the build of what is declared has failed.
fn is_unbuilt(stored: &Project, app: &AppName) -> bool {
    let rejected = stored.rollouts.get(app).and_then(|rollout| rollout.rejected.as_ref());
    let failure = rejected.and_then(|rejected| match &rejected.why {
        Rejection::Failed { failure, .. } => failure.as_ref(),
        Rejection::Skipped { .. } => None,
    });
    matches!(failure, Some(Failure::Build { .. }))
}

/// What has to be stored when the build of an app succeeds that was not started for want of one.
pub fn built_at_last(name: &ProjectName, stored: &Project, app: &AppName) -> Option<Change> {
    let known = stored.rollouts.get(app).filter(|_| is_unbuilt(stored, app))?;
    let left = Rollout { rejected: None, ..known.clone() };
    let rollout = Some(left).filter(|left| *left != Rollout::default()).map(Box::new);
    Some(Change::Rollout { project: name.clone(), name: app.clone(), rollout })
}

/// Leaves out new processes of what has failed where there is or was one; what only takes processes down stays, and so does
/// a slot in which nothing has been tried.
pub fn leave_rejected(plan: &mut Plan, stored: &Project, live: &Live) {
    let project = plan.project.clone();
    plan.operations.retain_mut(|one| {
        if !is_rejected(stored, &one.app) {
            return true;
        }
        let id = AppId::new(project.clone(), one.app.clone());
        match &mut one.verb {
            // Whatever has run of it before: what is there now was not built.
            Verb::Start { .. } if is_unbuilt(stored, &one.app) => false,
            Verb::Start { slots } => {
                slots.retain(|slot| !live.instances.contains_key(&id.instance(*slot)));
                !slots.is_empty()
            }
            verb => !verb.is_start() || matches!(verb, Verb::Scale { .. }),
        }
    });
    plan.summary = Summary::of(&plan.operations);
}

/// What a user should know who applies once more what has failed.
pub(super) fn failed_before(stored: Option<&Project>, target: &Target) -> Vec<Note> {
    let Some(stored) = stored else { return Vec::new() };
    let failed = target.project.apps.iter().filter(|(app, _)| !target.untouched.contains(*app));
    let note = |(app, declared): (&AppName, &crate::model::Declared)| {
        let rejected = stored.rollouts.get(known_as(stored, target, app))?.rejected.as_ref()?;
        (rejected.digest == declared.digest).then(|| Note::FailedBefore { app: app.clone(), why: rejected.why.clone() })
    };
    failed.filter_map(note).collect()
}

/// How many slots are replaced side by side.
pub(super) fn batch_size(spec: &App, strategy: UpdateStrategy) -> u32 {
    let most = match strategy {
        UpdateStrategy::Rolling => spec.update.max_surge,
        UpdateStrategy::Restart => spec.update.max_unavailable,
        UpdateStrategy::Together => u32::MAX,
    };
    most.max(1)
}

/// Replaces these slots, as the app says.
pub(super) fn roll(spec: &App, slots: Vec<u32>, live: &BTreeMap<u32, &LiveInstance>) -> Verb {
    let strategy = strategy(spec, live);
    Verb::Roll { slots, strategy, batch: batch_size(spec, strategy) }
}

/// How many processes end before their successor is ready.
pub(super) fn interrupted(spec: &App, live: &BTreeMap<u32, &LiveInstance>, slots: &[u32]) -> u32 {
    if strategy(spec, live) == UpdateStrategy::Rolling { 0 } else { running(live, slots) }
}

/// What is to become of successors that no roll of the plan will make use of: one beside the process of its slot goes, one
/// that is alone gets the name of the slot.
pub fn leftover_successors(
    project: &ProjectName,
    stored: &Project,
    plan: &Plan,
    live: &Live,
) -> Vec<(InstanceId, Command)> {
    let is_of_use = |id: &InstanceId, instance: &LiveInstance| {
        let declared = stored.apps.get(&id.app.name);
        declared.is_some_and(|declared| is_of_revision(instance, declared, id.slot))
    };
    let is_rolled = |id: &InstanceId| {
        plan.operations.iter().any(|operation| {
            operation.app == id.app.name
                && matches!(&operation.verb, Verb::Roll { slots, .. } if slots.contains(&id.slot))
        })
    };
    let command = |id: &InstanceId| {
        let is_alone = !live.instances.contains_key(&id.clone().settled());
        if is_alone { Command::TakeOver } else { Command::Delete(Cause::Boot) }
    };
    let successors = live.instances.iter().filter(|(id, _)| id.is_successor && id.app.project == *project);
    let leftover_successors = successors.filter(|(id, instance)| !is_rolled(id) || !is_of_use(id, instance));
    leftover_successors.map(|(id, _)| (id.clone(), command(id))).collect()
}

/// The name that an app had until now.
fn known_as<'a>(stored: &Project, target: &'a Target, app: &'a AppName) -> &'a AppName {
    if stored.apps.contains_key(app) { app } else { target.renames.get(app).unwrap_or(app) }
}

/// Paused rollouts that these changes put an end to.
pub(super) fn notes(stored: Option<&Project>, target: &Target, changes: &[Change]) -> Vec<Note> {
    let Some(stored) = stored else { return Vec::new() };
    let ended = changes.iter().filter_map(|change| match change {
        Change::Rollout { name, rollout, .. } if !rollout.as_ref().is_some_and(|rollout| rollout.is_paused) => {
            Some(name)
        }
        _ => None,
    });
    let ended = ended.filter(|app| stored.is_paused(known_as(stored, target, app)));
    ended.map(|app| Note::PauseEnded { app: app.clone() }).collect()
}

/// What a user takes down as a whole is not held up in a rollout any more, and of new processes of the same revision
/// nothing is left to do. A new revision is still to be evaluated when the app is started again.
pub(super) fn release(project: &mut Project) {
    let Project { apps, rollouts, .. } = project;
    rollouts.retain(|app, rollout| {
        let is_down =
            apps.get(app).is_none_or(|declared| matches!(declared.desired_state, DesiredState::Stopped { .. }));
        rollout.is_paused &= !is_down;
        rollout.building = rollout.building.filter(|_| !is_down);
        !is_down || *rollout != Rollout::default()
    });
}

/// What has to be stored so that the rollouts of apps that stay become those of `edited`.
pub(super) fn released(name: &ProjectName, stored: &Project, edited: &Project) -> Vec<Change> {
    let others = stored
        .rollouts
        .iter()
        .filter(|(app, rollout)| edited.apps.contains_key(*app) && edited.rollouts.get(*app) != Some(*rollout));
    let next = |app| edited.rollouts.get(app).cloned().map(Box::new);
    others.map(|(app, _)| Change::Rollout { project: name.clone(), name: app.clone(), rollout: next(app) }).collect()
}

/// Adds what is left of rollouts whose daemon is gone: slots that were replaced are evaluated, the others replaced.
pub fn add_unfinished(plan: &mut Plan, stored: &Project, live: &Live) {
    let instances = instances_of(&plan.project, live);
    let open = stored.rollouts.iter().filter(|(app, rollout)| rollout.is_open() && !is_rejected(stored, app));
    for (app, rollout) in open {
        let (Some(declared), Some(live)) = (stored.apps.get(app), instances.get(app)) else { continue };
        let wanted: Vec<u32> = live.keys().copied().filter(|slot| declared.should_run(*slot)).collect();
        if wanted.is_empty() {
            continue;
        }
        // What a rollout has stopped in order to replace it belongs to the rollout: if it does not come up, all are rolled back.
        let is_of_rollout = |slot: &u32| live.get(slot).is_some_and(|live| !is_of_revision(live, declared, *slot));
        plan.operations.retain(|one| match &one.verb {
            Verb::Start { slots } => rollout.from.is_none() || one.app != *app || !slots.iter().all(is_of_rollout),
            _ => true,
        });
        let interrupts = interrupted(&declared.spec, live, &wanted);
        let begun = plan.operations.iter_mut().find_map(|one| match &mut one.verb {
            Verb::Roll { slots, .. } if one.app == *app => Some((slots, &mut one.reasons)),
            _ => None,
        });
        match begun {
            Some((slots, reasons)) => {
                *slots = wanted;
                reasons.push(Reason::RolloutUnfinished);
            }
            None => plan.operations.push(Operation {
                app: app.clone(),
                verb: roll(&declared.spec, wanted, live),
                reasons: vec![Reason::RolloutUnfinished],
                after: Vec::new(),
                interrupts,
            }),
        }
    }
}
