//! What is kept of Git sources, and what an apply of one brings along.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::run::Loop;
use super::{ReconcileError, SourceState};
use crate::model::{
    Actor, AppName, ApplyOptions, Change, Digest, Fact, Project, Proposed, SourceCommand, SourceName, Subject,
};
use crate::os;
use crate::plan;
use crate::rules;
use crate::supervisor::Specs as _;

/// Keeps what a command or a report changes of a source, and tells it.
pub(super) async fn command(
    state: &mut Loop,
    name: SourceName,
    command: SourceCommand,
    by: &Actor,
) -> Result<(), ReconcileError> {
    let desired = state.current();
    let changed = rules::changed_source(&desired, &name, command, (by, os::wall()));
    let Some((source, news)) = changed.map_err(ReconcileError::Refused)? else { return Ok(()) };
    let known = source.as_ref().or_else(|| desired.sources.get(&name));
    let project = known.and_then(|source| source.record.project.clone());
    state.keep(vec![Change::Source { name: name.clone(), source: source.map(Box::new) }]).await?;
    if let Some(news) = news {
        let about = project.map_or(Subject::Daemon, Subject::Project);
        state.deps.events.emit(about, Fact::Source { source: name, news });
    }
    Ok(())
}

/// What a source proposes, with the apps that stay in their release; what anybody else proposes as it is.
pub(super) fn settle<'a>(state: &Loop, proposed: &'a Proposed, options: &ApplyOptions) -> Cow<'a, Proposed> {
    let Some(apply) = &options.source else { return Cow::Borrowed(proposed) };
    let desired = state.current();
    let stored = desired.projects.get(&proposed.project);
    let mut settled = plan::settled(stored, proposed, apply, |digest| state.store.spec(digest));
    settled.provenance.source = Some(apply.source.clone());
    Cow::Owned(settled)
}

/// Who is told to have applied: the source in the place of the user whose daemon it is.
pub(super) fn actor(by: Actor, options: &ApplyOptions) -> Actor {
    match &options.source {
        Some(apply) => Actor { name: format!("source {}", apply.source).into(), ..by },
        None => by,
    }
}

/// What the worker of a sync needs.
pub(super) fn work(state: &Loop, name: &SourceName, has_releases: bool) -> Option<SourceState> {
    let desired = state.current();
    let source = desired.sources.get(name)?.clone();
    let project = plan::project_of(&desired, name);
    let entry = source
        .record
        .under_way
        .as_ref()
        .zip(project)
        .and_then(|(under_way, (_, project))| plan::commit_entry(project, name, &under_way.commit, under_way.from));
    let (mut generation, mut newest_entry, mut changed) = (0, 0, Vec::new());
    if let Some((_, project)) = project {
        generation = project.generation;
        newest_entry = project.history.newest().map_or(0, |newest| newest.generation);
        let applied = entry.and_then(|entry| project.history.entry(entry.generation));
        changed.extend(applied.iter().flat_map(|entry| entry.apps.keys().cloned()));
    }
    let (releases_of, needed_now) = (BTreeMap::new(), BTreeSet::new());
    let mut work =
        SourceState { source, generation, entry, changed, newest_entry, releases: releases_of, needed: needed_now };
    if has_releases {
        let folder = state.deps.home.releases(name.as_str());
        if let Some((_, project)) = project {
            work.releases = releases(state, project, &folder);
        }
        work.needed = needed(state, &folder);
    }
    Some(work)
}

fn releases(state: &Loop, project: &Project, folder: &Path) -> BTreeMap<AppName, BTreeSet<PathBuf>> {
    let of_digest = |digest: &Digest| plan::release_of(&*state.store.spec(digest)?, folder);
    let of_app = |(app, declared): (&AppName, &crate::model::Declared)| {
        let rolled_back = declared.pin.and_then(|pin| pin.from).and_then(|digest| of_digest(&digest));
        let own = plan::release_of(&declared.spec, folder);
        (app.clone(), own.into_iter().chain(rolled_back).collect())
    };
    project.apps.iter().map(of_app).collect()
}

/// Of every project: one may have left the source, and still run from a release.
fn needed(state: &Loop, folder: &Path) -> BTreeSet<PathBuf> {
    let desired = state.current();
    let mut digests: BTreeSet<Digest> = BTreeSet::new();
    for project in desired.projects.values() {
        digests.extend(project.history.digests());
        digests.extend(project.apps.values().map(|declared| declared.digest));
        let replaced = project.rollouts.values().filter_map(|rollout| rollout.from.as_ref());
        digests.extend(replaced.map(|revision| revision.digest));
    }
    let known = digests.iter().filter_map(|digest| plan::release_of(&*state.store.spec(digest)?, folder));
    let alive = state.live.instances.values().filter_map(|instance| plan::release_of(&instance.spec, folder));
    known.chain(alive).collect()
}
