//! Combines the steps of all apps: starts in dependency order, then stops and deletes in reverse.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{App, AppName, Note, Operation, Plan, Project, ProjectName, Reason, Summary, Verb};

use super::operations::AppScene;
use super::renewal::{followers, renewal};
use super::replacement::{Leaving, replace};
use super::slots::{has_lost_spec, is_up, running};
use super::target::Target;
use super::{Instances, order};

/// Everything that a plan is made from.
pub(super) struct Scene<'a> {
    /// The project.
    pub name: &'a ProjectName,
    /// As accepted last.
    pub stored: Option<&'a Project>,
    /// Everything is as desired.
    pub target: &'a Target,
    /// What lives of it.
    pub live: &'a Instances<'a>,
    /// Spec paths whose value came from the caller's shell.
    pub from_shell: &'a BTreeMap<String, String>,
    /// A user applies: retry what was given up.
    pub is_asked: bool,
    /// List apps without operations, too.
    pub is_complete: bool,
}

impl<'a> Scene<'a> {
    /// The plan.
    pub(super) fn plan(&self) -> Plan {
        let specs: BTreeMap<&AppName, &App> =
            self.target.project.apps.iter().map(|(name, declared)| (name, &*declared.spec)).collect();
        let mut notes = self.target.not_pruned.iter().map(|app| Note::NotPruned { app: app.clone() }).collect();
        let mut starts = Vec::new();
        for name in order::dependencies_first(&self.target.order, &specs) {
            if !self.target.untouched.contains(name) {
                self.add_app(name, &mut starts, &mut notes);
            }
        }
        if self.is_complete {
            notes.extend(self.forgotten().map(|app| Note::SpecLost { app: app.clone() }));
        }
        let mut leaving = self.leaving();
        let surviving = self.live.keys().copied().filter(|name| specs.contains_key(name)).collect();
        replace(&mut starts, &mut notes, &mut leaving, &specs, &surviving);

        let (mut operations, others): (Vec<_>, Vec<_>) =
            starts.into_iter().partition(|operation| matches!(operation.verb, Verb::Rename { .. }));
        let (stops, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|operation| matches!(operation.verb, Verb::Stop { .. }));
        // What a user stops waits for nothing that is done about the rest of the app.
        operations.extend(stops.into_iter().rev().chain(others));
        let why = |name: &AppName| {
            let is_applied = self.is_complete || self.target.leaving.contains(name);
            if is_applied { Reason::NotInFile } else { Reason::DeletedByHand }
        };
        operations.extend(deletes(&leaving, why));
        let names = order::dependencies_first(specs.keys().copied(), &specs).into_iter();
        let names = names.map(|name| (name, self.target.renames.get(name).unwrap_or(name)));
        notes.extend(followers(&self.target.project, names, self.live, &operations));
        let left = leaving.iter().map(|(name, left)| (*name, left.spec));
        order::fill_after(&mut operations, &specs.into_iter().chain(left).collect());
        Plan {
            project: self.name.clone(),
            generation: self.stored.map_or(0, |stored| stored.generation),
            summary: Summary::of(&operations),
            operations,
            notes,
        }
    }

    fn add_app(&self, name: &AppName, operations: &mut Vec<Operation>, notes: &mut Vec<Note>) {
        let Some((name, target)) = self.target.project.apps.get_key_value(name) else { return };
        let renamed_from = self.target.renames.get(name);
        let known_as = |name| self.stored.and_then(|stored| stored.apps.get(name));
        let app = AppScene {
            name,
            renamed_from,
            prior: known_as(name).or_else(|| renamed_from.and_then(known_as)),
            target,
            live: self.live.get(renamed_from.unwrap_or(name)).cloned().unwrap_or_default(),
            from_shell: self.from_shell,
            renewal: renewal(target, self.live),
            is_asked: self.is_asked,
            is_awaited: self.is_asked || !self.target.leaving.is_empty(),
        };
        let steps = app.steps();
        if steps.operations.is_empty() && self.is_complete {
            operations.push(app.rest());
        }
        operations.extend(steps.operations);
        notes.extend(steps.notes);
    }

