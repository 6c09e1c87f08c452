//! How a change went: found from what is declared and what lives, by every daemon alike.

use std::collections::BTreeMap;

use crate::model::{
    AppEntry, AppId, AppName, AppOutcome, Change, Declared, DesiredState, EntryOrigin, EntryResult, HistoryEntry, Kind,
    Live, LiveInstance, Phase, Project, ProjectName, Provenance, Readiness, WallTime,
};

use super::declared_now;
use super::recording::{change, changed, put};
use crate::plan::slots::is_of_revision;

/// What can be said by now of the newest entry, and of apps that were not healthy until now. Asked while no job works on the
/// project. What was declared before there was a history becomes its first entry.
pub fn concluded(name: &ProjectName, stored: &Project, live: &Live, at: WallTime) -> Vec<Change> {
    let Some(newest) = stored.history.newest() else { return found(name, stored, at) };
    let mut changes = stored.history.entries().flat_map(|entry| entry.apps.values());
    if newest.result != EntryResult::Running && changes.all(|change| change.outcome == AppOutcome::Healthy) {
        return Vec::new();
    }
    let newest = newest.generation;
    let declared = stored.history.declared_at(u64::MAX);
    let mut next: BTreeMap<u64, HistoryEntry> = BTreeMap::new();
    for entry in stored.history.entries() {
        let is_newest = entry.generation == newest;
        let is_said_here = |app: &AppName, change: &AppEntry| {
            is_newest || declared.get(app).is_some_and(|declared| std::ptr::eq(*declared, change))
        };
        for (app, change) in entry.apps.iter().filter(|(app, change)| is_said_here(app, change)) {
            let outcome = match outcome(name, app, change, stored, live) {
                AppOutcome::NotRun if was_stopped_since(app, stored, entry.at) => AppOutcome::Stopped,
                outcome => outcome,
            };
            if is_news(change.outcome, outcome) {
                let entry = next.entry(entry.generation).or_insert_with(|| entry.clone());
                if let Some(change) = entry.apps.get_mut(app) {
                    change.outcome = outcome;
                }
            }
        }
    }
    if let Some(known) = stored.history.newest() {
        let now = next.get(&newest).unwrap_or(known);
        let result = result(now.apps.values().map(|change| change.outcome));
        if is_better(known.result, result) {
            next.entry(newest).or_insert_with(|| known.clone()).result = result;
        }
    }
    next.into_values().map(|entry| change(name, entry)).collect()
}

/// The first entry of a project that is older than its history.
fn found(name: &ProjectName, stored: &Project, at: WallTime) -> Vec<Change> {
    let now = declared_now(stored).collect();
    let Some(apps) = changed(&stored.history, &now, |_, _| false) else { return Vec::new() };
    let entry = HistoryEntry {
        generation: stored.generation,
        at,
        by: None,
        origin: EntryOrigin::Found,
        provenance: Provenance::default(),
        apps,
        result: EntryResult::Running,
        tag: None,
    };
    put(name, &stored.history, entry)
}

/// What is found first, and then what is better: a failure that was mended by a further apply of the same is none any more.
fn is_better(before: EntryResult, now: EntryResult) -> bool {
    match before {
        EntryResult::Running => now != EntryResult::Running,
        EntryResult::Failed => matches!(now, EntryResult::Partial | EntryResult::Applied),
        EntryResult::Partial => now == EntryResult::Applied,
        EntryResult::Applied | EntryResult::Superseded => false,
    }
}

fn result(outcomes: impl Iterator<Item = AppOutcome>) -> EntryResult {
    let (mut failed, mut good) = (0, 0);
    for outcome in outcomes {
        match outcome {
            AppOutcome::Pending => return EntryResult::Running,
            AppOutcome::Failed => failed += 1,
            AppOutcome::Healthy | AppOutcome::NotRun | AppOutcome::Stopped => good += 1,
        }
    }
    match (failed, good) {
        (0, _) => EntryResult::Applied,
        (_, 0) => EntryResult::Failed,
        _ => EntryResult::Partial,
    }
}

