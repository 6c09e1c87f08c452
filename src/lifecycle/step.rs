//! The transition function: every state answers every input.

use super::{Effect, End, Input, Machine, OrderEnd, Rest, State, Then};
use crate::model::{Cause, Exit, Fact, Failure, Millis, Moment, Readiness};
use crate::rules::{Verdict, after_exit, after_trouble};

/// How often a tree that does not go away is looked at.
const SWEEP_EVERY: Millis = Millis(10);
/// How soon SIGKILL is repeated: a fork storm may outrun the first one.
const KILL_EVERY: Millis = Millis(250);

impl Machine {
    /// Takes one input and returns what has to be done, in order.
    pub fn step(&mut self, input: Input, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Start(cause) => self.start(cause, &mut effects),
            Input::Restart(cause) => self.end(Then::Again(cause.clone()), cause, now, &mut effects),
            Input::Stop(cause) => self.end(Then::Rest, cause, now, &mut effects),
            Input::Delete(cause) => self.end(Then::Gone, cause, now, &mut effects),
            Input::Spawned { pid } => self.spawned(pid, now, &mut effects),
            Input::SpawnFailed { failure, is_passing } => self.spawn_failed(failure, is_passing, now, &mut effects),
            Input::Exited { generation, exit } if generation == self.generation => self.exited(exit, now, &mut effects),
            Input::Probed { generation, result } if generation == self.generation => {
                self.probed(result, now, &mut effects);
            }
            Input::OverMemory { generation, used, limit } if generation == self.generation => {
                self.over_memory(used, limit, now, &mut effects);
            }
            Input::Exited { .. } | Input::Probed { .. } | Input::OverMemory { .. } => {}
            Input::Swept { left } => self.swept(left, now, &mut effects),
            Input::Alarm => self.alarm_rang(now, &mut effects),
        }
        effects
    }

    fn start(&mut self, cause: Cause, effects: &mut Vec<Effect>) {
        match &mut self.state {
            State::Resting(_) | State::Waiting { .. } => {
                self.unstable = 0;
                self.last_delay = Millis(0);
                self.spawn(cause, effects);
            }
            State::Starting { then, .. } => *then = None,
            // Whoever waits for a process that is not good yet goes on waiting.
            State::Running { readiness: Readiness::Waiting { .. }, .. } => {}
            State::Running { .. } => effects.push(Effect::Settle(OrderEnd::Done)),
            State::Stopping { then, .. } => *then = Then::Again(cause),
            State::Unknown | State::Gone => {}
        }
    }

    /// Restart, stop and delete differ only in what follows when nothing is left.
    fn end(&mut self, next: Then, cause: Cause, now: Moment, effects: &mut Vec<Effect>) {
        match &mut self.state {
            State::Resting(_) | State::Waiting { .. } => self.follow(next, now, effects),
            State::Starting { then, .. } => *then = Some(next),
            State::Running { since, .. } => {
                let since = *since;
                self.stop(since, next, cause, now, effects);
            }
            State::Stopping { then, .. } => *then = next,
            State::Unknown | State::Gone => {}
        }
    }

    /// Asks the living process to end.
    pub(super) fn stop(&mut self, since: Moment, next: Then, cause: Cause, now: Moment, effects: &mut Vec<Effect>) {
        effects.push(Effect::Tell(Fact::Stopping { cause }));
        self.state = State::Stopping {
            deadline: now.after(self.policy.stop.kill_timeout),
            is_main_alive: true,
            since,
            are_leftovers_asked: false,
            next_sweep: None,
            then: next,
        };
        effects.push(Effect::Ask);
    }

    fn spawned(&mut self, pid: u32, now: Moment, effects: &mut Vec<Effect>) {
        let State::Starting { cause, then } = &self.state else { return };
        let (cause, then) = (cause.clone(), then.clone());
        let started = Fact::Started { pid, generation: self.generation, cause: cause.clone() };
        effects.push(Effect::Tell(started));
        self.state = State::Running { since: now, readiness: self.first_readiness(now) };
        match then {
            None if self.policy.ready.is_none() => effects.push(Effect::Settle(OrderEnd::Done)),
            None => {}
            Some(then) => self.end(then, cause, now, effects),
        }
    }

    fn spawn_failed(&mut self, failure: Failure, is_passing: bool, now: Moment, effects: &mut Vec<Effect>) {
        let State::Starting { cause, then } = &self.state else { return };
        let (cause, then) = (cause.clone(), then.clone());
        effects.push(Effect::Tell(Fact::StartFailed { failure: failure.clone() }));
        if let Some(then) = then {
            return self.follow(then, now, effects);
        }
        // A person hears of it at once and can mend it; what nobody watches keeps trying.
        let is_asked = matches!(cause, Cause::Apply { .. } | Cause::Command { .. });
        if is_asked && !is_passing {
            self.give_up(failure, effects);
        } else {
            self.judge(End::Exited(Exit::Code(127)), Millis(0), Some(failure), now, effects);
        }
    }

    fn exited(&mut self, exit: Exit, now: Moment, effects: &mut Vec<Effect>) {
        match &mut self.state {
            State::Running { since, readiness } => {
                let since = *since;
                let uptime = now.since(since);
                let end = if readiness.is_up() { End::Exited(exit) } else { End::ExitedUnready(exit) };
                self.tell_exit(exit, uptime, false, effects);
                self.state = State::Stopping {
                    deadline: now.after(self.policy.stop.kill_timeout),
                    is_main_alive: false,
                    since,
                    are_leftovers_asked: false,
                    next_sweep: None,
                    then: Then::Judge { end, uptime },
                };
                effects.push(Effect::Sweep);
            }
            State::Stopping { is_main_alive, since, then, .. } if *is_main_alive => {
                *is_main_alive = false;
                let uptime = now.since(*since);
                if let Then::Judge { end: End::Ended { exit: known, .. }, .. } = then {
                    *known = exit;
                }
                self.tell_exit(exit, uptime, true, effects);
                effects.push(Effect::Sweep);
            }
            State::Stopping { .. }
            | State::Unknown
            | State::Resting(_)
            | State::Starting { .. }
            | State::Waiting { .. }
            | State::Gone => {}
        }
    }

    fn tell_exit(&self, exit: Exit, uptime: Millis, is_asked: bool, effects: &mut Vec<Effect>) {
        let generation = self.generation;
        effects.push(Effect::Tell(Fact::Exited { exit, generation, uptime, is_asked }));
    }

    fn swept(&mut self, left: u32, now: Moment, effects: &mut Vec<Effect>) {
        let State::Stopping { is_main_alive, are_leftovers_asked, next_sweep, then, .. } = &mut self.state else {
            return;
        };
        if *is_main_alive {
            return;
        }
        if left == 0 {
            let then = then.clone();
            return self.follow(then, now, effects);
        }
        *next_sweep = Some(now.after(SWEEP_EVERY));
        if !*are_leftovers_asked {
            *are_leftovers_asked = true;
            effects.push(Effect::Ask);
        }
    }

    fn alarm_rang(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match &mut self.state {
            State::Stopping { deadline, next_sweep, is_main_alive, .. } => {
                if now >= *deadline {
                    *deadline = now.after(KILL_EVERY);
                    effects.push(Effect::Kill);
                }
                if next_sweep.is_some_and(|at| now >= at) {
                    *next_sweep = None;
                    if !*is_main_alive {
                        effects.push(Effect::Sweep);
                    }
                }
            }
            State::Waiting { until, .. } if now >= *until => self.spawn(Cause::Policy, effects),
            State::Running { since, readiness: Readiness::Waiting { deadline, last } } if now >= *deadline => {
                let (since, last) = (*since, last.clone());
                self.not_ready(since, last, now, effects);
            }
            State::Waiting { .. }
            | State::Unknown
            | State::Resting(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Gone => {}
        }
    }

    /// Nothing of the old process is left: what was meant to follow, follows.
    fn follow(&mut self, then: Then, now: Moment, effects: &mut Vec<Effect>) {
        match then {
            Then::Rest => {
                let was_down = matches!(self.state, State::Resting(Rest::Stopped));
                self.state = State::Resting(Rest::Stopped);
                if !was_down {
                    effects.push(Effect::Tell(Fact::Stopped));
                }
                effects.push(Effect::Settle(OrderEnd::Done));
            }
            Then::Again(cause) => {
                self.unstable = 0;
                self.last_delay = Millis(0);
                self.spawn(cause, effects);
            }
            Then::Gone => {
                self.state = State::Gone;
                effects.push(Effect::Tell(Fact::Deleted));
                effects.push(Effect::Settle(OrderEnd::Done));
                effects.push(Effect::Forget);
            }
            Then::Judge { end, uptime } => self.judge(end, uptime, None, now, effects),
        }
    }

    /// Asks the policy. `spawn_failure` stands in for the exit of a process that never was.
    fn judge(
        &mut self,
        end: End,
        uptime: Millis,
        spawn_failure: Option<Failure>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let exit = end.exit();
        match self.verdict(&end, uptime) {
            Verdict::Done => {
                self.state = State::Resting(Rest::Done(exit));
                effects.push(Effect::Tell(Fact::Completed { exit }));
                effects.push(Effect::Settle(OrderEnd::Done));
            }
            Verdict::GiveUp(failure) => {
                if let Failure::TooManyRestarts { starts, .. } = failure {
                    self.unstable = starts;
                }
                self.give_up(spawn_failure.unwrap_or(failure), effects);
            }
            Verdict::Again { delay, unstable } => {
                self.unstable = unstable;
                self.last_delay = delay;
                if let Some(failure) = spawn_failure.or_else(|| end.start_failure()) {
                    effects.push(Effect::Settle(OrderEnd::Failed(failure)));
                }
                if delay.0 == 0 {
                    return self.spawn(end.cause(), effects);
                }
                self.state = State::Waiting { until: now.after(delay), delay };
                effects.push(Effect::Tell(Fact::BackingOff { delay, attempt: unstable }));
            }
        }
    }

    fn verdict(&self, end: &End, uptime: Millis) -> Verdict {
        let seed = self.seed ^ u64::from(self.generation);
        let (policy, last_delay, unstable) = (&self.policy.restart, self.last_delay, self.unstable);
        match end {
            End::Exited(exit) | End::ExitedUnready(exit) => {
                after_exit(policy, *exit, uptime, last_delay, unstable, seed)
            }
            End::Ended { trouble, exit, .. } => {
                after_trouble(policy, trouble.clone(), *exit, uptime, last_delay, unstable, seed)
            }
        }
    }

    fn give_up(&mut self, failure: Failure, effects: &mut Vec<Effect>) {
        self.state = State::Resting(Rest::Errored(failure.clone()));
        effects.push(Effect::Tell(Fact::GaveUp { failure: failure.clone() }));
        effects.push(Effect::Settle(OrderEnd::Failed(failure)));
    }

    fn spawn(&mut self, cause: Cause, effects: &mut Vec<Effect>) {
        self.generation = self.generation.wrapping_add(1);
        if cause.is_trouble() {
            self.restarts = self.restarts.saturating_add(1);
        }
        self.state = State::Starting { cause, then: None };
        effects.push(Effect::Spawn { generation: self.generation });
    }
}
