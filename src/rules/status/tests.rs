//! Tables: the status for each state.

use std::sync::Arc;

use super::*;
use crate::lifecycle::samples::{self, app};
use crate::model::{Bytes, Condition, Counts, Desired, Environment, Exit, Kind, Rollout, Unmet};

fn declared(change: impl FnOnce(&mut App)) -> Declared {
    let mut spec = app();
    change(&mut spec);
    Declared::new(Arc::new(spec), Arc::new(Environment::new()), DesiredState::Up)
}

fn live(phase: Phase) -> LiveInstance {
    LiveInstance { since: Some(Moment(400)), started: Some(WallTime(77)), ..samples::live(phase) }
}

fn running(readiness: Readiness) -> Phase {
    Phase::Running { pid: 7, since: Moment(0), readiness }
}

fn facts<'a>(all: &'a Live, declared: Option<&'a Declared>, live: Option<&'a LiveInstance>) -> Facts<'a> {
    Facts {
        project: None,
        declared,
        slot: Some(0),
        live,
        all,
        waits_for: None,
        is_suspended: false,
        next_due: None,
        is_shut_down: false,
        refused: None,
        started: None,
        now: Moment(1000),
        wall: WallTime(5000),
        files: no_files(),
    }
}

fn no_files() -> &'static ChangedFiles {
    static NONE: ChangedFiles = ChangedFiles::new();
    &NONE
}

#[test]
fn each_phase_has_its_word_number_severity_and_next_step() {
    use {Severity as S, StatusWord as W};
    let exit = Exit::Code(3);
    let gave_up = Failure::TooManyRestarts { starts: 3, exit, trouble: None };
    let cases = [
        (running(Readiness::Ready), W::Running, None, S::Ok),
        (running(Readiness::Waiting { deadline: Moment(9), last: None }), W::Starting, None, S::Pending),
        (running(Readiness::Failing { last: "500".into(), failures: 2 }), W::Unhealthy, Some(2), S::Error),
        (Phase::Starting, W::Starting, None, S::Pending),
        (Phase::Stopping { pid: None, deadline: Moment(9) }, W::Stopping, None, S::Pending),
        (Phase::Backoff { until: Moment(1900), delay: Millis(1000), attempt: 4 }, W::Backoff, Some(4), S::Warning),
        (Phase::Errored { failure: gave_up }, W::Errored, Some(3), S::Error),
        (Phase::Errored { failure: Failure::Exited { exit } }, W::Errored, None, S::Error),
        (Phase::Done { exit: Exit::Code(0) }, W::Done, None, S::Ok),
        (Phase::Stopped, W::Stopped, None, S::Idle),
    ];
    let (all, declared) = (Live::default(), declared(|_| {}));
    for (phase, word, count, severity) in cases {
        let live = live(phase);
        let status = status(&facts(&all, Some(&declared), Some(&live)));
        assert_eq!((status.word, status.count, status.severity), (word, count, severity), "{:?}", live.phase);
        assert!(!status.because.is_empty() && !status.next.is_empty(), "{status:?}");
        // Moment 1000 is 5000 on the clock of people.
        let since = match live.phase {
            Phase::Running { .. } => live.started,
            Phase::Backoff { .. } => Some(WallTime(4900)),
            Phase::Stopped => None,
            _ => Some(WallTime(4400)),
        };
        assert_eq!(status.since, since, "{:?}", live.phase);
    }
}

#[test]
fn a_wait_before_a_start_says_what_it_is_for() {
    let (all, own) = (Live::default(), declared(|_| {}));
    let fixed = declared(|app| app.restart.restart_delay = Millis(2000));
    let backoff = |attempt| live(Phase::Backoff { until: Moment(1900), delay: Millis(2000), attempt });
    let because = |declared, live: &LiveInstance| status(&facts(&all, Some(declared), Some(live))).because;
    let (delay_ms, stable_ms) = (Millis(2000), Millis::seconds(10));
    let unstable = |at_once| Why::Unstable { starts: 7, delay_ms, at_once, stable_ms };
    assert_eq!(because(&own, &backoff(7)), [unstable(5)]);
    assert_eq!(because(&fixed, &backoff(7)), [unstable(0)]);
    assert_eq!(because(&fixed, &backoff(0)), [Why::FixedDelay { delay_ms }]);
    // What passes is no unstable start.
    let failure = Failure::Aborted;
    let passing = LiveInstance { trouble: Some(failure.clone()), ..backoff(0) };
    assert_eq!(because(&own, &passing), [Why::EndedFor { failure }]);
    assert_eq!(status(&facts(&all, Some(&own), Some(&passing))).count, None);

    let before = Why::UnstableBefore { starts: 3, at_once: 5 };
    let young = LiveInstance { counts: Counts { unstable: 3, force_kills: 0 }, ..live(running(Readiness::Ready)) };
    assert!(because(&own, &young).contains(&before));
    let grown = Facts { now: Moment(10_000), ..facts(&all, Some(&own), Some(&young)) };
    assert!(!status(&grown).because.contains(&before), "it has outlived them");
    assert!(!because(&fixed, &young).contains(&before), "no restart of it is immediate");
}

