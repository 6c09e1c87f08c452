//! The record of one line of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{
    App, AppName, Change, Declared, Desired, Digest, Environment, GitSource, HistoryEntry, Origin, Project,
    ProjectName, Revision, Rollout, SourceName,
};

/// One line. Field names are the format: they change only with its number.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "record")]
pub(super) enum Record {
    /// A spec, before the first record that names its digest.
    Spec { digest: Digest, app: Arc<App> },
    /// A recorded shell environment, likewise.
    Base { digest: Digest, base: Arc<Environment> },
    /// [`Change::Project`].
    Project { name: ProjectName, origin: Origin, generation: u64 },
    /// [`Change::ProjectRemoved`].
    ProjectRemoved { name: ProjectName },
    /// [`Change::App`]; spec and environment by digest.
    App { project: ProjectName, name: AppName, declared: Box<Declared> },
    /// [`Change::AppRemoved`].
    AppRemoved { project: ProjectName, name: AppName },
    /// [`Change::Rollout`]; spec and environment by digest.
    Rollout {
        project: ProjectName,
        name: AppName,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rollout: Option<Box<Rollout>>,
    },
    /// [`Change::ShutDown`].
    ShutDown { is_shut_down: bool },
    /// Everything since the last one counts from here on. History and sources are part of it: a version of `pm` without them
    /// ignores what it does not know of a record, but could not read a record that it does not know.
    Commit {
        seq: u64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        history: Vec<HistoryRecord>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sources: Vec<SourceChange>,
    },
}

/// [`Change::History`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HistoryRecord {
    project: ProjectName,
    generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<Box<HistoryEntry>>,
}

impl HistoryRecord {
    /// What changes say about histories, for the end of their batch: what a project has lost by then is left out.
    pub(super) fn of_changes(changes: &[Change]) -> Vec<Self> {
        let mut records: Vec<Self> = Vec::new();
        for change in changes {
            match change {
                Change::History { project, generation, entry } => {
                    records.push(Self { project: project.clone(), generation: *generation, entry: entry.clone() });
                }
                Change::ProjectRemoved { name } => records.retain(|record| record.project != *name),
                _ => {}
            }
        }
        records
    }

    pub(super) fn into_change(self) -> Change {
        let Self { project, generation, entry } = self;
        Change::History { project, generation, entry }
    }
}

/// [`Change::Source`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SourceChange {
    name: SourceName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Box<GitSource>>,
}

impl SourceChange {
    /// What changes say about sources, for the end of their batch.
    pub(super) fn of_changes(changes: &[Change]) -> Vec<Self> {
        let of_change = |change: &Change| match change {
            Change::Source { name, source } => Some(Self { name: name.clone(), source: source.clone() }),
            _ => None,
        };
        changes.iter().filter_map(of_change).collect()
    }

    /// The sources of this state.
    pub(super) fn all(desired: &Desired) -> Vec<Self> {
        let of_source = |(name, source): (&SourceName, &GitSource)| Self {
            name: name.clone(),
            source: Some(Box::new(source.clone())),
        };
        desired.sources.iter().map(of_source).collect()
    }

    pub(super) fn into_change(self) -> Change {
        Change::Source { name: self.name, source: self.source }
    }
}

impl Record {
    /// The line for a change; what is part of the commit has none.
    pub(super) fn of_change(change: &Change) -> Option<Self> {
        Some(match change.clone() {
            Change::Project { name, origin, generation } => Self::Project { name, origin, generation },
            Change::ProjectRemoved { name } => Self::ProjectRemoved { name },
            Change::App { project, name, declared } => Self::App { project, name, declared },
            Change::AppRemoved { project, name } => Self::AppRemoved { project, name },
            Change::Rollout { project, name, rollout } => Self::Rollout { project, name, rollout },
            Change::ShutDown { is_shut_down } => Self::ShutDown { is_shut_down },
            Change::History { .. } | Change::Source { .. } => return None,
        })
    }
}

/// Specs and environments by the digest of their content; each is held once.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    pub specs: BTreeMap<Digest, Arc<App>>,
    pub bases: BTreeMap<Digest, Arc<Environment>>,
}

