//! Whether a live process is healthy: the results of probes and samples, and what follows from them.

use super::{Effect, End, Machine, State, Then};
use crate::model::{Bytes, Cause, Exit, Fact, Failure, HealthAction, Hook, Millis, Moment, Readiness};

impl Machine {
    /// What a process that has just been made is.
    pub(super) fn first_readiness(&self, now: Moment) -> Readiness {
        match &self.policy.ready {
            None => Readiness::Ready,
            Some(ready) => Readiness::Waiting { deadline: now.after(ready.timeout), last: None },
        }
    }

    pub(super) fn probed(&mut self, result: Result<(), String>, now: Moment, effects: &mut Vec<Effect>) {
        let State::Running { since, readiness } = &mut self.state else { return };
        let since = *since;
        match (&mut *readiness, result) {
            (Readiness::Waiting { .. }, Ok(())) => {
                *readiness = Readiness::Ready;
                effects.push(Effect::Emit(Fact::Ready { after: now.since(since) }));
                self.run_hook(Hook::PostReady, effects);
            }
            (Readiness::Waiting { last, .. }, Err(why)) => *last = Some(why),
            (Readiness::Failing { .. }, Ok(())) => {
                *readiness = Readiness::Ready;
                effects.push(Effect::Emit(Fact::Healthy));
            }
            (Readiness::Ready, Ok(())) => {}
            (Readiness::Ready, Err(why)) => self.unhealthy(since, why, 1, now, effects),
            (Readiness::Failing { failures, .. }, Err(why)) => {
                let failures = failures.saturating_add(1);
                self.unhealthy(since, why, failures, now, effects);
            }
        }
    }

    /// It starts or ends, and takes longer than planned. A deadline that is further away already stays; after SIGKILL there is
    /// none to be moved.
    pub(super) fn extended(&mut self, by: Millis, now: Moment) {
        match &mut self.state {
            State::Running { readiness: Readiness::Waiting { deadline, .. }, .. }
            | State::Stopping { deadline, is_main_alive: true, is_killed: false, .. } => {
                *deadline = (*deadline).max(now.after(by));
            }
            State::Running { .. }
            | State::Stopping { .. }
            | State::Unknown
            | State::Resting(_)
            | State::Preparing { .. }
            | State::Starting { .. }
            | State::Leaving { .. }
            | State::Draining { .. }
            | State::Waiting { .. }
            | State::Gone => {}
        }
    }

    fn unhealthy(&mut self, since: Moment, why: String, failures: u32, now: Moment, effects: &mut Vec<Effect>) {
        let Some(health) = &self.policy.health else { return };
        let (limit, action) = (health.failures, health.action);
        effects.push(Effect::Emit(Fact::HealthFailed { why: why.clone(), failures }));
        if failures < limit || action == HealthAction::None {
            self.state = State::Running { since, readiness: Readiness::Failing { last: why, failures } };
            return;
        }
        let trouble = Failure::Unhealthy { why: why.clone() };
        self.end_for(trouble, Cause::Unhealthy { why }, since, now, effects);
    }

    /// The deadline of a process that is not ready yet has passed.
    pub(super) fn not_ready(&mut self, since: Moment, last: Option<String>, now: Moment, effects: &mut Vec<Effect>) {
        let after = now.since(since);
        effects.push(Effect::Emit(Fact::NotReady { after, last: last.clone() }));
        self.end_for(Failure::NotReady { after, last }, Cause::NotReady, since, now, effects);
    }

    pub(super) fn over_memory(&mut self, used: Bytes, limit: Bytes, now: Moment, effects: &mut Vec<Effect>) {
        let State::Running { since, .. } = self.state else { return };
        let trouble = Failure::OverMemory { used, limit };
        self.end_for(trouble, Cause::OverMemory { used, limit }, since, now, effects);
    }

    /// Stops an unhealthy process; the restart policy decides what follows.
    fn end_for(&mut self, trouble: Failure, cause: Cause, since: Moment, now: Moment, effects: &mut Vec<Effect>) {
        let uptime: Millis = now.since(since);
        self.trouble = Some(trouble.clone());
        let end = End::Ended { trouble, cause: cause.clone(), exit: Exit::Unknown };
        self.stop(since, Then::Evaluate { end, uptime }, cause, now, effects);
    }
}

impl End {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Exited(exit) | Self::ExitedUnready(exit) | Self::Ended { exit, .. } => *exit,
        }
    }

    /// Why the next process is started.
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Exited(_) | Self::ExitedUnready(_) => Cause::Policy,
            Self::Ended { cause, .. } => cause.clone(),
        }
    }

    /// What those are told who wait for this process to be good.
    pub(super) fn start_failure(&self) -> Option<Failure> {
        match self {
            Self::Exited(_) => None,
            Self::ExitedUnready(exit) => Some(Failure::EndedUnready { exit: *exit }),
            Self::Ended { trouble, .. } => Some(trouble.clone()),
        }
    }
}
