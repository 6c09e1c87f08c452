//! The desired state after an apply: a merge of the file, the last apply and what users changed since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{
    App, AppName, ApplyOptions, Change, Declared, DesiredState, Digest, Origin, Pin, Project, ProjectName, Proposed,
};

use super::history::RollbackTo;
use super::shell::Base;
use super::slots::has_lost_spec;
use super::{Instances, ownership};

/// The project as it should be, and how its apps got there.
pub(super) struct Target {
    /// What will be stored.
    pub project: Project,
    /// Its apps in the order of the files, then the rest by name.
    pub order: Vec<AppName>,
    /// New name → old name.
    pub renames: BTreeMap<AppName, AppName>,
    /// Stored apps that are deleted.
    pub leaving: Vec<AppName>,
    /// Apps that left the file and stay (`--no-prune`).
    pub not_pruned: Vec<AppName>,
    /// Apps that this plan has no opinion about: no operation names them.
    pub untouched: BTreeSet<AppName>,
    /// `--only`: nothing is deleted, not even leftovers.
    pub is_partial: bool,
    /// Apps that stay as a rollback has left them, and the generation that it went back to.
    pub pinned: Vec<(AppName, u64)>,
}

impl Target {
    /// What is stored is what should be.
    pub(super) fn of_stored(stored: &Project, live: &Instances) -> Self {
        let mut project = stored.clone();
        project.apps.retain(|_, declared| !declared.is_leaving);
        Self {
            renames: renames(project.apps.values().map(|declared| &*declared.spec), Some(stored), live),
            order: project.apps.keys().cloned().collect(),
            project,
            leaving: stored.apps.iter().filter(|(_, app)| app.is_leaving).map(|(name, _)| name.clone()).collect(),
            not_pruned: Vec::new(),
            untouched: BTreeSet::new(),
            is_partial: false,
            pinned: Vec::new(),
        }
    }

