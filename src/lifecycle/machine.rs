//! The state machine's data, its inputs and its effects.

use std::sync::Arc;

use super::{Rest, State};
use crate::model::{App, Bytes, Cause, Exit, Fact, Failure, Following, Hook, Millis, Moment, Phase, Readiness};

/// One instance: its state and what it remembers between states.
#[derive(Clone, PartialEq, Debug)]
pub struct Machine {
    /// Where it stands.
    pub state: State,
    /// The policies it follows; changes at any time without touching the process.
    pub policy: Arc<App>,
    /// Since when it is what observers see; unknown of what an earlier daemon left.
    pub since: Option<Moment>,
    /// How many processes it has had; the current one bears this number.
    pub incarnation: u32,
    /// The highest number that another process of its slot has borne.
    pub last_number: u32,
    /// Restarts after exits that nobody requested.
    pub restarts: u32,
    /// Unstable starts in a row.
    pub unstable: u32,
    /// Processes that did not end in time and were killed.
    pub force_kills: u32,
    /// The last wait; a run must be at least this long to count as stable.
    pub last_delay: Millis,
    /// Why the last process was stopped, if it was unhealthy and no new one was requested since.
    pub trouble: Option<Failure>,
    /// Spreads waits; fixed per instance.
    pub seed: u64,
    /// It is about to take a slot over: if its process fails, the rollout evaluates that, and it is not tried again.
    pub is_successor: bool,
    /// Its process is a worker of a cluster, which ends its connections before it is asked to end.
    pub is_worker: bool,
}

/// What can happen to an instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// Be running.
    Start(Cause),
    /// Be running in a new process.
    Restart(Cause),
    /// Be stopped.
    Stop(Cause),
    /// Be stopped and forgotten.
    Delete(Cause),
    /// The kernel made the process.
    Spawned {
        /// Its id.
        pid: u32,
    },
    /// The kernel did not.
    SpawnFailed {
        /// The step that failed, with its error number.
        failure: Failure,
    },
    /// The main process ended.
    Exited {
        /// Which one; an older incarnation is ignored.
        incarnation: u32,
        /// Exit code or signal.
        exit: Exit,
    },
    /// The tree was looked at.
    Swept {
        /// How many processes of it live, the main process not counted.
        left: u32,
    },
    /// A probe was answered.
    Probed {
        /// By which process; an older incarnation is ignored.
        incarnation: u32,
        /// Good, or what was found instead.
        result: Result<(), String>,
    },
    /// A process that is not ready yet, or was asked to end, requests more time.
    Extended {
        /// Which process; an older incarnation is ignored.
        incarnation: u32,
        /// From now on.
        by: Millis,
    },
    /// The tree has used more memory than it may, for several looks in a row.
    OverMemory {
        /// Of which process; an older incarnation is ignored.
        incarnation: u32,
        /// What it used.
        used: Bytes,
        /// The limit.
        limit: Bytes,
    },
    /// A worker has no connections any more, and has left its channel.
    Drained {
        /// Which process; an older incarnation is ignored.
        incarnation: u32,
    },
    /// A hook has ended, or its time was over.
    HookEnded {
        /// Beside which process; nothing follows for an older incarnation.
        incarnation: u32,
        /// The hook whose command ended.
        hook: Hook,
        /// Well, or why not.
        result: Result<(), String>,
    },
    /// The moment that [`Machine::alarm`] returned is due.
    Alarm,
}

/// What the machine asks of the world, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Start the process of `incarnation`.
    Spawn {
        /// Its number.
        incarnation: u32,
    },
    /// Send the policy's stop signal to the live processes.
    SendStopSignal,
    /// Give the worker no more connections, and have it end those that it has; answered by [`Input::Drained`].
    Drain,
    /// Send SIGKILL to everything that lives.
    Kill {
        /// Later ones follow only while something is left.
        is_first: bool,
    },
    /// Run a hook for at most the policy's time; answered by [`Input::HookEnded`].
    Hook(Hook),
    /// Kill a hook that may be running; not answered.
    EndHook(Hook),
    /// Look what is left of the tree; answered by [`Input::Swept`].
    Sweep,
    /// State a fact.
    Emit(Fact),
    /// Give the row back; the machine is over.
    Forget,
}

impl Machine {
    /// A new instance that has never had a process.
    pub fn new(policy: Arc<App>, seed: u64) -> Self {
        Self {
            state: State::Resting(Rest::Stopped),
            policy,
            since: None,
            incarnation: 0,
            last_number: 0,
            restarts: 0,
            unstable: 0,
            force_kills: 0,
            last_delay: Millis(0),
            trouble: None,
            seed,
            is_successor: false,
            is_worker: false,
        }
    }

    /// When the machine wants [`Input::Alarm`]; `None` = it waits for something else.
    pub fn alarm(&self) -> Option<Moment> {
        match &self.state {
            State::Stopping { deadline, next_sweep, .. } => {
                Some(next_sweep.map_or(*deadline, |sweep| sweep.min(*deadline)))
            }
            State::Preparing { until, .. }
            | State::Leaving { until, .. }
            | State::Draining { until, .. }
            | State::Waiting { until, .. } => Some(*until),
            State::Running { readiness: Readiness::Waiting { deadline, .. }, .. } => Some(*deadline),
            State::Unknown | State::Resting(_) | State::Starting { .. } | State::Running { .. } | State::Gone => None,
        }
    }

    /// What follows once its process is gone, while it is being ended.
    pub fn following(&self) -> Option<Following> {
        match &self.state {
            State::Leaving { then, .. }
            | State::Draining { then, .. }
            | State::Stopping { then, .. }
            | State::Starting { then: Some(then), .. } => Some(then.following()),
            State::Unknown
            | State::Resting(_)
            | State::Preparing { .. }
            | State::Starting { then: None, .. }
            | State::Running { .. }
            | State::Waiting { .. }
            | State::Gone => None,
        }
    }

    /// The state as observers see it. `pid` is the main process, which the machine does not know.
    pub fn phase(&self, pid: Option<u32>) -> Phase {
        match &self.state {
            State::Unknown | State::Preparing { .. } | State::Starting { .. } => Phase::Starting,
            State::Resting(Rest::Stopped) | State::Gone => Phase::Stopped,
            State::Resting(Rest::Done(exit)) => Phase::Done { exit: *exit },
            State::Resting(Rest::Errored(failure)) => Phase::Errored { failure: failure.clone() },
            State::Running { since, readiness } => {
                Phase::Running { pid: pid.unwrap_or(0), since: *since, readiness: readiness.clone() }
            }
            State::Leaving { until, .. } | State::Draining { until, .. } => {
                Phase::Stopping { pid, deadline: until.after(self.policy.stop.kill_timeout) }
            }
            State::Stopping { deadline, is_main_alive, .. } => {
                Phase::Stopping { pid: pid.filter(|_| *is_main_alive), deadline: *deadline }
            }
            State::Waiting { until, delay, .. } => {
                Phase::Backoff { until: *until, delay: *delay, attempt: self.unstable }
            }
        }
    }
}
