//! Whether what an app depends on has come to be.

use crate::model::{AppName, Condition, Declared, LiveInstance, Phase, Project, Readiness, Standing};

/// How a condition stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standpoint {
    /// What was waited for has happened.
    Met,
    /// It may still happen by itself; the text says how things are.
    NotYet(String),
    /// It will not happen unless a person does something; the text says why.
    Never(String),
}

/// Judges one dependency by its copies. `live` holds what exists of it, by slot; all copies that should run count.
pub fn dependency<'a>(
    condition: Condition,
    declared: Option<&Declared>,
    live: impl Fn(u32) -> Option<&'a LiveInstance>,
) -> Standpoint {
    let Some(declared) = declared else { return Standpoint::Never("it is not declared any more".into()) };
    if let Standing::Stopped { by, .. } = &declared.standing {
        return Standpoint::Never(format!("it was stopped by {by}"));
    }
    let mut worst = Standpoint::Met;
    for slot in 0..declared.instances() {
        if declared.stopped_slots.contains(&slot) {
            continue;
        }
        match one(condition, declared, live(slot)) {
            Standpoint::Met => {}
            never @ Standpoint::Never(_) => return never,
            not_yet @ Standpoint::NotYet(_) => worst = not_yet,
        }
    }
    worst
}

/// How deep chains of dependencies are looked into; the reader refuses cycles.
const CHAIN_MAX: u32 = 64;

/// Whether an app will come to a condition by itself: one that has not been started yet never does if its spec failed, or
/// if something that it depends on never comes.
pub fn coming<'a>(
    app: &AppName,
    condition: Condition,
    project: &Project,
    live: &impl Fn(&AppName, u32) -> Option<&'a LiveInstance>,
) -> Standpoint {
    chain(app, condition, project, live, CHAIN_MAX)
}

fn chain<'a>(
    app: &AppName,
    condition: Condition,
    project: &Project,
    live: &impl Fn(&AppName, u32) -> Option<&'a LiveInstance>,
    depth: u32,
) -> Standpoint {
    let declared = project.apps.get(app);
    let standpoint = dependency(condition, declared, |slot| live(app, slot));
    let (Standpoint::NotYet(_), Some(declared)) = (&standpoint, declared) else { return standpoint };
    if declared.is_leaving {
        return Standpoint::Never("an apply removes it".to_owned());
    }
    let rejected = project.updates.get(app).and_then(|update| update.rejected.as_ref());
    if let Some(rejected) = rejected.filter(|rejected| rejected.digest == declared.digest) {
        return Standpoint::Never(rejected.why.clone());
    }
    let is_down = |slot| live(app, slot).is_none_or(|live| live.phase == Phase::Stopped);
    if depth == 0 || !(0..declared.instances()).any(is_down) {
        return standpoint;
    }
    for (further, condition) in &declared.spec.depends_on {
        if let Standpoint::Never(why) = chain(further, *condition, project, live, depth - 1) {
            let word = condition.word();
            return Standpoint::Never(format!("{further}, which it depends on, is not {word}: {why}"));
        }
    }
    standpoint
}

fn one(condition: Condition, declared: &Declared, live: Option<&LiveInstance>) -> Standpoint {
    let not_started = || match declared.standing {
        Standing::Up if declared.spec.is_timed_task() => Standpoint::NotYet("it waits for its time".into()),
        Standing::Parked => Standpoint::Never("it is not started (autostart = false)".into()),
        Standing::Up | Standing::Stopped { .. } => Standpoint::NotYet("it has not been started yet".into()),
    };
    let Some(live) = live else { return not_started() };
    match (&live.phase, condition) {
        (Phase::Done { exit }, Condition::Completed) if exit.is_success() => Standpoint::Met,
        // Its policy may call other exits done; a dependent that asks for completion means success or that.
        (Phase::Done { exit }, Condition::Completed) if declared.spec.restart.is_done(*exit) => Standpoint::Met,
        (Phase::Done { exit }, Condition::Completed) => Standpoint::Never(format!("it ended with {exit}")),
        (Phase::Errored { failure }, _) => Standpoint::Never(failure.to_string()),
        (Phase::Done { .. }, Condition::Started | Condition::Ready) | (Phase::Running { .. }, Condition::Started) => {
            Standpoint::Met
        }
        (Phase::Running { readiness, .. }, Condition::Ready) => match readiness {
            Readiness::Ready | Readiness::Failing { .. } => Standpoint::Met,
            Readiness::Waiting { last: None, .. } => Standpoint::NotYet("not ready yet".into()),
            Readiness::Waiting { last: Some(last), .. } => Standpoint::NotYet(last.clone()),
        },
        (Phase::Running { .. }, Condition::Completed) => Standpoint::NotYet("it still runs".into()),
        (Phase::Starting, _) => Standpoint::NotYet("it is being started".into()),
        (Phase::Stopping { .. }, _) => Standpoint::NotYet("it is stopping".into()),
        (Phase::Stopped, _) => not_started(),
        (Phase::Backoff { attempt, .. }, _) => {
            let exit = live.last_exit.map(|exit| format!(", its last process ended with {exit}")).unwrap_or_default();
            Standpoint::NotYet(match attempt {
                0 => format!("it waits for its next start{exit}"),
                1 => format!("it waits for its next start after an unstable one{exit}"),
                attempt => format!("it waits for its next start after {attempt} unstable ones{exit}"),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lifecycle::samples::app;
    use crate::model::{Environment, Exit, Failure, Millis, Moment, WallTime};

    fn declared(instances: u32) -> Declared {
        let mut spec = app();
        spec.instances = Some(instances);
        Declared::new(Arc::new(spec), Arc::new(Environment::new()), Standing::Up)
    }

    fn live(phase: Phase) -> LiveInstance {
        LiveInstance {
            phase,
            generation: 1,
            since: None,
            restarts: 0,
            counts: crate::model::Counts::default(),
            spec: Arc::new(app()),
            epoch: 0,
            started: None,
            last_exit: Some(Exit::Code(1)),
            trouble: None,
            status: None,
            hook: None,
            taken: crate::model::Taken::default(),
            following: None,
            is_unreachable: false,
        }
    }

    fn running(readiness: Readiness) -> Phase {
        Phase::Running { pid: 7, since: Moment(0), readiness }
    }

    fn word(standpoint: &Standpoint) -> &'static str {
        match standpoint {
            Standpoint::Met => "met",
            Standpoint::NotYet(_) => "not yet",
            Standpoint::Never(_) => "never",
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
        stopped.standing = Standing::Stopped { by: "alice".into(), at: WallTime(0), is_held: false };
        assert_eq!(
            dependency(Condition::Started, Some(&stopped), |_| None),
            Standpoint::Never("it was stopped by alice".into())
        );
        assert_eq!(word(&dependency(Condition::Started, None, |_| None)), "never");
    }
}
