//! The recorded shell environment: it changes together with the processes that have it, and the plan says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Instances;
use super::slots::is_up;
use crate::model::{
    AppName, Declared, Digest, Environment, LiveInstance, Note, Operation, Plan, Project, Proposed, Verb, by_app,
};

/// The environment of the caller's shell, shared with all apps that have the same.
pub(super) struct Base {
    environment: Arc<Environment>,
    digest: Digest,
}

impl Base {
    pub(super) fn of(stored: Option<&Project>, proposed: &Proposed) -> Self {
        let known = stored.and_then(|stored| stored.apps.values().find(|declared| *declared.base == proposed.base));
        match known {
            Some(declared) => Self { environment: Arc::clone(&declared.base), digest: declared.base_digest },
            None => Self { environment: Arc::new(proposed.base.clone()), digest: Digest::of_content(&proposed.base) },
        }
    }

    pub(super) fn shared(&self) -> (Arc<Environment>, Digest) {
        (Arc::clone(&self.environment), self.digest)
    }

    /// The variables that are not as in `other`.
    fn differing(&self, other: &Environment) -> Vec<String> {
        let own = &*self.environment;
        if std::ptr::eq(own, other) {
            return Vec::new();
        }
        let is_other = |name: &&String| own.get(*name) != other.get(*name);
        let added = other.keys().filter(|name| !own.contains_key(*name));
        let mut names: Vec<String> = own.keys().chain(added).filter(is_other).cloned().collect();
        names.sort_unstable();
        names
    }
}

/// Gives an app the environment of this shell if none of its processes outlives the plan, so that what is recorded is what
/// they have, and a further copy is as the others are. Says which apps take it and which keep theirs.
pub(super) fn take_over(
    project: &mut Project,
    (renames, untouched): (&BTreeMap<AppName, AppName>, &BTreeSet<AppName>),
    stored: Option<&Project>,
    proposed: &Proposed,
    plan: &Plan,
    live: &Instances,
) -> Vec<Note> {
    let base = Base::of(stored, proposed);
    let operations = by_app(&plan.operations);
    let mut told: BTreeMap<(bool, Vec<String>), Vec<AppName>> = BTreeMap::new();
    for (name, declared) in project.apps.iter_mut().filter(|(name, _)| !untouched.contains(*name)) {
        let names = base.differing(&declared.base);
        if names.is_empty() {
            continue;
        }
        let known_as = renames.get(name).unwrap_or(name);
        let lives = live.get(name).or_else(|| live.get(known_as));
        // Processes that are replaced for another reason stay what they are if that comes to nothing.
        let is_new_revision =
            stored.and_then(|stored| stored.apps.get(known_as)).map(|prior| prior.digest) != Some(declared.digest);
        let is_taken = !lives.is_some_and(|live| outlives(live, operations.get(name), is_new_revision));
        if is_taken {
            take(declared, &base);
        }
        told.entry((is_taken, names)).or_default().push(name.clone());
    }
    let note = |((is_taken, names), apps)| {
        if is_taken { Note::ShellTaken { apps, names } } else { Note::ShellKept { apps, names } }
    };
    told.into_iter().map(note).collect()
}

fn take(declared: &mut Declared, base: &Base) {
    (declared.base, declared.base_digest) = base.shared();
}

/// Whether a process of the app is still the same after the plan.
fn outlives(live: &BTreeMap<u32, &LiveInstance>, operations: Option<&Vec<&Operation>>, is_new_revision: bool) -> bool {
    let is_kept = |one: &Operation| matches!(one.verb, Verb::Roll { .. } | Verb::Restart { .. }) && !is_new_revision;
    let of_app = || operations.into_iter().flatten().filter(|one| !is_kept(one));
    let ends = |slot: &u32| of_app().any(|one| ended(one).contains(slot));
    live.iter().any(|(slot, instance)| is_up(&instance.phase) && !ends(slot))
}

/// Slots whose processes are other ones, or none, after the operation.
fn ended(operation: &Operation) -> &[u32] {
    match &operation.verb {
        Verb::Start { slots }
        | Verb::Stop { slots }
        | Verb::Roll { slots, .. }
        | Verb::Restart { slots, .. }
        | Verb::Delete { slots }
        | Verb::Scale { remove: slots, .. } => slots,
        Verb::Replace { .. } | Verb::Reconfigure | Verb::Rename { .. } | Verb::Keep | Verb::Hold => &[],
    }
}
