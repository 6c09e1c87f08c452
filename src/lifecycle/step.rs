//! The transition function: every state answers every input.

use super::{Effect, End, Input, Machine, Rest, State, Then};
use crate::model::{Cause, Exit, Fact, Failure, Hook, Millis, Moment, Readiness};
use crate::rules::{Verdict, after_exit, after_trouble, retry_delay};

/// How often a tree that does not go away is looked at.
const SWEEP_EVERY: Millis = Millis(10);
/// How soon SIGKILL is repeated: a fork storm may outrun the first one.
const KILL_EVERY: Millis = Millis(250);

impl Machine {
    /// Takes one input and returns what has to be done, in order.
    pub fn step(&mut self, input: Input, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        let before = self.state.stage();
        match input {
            Input::Start(cause) => self.start(cause, now, &mut effects),
            Input::Restart(cause) => self.end(Then::Again(cause.clone()), cause, now, &mut effects),
            Input::Stop(cause) => self.end(Then::Rest, cause, now, &mut effects),
            Input::Delete(cause) => self.end(Then::Gone, cause, now, &mut effects),
            Input::Spawned { pid } => self.spawned(pid, now, &mut effects),
            Input::SpawnFailed { failure } => self.spawn_failed(failure, now, &mut effects),
            Input::Exited { incarnation, exit } if incarnation == self.incarnation => {
                self.exited(exit, now, &mut effects);
            }
            Input::Probed { incarnation, result } if incarnation == self.incarnation => {
                self.probed(result, now, &mut effects);
            }
            Input::Extended { incarnation, by } if incarnation == self.incarnation => self.extended(by, now),
            Input::OverMemory { incarnation, used, limit } if incarnation == self.incarnation => {
                self.over_memory(used, limit, now, &mut effects);
            }
            Input::Drained { incarnation } if incarnation == self.incarnation => drained(self, now, &mut effects),
            Input::Exited { .. }
            | Input::Probed { .. }
            | Input::Extended { .. }
            | Input::OverMemory { .. }
            | Input::Drained { .. } => {}
            Input::HookEnded { incarnation, hook, result } => {
                self.hook_ended(incarnation, hook, result, now, &mut effects);
            }
            Input::Swept { left } => self.swept(left, now, &mut effects),
            Input::Alarm => self.alarm_rang(now, &mut effects),
        }
        if self.state.stage() != before {
            self.since = Some(now);
        }
        effects
    }

    fn start(&mut self, cause: Cause, now: Moment, effects: &mut Vec<Effect>) {
        match &mut self.state {
            State::Resting(_) | State::Waiting { .. } => {
                self.unstable = 0;
                self.last_delay = Millis(0);
                self.trouble = None;
                self.spawn(cause, now, effects);
            }
            State::Starting { then, .. } => *then = None,
            State::Preparing { .. } | State::Running { .. } | State::Unknown | State::Gone => {}
            State::Leaving { then, .. } | State::Draining { then, .. } | State::Stopping { then, .. } => {
                *then = Then::Again(cause);
            }
        }
    }

    /// Restart, stop and delete differ only in what follows when nothing is left.
    fn end(&mut self, next: Then, cause: Cause, now: Moment, effects: &mut Vec<Effect>) {
        self.trouble = None;
        match &mut self.state {
            State::Resting(_) | State::Waiting { .. } => self.follow(next, now, effects),
            State::Preparing { .. } => {
                effects.push(Effect::EndHook(Hook::PreStart));
                self.follow(next, now, effects);
            }
            State::Starting { then, .. } => *then = Some(next),
            State::Running { since, .. } => {
                let since = *since;
                self.stop(since, next, cause, now, effects);
            }
            State::Leaving { then, .. } | State::Draining { then, .. } | State::Stopping { then, .. } => *then = next,
            State::Unknown | State::Gone => {}
        }
    }

    /// Ends the living process: its hook first, if it has one.
    pub(super) fn stop(&mut self, since: Moment, next: Then, cause: Cause, now: Moment, effects: &mut Vec<Effect>) {
        effects.push(Effect::Emit(Fact::Stopping { cause }));
        self.end_hook(Hook::PostReady, effects);
        if self.run_hook(Hook::PreStop, effects) {
            self.state = State::Leaving { since, until: self.hook_deadline(now), then: next };
        } else {
            self.ask(since, next, now, effects);
        }
    }

    /// Asks the living process to end; a worker of a cluster ends its connections first.
    pub(super) fn ask(&mut self, since: Moment, next: Then, now: Moment, effects: &mut Vec<Effect>) {
        let is_drained = matches!(self.state, State::Draining { .. });
        if !is_drained && drains(self) {
            self.state = State::Draining { since, until: now.after(self.policy.stop.kill_timeout), then: next };
            effects.push(Effect::Drain);
        } else {
            self.state = self.stopping(since, true, next, now);
            effects.push(Effect::SendStopSignal);
        }
    }

