//! How a new daemon takes over an instance from a row of the process table.

use super::{Effect, End, Machine, Rest, State, Then};
use crate::model::{Cause, Exit, Fact, Failure, Millis, Moment, Readiness};

/// What a row says about an instance without a living process. Kept in the row, so it outlives the daemon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SavedState {
    /// Nothing special: down, or its end was not evaluated yet.
    Down,
    /// Started again at a moment.
    Waiting {
        /// The moment.
        until: Moment,
    },
    /// Its process is alive and not ready yet.
    Unready {
        /// When it has failed.
        deadline: Moment,
    },
    /// Given up.
    Errored(Failure),
    /// It ended in a way that its policy counts as done.
    Done(Exit),
}

/// What was found when a row was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// Its process is alive.
    Alive {
        /// Since when.
        since: Moment,
        /// It had been asked to end, and SIGKILL is due then.
        stop_deadline: Option<Moment>,
        /// It was not ready yet, and fails then.
        ready_deadline: Option<Moment>,
    },
    /// Its process ended while no daemon was there to evaluate it.
    Ended {
        /// Exit code or signal.
        exit: Exit,
        /// Since when it had run.
        since: Moment,
        /// It had been asked to end.
        was_asked: bool,
    },
    /// The spawn was announced and never happened: no process exists.
    NeverSpawned,
    /// There was none.
    Nothing(SavedState),
}

impl Machine {
    /// Leaves the state `Unknown`. Whether the instance should exist at all is the reconciler's question,
    /// asked right after; a stop that was in progress continues with the time that it has left.
    pub fn recover(&mut self, found: Found, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.state != State::Unknown {
            return effects;
        }
        self.state = match found {
            Found::Alive { since, stop_deadline: None, ready_deadline } => {
                let waiting = |deadline| Readiness::Waiting { deadline, last: None };
                State::Running { since, readiness: ready_deadline.map_or(Readiness::Ready, waiting) }
            }
            Found::Alive { since, stop_deadline: Some(deadline), .. } => State::Stopping {
                deadline,
                is_main_alive: true,
                since,
                are_leftovers_asked: false,
                next_sweep: None,
                is_killed: false,
                then: Then::Rest,
            },
            Found::Ended { exit, since, was_asked } => {
                let uptime = now.since(since);
                let incarnation = self.incarnation;
                effects.push(Effect::Emit(Fact::Exited { exit, incarnation, uptime, is_asked: was_asked }));
                effects.push(Effect::Sweep);
                State::Stopping {
                    deadline: now.after(self.policy.stop.kill_timeout),
                    is_main_alive: false,
                    since,
                    are_leftovers_asked: false,
                    next_sweep: None,
                    is_killed: false,
                    then: if was_asked { Then::Rest } else { Then::Evaluate { end: End::Exited(exit), uptime } },
                }
            }
            // The same incarnation again: its number was announced and no process has borne it.
            Found::NeverSpawned => {
                effects.push(Effect::Spawn { incarnation: self.incarnation });
                State::Starting { cause: Cause::Boot, then: None }
            }
            Found::Nothing(SavedState::Down | SavedState::Unready { .. }) => State::Resting(Rest::Stopped),
            Found::Nothing(SavedState::Errored(failure)) => State::Resting(Rest::Errored(failure)),
            Found::Nothing(SavedState::Done(exit)) => State::Resting(Rest::Done(exit)),
            Found::Nothing(SavedState::Waiting { until }) => {
                let delay = self.last_delay.max(Millis(1));
                State::Waiting { until, delay, cause: Cause::Policy }
            }
        };
        effects
    }

    /// What the row has to remember of a state without a process.
    pub fn saved_state(&self) -> SavedState {
        match &self.state {
            State::Resting(Rest::Errored(failure)) => SavedState::Errored(failure.clone()),
            State::Resting(Rest::Done(exit)) => SavedState::Done(*exit),
            State::Waiting { until, .. } => SavedState::Waiting { until: *until },
            State::Running { readiness: Readiness::Waiting { deadline, .. }, .. } => {
                SavedState::Unready { deadline: *deadline }
            }
            State::Resting(Rest::Stopped)
            | State::Unknown
            | State::Preparing { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Leaving { .. }
            | State::Draining { .. }
            | State::Stopping { .. }
            | State::Gone => SavedState::Down,
        }
    }

    /// The deadline of a stop that somebody requested, for the row.
    pub fn stop_deadline(&self) -> Option<Moment> {
        match &self.state {
            State::Stopping {
                deadline,
                then: Then::Rest | Then::Gone | Then::Again(_) | Then::Evaluate { end: End::Ended { .. }, .. },
                ..
            } => Some(*deadline),
            State::Stopping { then: Then::Evaluate { .. }, .. }
            | State::Unknown
            | State::Resting(_)
            | State::Preparing { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Leaving { .. }
            | State::Draining { .. }
            | State::Waiting { .. }
            | State::Gone => None,
        }
    }
}
