//! The history of a project: what was declared at its last generations, who changed it, and how that went.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Actor, AppName, Digest, SourceName, WallTime};

/// The entries of one project, oldest first. Each holds what it changed: the sum of all up to one is what was declared then.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    entries: Vec<Arc<HistoryEntry>>,
}

/// What was declared at one generation.
pub type DeclaredThen<'a> = BTreeMap<&'a AppName, &'a AppEntry>;

impl History {
    /// All of them, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &HistoryEntry> + ExactSizeIterator {
        self.entries.iter().map(|entry| &**entry)
    }

    /// The last one.
    pub fn newest(&self) -> Option<&HistoryEntry> {
        self.entries().next_back()
    }

    /// The one of this generation.
    pub fn entry(&self, generation: u64) -> Option<&HistoryEntry> {
        self.entries().find(|entry| entry.generation == generation)
    }

    /// The apps that were declared at a generation; of one without an entry, as of the last entry before it.
    pub fn declared_at(&self, generation: u64) -> DeclaredThen<'_> {
        let mut declared = BTreeMap::new();
        for entry in self.entries().filter(|entry| entry.generation <= generation) {
            entry.add_to(&mut declared);
        }
        declared
    }

    /// Takes an entry in, or another version of one.
    pub fn put(&mut self, entry: HistoryEntry) {
        let at = self.entries.partition_point(|known| known.generation < entry.generation);
        let is_known = self.entries.get(at).is_some_and(|known| known.generation == entry.generation);
        let entry = Arc::new(entry);
        if is_known {
            self.entries[at] = entry;
        } else {
            self.entries.insert(at, entry);
        }
    }

    /// Drops an entry. What it changed, and the next one did not, is told by the next one.
    pub fn forget(&mut self, generation: u64) {
        let Some(at) = self.entries.iter().position(|entry| entry.generation == generation) else { return };
        let gone = self.entries.remove(at);
        let Some(next) = self.entries.get_mut(at).map(Arc::make_mut) else { return };
        for (app, change) in &gone.apps {
            // Before the first entry there was nothing to be removed.
            if at > 0 || change.revision.is_some() {
                next.apps.entry(app.clone()).or_insert_with(|| change.clone());
            }
        }
        if at == 0 {
            next.apps.retain(|_, change| change.revision.is_some());
        }
    }

    /// The names of all specs and environments in it.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        let revisions = self.entries().flat_map(|entry| entry.apps.values()).filter_map(|change| change.revision);
        revisions.flat_map(|revision| [revision.digest, revision.base_digest])
    }
}

/// One accepted change of what is declared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The project's generation from then on: the name of the entry.
    pub generation: u64,
    /// Wall clock of the daemon.
    pub at: WallTime,
    /// The user; `None` for what `pm` did by itself, and for what was declared before there was a history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// The kind of command that made it.
    pub origin: EntryOrigin,
    /// The files that it came from.
    #[serde(default, skip_serializing_if = "Provenance::is_empty")]
    pub provenance: Provenance,
    /// What it changed.
    pub apps: BTreeMap<AppName, AppEntry>,
    /// How it went.
    #[serde(default)]
    pub result: EntryResult,
    /// A name that a user gave it; it is kept for as long as it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

impl HistoryEntry {
    /// Lays what it changed over what was declared before.
    pub fn add_to<'a>(&'a self, declared: &mut DeclaredThen<'a>) {
        for (app, change) in &self.apps {
            match change.revision {
                Some(_) => declared.insert(app, change),
                None => declared.remove(app),
            };
        }
    }
}

/// The command that made an entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "origin")]
pub enum EntryOrigin {
    /// `pm apply`, or `pm start` of something new.
    Apply,
    /// `pm rollback`.
    Rollback {
        /// The generation that was declared again.
        to: u64,
    },
    /// `pm delete` of some apps.
    Delete,
    /// It was declared before there was a history.
    Found,
    /// `pm` itself, for a project with `self_heal`.
    SelfHeal,
}

/// One app in an entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AppEntry {
    /// What its processes are made from since then; `None`: it is declared no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionName>,
    /// What became of it.
    #[serde(default)]
    pub outcome: AppOutcome,
}

/// The names of a revision in the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RevisionName {
    /// Of its spec.
    pub digest: Digest,
    /// Of its recorded environment.
    pub base_digest: Digest,
}

/// What became of an app after a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppOutcome {
    /// It is not known yet.
    #[default]
    Pending,
    /// Every copy that should run was ready, and stayed so for as long as its rollout demands.
    Healthy,
    /// Nothing of it was to run: it is stopped, waits for its time, or was removed.
    NotRun,
    /// A user stopped it before it was known, while it was built or started: nobody has seen it healthy.
    Stopped,
    /// It did not come up, was rolled back, or could not be removed.
    Failed,
}

