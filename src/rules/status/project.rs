//! The two words of a project, derived from its declaration and its processes, and from nothing that was noted about them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::{
    AppName, AppState, Declared, DesiredState, Deviation, HealAim, HealthWord, LiveInstance, NextStep, Project,
    ProjectState, Rollout, Severity, Status, StatusWord, SyncWord, WallTime, Why,
};
use crate::rules::at_start::can_follow;

/// One copy of an app (or an app without any) with its status.
#[derive(Clone, Debug)]
pub struct CopyFacts<'a> {
    /// The app.
    pub app: &'a AppName,
    /// What is declared.
    pub declared: Option<&'a Declared>,
    /// Its slot; none for an app without copies.
    pub slot: Option<u32>,
    /// The copy as it is.
    pub live: Option<&'a LiveInstance>,
    /// The status of it.
    pub status: Status,
    /// The newest file that changed after its process was started, and when.
    pub stale: Option<(PathBuf, WallTime)>,
}

/// How a project stands, from its copies in order of their apps.
pub fn project_state(project: Option<&Project>, copies: &[CopyFacts<'_>]) -> ProjectState {
    let mut by_app: BTreeMap<&AppName, Vec<&CopyFacts<'_>>> = BTreeMap::new();
    for copy in copies {
        by_app.entry(copy.app).or_default().push(copy);
    }
    let apps: Vec<AppState> = by_app.iter().filter_map(|(app, copies)| app_state(project, app, copies)).collect();
    ProjectState {
        sync: apps.iter().map(|app| app.sync).max().unwrap_or(SyncWord::Synced),
        health: apps.iter().map(|app| app.health).max().unwrap_or(HealthWord::Healthy),
        apps,
    }
}

fn app_state(project: Option<&Project>, app: &AppName, copies: &[&CopyFacts<'_>]) -> Option<AppState> {
    let rollout = project.and_then(|project| project.rollouts.get(app));
    let deviations = deviations(rollout, copies);
    // Of several alike, the first.
    let worst = copies.iter().rev().max_by_key(|copy| (health(&copy.status), copy.status.severity))?;
    Some(AppState {
        app: app.clone(),
        sync: if deviations.is_empty() { SyncWord::Synced } else { SyncWord::OutOfSync },
        health: of_rollout(rollout).max(health(&worst.status)),
        deviations,
        slot: worst.slot,
        status: worst.status.clone(),
    })
}

fn of_rollout(rollout: Option<&Rollout>) -> HealthWord {
    match rollout {
        Some(rollout) if rollout.is_paused => HealthWord::Suspended,
        Some(rollout) if rollout.is_open() => HealthWord::Progressing,
        _ => HealthWord::Healthy,
    }
}

/// The health of one copy.
fn health(status: &Status) -> HealthWord {
    let nearest = status.because.first();
    match status.word {
        StatusWord::Running if nearest == Some(&Why::SpecLost) => HealthWord::Unknown,
        StatusWord::Running | StatusWord::Done => match status.severity {
            Severity::Ok => HealthWord::Healthy,
            Severity::Idle => HealthWord::Suspended,
            Severity::Pending | Severity::Warning | Severity::Error => HealthWord::Degraded,
        },
        StatusWord::Unhealthy | StatusWord::Backoff | StatusWord::Errored => HealthWord::Degraded,
        // Only for its time.
        StatusWord::Waiting if status.severity == Severity::Idle => HealthWord::Healthy,
        StatusWord::Starting | StatusWord::Stopping | StatusWord::Waiting => HealthWord::Progressing,
        StatusWord::Stopped => match nearest {
            Some(Why::StoppedBy { .. } | Why::SlotStopped | Why::ShutDown) => HealthWord::Suspended,
            Some(Why::NoAutostart | Why::NoInstances | Why::NotDue | Why::Leaving | Why::Undeclared) => {
                HealthWord::Healthy
            }
            Some(Why::NotStarted | Why::Awaits { .. } | Why::AwaitsPlace { .. } | Why::Builds { .. }) => {
                HealthWord::Progressing
            }
            _ => HealthWord::Missing,
        },
    }
}

/// How an app differs from what is declared: what users changed first, then what runs.
fn deviations(rollout: Option<&Rollout>, copies: &[&CopyFacts<'_>]) -> Vec<Deviation> {
    let mut all = Vec::new();
    match copies.iter().find_map(|copy| copy.declared) {
        Some(declared) if !declared.spec.is_spec_lost() => all.extend(by_users(declared, copies)),
        _ => all.push(Deviation::Undeclared),
    }
    all.extend(of_rollouts(rollout, copies));
    let is_open = rollout.is_some_and(Rollout::is_open);
    let is_outdated = |copy: &&&CopyFacts<'_>| match (copy.declared, copy.live) {
        (Some(declared), Some(live)) => live.phase.is_alive() && !can_follow(&live.spec, &declared.spec),
        _ => false,
    };
    let mut slots: Vec<u32> = copies.iter().filter(is_outdated).filter_map(|copy| copy.slot).collect();
    slots.dedup();
    all.extend((!slots.is_empty() && !is_open).then_some(Deviation::Outdated { slots }));
    let contents = contents(copies);
    let is_said = |path: &PathBuf| matches!(&contents, Some(Deviation::Contents { path: known, .. }) if known == path);
    let newest = copies.iter().filter_map(|copy| copy.stale.clone()).max_by_key(|(_, at)| *at);
    let newest = newest.filter(|(path, _)| !is_said(path));
    all.extend(contents.clone());
    all.extend(newest.map(|(path, at)| Deviation::Stale { path, at }));
    all
}

/// What the daemon has found in files of `restart_on`.
fn contents(copies: &[&CopyFacts<'_>]) -> Option<Deviation> {
    copies.iter().flat_map(|copy| &copy.status.next).find_map(|step| match step {
        NextStep::Heal { aim: HealAim::Contents { path, others, since }, .. } => {
            Some(Deviation::Contents { path: path.clone(), others: *others, at: *since })
        }
        _ => None,
    })
}

/// What users changed without the file.
fn by_users(declared: &Declared, copies: &[&CopyFacts<'_>]) -> Vec<Deviation> {
    let mut all = Vec::new();
    if let DesiredState::Stopped { by, at, is_held } = &declared.desired_state {
        all.push(Deviation::Stopped { by: by.clone(), at: *at, is_held: *is_held });
    } else if !declared.stopped_slots.is_empty() {
        all.push(Deviation::SlotsStopped { slots: declared.stopped_slots.iter().copied().collect() });
    }
    // Where the file has no opinion, an operator's number is what is declared.
    if let (Some(to), Some(count)) = (declared.scaled, declared.spec.instances)
        && to != count
    {
        all.push(Deviation::Scaled { to, declared: count });
    }
    let is_shut_down = copies.iter().any(|copy| copy.status.because.contains(&Why::ShutDown));
    all.extend(is_shut_down.then_some(Deviation::ShutDown));
    all.extend(declared.is_leaving.then_some(Deviation::Leaving));
    all
}

fn of_rollouts(rollout: Option<&Rollout>, copies: &[&CopyFacts<'_>]) -> Option<Deviation> {
    let rollout = rollout?;
    if rollout.is_open() {
        return Some(Deviation::Rollout { is_paused: rollout.is_paused });
    }
    let rejected = rollout.rejected.as_ref()?;
    let declared = copies.iter().find_map(|copy| copy.declared)?;
    Some(Deviation::RolloutFailed { why: rejected.why.clone(), is_rolled_back: rejected.digest != declared.digest })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lifecycle::samples::{self, app};
    use crate::model::{
        ChangedFiles, Digest, Environment, Exit, Failure, InstanceId, Live, Millis, Moment, Phase, Readiness, Rejected,
        Rejection, Revision,
    };
    use crate::rules::{Facts, status};

    const BY_ALICE: &str = "alice";

    /// What is declared and what lives; then the health and the deviations.
    type Case = (Declared, Vec<Option<LiveInstance>>, HealthWord, Vec<Deviation>);

    fn declared(change: impl FnOnce(&mut Declared)) -> Declared {
        let mut declared = Declared::new(Arc::new(app()), Arc::new(Environment::new()), DesiredState::Up);
        change(&mut declared);
        declared
    }

    fn live(phase: Phase) -> LiveInstance {
        LiveInstance { started: Some(WallTime(77)), ..samples::live(phase) }
    }

    fn running() -> LiveInstance {
        live(Phase::Running { pid: 7, since: Moment(0), readiness: Readiness::Ready })
    }

    fn project(rollout: Option<Rollout>) -> Project {
        let mut project = Project::default();
        project.rollouts.extend(rollout.map(|rollout| (app().name, rollout)));
        project
    }

    /// The words and deviations of an app with these copies.
    fn told(project: &Project, declared: Option<&Declared>, lives: &[Option<LiveInstance>]) -> AppState {
        let (name, all) = (app().name, Live::default());
        let copy = |(slot, live): (u32, &'_ Option<LiveInstance>)| {
            let facts = Facts {
                project: Some(project),
                declared,
                slot: Some(slot),
                live: live.as_ref(),
                all: &all,
                waits_for: None,
                next_due: None,
                is_shut_down: false,
                refused: None,
                is_suspended: false,
                started: None,
                now: Moment(1000),
                wall: WallTime(5000),
                files: &ChangedFiles::new(),
            };
            status(&facts)
        };
        let statuses: Vec<Status> = (0..).zip(lives).map(copy).collect();
        let copies: Vec<CopyFacts<'_>> = (0..)
            .zip(lives)
            .zip(statuses)
            .map(|((slot, live), status)| CopyFacts {
                app: &name,
                declared,
                slot: Some(slot),
                live: live.as_ref(),
                status,
                stale: None,
            })
            .collect();
        let state = project_state(Some(project), &copies);
        let [one] = state.apps.as_slice() else { panic!("{state:?}") };
        assert_eq!((state.sync, state.health), (one.sync, one.health), "the project is as its only app");
        assert_eq!(one.sync == SyncWord::Synced, one.deviations.is_empty());
        one.clone()
    }

    fn rejection() -> Rejection {
        let instance: InstanceId = app().id().instance(0);
        Rejection::Failed { instance, failure: None, exit: Some(Exit::Code(3)) }
    }

    #[test]
    fn what_users_changed_is_a_deviation_and_no_failure() {
        let stopped = |is_held| DesiredState::Stopped { by: BY_ALICE.into(), at: WallTime(9), is_held };
        let stopped_deviation =
            |is_held| vec![Deviation::Stopped { by: BY_ALICE.to_owned(), at: WallTime(9), is_held }];
        let down = || vec![None];
        let scaled = |to, file| {
            declared(|app| {
                app.scaled = to;
                Arc::make_mut(&mut app.spec).instances = file;
            })
        };
        let cases: [Case; 10] = [
            (declared(|_| {}), vec![Some(running())], HealthWord::Healthy, vec![]),
            (
                declared(|app| app.desired_state = stopped(false)),
                down(),
                HealthWord::Suspended,
                stopped_deviation(false),
            ),
            (declared(|app| app.desired_state = stopped(true)), down(), HealthWord::Suspended, stopped_deviation(true)),
            (declared(|app| app.desired_state = DesiredState::NotStarted), down(), HealthWord::Healthy, vec![]),
            (scaled(Some(2), Some(2)), vec![Some(running()), Some(running())], HealthWord::Healthy, vec![]),
            // The file has no opinion.
            (scaled(Some(2), None), vec![Some(running()), Some(running())], HealthWord::Healthy, vec![]),
            (
                scaled(Some(2), Some(1)),
                vec![Some(running()), Some(running())],
                HealthWord::Healthy,
                vec![Deviation::Scaled { to: 2, declared: 1 }],
            ),
            (
                declared(|app| {
                    app.stopped_slots.insert(1);
                    Arc::make_mut(&mut app.spec).instances = Some(2);
                }),
                vec![Some(running()), None],
                HealthWord::Suspended,
                vec![Deviation::SlotsStopped { slots: vec![1] }],
            ),
            (declared(|app| app.is_leaving = true), down(), HealthWord::Healthy, vec![Deviation::Leaving]),
            (declared(|_| {}), down(), HealthWord::Progressing, vec![]),
        ];
        for (declared, lives, health, deviations) in cases {
            let state = told(&project(None), Some(&declared), &lives);
            assert_eq!((state.health, &state.deviations), (health, &deviations), "{declared:?}");
        }
    }

    #[test]
    fn the_worst_copy_speaks_for_an_app() {
        let two = declared(|app| Arc::make_mut(&mut app.spec).instances = Some(2));
        let failure = Failure::TooManyRestarts { starts: 3, exit: Exit::Code(3), trouble: None };
        let phases = [
            (Phase::Starting, HealthWord::Progressing),
            (Phase::Stopping { pid: None, deadline: Moment(9) }, HealthWord::Progressing),
            (
                Phase::Running {
                    pid: 8,
                    since: Moment(0),
                    readiness: Readiness::Failing { last: "500".into(), failures: 2 },
                },
                HealthWord::Degraded,
            ),
            (Phase::Backoff { until: Moment(1900), delay: Millis(1000), attempt: 4 }, HealthWord::Degraded),
            (Phase::Errored { failure }, HealthWord::Degraded),
            (Phase::Done { exit: Exit::Code(0) }, HealthWord::Healthy),
        ];
        for (phase, health) in phases {
            for at in 0..2 {
                let mut lives = vec![Some(running()), Some(running())];
                lives[at] = Some(live(phase.clone()));
                let state = told(&project(None), Some(&two), &lives);
                assert_eq!(state.health, health, "{phase:?}");
                let is_worst = health > HealthWord::Healthy;
                assert!(!is_worst || state.slot == u32::try_from(at).ok(), "{phase:?}: {:?}", state.slot);
            }
        }
    }

    #[test]
    fn what_runs_is_compared_with_what_is_declared() {
        let own = declared(|_| {});
        let other = declared(|app| Arc::make_mut(&mut app.spec).run.script = Some("/bin/other".into()));
        let outdated = [Deviation::Outdated { slots: vec![0] }];
        assert_eq!(told(&project(None), Some(&other), &[Some(running())]).deviations, outdated);
        // Nothing of another revision lives any more.
        let waits = live(Phase::Backoff { until: Moment(1900), delay: Millis(1000), attempt: 4 });
        assert_eq!(told(&project(None), Some(&other), &[Some(waits)]).deviations, []);
        let open = |is_paused| {
            let from = Some(Revision { digest: Digest([1; 16]), ..own.revision() });
            project(Some(Rollout { from, is_paused, ..Rollout::default() }))
        };
        for (is_paused, health) in [(false, HealthWord::Progressing), (true, HealthWord::Suspended)] {
            let state = told(&open(is_paused), Some(&other), &[Some(running())]);
            assert_eq!((state.health, state.deviations), (health, vec![Deviation::Rollout { is_paused }]));
        }
        for (digest, is_rolled_back) in [(own.digest, false), (Digest([9; 16]), true)] {
            let rejected = Some(Rejected { digest, why: rejection() });
            let failed = project(Some(Rollout { rejected, ..Rollout::default() }));
            let state = told(&failed, Some(&own), &[Some(running())]);
            assert_eq!(state.deviations, [Deviation::RolloutFailed { why: rejection(), is_rolled_back }]);
            assert_eq!(state.health, HealthWord::Healthy);
        }
        let missing = project(Some(Rollout {
            rejected: Some(Rejected { digest: own.digest, why: rejection() }),
            ..Rollout::default()
        }));
        assert_eq!(told(&missing, Some(&own), &[None]).health, HealthWord::Missing);
        let undeclared = told(&project(None), None, &[Some(running())]);
        assert_eq!(undeclared.deviations, [Deviation::Undeclared]);
    }
}