impl Contents {
    /// What is declared, or named by a history or by `live`.
    pub(super) fn needed(&self, desired: &Desired, live: &BTreeSet<Digest>) -> Self {
        let declared = || desired.projects.values().flat_map(|project| project.apps.values());
        let rollouts = desired.projects.values().flat_map(|project| project.rollouts.values());
        let replaced = rollouts
            .filter_map(|rollout| rollout.from.as_ref())
            .map(|revision| [revision.digest, revision.base_digest]);
        let kept = desired.projects.values().flat_map(|project| project.history.digests());
        let named = declared().map(|app| [app.digest, app.base_digest]).chain(replaced).flatten();
        let named: BTreeSet<Digest> = named.chain(kept).collect();
        let is_needed = |digest: &Digest| named.contains(digest) || live.contains(digest);
        let mut needed = self.clone();
        needed.specs.retain(|digest, _| is_needed(digest));
        needed.bases.retain(|digest, _| is_needed(digest));
        needed
    }

    /// Puts the real spec and environment, from here or from `fresh`, into a declaration that was read; `None` if they
    /// were never written.
    pub(super) fn complete(&self, fresh: &Self, declared: &Declared) -> Option<Box<Declared>> {
        let revision = self.complete_revision(fresh, declared.revision())?;
        Some(Box::new(declared.at_revision(&revision)))
    }

    /// The same for what a rollout replaces.
    pub(super) fn complete_rollout(&self, fresh: &Self, mut rollout: Box<Rollout>) -> Option<Box<Rollout>> {
        if let Some(revision) = rollout.from.take() {
            rollout.from = Some(self.complete_revision(fresh, revision)?);
        }
        Some(rollout)
    }

    fn complete_revision(&self, fresh: &Self, mut revision: Revision) -> Option<Revision> {
        revision.spec = Arc::clone(self.specs.get(&revision.digest).or_else(|| fresh.specs.get(&revision.digest))?);
        revision.base =
            Arc::clone(self.bases.get(&revision.base_digest).or_else(|| fresh.bases.get(&revision.base_digest))?);
        Some(revision)
    }

    /// Adds what has become durable.
    pub(super) fn take(&mut self, mut fresh: Self) {
        self.specs.append(&mut fresh.specs);
        self.bases.append(&mut fresh.bases);
    }
}

/// The histories of this state, for the commit that follows [`snapshot`].
pub(super) fn histories(desired: &Desired) -> Vec<HistoryRecord> {
    let of_project = |(name, project): (&ProjectName, &Project)| {
        let record = |entry: &HistoryEntry| HistoryRecord {
            project: name.clone(),
            generation: entry.generation,
            entry: Some(Box::new(entry.clone())),
        };
        project.history.entries().map(record).collect::<Vec<_>>()
    };
    desired.projects.iter().flat_map(of_project).collect()
}

/// The records that lead from nothing to this state.
pub(super) fn snapshot(desired: &Desired, contents: &Contents) -> Vec<Record> {
    let specs = contents.specs.iter().map(|(digest, app)| Record::Spec { digest: *digest, app: Arc::clone(app) });
    let bases = contents.bases.iter().map(|(digest, base)| Record::Base { digest: *digest, base: Arc::clone(base) });
    let mut records: Vec<_> = specs.chain(bases).collect();
    if desired.is_shut_down {
        records.push(Record::ShutDown { is_shut_down: true });
    }
    for (name, project) in &desired.projects {
        let (origin, generation) = (project.origin.clone(), project.generation);
        records.push(Record::Project { name: name.clone(), origin, generation });
        records.extend(project.apps.iter().map(|(app, declared)| Record::App {
            project: name.clone(),
            name: app.clone(),
            declared: Box::new(declared.clone()),
        }));
        records.extend(project.rollouts.iter().map(|(app, rollout)| Record::Rollout {
            project: name.clone(),
            name: app.clone(),
            rollout: Some(Box::new(rollout.clone())),
        }));
    }
    records
}