#[test]
fn what_does_not_run_says_what_stands_against_it() {
    let all = Live::default();
    let desired_state = |desired_state| Declared { desired_state, ..declared(|_| {}) };
    let stopped = |is_held| DesiredState::Stopped { by: "alice".into(), at: WallTime(9), is_held };
    let waits = StartWait::Dependency(WaitsFor {
        app: "db".parse().unwrap(),
        condition: Condition::Ready,
        why: Unmet::NotReady { last: Some("HTTP 503".into()) },
        since: Moment(400),
    });
    let timed = declared(|app| {
        app.kind = Kind::Task;
        app.schedule.cron_restart = Some("0 0 1 1 *".into());
    });
    let up = declared(|_| {});
    let (held, not_started) = (desired_state(stopped(true)), desired_state(DesiredState::NotStarted));
    let slot = Declared { stopped_slots: [0].into(), ..up.clone() };
    let leaving = Declared { is_leaving: true, ..up.clone() };
    let failure = Failure::Aborted;
    let place = StartWait::Place { limit: 2, is_declared: true };
    let build = StartWait::Build { since: Moment(3) };
    let base = facts(&all, Some(&up), None);
    let cases = [
        (Facts { declared: Some(&held), ..base }, "StoppedBy", "Unhold"),
        (Facts { declared: Some(&not_started), ..base }, "NoAutostart", "StartByHand"),
        (Facts { declared: Some(&slot), ..base }, "SlotStopped", "Start"),
        (Facts { declared: Some(&leaving), ..base }, "Leaving", "Removal"),
        (Facts { declared: None, ..base }, "Undeclared", "Removal"),
        (Facts { slot: None, ..base }, "NoInstances", "Scale"),
        (Facts { is_shut_down: true, ..base }, "ShutDown", "Start"),
        (Facts { waits_for: Some(&waits), ..base }, "WaitsFor", "StartWhenMet"),
        (Facts { waits_for: Some(&place), ..base }, "AwaitsPlace", "StartWhenMet"),
        (Facts { waits_for: Some(&build), ..base }, "Builds", "StartWhenMet"),
        (Facts { declared: Some(&timed), next_due: Some(WallTime(9)), ..base }, "NotDue", "Due"),
        (Facts { refused: Some(&failure), ..base }, "Refused", "TryAgain"),
        (base, "NotStarted", "Spawn"),
    ];
    for (facts, why, next) in cases {
        let status = status(&facts);
        assert!(format!("{:?}", status.because[0]).starts_with(why), "{why}: {status:?}");
        assert!(format!("{:?}", status.next[0]).starts_with(next), "{next}: {status:?}");
    }
}

#[test]
fn a_start_that_cannot_come_names_what_failed_however_far_away() {
    let (all, mut desired) = (Live::default(), Desired::default());
    let named = |name: &str, needs: &[&str]| {
        declared(|app| {
            app.name = name.parse().unwrap();
            app.depends_on = needs.iter().map(|other| (other.parse().unwrap(), Condition::Completed)).collect();
        })
    };
    let (migrate, mid, web) = (named("migrate", &[]), named("mid", &["migrate"]), named("web", &["mid"]));
    let project = desired.projects.entry("shop".parse().unwrap()).or_default();
    let why = crate::model::Rejection::Failed {
        instance: "shop:migrate/0".parse().unwrap(),
        failure: None,
        exit: Some(Exit::Code(7)),
    };
    let rejected = crate::model::Rejected { digest: migrate.digest, why: why.clone() };
    project.rollouts.insert("migrate".parse().unwrap(), Rollout { rejected: Some(rejected), ..Rollout::default() });
    for app in [&migrate, &mid, &web] {
        project.apps.insert(app.spec.name.clone(), app.clone());
    }
    let project = &*project;
    let of = |declared| Facts { project: Some(project), ..facts(&all, Some(declared), None) };
    let web = status(&of(&web));
    assert_eq!(web.severity, Severity::Error);
    let (app, condition) = ("migrate".parse().unwrap(), Condition::Completed);
    let why = Unmet::Blocked { app, condition, why: Box::new(Unmet::Rejected { why }) };
    assert_eq!(web.because[0], Why::Blocked { app: "mid".parse().unwrap(), condition, why });
    assert!(matches!(status(&of(&migrate)).because[0], Why::Rejected { .. }));
}

#[test]
fn a_process_that_was_ended_for_its_memory_did_not_end_by_a_signal() {
    let (all, declared) = (Live::default(), declared(|_| {}));
    let failure = Failure::OverMemory { used: Bytes(3 << 20), limit: Bytes(1 << 20) };
    let cause = Cause::OverMemory { used: Bytes(3 << 20), limit: Bytes(1 << 20) };
    let again = LiveInstance {
        restarts: 2,
        last_exit: Some(Exit::Signal(15)),
        trouble: Some(failure.clone()),
        ..live(running(Readiness::Ready))
    };
    let status = status(&Facts { started: Some(&cause), ..facts(&all, Some(&declared), Some(&again)) });
    let expected = [Why::Started { cause }, Why::Restarted { restarts: 2 }, Why::EndedFor { failure }];
    assert_eq!(status.because, expected);
    assert_eq!(status.since, Some(WallTime(77)));
}
