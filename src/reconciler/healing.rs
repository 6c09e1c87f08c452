//! `self_heal`: what is due is declared, kept durably, and carried out like an apply.

use std::collections::BTreeSet;

use super::ports::has_room;
use super::run::Loop;
use crate::model::{AppId, AppName, Cause, Change, ChangedFiles, Desired, EntryOrigin, Project, ProjectName, SelfHeal};
use crate::os;
use crate::plan::{self, Decision, HealFacts, HistoryNews};

/// Puts right what is due in every project. What cannot be written now is found again by the next look.
pub(super) async fn heal(state: &mut Loop, files: &ChangedFiles) {
    let desired = state.current();
    let is_off = |project: &Project| project.origin.heal.mode == SelfHeal::Off;
    if desired.is_shut_down || state.is_leaving || desired.projects.values().all(is_off) {
        return;
    }
    state.look().await;
    for (name, project) in desired.projects.iter().filter(|(_, project)| !is_off(project)) {
        let Some(Decision { plan, mut changes }) = decide(state, &desired, name, project, files) else { continue };
        let (at, origin) = (os::wall(), &EntryOrigin::SelfHeal);
        let news = HistoryNews { by: None, at, origin, provenance: None };
        changes.extend(plan::recorded(name, Some(project), &changes, &news));
        os::killpoint("heal.decided");
        if state.keep(changes.clone()).await.is_err() {
            continue;
        }
        os::killpoint("heal.kept");
        state.jobs.supersede(&desired, &changes);
        state.emit_accepted(&plan, state.generation_of(name), &Cause::SelfHeal);
        state.execute(plan, Cause::SelfHeal);
    }
}

/// What is due and can be done: an app whose further copies would need a port of somebody else stays as it is.
fn decide(
    state: &Loop,
    desired: &Desired,
    name: &ProjectName,
    project: &Project,
    files: &ChangedFiles,
) -> Option<Decision> {
    let is_busy = |app: &&AppName| state.jobs.is_busy(&AppId::new(name.clone(), (*app).clone()));
    let mut waiting: BTreeSet<AppName> = project.apps.keys().filter(is_busy).cloned().collect();
    loop {
        let facts = HealFacts { live: &state.live, files, waiting: &waiting, wall: os::wall() };
        let decision = plan::heal(name, project, &facts)?;
        let has_none = |change: &Change| match change {
            Change::App { name, .. } if !has_room(state, desired, change) => Some(name.clone()),
            _ => None,
        };
        let without: Vec<AppName> = decision.changes.iter().filter_map(has_none).collect();
        if without.is_empty() {
            return Some(decision);
        }
        waiting.extend(without);
    }
}
