//! A rollback: which entry it goes to, and the apply that it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{
    App, AppName, ApplyGuard, ApplyOptions, Declared, DeclaredThen, Digest, EntryOrigin, Environment, Live, Note, Pin,
    Plan, Project, ProjectName, Proposed, Provenance, Reason, Refusal, RefusalKind, Revision, RevisionName,
    RollbackOptions,
};

use super::{declared_now, entry_of, is_as_then};
use crate::plan::replacement::looks_alike;
use crate::plan::{Decision, usage, work_out};

/// The generation that a rollback goes to: the one that is named, or the newest one before with nothing but healthy apps that
/// is not as now, and has nothing that was rolled back. After a rollback, "before" is before where that one went to.
///
/// # Errors
/// There is none.
pub fn target_of(stored: &Project, options: &RollbackOptions) -> Result<u64, Refusal> {
    if let Some(named) = &options.to {
        return Ok(entry_of(stored, named)?.generation);
    }
    let generations: Vec<u64> = stored.history.entries().rev().map(|entry| entry.generation).collect();
    let end = last_return(stored, &options.apps).unwrap_or(u64::MAX);
    let is_wanted = |generation: &u64| {
        *generation < end && is_good(stored, &stored.history.declared_at(*generation), &options.apps)
    };
    generations.into_iter().find(is_wanted).ok_or_else(|| Refusal {
        kind: RefusalKind::Safety,
        message: match options.apps.as_slice() {
            [] => "the history has no earlier generation at which every app was healthy".to_owned(),
            [app] => format!("the history has no earlier generation at which `{app}` was healthy"),
            _ => "the history has no earlier generation at which these apps were healthy".to_owned(),
        },
        hint: Some("look at `pm history`, and name one: `pm rollback --to N`".to_owned()),
        confirm: None,
    })
}

/// Where the last change went back to, if it was a rollback of one of these apps (of any).
fn last_return(stored: &Project, apps: &[AppName]) -> Option<u64> {
    let newest = stored.history.newest()?;
    let is_about = apps.is_empty() || apps.iter().any(|app| newest.apps.contains_key(app));
    match newest.origin {
        EntryOrigin::Rollback { to } if is_about => Some(to),
        _ => None,
    }
}

fn is_good(stored: &Project, then: &DeclaredThen, apps: &[AppName]) -> bool {
    let is_rolled_back = |app: &AppName, revision: Option<RevisionName>| {
        let pin = stored.apps.get(app).and_then(|declared| declared.pin);
        pin.is_some_and(|pin| pin.from.is_some() && pin.from == revision.map(|revision| revision.digest))
    };
    let is_meant = |app: &AppName| apps.is_empty() || apps.contains(app);
    let is_other = if apps.is_empty() {
        !is_as_then(stored, then)
    } else {
        let now: BTreeMap<_, _> = declared_now(stored).collect();
        apps.iter().all(|app| then.contains_key(app))
            && apps.iter().any(|app| then.get(app).and_then(|then| then.revision) != now.get(app).copied())
    };
    let meant = || then.iter().filter(|(app, _)| is_meant(app));
    is_other
        && meant().next().is_some()
        && meant().all(|(app, then)| then.outcome.is_good() && !is_rolled_back(app, then.revision))
}

/// The revisions of a generation that a rollback needs.
///
/// # Errors
/// It has no such app.
pub fn revisions_of(
    stored: &Project,
    generation: u64,
    apps: &[AppName],
) -> Result<BTreeMap<AppName, RevisionName>, Refusal> {
    let then = stored.history.declared_at(generation);
    if let Some(app) = apps.iter().find(|app| !then.contains_key(app)) {
        let known: Vec<_> = then.keys().map(|app| app.as_str()).collect();
        let hint = format!("it has: {}", known.join(", "));
        return Err(usage(format!("generation {generation} has no app `{app}`"), Some(hint)));
    }
    let meant = then.into_iter().filter(|(app, _)| apps.is_empty() || apps.contains(app));
    Ok(meant.filter_map(|(app, then)| Some((app.clone(), then.revision?))).collect())
}

/// The apply that a rollback is.
#[derive(Clone, PartialEq, Debug)]
pub struct Returned {
    /// What is to be done and stored.
    pub decision: Decision,
    /// What it is refused for.
    pub refusals: Vec<Refusal>,
    /// The specs as a file would have declared them.
    pub proposed: Proposed,
}

/// What going back to `generation` would do. `revisions`: those of [`revisions_of`].
///
/// # Errors
/// Calls that make no sense.
pub fn rollback(
    name: &ProjectName,
    stored: &Project,
    (generation, mut revisions): (u64, BTreeMap<AppName, Revision>),
    live: &Live,
    options: &RollbackOptions,
) -> Result<Returned, Refusal> {
    let guessed = rename_back(name, stored, (generation, &mut revisions), &options.apps)?;
    let proposed = Proposed {
        project: name.clone(),
        origin: stored.origin.clone(),
        apps: revisions.values().map(|revision| (*revision.spec).clone()).collect(),
        base: Environment::new(),
        from_shell: BTreeMap::new(),
        provenance: Provenance::default(),
    };
    let apply = ApplyOptions {
        only: options.apps.clone(),
        no_prune: !options.prune,
        allow_empty: true,
        yes: options.yes,
        guard: ApplyGuard { again: true, if_generation: options.if_generation },
        ..ApplyOptions::default()
    };
    let back = RollbackTo { generation, revisions: &revisions, guessed };
    let (decision, refusals) = work_out(Some(stored), &proposed, live, &apply, Some(&back))?;
    Ok(Returned { decision, refusals, proposed })
}

