//! Whether the dependencies of an app are met.

use crate::model::{AppName, Condition, Declared, DesiredState, LiveInstance, Phase, Project, Readiness, Unmet};

/// How a condition stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DependencyStatus {
    /// What was waited for has happened.
    Met,
    /// It may still happen on its own.
    NotYet(Unmet),
    /// It will not happen unless a user does something.
    Never(Unmet),
}

/// Evaluates one dependency by its copies. `live` returns what exists of it, by slot; all copies that should run count.
pub fn dependency<'a>(
    condition: Condition,
    declared: Option<&Declared>,
    live: impl Fn(u32) -> Option<&'a LiveInstance>,
) -> DependencyStatus {
    let Some(declared) = declared else { return DependencyStatus::Never(Unmet::Undeclared) };
    if let DesiredState::Stopped { by, .. } = &declared.desired_state {
        return DependencyStatus::Never(Unmet::StoppedBy { by: by.clone() });
    }
    let mut worst = DependencyStatus::Met;
    for slot in 0..declared.instances() {
        if declared.stopped_slots.contains(&slot) {
            continue;
        }
        match one(condition, declared, live(slot)) {
            DependencyStatus::Met => {}
            never @ DependencyStatus::Never(_) => return never,
            not_yet @ DependencyStatus::NotYet(_) => worst = not_yet,
        }
    }
    worst
}

/// How deep chains of dependencies are looked into; the reader refuses cycles.
const CHAIN_MAX: u32 = 64;

/// Whether an app will come to a condition on its own: one that has not been started yet never does if its spec failed, or
/// if something that it depends on never comes.
pub fn coming<'a>(
    app: &AppName,
    condition: Condition,
    project: &Project,
    live: &impl Fn(&AppName, u32) -> Option<&'a LiveInstance>,
) -> DependencyStatus {
    chain(app, condition, project, live, CHAIN_MAX)
}

fn chain<'a>(
    app: &AppName,
    condition: Condition,
    project: &Project,
    live: &impl Fn(&AppName, u32) -> Option<&'a LiveInstance>,
    depth: u32,
) -> DependencyStatus {
    let declared = project.apps.get(app);
    let status = dependency(condition, declared, |slot| live(app, slot));
    let (DependencyStatus::NotYet(_), Some(declared)) = (&status, declared) else { return status };
    if declared.is_leaving {
        return DependencyStatus::Never(Unmet::Leaving);
    }
    let rejected = project.rollouts.get(app).and_then(|update| update.rejected.as_ref());
    if let Some(rejected) = rejected.filter(|rejected| rejected.digest == declared.digest) {
        return DependencyStatus::Never(Unmet::Rejected { why: rejected.why.clone() });
    }
    let is_down = |slot| live(app, slot).is_none_or(|live| live.phase == Phase::Stopped);
    if depth == 0 || !(0..declared.instances()).any(is_down) {
        return status;
    }
    for (further, condition) in &declared.spec.depends_on {
        if let DependencyStatus::Never(why) = chain(further, *condition, project, live, depth - 1) {
            let (app, why) = (further.clone(), Box::new(why));
            return DependencyStatus::Never(Unmet::Blocked { app, condition: *condition, why });
        }
    }
    status
}