impl AppOutcome {
    /// Whether nothing speaks against going back to it.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Healthy | Self::NotRun)
    }
}

/// How a change went as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryResult {
    /// It is being carried out.
    #[default]
    Running,
    /// Everything is as declared.
    Applied,
    /// Some apps failed.
    Partial,
    /// All that it changed failed.
    Failed,
    /// A later change came before it was known.
    Superseded,
}

/// The files that a proposal was read from.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// The ecosystem files with the digests of their contents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileDigest>,
    /// The commit that was checked out in the folder of the first one, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The source that deployed that commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
}

impl Provenance {
    /// Whether it was declared without a file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.commit.is_none()
    }
}

/// One file as it was read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileDigest {
    /// Its path, as typed.
    pub path: PathBuf,
    /// Of its content.
    pub digest: Digest,
}

/// Why an app is not as its file declares it: a rollback has changed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pin {
    /// The generation that was gone back to.
    pub generation: u64,
    /// The spec that was rolled back, by its name in the store; `None`: the app was not declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Digest>,
}

/// Conditions of an apply that are about what happened before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ApplyGuard {
    /// What was rolled back is applied all the same.
    pub again: bool,
    /// The project must be at this generation; 0 = it must be new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_generation: Option<u64>,
}

impl ApplyGuard {
    /// Whether nothing is said.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a rollback is to do.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RollbackOptions {
    /// A generation or a tag; `None`: the newest one before at which every app was healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Only these apps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<AppName>,
    /// Apps that were not declared then are deleted.
    pub prune: bool,
    /// More than half of the project may be deleted.
    pub yes: bool,
    /// The project must be at this generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_generation: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppName {
        name.parse().unwrap()
    }

    fn entry(generation: u64, apps: &[(&str, Option<u8>)]) -> HistoryEntry {
        let change = |(name, number): &(&str, Option<u8>)| {
            let revision = number.map(|number| {
                let digest = Digest([number; 16]);
                RevisionName { digest, base_digest: digest }
            });
            (app(name), AppEntry { revision, outcome: AppOutcome::Pending })
        };
        HistoryEntry {
            generation,
            at: WallTime(generation),
            by: None,
            origin: EntryOrigin::Apply,
            provenance: Provenance::default(),
            apps: apps.iter().map(change).collect(),
            result: EntryResult::Running,
            tag: None,
        }
    }

    fn history() -> History {
        let mut history = History::default();
        history.put(entry(1, &[("a", Some(1)), ("b", Some(1))]));
        history.put(entry(4, &[("a", Some(2))]));
        history.put(entry(6, &[("b", None), ("c", Some(1))]));
        history.put(entry(7, &[("a", Some(3))]));
        history
    }

    fn shown(history: &History, generation: u64) -> String {
        let number = |change: &AppEntry| change.revision.map_or(0, |revision| revision.digest.0[0]);
        let apps = history.declared_at(generation);
        apps.iter().map(|(name, change)| format!("{name}{}", number(change))).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_sum_of_the_entries_is_what_was_declared() {
        let history = history();
        for (generation, expected) in [(0, ""), (1, "a1 b1"), (3, "a1 b1"), (4, "a2 b1"), (6, "a2 c1"), (9, "a3 c1")] {
            assert_eq!(shown(&history, generation), expected, "{generation}");
        }
    }

    #[test]
    fn what_is_forgotten_changes_nothing_of_what_is_kept() {
        let all = [1, 4, 6, 7];
        for gone in 0_u8..16 {
            let mut left = history();
            let is_gone = |at: &usize| gone & (1 << at) != 0;
            for at in (0..all.len()).filter(is_gone) {
                left.forget(all[at]);
            }
            for at in (0..all.len()).filter(|at| !is_gone(at)) {
                assert_eq!(shown(&left, all[at]), shown(&history(), all[at]), "{gone:b}");
            }
            let first_removals = left
                .entries()
                .next()
                .map_or(0, |entry| entry.apps.values().filter(|change| change.revision.is_none()).count());
            assert_eq!(first_removals, 0, "{gone:b}: nothing can be removed from nothing");
        }
    }

    #[test]
    fn an_entry_is_replaced_by_its_next_version() {
        let mut history = history();
        history.put(HistoryEntry { tag: Some("v1".into()), ..entry(4, &[("a", Some(2))]) });
        assert_eq!((history.entries().len(), history.entry(4).unwrap().tag.as_deref()), (4, Some("v1")));
    }
}
