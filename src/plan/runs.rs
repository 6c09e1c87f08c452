//! Runs of timed tasks: started by the clock or by a user, never because something is missing.

use std::collections::BTreeMap;

use crate::model::{
    AppId, AppName, Declared, Edit, Live, Note, Operation, Plan, Project, ProjectName, Reason, Summary, UpdateStrategy,
    Verb,
};

use super::slots::{is_up, running};
use super::{Instances, instances_of, plan_wakeup, unready};

/// Whether a run of an app continues, or is tried again in a moment.
pub fn is_going(app: &AppId, live: &Live) -> bool {
    live.instances.range(app.instance(0)..=app.instance(u32::MAX)).any(|(_, instance)| is_up(&instance.phase))
}

/// A run of a timed task now, in all slots that may run. What runs is kept, unless it is to be replaced.
pub fn plan_run(name: &ProjectName, stored: &Project, app: &AppName, live: &Live, is_replacing: bool) -> Plan {
    let instances = instances_of(name, live);
    let operations = match stored.apps.get(app) {
        Some(declared) => run(app, declared, &instances, None, is_replacing, &Reason::Due),
        None => Vec::new(),
    };
    plan_of(name, stored, operations)
}

/// What an edit of some apps asks for: what is missing of them now, and runs of those which wait for their time. A
/// task that is not named alone is only woken: `pm start all` is no wish for a backup now.
pub fn plan_edited(
    name: &ProjectName,
    stored: &Project,
    live: &Live,
    targets: &[(AppName, Option<u32>)],
    edit: &Edit,
    is_alone: bool,
) -> Plan {
    let mut plan = plan_wakeup(name, stored, live);
    plan.keep_only(|app| targets.iter().any(|(target, _)| target == app));
    // Who waits for what is said below; what a delete of others waits for is none of this command's business.
    plan.notes.retain(|note| !matches!(note, Note::NotReady { .. } | Note::Unhealthy { .. }));
    if matches!(edit, Edit::Stop { .. }) {
        // What else is missing of the app, a rollout that continues or is paused, is no part of it and holds nothing up.
        plan.operations.retain(|operation| !operation.verb.is_start());
        plan.summary = Summary::of(&plan.operations);
        return plan;
    }
    let instances = instances_of(name, live);
    if brings_up(edit) {
        plan.notes.extend(not_good(stored, &instances, targets, &plan.operations));
    }
    if *edit != Edit::Run && !(is_alone && matches!(edit, Edit::Start | Edit::Restart)) {
        return plan;
    }
    for (app, slot) in targets {
        if let Some(declared) = stored.apps.get(app).filter(|declared| declared.spec.is_timed_task()) {
            let is_replacing = *edit == Edit::Restart;
            plan.operations.extend(run(app, declared, &instances, *slot, is_replacing, &Reason::RunAsked));
        }
    }
    plan.summary = Summary::of(&plan.operations);
    plan
}

/// Whether a user who asks for it wants that something runs, and waits until it does.
fn brings_up(edit: &Edit) -> bool {
    match edit {
        Edit::Start | Edit::Restart | Edit::Reload | Edit::Scale { .. } => true,
        Edit::Stop { .. } | Edit::AutoRestart | Edit::Run | Edit::Delete | Edit::Unhold => false,
    }
}

/// What is not good of what is edited, and is left alone.
fn not_good(
    stored: &Project,
    live: &Instances,
    targets: &[(AppName, Option<u32>)],
    operations: &[Operation],
) -> Vec<Note> {
    let mut slots: BTreeMap<&AppName, Vec<Option<u32>>> = BTreeMap::new();
    for (app, slot) in targets {
        slots.entry(app).or_default().push(*slot);
    }
    let of_app = |(app, slots): (&AppName, Vec<Option<u32>>)| {
        let (declared, live) = (stored.apps.get(app)?, live.get(app)?);
        let is_meant = |each: u32| slots.iter().any(|slot| slot.is_none_or(|slot| slot == each));
        Some(unready::notes(app, declared, live, operations, is_meant))
    };
    slots.into_iter().filter_map(of_app).flatten().collect()
}

fn run(
    app: &AppName,
    declared: &Declared,
    instances: &Instances,
    slot: Option<u32>,
    is_replacing: bool,
    why: &Reason,
) -> Vec<Operation> {
    let live = instances.get(app).cloned().unwrap_or_default();
    let is_meant = |each: &u32| slot.is_none_or(|slot| slot == *each) && declared.may_run(*each);
    let is_alive = |slot: &u32| live.get(slot).is_some_and(|instance| instance.phase.is_alive());
    let (alive, free): (Vec<u32>, Vec<u32>) = (0..declared.instances()).filter(is_meant).partition(is_alive);
    let operation = |verb, interrupts| Operation {
        app: app.clone(),
        verb,
        reasons: vec![why.clone()],
        after: Vec::new(),
        interrupts,
    };
    let mut operations = Vec::new();
    if is_replacing && !alive.is_empty() {
        let interrupts = running(&live, &alive);
        operations.push(operation(
            Verb::Restart { slots: alive, strategy: UpdateStrategy::Restart, batch: u32::MAX },
            interrupts,
        ));
    }
    if !free.is_empty() {
        operations.push(operation(Verb::Start { slots: free }, 0));
    }
    operations
}

fn plan_of(name: &ProjectName, stored: &Project, operations: Vec<Operation>) -> Plan {
    Plan {
        project: name.clone(),
        generation: stored.generation,
        summary: Summary::of(&operations),
        operations,
        notes: Vec::new(),
    }
}
