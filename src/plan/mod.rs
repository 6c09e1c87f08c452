//! Plans how to get from the live to the desired state. A plan is a value; planning touches nothing.
//!
//! In:    stored [`Project`], [`Proposed`] or [`crate::model::Edit`], [`Live`]     Out:  [`Plan`], [`Change`]s, or a [`Refusal`]
//! Never: a process, a file, a clock; the same inputs give the same plan
//! Walk:  [`crate::ecosystem`] → `target` → `slots` → `operations` → `order` → [`crate::store`]
//!
//! Three questions share one path. An apply asks "what if the files said this?", a wake-up asks "what is missing
//! of what is stored?", an edit changes what is stored and then asks as a wake-up does.

mod assemble;

mod difference;
mod edit;
mod edit_notes;
mod field_change;
mod forgotten;
mod healing;
mod history;
mod jobs;
mod operations;
mod order;
mod ownership;
mod ports;
mod renewal;
mod replacement;
mod rollouts;
mod runs;
mod safety;
mod shell;
mod slots;
mod sockets;
mod sources;
mod target;
#[cfg(test)]
mod tests;
mod unready;

use std::collections::BTreeMap;

use crate::model::{
    AppId, AppName, ApplyOptions, Change, Declared, Desired, Live, LiveInstance, Moment, Note, Origin, Phase, Plan,
    Project, ProjectName, Proposed, Refusal, RefusalKind,
};
use crate::rules::{self, DependencyStatus};

use target::Target;

pub use edit::{EditRequest, edit};
pub use edit_notes::{add_edit_notes, add_ended_builds};
pub use forgotten::{add_forgotten, with_lost_spec};
pub use healing::{HealFacts, heal};
pub use history::{
    HistoryNews, Returned, concluded, entry_of, is_as_then, recorded, revisions_of, rollback, spec_difference, tagged,
    target_of,
};
pub use jobs::{Dirty, JobId, Jobs, News, Next, Printer, Rehearsal, View, builds_first};
pub use ownership::check_checkout;
pub use ports::{PortFacts, assign_ports, move_ports};
pub use rollouts::{add_unfinished, built_at_last, leave_rejected, leftover_successors};
pub use runs::{is_going, plan_edited, plan_run};
pub use slots::is_of_revision;
pub use sockets::check_sockets;
pub use sources::{check_source, commit_entry, project_of, release_of, settled};

/// More copies of one app than the process table has rows for are a slip of the finger.
pub const INSTANCES_MAX: u32 = 4096;

/// A plan, and the new Desired that it stands for.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    /// What is to be done.
    pub plan: Plan,
    /// What has to be stored before any of it is done; may be more than nothing although the plan is empty
    /// (the environment of another shell for an app that is down, a moved folder).
    pub changes: Vec<Change>,
}

/// What applying `proposed` would do, and what would be stored for it.
///
/// # Errors
/// What ownership and safety rules refuse, and calls that make no sense.
pub fn decide(
    stored: Option<&Project>,
    proposed: &Proposed,
    live: &Live,
    options: &ApplyOptions,
) -> Result<Decision, Refusal> {
    let (decision, refusals) = work_out(stored, proposed, live, options, None)?;
    safety::check_generation(stored, proposed, options)?;
    safety::check_shown(&decision.plan, options)?;
    refusals.into_iter().next().map_or(Ok(decision), Err)
}

/// The plan of [`decide`], to be looked at, and everything that an apply of it is refused for.
///
/// # Errors
/// Calls that make no sense: there is no plan of them.
pub fn plan(
    stored: Option<&Project>,
    proposed: &Proposed,
    live: &Live,
    options: &ApplyOptions,
) -> Result<(Plan, Vec<Refusal>), Refusal> {
    work_out(stored, proposed, live, options, None).map(|(decision, refusals)| (decision.plan, refusals))
}

fn work_out(
    stored: Option<&Project>,
    proposed: &Proposed,
    live: &Live,
    options: &ApplyOptions,
    back: Option<&history::RollbackTo>,
) -> Result<(Decision, Vec<Refusal>), Refusal> {
    safety::check_call(proposed, options)?;
    let instances = instances_of(&proposed.project, live);
    let mut target = Target::of_apply(stored, proposed, &instances, options, back);
    let mut refusals = vec![
        safety::check_generation(stored, proposed, options),
        ownership::check_folder(stored, proposed),
        safety::check_empty(proposed, options),
        ownership::check_files(stored, proposed, &target, options),
        safety::check_protected(stored, &target, back.map(|back| back.generation)),
        safety::check_deletes(stored, &target, options),
    ];
    let mut plan = assemble::Scene {
        name: &proposed.project,
        stored,
        target: &target,
        live: &instances,
        from_shell: &proposed.from_shell,
        is_asked: !options.is_wakeup,
        is_complete: true,
    }
    .plan();
    refusals.push(safety::check_pinned(&target, &plan));
    let pinned = target.pinned.iter().cloned();
    plan.notes.extend(pinned.map(|(app, generation)| Note::Pinned { app, generation }));
    plan.notes.extend(stored.and_then(|stored| heal_note(&stored.origin, &target.project.origin)));
    let Target { project, renames, untouched, .. } = &mut target;
    match back {
        // It brings the environment along.
        Some(back) => back.reword(&mut plan),
        None => plan.notes.extend(shell::take_over(project, (renames, untouched), stored, proposed, &plan, &instances)),
    }
    let mut changes: Vec<_> = target.changes(&proposed.project, stored);
    leave_last(&mut changes, stored, &target);
    plan.notes.extend(rollouts::failed_before(stored, &target));
    let rollouts = rollouts::changes(&proposed.project, stored, &target, &plan, !options.is_wakeup);
    plan.notes.extend(rollouts::notes(stored, &target, &rollouts));
    changes.extend(rollouts);
    Ok((Decision { plan, changes }, refusals.into_iter().filter_map(Result::err).collect()))
}