    /// The files laid over what is stored; or, in a rollback, what was declared then.
    pub(super) fn of_apply(
        stored: Option<&Project>,
        proposed: &Proposed,
        live: &Instances,
        options: &ApplyOptions,
        back: Option<&RollbackTo>,
    ) -> Self {
        let is_partial = !options.only.is_empty();
        let in_scope: Vec<_> =
            proposed.apps.iter().filter(|app| !is_partial || options.only.contains(&app.name)).collect();
        let mut renames = renames(proposed.apps.iter(), stored, live);
        renames.retain(|new, _| in_scope.iter().any(|app| app.name == *new));

        let mut project = stored.cloned().unwrap_or_default();
        let mut apps = std::mem::take(&mut project.apps);
        let base = Base::of(stored, proposed);
        let holds_pins = back.is_none() && !options.guard.again;
        let mut pinned = Vec::new();
        let mut declared: BTreeSet<_> = proposed.apps.iter().map(|app| app.name.clone()).collect();
        for app in &in_scope {
            let rolled_back = || apps.iter().find(|(name, prior)| is_rolled_back(app, name, prior, &declared));
            let old = renames.get(&app.name).cloned();
            let old = match old {
                // Under its name before, which the file does not know.
                None if holds_pins && !apps.contains_key(&app.name) => rolled_back().map(|(name, _)| name.clone()),
                old => old,
            };
            let old = old.unwrap_or_else(|| app.name.clone());
            let prior = apps.remove(&app.name).or_else(|| apps.remove(&old));
            let pin = prior.as_ref().and_then(|prior| pin_of(app, prior)).filter(|_| holds_pins);
            if let (Some(pin), Some(prior)) = (pin, prior.as_ref().filter(|prior| prior.spec.name != app.name)) {
                // The new name was rolled back, too.
                pinned.push((app.name.clone(), pin.generation));
                renames.remove(&app.name);
                apps.insert(old.clone(), prior.clone());
                declared.insert(old);
                continue;
            }
            let declared = match (pin, &prior, back) {
                (Some(pin), Some(prior), _) => {
                    pinned.push((app.name.clone(), pin.generation));
                    declare(&prior.spec, Some(prior), &base, options)
                }
                (_, prior, Some(back)) => back.declare(declare(app, prior.as_ref(), &base, options), prior.as_ref()),
                (_, prior, None) => Declared { pin: None, ..declare(app, prior.as_ref(), &base, options) },
            };
            apps.insert(app.name.clone(), declared);
        }
        let absent: Vec<_> = apps.keys().filter(|name| !declared.contains(*name)).cloned().collect();
        let (leaving, not_pruned): (Vec<AppName>, Vec<AppName>) = match (is_partial, options.no_prune) {
            (true, _) => (Vec::new(), Vec::new()),
            (false, true) => (Vec::new(), absent),
            (false, false) => {
                let brought_back = |name: &AppName| apps.get(name)?.pin.filter(|pin| pin.from.is_none() && holds_pins);
                pinned.extend(absent.iter().filter_map(|name| Some((name.clone(), brought_back(name)?.generation))));
                (absent.into_iter().filter(|name| brought_back(name).is_none()).collect(), Vec::new())
            }
        };
        apps.retain(|name, _| !leaving.contains(name));
        for name in &not_pruned {
            apps.entry(name.clone()).and_modify(|app| app.is_leaving = false);
        }

        let scope: BTreeSet<_> = in_scope.iter().map(|app| &app.name).collect();
        let untouched: BTreeSet<_> = apps.keys().filter(|name| !scope.contains(name)).cloned().collect();
        let order = in_scope.iter().map(|app| &app.name).chain(&untouched).cloned().collect();
        project.origin = origin(stored, proposed, is_partial || options.no_prune);
        project.apps = apps;
        if stored.is_none_or(|stored| is_new_generation(stored, &project)) {
            project.generation += 1;
        }
        Self { project, order, renames, leaving, not_pruned, untouched, is_partial, pinned }
    }

    /// What the store has to write so that what is stored becomes this.
    pub(super) fn changes(&self, name: &ProjectName, stored: Option<&Project>) -> Vec<Change> {
        changes(name, stored, &self.project)
    }
}

/// The changes that turn `stored` into `project`.
pub(super) fn changes(name: &ProjectName, stored: Option<&Project>, project: &Project) -> Vec<Change> {
    let mut changes = Vec::new();
    let is_known = stored.is_some_and(|old| old.generation == project.generation && old.origin == project.origin);
    if !is_known {
        let (origin, generation) = (project.origin.clone(), project.generation);
        changes.push(Change::Project { name: name.clone(), origin, generation });
    }
    let none = BTreeMap::new();
    let old_apps = stored.map_or(&none, |stored| &stored.apps);
    for app in old_apps.keys().filter(|app| !project.apps.contains_key(*app)) {
        changes.push(Change::AppRemoved { project: name.clone(), name: app.clone() });
    }
    for (app, declared) in project.apps.iter().filter(|(app, declared)| old_apps.get(*app) != Some(*declared)) {
        let declared = Box::new(declared.clone());
        changes.push(Change::App { project: name.clone(), name: app.clone(), declared });
    }
    changes
}