/// An app that has got another name since gets the old one back, with its processes. Where no `moved_from` says so, the one
/// app that runs the same program in the same folder, or has the same port, is taken for it: side by side, the two would fight
/// for the port. Where several apps look so, now or then, none is. The old names that were found so.
fn rename_back(
    project: &ProjectName,
    stored: &Project,
    (generation, revisions): (u64, &mut BTreeMap<AppName, Revision>),
    only: &[AppName],
) -> Result<BTreeSet<AppName>, Refusal> {
    let is_from = |declared: &Declared, name: &AppName| {
        declared.spec.moved_from.iter().any(|old| old.project == *project && old.name == *name)
    };
    let missing: Vec<AppName> = revisions.keys().filter(|name| !stored.apps.contains_key(*name)).cloned().collect();
    let declared_then = stored.history.declared_at(generation);
    let is_newer = |app: &AppName, declared: &Declared| !declared_then.contains_key(app) && !declared.is_leaving;
    let newer: Vec<&Declared> =
        stored.apps.iter().filter(|(app, declared)| is_newer(app, declared)).map(|(_, declared)| declared).collect();
    let (mut taken, mut guessed) = (BTreeSet::new(), BTreeSet::new());
    for name in missing {
        let Some(old) = revisions.get(&name).map(|revision| Arc::clone(&revision.spec)) else { continue };
        let named = newer.iter().find(|declared| is_from(declared, &name));
        let alike = || {
            let now = stored.apps.values().filter(|declared| looks_alike(&declared.spec, &old)).count();
            let then = revisions.values().filter(|revision| looks_alike(&revision.spec, &old)).count();
            newer.iter().find(|declared| (now, then) == (1, 1) && looks_alike(&declared.spec, &old))
        };
        let Some(later) = named.or_else(alike).map(|declared| declared.spec.id()) else { continue };
        if !only.is_empty() {
            let hint = "go back with the whole project: `pm rollback`".to_owned();
            let verb = if named.is_some() { "is called" } else { "looks like" };
            let is_now = if named.is_some() { " now" } else { ", which is newer" };
            return Err(usage(format!("`{name}` {verb} `{}`{is_now}", later.name), Some(hint)));
        }
        if taken.insert(later.clone()) {
            guessed.extend(named.is_none().then(|| name.clone()));
            let spec = Arc::new(App { moved_from: vec![later], ..App::clone(&old) });
            if let Some(revision) = revisions.get_mut(&name) {
                (revision.digest, revision.spec) = (Digest::of_content(&*spec), spec);
            }
        }
    }
    Ok(guessed)
}

/// What is declared again.
pub(in crate::plan) struct RollbackTo<'a> {
    pub(in crate::plan) generation: u64,
    pub(in crate::plan) revisions: &'a BTreeMap<AppName, Revision>,
    /// Apps that get their old name back although nothing but their looks says that they had it.
    pub(in crate::plan) guessed: BTreeSet<AppName>,
}

impl RollbackTo<'_> {
    /// An app with the environment that it had then, pinned if this changes it.
    pub(in crate::plan) fn declare(&self, declared: Declared, prior: Option<&Declared>) -> Declared {
        let Some(revision) = self.revisions.get(&declared.spec.name) else { return declared };
        let is_same = prior.is_some_and(|prior| *prior.spec == *revision.spec);
        let declared = Declared { ..declared.at_revision(revision) };
        if is_same {
            return declared;
        }
        let pin = Pin {
            generation: self.generation,
            from: match prior {
                None => None,
                // What the file says is still what was rolled back first.
                Some(Declared { pin: Some(pin), .. }) => pin.from,
                Some(prior) => Some(prior.digest),
            },
        };
        let is_as_in_file = prior.is_some() && pin.from == Some(revision.digest);
        Declared { pin: (!is_as_in_file).then_some(pin), ..declared }
    }

    /// No file is spoken of.
    pub(in crate::plan) fn reword(&self, plan: &mut Plan) {
        let generation = self.generation;
        for one in &mut plan.operations {
            let is_guessed = self.guessed.contains(&one.app);
            for reason in &mut one.reasons {
                match reason {
                    Reason::NotInFile => *reason = Reason::NotInGeneration { generation },
                    Reason::MovedFrom { old } if is_guessed => *reason = Reason::LooksLikeRename { old: old.clone() },
                    _ => {}
                }
            }
        }
        for note in &mut plan.notes {
            if let Note::NotPruned { app } = note {
                *note = Note::NotInGeneration { app: app.clone(), generation };
            }
        }
    }
}