/// Another policy of putting right what differs is a change, although it touches no process.
fn heal_note(before: &Origin, now: &Origin) -> Option<Note> {
    let (from, to) = (before.heal, now.heal);
    (from != to).then_some(Note::SelfHeal { from, to })
}

/// What is deleted stays declared until everything else has succeeded: then, and only then, it is forgotten.
fn leave_last(changes: &mut [Change], stored: Option<&Project>, target: &Target) {
    for change in changes {
        if let Change::AppRemoved { project, name } = change
            && target.leaving.contains(name)
            && let Some(declared) = stored.and_then(|stored| stored.apps.get(name))
        {
            let declared = Box::new(Declared { is_leaving: true, ..declared.clone() });
            *change = Change::App { project: project.clone(), name: name.clone(), declared };
        }
    }
}

/// What is missing of what is stored. Respects everything that a user did by hand, and lists changes only.
///
/// A project that is gone is planned as an empty one: whatever is still alive of it is deleted.
pub fn plan_wakeup(name: &ProjectName, stored: &Project, live: &Live) -> Plan {
    let instances = instances_of(name, live);
    let target = Target::of_stored(stored, &instances);
    let from_shell = BTreeMap::new();
    assemble::Scene {
        name,
        stored: Some(stored),
        target: &target,
        live: &instances,
        from_shell: &from_shell,
        is_asked: false,
        is_complete: false,
    }
    .plan()
}

/// From when on an app could be started that does not run: what it depends on did not come up when it was to be started,
/// and has since.
pub fn dependent_could_start_at(desired: &Desired, live: &Live) -> Option<Moment> {
    let of_project = |project: &'_ Project| {
        let apps = project.apps.values().filter(|declared| !declared.spec.depends_on.is_empty());
        apps.filter_map(|declared| could_start_at(declared, project, live)).min()
    };
    desired.projects.values().filter_map(of_project).min()
}

fn could_start_at(declared: &Declared, project: &Project, live: &Live) -> Option<Moment> {
    let id = declared.spec.id();
    let of = |app: &AppName, slot| live.instances.get(&AppId::new(id.project.clone(), app.clone()).instance(slot));
    let is_down = |slot: &u32| of(&id.name, *slot).is_none_or(|live| live.phase == Phase::Stopped);
    (0..declared.instances()).filter(|slot| declared.should_run(*slot)).find(is_down)?;
    let mut at = Moment(0);
    for (app, condition) in &declared.spec.depends_on {
        if rules::coming(app, *condition, project, &of) != DependencyStatus::Met {
            return None;
        }
        // One that just came up may end at once, as it did before.
        let lasting_since = |slot| match of(app, slot)?.phase {
            Phase::Running { since, .. } => Some(since.after(jobs::ALIVE_FOR)),
            _ => None,
        };
        let copies = project.apps.get(app).map_or(0, Declared::instances);
        at = (0..copies).filter_map(lasting_since).fold(at, Moment::max);
    }
    Some(at)
}

/// Stops everything of a project in order, for `pm shutdown`: nothing stored is changed by it.
pub fn plan_shutdown(name: &ProjectName, stored: &Project, live: &Live, by: &str) -> Plan {
    assemble::shutdown(name, stored, &instances_of(name, live), by)
}

/// The live instances of one project, by app and slot.
type Instances<'a> = BTreeMap<&'a AppName, BTreeMap<u32, &'a LiveInstance>>;

fn instances_of<'a>(project: &ProjectName, live: &'a Live) -> Instances<'a> {
    let mut instances = Instances::new();
    for (id, instance) in live.instances.iter().filter(|(id, _)| id.app.project == *project) {
        let slots = instances.entry(&id.app.name).or_default();
        // A successor alone stands for its slot: the one that it replaces is gone already.
        if !id.is_successor || !live.instances.contains_key(&id.clone().settled()) {
            slots.insert(id.slot, instance);
        }
    }
    instances
}

/// A refusal because the call makes no sense.
fn usage(message: String, hint: Option<String>) -> Refusal {
    Refusal { kind: RefusalKind::Usage, message, hint, confirm: None }
}