fn one(condition: Condition, declared: &Declared, live: Option<&LiveInstance>) -> DependencyStatus {
    let not_started = || match declared.desired_state {
        DesiredState::Up if declared.spec.is_timed_task() => DependencyStatus::NotYet(Unmet::NotDue),
        DesiredState::NotStarted => DependencyStatus::Never(Unmet::NoAutostart),
        DesiredState::Up | DesiredState::Stopped { .. } => DependencyStatus::NotYet(Unmet::NotStarted),
    };
    let Some(live) = live else { return not_started() };
    match (&live.phase, condition) {
        (Phase::Done { exit }, Condition::Completed) if exit.is_success() => DependencyStatus::Met,
        // Its policy may call other exits done; a dependent that asks for completion means success or that.
        (Phase::Done { exit }, Condition::Completed) if declared.spec.restart.is_done(*exit) => DependencyStatus::Met,
        (Phase::Done { exit }, Condition::Completed) => DependencyStatus::Never(Unmet::Ended { exit: *exit }),
        (Phase::Errored { failure }, _) => DependencyStatus::Never(Unmet::Failed { failure: failure.clone() }),
        (Phase::Done { .. }, Condition::Started | Condition::Ready) | (Phase::Running { .. }, Condition::Started) => {
            DependencyStatus::Met
        }
        (Phase::Running { readiness, .. }, Condition::Ready) => match readiness {
            Readiness::Ready | Readiness::Failing { .. } => DependencyStatus::Met,
            Readiness::Waiting { last, .. } => DependencyStatus::NotYet(Unmet::NotReady { last: last.clone() }),
        },
        (Phase::Running { .. }, Condition::Completed) => DependencyStatus::NotYet(Unmet::Running),
        (Phase::Starting, _) => DependencyStatus::NotYet(Unmet::Starting),
        (Phase::Stopping { .. }, _) => DependencyStatus::NotYet(Unmet::Stopping),
        (Phase::Stopped, _) => not_started(),
        (Phase::Backoff { attempt, .. }, _) => {
            DependencyStatus::NotYet(Unmet::Backoff { starts: *attempt, exit: live.last_exit })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lifecycle::samples::{self, app};
    use crate::model::{Environment, Exit, Failure, Millis, Moment, WallTime};

    fn declared(instances: u32) -> Declared {
        let mut spec = app();
        spec.instances = Some(instances);
        Declared::new(Arc::new(spec), Arc::new(Environment::new()), DesiredState::Up)
    }

    fn live(phase: Phase) -> LiveInstance {
        LiveInstance { last_exit: Some(Exit::Code(1)), ..samples::live(phase) }
    }

    fn running(readiness: Readiness) -> Phase {
        Phase::Running { pid: 7, since: Moment(0), readiness }
    }

    fn word(status: &DependencyStatus) -> &'static str {
        match status {
            DependencyStatus::Met => "met",
            DependencyStatus::NotYet(_) => "not yet",
            DependencyStatus::Never(_) => "never",
        }
    }

    #[test]
    fn each_phase_answers_each_condition() {
        let waiting = || running(Readiness::Waiting { deadline: Moment(9), last: Some("refused".into()) });
        let failing = || running(Readiness::Failing { last: "500".into(), failures: 1 });
        let backoff = || Phase::Backoff { until: Moment(9), delay: Millis(9), attempt: 2 };
        let errored = || Phase::Errored { failure: Failure::Exited { exit: Exit::Code(1) } };
        let cases: [(Phase, [&str; 3]); 9] = [
            (Phase::Stopped, ["not yet", "not yet", "not yet"]),
            (Phase::Starting, ["not yet", "not yet", "not yet"]),
            (waiting(), ["met", "not yet", "not yet"]),
            (running(Readiness::Ready), ["met", "met", "not yet"]),
            (failing(), ["met", "met", "not yet"]),
            (backoff(), ["not yet", "not yet", "not yet"]),
            (errored(), ["never", "never", "never"]),
            (Phase::Done { exit: Exit::Code(0) }, ["met", "met", "met"]),
            (Phase::Done { exit: Exit::Code(4) }, ["met", "met", "never"]),
        ];
        for (phase, expected) in cases {
            let instance = live(phase);
            let declared = declared(1);
            for (condition, expected) in
                [Condition::Started, Condition::Ready, Condition::Completed].into_iter().zip(expected)
            {
                let found = dependency(condition, Some(&declared), |_| Some(&instance));
                assert_eq!(word(&found), expected, "{:?} {condition:?}", instance.phase);
            }
        }
    }

    #[test]
    fn every_copy_counts_and_what_a_person_stopped_never_comes() {
        let (good, bad) = (live(running(Readiness::Ready)), live(Phase::Starting));
        let two = declared(2);
        let found = dependency(Condition::Ready, Some(&two), |slot| Some(if slot == 0 { &good } else { &bad }));
        assert_eq!(word(&found), "not yet");
        let mut stopped = declared(1);
        stopped.desired_state = DesiredState::Stopped { by: "alice".into(), at: WallTime(0), is_held: false };
        assert_eq!(
            dependency(Condition::Started, Some(&stopped), |_| None),
            DependencyStatus::Never(Unmet::StoppedBy { by: "alice".into() })
        );
        assert_eq!(word(&dependency(Condition::Started, None, |_| None)), "never");
    }
}