    /// Whether an app is neither declared any more nor gets another name.
    fn is_unclaimed(&self, name: &AppName) -> bool {
        !self.target.project.apps.contains_key(name) && !self.target.renames.values().any(|old| old == name)
    }

    /// Apps of which nothing is known but that they run. That they stand in no file is no reason to
    /// end them: which files there were is lost, too.
    fn forgotten(&self) -> impl Iterator<Item = &'a AppName> {
        let stored = self.stored;
        let is_stored = move |name: &AppName| stored.is_some_and(|stored| stored.apps.contains_key(name));
        let lost = self.live.iter().filter(|(_, live)| has_lost_spec(live)).map(|(name, _)| *name);
        lost.filter(move |name| self.is_unclaimed(name) && !is_stored(name))
    }

    /// Apps that are declared no longer: stored until now, or left over from an apply that was cut short.
    fn leaving(&self) -> BTreeMap<&'a AppName, Leaving<'a>> {
        let forgotten: BTreeSet<_> = self.forgotten().collect();
        let is_leaving =
            |name: &AppName| !self.target.is_partial && self.is_unclaimed(name) && !forgotten.contains(name);
        let stored = self.stored.into_iter().flat_map(|stored| &stored.apps);
        let stored = stored.map(|(name, declared)| (name, &*declared.spec));
        let alive = self.live.iter().filter_map(|(name, live)| Some((*name, &*live.values().next()?.spec)));
        let mut leaving = BTreeMap::new();
        for (name, spec) in stored.chain(alive).filter(|(name, _)| is_leaving(name)) {
            let live = || self.live.get(name).cloned().unwrap_or_default();
            leaving.entry(name).or_insert_with(|| Leaving { spec, live: live() });
        }
        leaving
    }
}

/// Deletes, dependents first.
fn deletes(leaving: &BTreeMap<&AppName, Leaving>, why: impl Fn(&AppName) -> Reason) -> Vec<Operation> {
    let specs: BTreeMap<&AppName, &App> = leaving.iter().map(|(name, left)| (*name, left.spec)).collect();
    let mut names = order::dependencies_first(leaving.keys().copied(), &specs);
    names.reverse();
    let delete = |name: &AppName| {
        let left = leaving.get(name)?;
        let slots: Vec<_> = left.live.keys().copied().collect();
        let interrupts = running(&left.live, &slots);
        let (verb, reasons) = (Verb::Delete { slots }, vec![why(name)]);
        Some(Operation { app: name.clone(), verb, reasons, after: Vec::new(), interrupts })
    };
    names.into_iter().filter_map(delete).collect()
}

/// Everything alive is stopped, dependents first.
pub(super) fn shutdown(name: &ProjectName, stored: &Project, live: &Instances, by: &str) -> Plan {
    let declared = stored.apps.iter().map(|(name, declared)| (name, &*declared.spec));
    let alive = live.iter().filter_map(|(name, live)| Some((*name, &*live.values().next()?.spec)));
    // Declared specs come last and win over spawn records.
    let specs: BTreeMap<&AppName, &App> = alive.chain(declared).collect();
    let mut names = order::dependencies_first(specs.keys().copied(), &specs);
    names.reverse();
    let stop = |name: &AppName| {
        let live = live.get(name)?;
        let slots: Vec<_> = live.iter().filter(|(_, instance)| is_up(&instance.phase)).map(|(slot, _)| *slot).collect();
        let interrupts = running(live, &slots);
        let reasons = vec![Reason::StoppedByHand { by: by.to_owned(), is_held: false }];
        let operation = Operation {
            app: name.clone(),
            verb: Verb::Stop { slots: slots.clone() },
            reasons,
            after: Vec::new(),
            interrupts,
        };
        Some(operation).filter(|_| !slots.is_empty())
    };
    let mut operations: Vec<_> = names.into_iter().filter_map(stop).collect();
    order::fill_after(&mut operations, &specs);
    Plan {
        project: name.clone(),
        generation: stored.generation,
        summary: Summary::of(&operations),
        operations,
        notes: Vec::new(),
    }
}
