//! `self_heal`: what is due by now becomes part of the declaration, and the plan of that is carried out like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{AppName, ChangedFiles, Declared, Digest, HealAim, HealWhen, Live, Project, ProjectName, WallTime};
use crate::rules;

use super::target::Target;
use super::{Decision, assemble, instances_of, rollouts};

/// What self-healing looks at.
#[derive(Clone, Copy, Debug)]
pub struct HealFacts<'a> {
    /// What lives.
    pub live: &'a Live,
    /// Files with other contents than were applied.
    pub files: &'a ChangedFiles,
    /// Apps that have to wait: something else is being done with them, or it could not be done.
    pub waiting: &'a BTreeSet<AppName>,
    /// The clock of users.
    pub wall: WallTime,
}

/// What is put right in a project at this moment; `None` if nothing is due.
pub fn heal(name: &ProjectName, stored: &Project, facts: &HealFacts<'_>) -> Option<Decision> {
    let mut project = stored.clone();
    let mut untouched = BTreeSet::new();
    for (app, declared) in &mut project.apps {
        if facts.waiting.contains(app) || !put_right(stored, app, declared, facts) {
            untouched.insert(app.clone());
        }
    }
    if untouched.len() == project.apps.len() {
        return None;
    }
    project.generation += 1;
    let instances = instances_of(name, facts.live);
    let target = Target {
        order: project.apps.keys().cloned().collect(),
        project,
        renames: BTreeMap::new(),
        leaving: Vec::new(),
        not_pruned: Vec::new(),
        untouched,
        is_partial: true,
        pinned: Vec::new(),
    };
    let plan = assemble::Scene {
        name,
        stored: Some(stored),
        target: &target,
        live: &instances,
        from_shell: &BTreeMap::new(),
        is_asked: false,
        is_complete: false,
    }
    .plan();
    let mut changes = target.changes(name, Some(stored));
    changes.extend(rollouts::changes(name, Some(stored), &target, &plan, false));
    Some(Decision { plan, changes })
}

/// Declares what is due for one app; false if nothing is.
fn put_right(stored: &Project, app: &AppName, declared: &mut Declared, facts: &HealFacts<'_>) -> bool {
    let (mut is_due, mut spec) = (false, None);
    for heal in rules::heals(stored, app, facts.files, facts.wall) {
        if !matches!(heal.when, HealWhen::At { at } if at <= facts.wall) {
            continue;
        }
        is_due = true;
        match heal.aim {
            HealAim::Contents { .. } => {
                let healed = rules::healed(&declared.spec, facts.files);
                declared.digest = Digest::of_content(&healed);
                declared.spec = Arc::new(healed);
                spec = Some(declared.digest);
            }
            HealAim::Scale { to, .. } => {
                (declared.scaled, declared.scaled_at) = (None, None);
                declared.stopped_slots.retain(|slot| *slot < to);
                declared.slot_restart_requests.retain(|slot, _| *slot < to);
            }
        }
    }
    if is_due {
        declared.heals = Some(rules::counted(declared.heals, spec, facts.wall));
    }
    is_due
}