    fn stopping(&self, since: Moment, is_main_alive: bool, then: Then, now: Moment) -> State {
        State::Stopping {
            deadline: now.after(self.policy.stop.kill_timeout),
            is_main_alive,
            since,
            are_leftovers_asked: false,
            next_sweep: None,
            is_killed: false,
            then,
        }
    }

    fn spawned(&mut self, pid: u32, now: Moment, effects: &mut Vec<Effect>) {
        let State::Starting { cause, then } = &self.state else { return };
        let (cause, then) = (cause.clone(), then.clone());
        let (incarnation, restarts) = (self.incarnation, self.restarts);
        let started = Fact::Started { pid, incarnation, restarts, cause: cause.clone() };
        effects.push(Effect::Emit(started));
        self.state = State::Running { since: now, readiness: self.first_readiness(now) };
        if self.trouble.as_ref().is_some_and(Failure::is_passing) {
            (self.trouble, self.last_delay) = (None, Millis(0));
        }
        match then {
            None if self.policy.ready.is_none() => {
                self.run_hook(Hook::PostReady, effects);
            }
            None => {}
            Some(then) => self.end(then, cause, now, effects),
        }
    }

    fn spawn_failed(&mut self, failure: Failure, now: Moment, effects: &mut Vec<Effect>) {
        let State::Starting { cause, then } = &self.state else { return };
        let (cause, then) = (cause.clone(), then.clone());
        match then {
            None if failure.is_passing() => self.wait_out(cause, failure, now, effects),
            None => self.not_started(&cause, failure, now, effects),
            Some(then) => {
                effects.push(Effect::Emit(Fact::StartFailed { failure }));
                self.follow(then, now, effects);
            }
        }
    }

    /// There is no process, and the one that was wanted will not come.
    pub(super) fn not_started(&mut self, cause: &Cause, failure: Failure, now: Moment, effects: &mut Vec<Effect>) {
        effects.push(Effect::Emit(Fact::StartFailed { failure: failure.clone() }));
        // A user hears of it at once and can mend it; what nobody watches keeps trying.
        let is_asked = matches!(cause, Cause::Apply { .. } | Cause::Command { .. });
        if is_asked {
            self.give_up(failure, effects);
        } else {
            self.evaluate(&End::Exited(Exit::Code(127)), Millis(0), Some(failure), now, effects);
        }
    }

    /// What kept the process from being started will pass, and is no fault of the app: the start is tried again, for the
    /// same cause, and no policy counts it.
    fn wait_out(&mut self, cause: Cause, failure: Failure, now: Moment, effects: &mut Vec<Effect>) {
        let is_known = self.trouble.as_ref() == Some(&failure);
        let delay = retry_delay(if is_known { self.last_delay } else { Millis(0) });
        if !is_known {
            effects.push(Effect::Emit(Fact::StartFailed { failure: failure.clone() }));
        }
        (self.trouble, self.last_delay) = (Some(failure), delay);
        self.state = State::Waiting { until: now.after(delay), delay, cause };
    }

    fn exited(&mut self, exit: Exit, now: Moment, effects: &mut Vec<Effect>) {
        match &mut self.state {
            State::Running { since, readiness } => {
                let since = *since;
                let uptime = now.since(since);
                let end = if readiness.is_up() { End::Exited(exit) } else { End::ExitedUnready(exit) };
                self.trouble = None;
                self.report_exit(exit, uptime, false, effects);
                self.end_hook(Hook::PostReady, effects);
                self.state = self.stopping(since, false, Then::Evaluate { end, uptime }, now);
                effects.push(Effect::Sweep);
            }
            State::Leaving { since, then, .. } => {
                let (since, mut then) = (*since, then.clone());
                then.learn(exit);
                self.report_exit(exit, now.since(since), true, effects);
                effects.push(Effect::EndHook(Hook::PreStop));
                self.state = self.stopping(since, false, then, now);
                effects.push(Effect::Sweep);
            }
            State::Draining { since, then, .. } => {
                let (since, mut then) = (*since, then.clone());
                then.learn(exit);
                self.report_exit(exit, now.since(since), true, effects);
                self.state = self.stopping(since, false, then, now);
                effects.push(Effect::Sweep);
            }
            State::Stopping { is_main_alive, since, then, .. } if *is_main_alive => {
                *is_main_alive = false;
                let uptime = now.since(*since);
                then.learn(exit);
                self.report_exit(exit, uptime, true, effects);
                effects.push(Effect::Sweep);
            }
            State::Stopping { .. }
            | State::Unknown
            | State::Resting(_)
            | State::Preparing { .. }
            | State::Starting { .. }
            | State::Waiting { .. }
            | State::Gone => {}
        }
    }

