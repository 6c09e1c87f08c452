//! The history of a project: how its last change went, what was declared before, and the way back there.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::run::Loop;
use super::{Accepted, EntryRevisions, ReconcileError, RollbackPlan, notes};
use crate::model::{
    Actor, AppName, ApplyOptions, Cause, Change, EntryOrigin, Project, ProjectName, Refusal, RefusalKind, Revision,
    RevisionName, RollbackOptions,
};
use crate::os;
use crate::plan::{self, HistoryNews, Returned};
use crate::supervisor::Specs as _;

/// Keeps what can be said by now of how a change went.
pub(super) async fn conclude(state: &mut Loop, name: &ProjectName) {
    if state.jobs.is_project_busy(name) || state.is_leaving {
        return;
    }
    let desired = state.current();
    let Some(stored) = desired.projects.get(name).filter(|_| !desired.is_shut_down) else { return };
    let changes = plan::concluded(name, stored, &state.live, os::wall());
    if !changes.is_empty() {
        os::killpoint("history.concluded");
        // On a full disk it is found again by the next wake-up: nothing waits for it.
        let _ = state.keep(changes).await;
    }
}

pub(super) async fn plan_rollback(
    state: &mut Loop,
    name: &ProjectName,
    options: &RollbackOptions,
) -> Result<RollbackPlan, ReconcileError> {
    state.look_at_sockets().await;
    let desired = state.current();
    let stored = desired.projects.get(name).ok_or_else(|| no_project(name))?;
    let (generation, returned) = returned(state, name, stored, options)?;
    let Returned { mut decision, mut refusals, proposed } = returned;
    refusals.extend(plan::check_sockets(&desired, &proposed, &ApplyOptions::default()).err());
    notes::add(&mut decision.plan, &proposed, &state.live, &state.deps.supervisor);
    Ok(RollbackPlan { generation, plan: decision.plan, refusals })
}

pub(super) async fn roll_back(
    state: &mut Loop,
    name: &ProjectName,
    options: &RollbackOptions,
    by: Actor,
) -> Result<Accepted, ReconcileError> {
    state.look_at_sockets().await;
    let desired = state.current();
    let stored = desired.projects.get(name).ok_or_else(|| no_project(name))?;
    let (to, Returned { mut decision, refusals, proposed }) = returned(state, name, stored, options)?;
    plan::check_sockets(&desired, &proposed, &ApplyOptions::default()).map_err(ReconcileError::Refused)?;
    if let Some(refusal) = refusals.into_iter().next() {
        return Err(ReconcileError::Refused(refusal));
    }
    notes::add(&mut decision.plan, &proposed, &state.live, &state.deps.supervisor);
    if desired.is_shut_down {
        decision.changes.push(Change::ShutDown { is_shut_down: false });
    }
    let (origin, provenance) = (EntryOrigin::Rollback { to }, stored.history.entry(to).map(|entry| &entry.provenance));
    let news = HistoryNews { by: Some(&by), at: os::wall(), origin: &origin, provenance };
    decision.changes.extend(plan::recorded(name, Some(stored), &decision.changes, &news));
    let unremembered = state.decide_over(&desired, decision.changes).await?;
    let cause = Cause::Command { by, verb: "rollback".to_owned() };
    state.emit_accepted(&decision.plan, state.generation_of(name), &cause);
    Ok(Accepted { unremembered, ..state.execute(decision.plan, cause) })
}

pub(super) async fn tag(
    state: &mut Loop,
    name: &ProjectName,
    entry: &str,
    tag: Option<&str>,
) -> Result<u64, ReconcileError> {
    let desired = state.current();
    let stored = desired.projects.get(name).ok_or_else(|| no_project(name))?;
    let generation = plan::entry_of(stored, entry).map_err(ReconcileError::Refused)?.generation;
    let changes = plan::tagged(name, stored, entry, tag).map_err(ReconcileError::Refused)?;
    state.keep(changes).await?;
    Ok(generation)
}

pub(super) fn revisions(state: &Loop, name: &ProjectName, entry: &str) -> Result<EntryRevisions, ReconcileError> {
    let desired = state.current();
    let stored = desired.projects.get(name).ok_or_else(|| no_project(name))?;
    let generation = plan::entry_of(stored, entry).map_err(ReconcileError::Refused)?.generation;
    let names = plan::revisions_of(stored, generation, &[]).map_err(ReconcileError::Refused)?;
    let revisions = names.into_iter().map(|(app, name)| (app, revision(state, &name))).collect();
    Ok(EntryRevisions { generation, revisions })
}

/// Where a rollback goes to, and what it does.
fn returned(
    state: &Loop,
    name: &ProjectName,
    stored: &Project,
    options: &RollbackOptions,
) -> Result<(u64, Returned), ReconcileError> {
    let to = plan::target_of(stored, options).map_err(ReconcileError::Refused)?;
    let names = plan::revisions_of(stored, to, &options.apps).map_err(ReconcileError::Refused)?;
    let mut revisions = BTreeMap::new();
    for (app, names) in names {
        let revision = revision(state, &names).ok_or_else(|| unknown(&app, to))?;
        revisions.insert(app, revision);
    }
    let returned = plan::rollback(name, stored, (to, revisions), &state.live, options);
    Ok((to, returned.map_err(ReconcileError::Refused)?))
}

fn revision(state: &Loop, name: &RevisionName) -> Option<Revision> {
    let (spec, base) = (state.store.spec(&name.digest)?, state.store.base(&name.base_digest)?);
    Some(Revision { spec, digest: name.digest, base: Arc::clone(&base), base_digest: name.base_digest })
}

fn no_project(name: &ProjectName) -> ReconcileError {
    ReconcileError::Refused(Refusal {
        kind: RefusalKind::Usage,
        message: format!("no project `{name}`"),
        hint: Some("`pm projects` lists them".to_owned()),
        confirm: None,
    })
}

/// Its spec is gone although the history names it: a file was damaged.
fn unknown(app: &AppName, generation: u64) -> ReconcileError {
    ReconcileError::Refused(Refusal {
        kind: RefusalKind::Safety,
        message: format!("the spec of `{app}` at generation {generation} was lost"),
        hint: Some("go back to another one: `pm history`".to_owned()),
        confirm: None,
    })
}