/// Which apps bear a new name: `moved_from` names an app that is declared no longer.
///
/// The old app is either still stored, or (an apply was cut short after it had been stored; the state was lost) still
/// alive.
fn renames<'a>(
    declared: impl Iterator<Item = &'a App> + Clone,
    stored: Option<&Project>,
    live: &Instances,
) -> BTreeMap<AppName, AppName> {
    let names: BTreeSet<_> = declared.clone().map(|app| &app.name).collect();
    let is_stored = |name: &AppName| stored.is_some_and(|stored| stored.apps.contains_key(name));
    let mut taken = BTreeSet::new();
    let mut renames = BTreeMap::new();
    for app in declared.filter(|app| !live.contains_key(&app.name)) {
        let is_old_self = |old: &AppName| match (is_stored(old), is_stored(&app.name)) {
            (true, is_new_stored) => !is_new_stored,
            (false, is_new_stored) => live.get(old).is_some_and(|live| is_new_stored || has_lost_spec(live)),
        };
        let old = app.moved_from.iter().find(|old| {
            old.project == app.project
                && !names.contains(&old.name)
                && !taken.contains(&old.name)
                && is_old_self(&old.name)
        });
        if let Some(old) = old {
            taken.insert(&old.name);
            renames.insert(app.name.clone(), old.name.clone());
        }
    }
    renames
}

/// One app of the file, laid over what was declared before. A known one keeps its shell environment so far.
fn declare(app: &App, prior: Option<&Declared>, base: &Base, options: &ApplyOptions) -> Declared {
    let Some(prior) = prior else {
        let desired_state = if app.autostart { DesiredState::Up } else { DesiredState::NotStarted };
        return Declared::with_base(Arc::new(app.clone()), base.shared(), desired_state);
    };
    let mut declared = prior.clone();
    declared.is_leaving = false;
    // A source starts what a user has stopped only with what is new of it.
    let leaves_stops = options.is_wakeup || (options.source.is_some() && *prior.spec == *app);
    if *prior.spec != *app {
        declared.spec = Arc::new(app.clone());
        declared.digest = Digest::of_content(app);
        declared.heals = None;
    }
    declared.scaled = prior.scaled.filter(|_| keeps_scale(app, prior, options));
    declared.scaled_at = prior.scaled_at.filter(|_| declared.scaled.is_some());
    if !leaves_stops {
        declared.desired_state = desired_state_after_apply(app, &prior.desired_state);
        declared.stopped_slots.clear();
    }
    declared
}

/// Whether `prior` is what a rollback has made of this app of the file under another name.
fn is_rolled_back(app: &App, name: &AppName, prior: &Declared, declared: &BTreeSet<AppName>) -> bool {
    !prior.is_leaving && !declared.contains(name) && pin_of(app, prior).is_some()
}

/// The pin that keeps an app from being declared so: that is what was rolled back.
fn pin_of(app: &App, prior: &Declared) -> Option<Pin> {
    let pin = prior.pin?;
    (pin.from? == Digest::of_content(app)).then_some(pin)
}

/// `pm scale` against the file: no opinion keeps it, a new opinion clears it, an old one restores the file's number.
fn keeps_scale(app: &App, prior: &Declared, options: &ApplyOptions) -> bool {
    match app.instances {
        None => true,
        Some(count) if prior.scaled == Some(count) || prior.spec.instances != Some(count) => false,
        Some(_) => options.keep_overrides || options.is_wakeup,
    }
}

/// An apply by a person starts what was stopped by hand, unless it is held or not meant to start by itself.
fn desired_state_after_apply(app: &App, desired_state: &DesiredState) -> DesiredState {
    match desired_state {
        DesiredState::Stopped { is_held: true, .. } | DesiredState::Up => desired_state.clone(),
        DesiredState::NotStarted | DesiredState::Stopped { .. } if app.autostart => DesiredState::Up,
        DesiredState::NotStarted | DesiredState::Stopped { .. } => DesiredState::NotStarted,
    }
}

/// A part of the project, applied from other files, does not redefine where the project comes from.
fn origin(stored: Option<&Project>, proposed: &Proposed, is_part: bool) -> Origin {
    match stored {
        Some(stored) if is_part && !ownership::has_same_files(&stored.origin, &proposed.origin) => {
            stored.origin.clone()
        }
        _ => proposed.origin.clone(),
    }
}

/// Whether people would call it a change.
fn is_new_generation(old: &Project, new: &Project) -> bool {
    old.origin != new.origin || old.apps != new.apps
}