    fn report_exit(&self, exit: Exit, uptime: Millis, is_asked: bool, effects: &mut Vec<Effect>) {
        let incarnation = self.incarnation;
        effects.push(Effect::Emit(Fact::Exited { exit, incarnation, uptime, is_asked }));
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
            effects.push(Effect::SendStopSignal);
        }
    }

    fn alarm_rang(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match &mut self.state {
            State::Stopping { deadline, next_sweep, is_main_alive, is_killed, .. } => {
                if now >= *deadline {
                    *deadline = now.after(KILL_EVERY);
                    let is_first = !std::mem::replace(is_killed, true);
                    self.force_kills = self.force_kills.saturating_add(u32::from(is_first));
                    effects.push(Effect::Kill { is_first });
                }
                if next_sweep.is_some_and(|at| now >= at) {
                    *next_sweep = None;
                    if !*is_main_alive {
                        effects.push(Effect::Sweep);
                    }
                }
            }
            State::Waiting { until, cause, .. } if now >= *until => {
                let cause = cause.clone();
                self.spawn(cause, now, effects);
            }
            State::Preparing { until, .. } | State::Leaving { until, .. } if now >= *until => {
                self.hook_lost(now, effects);
            }
            State::Draining { until, .. } if now >= *until => drained(self, now, effects),
            State::Running { since, readiness: Readiness::Waiting { deadline, last } } if now >= *deadline => {
                let (since, last) = (*since, last.clone());
                self.not_ready(since, last, now, effects);
            }
            State::Waiting { .. }
            | State::Unknown
            | State::Resting(_)
            | State::Preparing { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Leaving { .. }
            | State::Draining { .. }
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
                    effects.push(Effect::Emit(Fact::Stopped { left: Vec::new(), is_unsure: false }));
                }
            }
            Then::Again(cause) => {
                self.unstable = 0;
                self.last_delay = Millis(0);
                self.spawn(cause, now, effects);
            }
            Then::Gone => {
                self.state = State::Gone;
                effects.push(Effect::Emit(Fact::Deleted));
                effects.push(Effect::Forget);
            }
            Then::Evaluate { end, uptime } => self.evaluate(&end, uptime, None, now, effects),
        }
    }

    /// Asks the policy. `spawn_failure` stands in for the exit of a process that never was.
    fn evaluate(
        &mut self,
        end: &End,
        uptime: Millis,
        spawn_failure: Option<Failure>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let exit = end.exit();
        let verdict = self.verdict(end, uptime);
        if spawn_failure.is_none() && !matches!(verdict, Verdict::Done) {
            self.run_hook(Hook::OnCrash, effects);
        }
        match verdict {
            Verdict::GiveUp(_) | Verdict::Again { .. } if self.is_successor => {
                let failure = spawn_failure.or_else(|| end.start_failure()).unwrap_or(Failure::Exited { exit });
                self.state = State::Resting(Rest::Errored(failure.clone()));
            }
            Verdict::Done => {
                self.state = State::Resting(Rest::Done(exit));
                effects.push(Effect::Emit(Fact::Completed { exit }));
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
                self.trouble = spawn_failure.or_else(|| end.start_failure());
                if delay.0 == 0 {
                    return self.spawn(end.cause(), now, effects);
                }
                self.state = State::Waiting { until: now.after(delay), delay, cause: Cause::Policy };
                let restart = self.restarts.saturating_add(1);
                effects.push(Effect::Emit(Fact::BackingOff { delay, attempt: unstable, restart }));
            }
        }
    }

    fn verdict(&self, end: &End, uptime: Millis) -> Verdict {
        let seed = self.seed ^ u64::from(self.incarnation);
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
        effects.push(Effect::Emit(Fact::GaveUp { failure }));
        self.run_hook(Hook::OnGiveUp, effects);
    }

    fn spawn(&mut self, cause: Cause, now: Moment, effects: &mut Vec<Effect>) {
        self.incarnation = self.incarnation.max(self.last_number).wrapping_add(1);
        if cause.is_trouble() {
            self.restarts = self.restarts.saturating_add(1);
        }
        if self.run_hook(Hook::PreStart, effects) {
            self.state = State::Preparing { cause, until: self.hook_deadline(now) };
        } else {
            self.create(cause, effects);
        }
    }

    /// Everything that comes first is done: asks for the process.
    pub(super) fn create(&mut self, cause: Cause, effects: &mut Vec<Effect>) {
        self.state = State::Starting { cause, then: None };
        effects.push(Effect::Spawn { incarnation: self.incarnation });
    }
}

/// One that does not answer, or is to shut down by itself, is not asked to drain.
fn drains(machine: &Machine) -> bool {
    let is_stuck = matches!(machine.trouble, Some(Failure::Unhealthy { .. } | Failure::NotReady { .. }));
    machine.is_worker && !is_stuck && !machine.policy.stop.shutdown_with_message
}

/// It has no connections any more, or its time for that is over.
fn drained(machine: &mut Machine, now: Moment, effects: &mut Vec<Effect>) {
    if let State::Draining { since, then, .. } = &machine.state {
        let (since, then) = (*since, then.clone());
        machine.ask(since, then, now, effects);
    }
}