/// Whether it says more than before. What succeeded has succeeded, and every step is towards that: it is written a few times
/// at most.
fn is_news(before: AppOutcome, now: AppOutcome) -> bool {
    match before {
        AppOutcome::Pending => now != AppOutcome::Pending,
        AppOutcome::NotRun | AppOutcome::Stopped => matches!(now, AppOutcome::Failed | AppOutcome::Healthy),
        AppOutcome::Failed => now == AppOutcome::Healthy,
        AppOutcome::Healthy => false,
    }
}

/// Whether a user stopped it after it was declared so.
fn was_stopped_since(app: &AppName, stored: &Project, declared_at: WallTime) -> bool {
    let desired_state = stored.apps.get(app).map(|declared| &declared.desired_state);
    matches!(desired_state, Some(DesiredState::Stopped { at, .. }) if *at >= declared_at)
}

/// What became of one app by now.
fn outcome(project: &ProjectName, app: &AppName, entry: &AppEntry, stored: &Project, live: &Live) -> AppOutcome {
    let declared = stored.apps.get(app);
    match (entry.revision, declared) {
        (None, None) => AppOutcome::NotRun,
        (None, Some(declared)) if declared.is_leaving => AppOutcome::Pending,
        (None, Some(_)) | (Some(_), None) => AppOutcome::Failed,
        // `pm` itself went back.
        (Some(revision), Some(declared)) if declared.revision_name() != revision => AppOutcome::Failed,
        (Some(_), Some(declared)) => {
            let rollout = stored.rollouts.get(app);
            let is_rejected = rollout
                .and_then(|rollout| rollout.rejected.as_ref())
                .is_some_and(|rejected| rejected.digest == declared.digest);
            if is_rejected {
                AppOutcome::Failed
            } else if rollout.is_some_and(crate::model::Rollout::is_open) {
                AppOutcome::Pending
            } else {
                of_copies(&AppId::new(project.clone(), app.clone()), declared, live)
            }
        }
    }
}

fn of_copies(app: &AppId, declared: &Declared, live: &Live) -> AppOutcome {
    let wanted = (0..declared.instances()).filter(|slot| declared.should_run(*slot));
    let outcomes = wanted.map(|slot| match live.instances.get(&app.instance(slot)) {
        Some(instance) if is_of_revision(instance, declared, slot) => of_copy(declared, instance),
        Some(instance) if matches!(instance.phase, Phase::Starting | Phase::Stopping { .. }) => AppOutcome::Pending,
        _ => AppOutcome::Failed,
    });
    let (mut is_pending, mut is_healthy) = (false, false);
    for outcome in outcomes {
        match outcome {
            AppOutcome::Failed => return AppOutcome::Failed,
            AppOutcome::Pending => is_pending = true,
            AppOutcome::Healthy | AppOutcome::NotRun | AppOutcome::Stopped => is_healthy = true,
        }
    }
    match (is_pending, is_healthy) {
        (true, _) => AppOutcome::Pending,
        (false, true) => AppOutcome::Healthy,
        (false, false) => AppOutcome::NotRun,
    }
}

fn of_copy(declared: &Declared, instance: &LiveInstance) -> AppOutcome {
    match &instance.phase {
        Phase::Running { readiness: Readiness::Waiting { .. }, .. } | Phase::Starting | Phase::Stopping { .. } => {
            AppOutcome::Pending
        }
        // It is healthy once it has ended well.
        Phase::Running { .. } if declared.spec.kind == Kind::Task => AppOutcome::Pending,
        Phase::Running { readiness: Readiness::Ready, .. } | Phase::Done { .. } => AppOutcome::Healthy,
        Phase::Running { .. } | Phase::Backoff { .. } | Phase::Errored { .. } | Phase::Stopped => AppOutcome::Failed,
    }
}
