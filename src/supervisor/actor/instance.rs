//! One instance with everything that is known of it: machine, process, launches, the newest order.

use std::collections::VecDeque;
use std::sync::Arc;

use super::clusters::MessageShare;
use crate::lifecycle::{Machine, SavedState, State};
use crate::model::{
    App, Cause, Counts, Digest, Environment, Exit, InstanceId, Launch, LiveInstance, Moment, Taken, WallTime,
};
use crate::rules;
use crate::supervisor::host::{EntryState, Record};

/// One instance.
#[derive(Debug)]
pub(in crate::supervisor) struct Instance {
    /// Its name in all events and orders.
    pub id: InstanceId,
    /// What it does; decides everything.
    pub machine: Machine,
    /// What the next process is started with.
    pub next: Launch,
    /// What the current (or last) process was started with: the spawn record.
    pub record: Launch,
    /// The main process, while it lives and the host holds it.
    pub process: Option<u32>,
    /// When a process that is on its way has failed, if it has not said by then that it is ready.
    pub ready_until: Option<Moment>,
    /// When its last processes were started.
    pub starts: Starts,
    /// How the last one ended.
    pub last_exit: Option<Exit>,
    /// What it has said about itself (`STATUS=`).
    pub status: Option<String>,
    /// When it last said `WATCHDOG=1`.
    pub last_watchdog_ping: Option<Moment>,
    /// How much of what it says was passed on.
    pub messages: MessageShare,
    /// The newest order that it has taken up.
    pub taken: Taken,
}

/// Starts that are remembered: more than come at once.
const STARTS_MAX: usize = 16;

/// When the last processes of an instance were started, in order.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Starts(VecDeque<WallTime>);

impl Starts {
    pub fn note(&mut self, at: WallTime) {
        if self.0.len() == STARTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(at);
    }

    pub fn last(&self) -> Option<WallTime> {
        self.0.back().copied()
    }

    /// When the process of `start`, or the one before it, was started, and when the next one was, if there is one.
    pub fn lifetime(&self, start: WallTime, is_before: bool) -> Option<(WallTime, Option<WallTime>)> {
        let found = self.0.iter().rposition(|at| *at == start)?;
        let at = if is_before { found.checked_sub(1)? } else { found };
        Some((*self.0.get(at)?, self.0.get(at + 1).copied()))
    }
}

impl Instance {
    pub fn new(id: InstanceId, machine: Machine, launch: Launch) -> Self {
        Self {
            id,
            machine,
            record: launch.clone(),
            next: launch,
            process: None,
            ready_until: None,
            starts: Starts::default(),
            last_exit: None,
            status: None,
            last_watchdog_ping: None,
            messages: MessageShare::default(),
            taken: Taken::default(),
        }
    }

    /// The instance of a row, as far as its record and its spec say.
    pub fn recovered(record: &Record, incarnation: u32, spec: Arc<App>, base: Arc<Environment>) -> Self {
        let id = InstanceId { app: spec.id(), slot: record.slot, is_successor: record.is_successor };
        let machine = Machine {
            state: State::Unknown,
            incarnation,
            restarts: record.restarts,
            unstable: record.unstable,
            force_kills: record.force_kills,
            is_successor: record.is_successor,
            is_worker: spec.is_cluster(),
            ..Machine::new(Arc::clone(&spec), seed(&id))
        };
        let launch = Launch {
            spec,
            digest: record.digest,
            base,
            base_digest: record.base_digest,
            restart_requests: record.restart_requests,
            cause: Cause::Boot,
        };
        Self::new(id, machine, launch)
    }

    /// An order is taken up.
    pub fn take(&mut self, order: u64) {
        self.taken = Taken { order, restarts: self.machine.restarts };
    }

    /// What the next daemon has to know. While a process lives (or is on its way) that is its own launch.
    pub fn row_record(&self) -> Record {
        let is_coming = matches!(self.machine.state, State::Preparing { .. } | State::Starting { .. });
        let launch = if is_coming { &self.next } else { &self.record };
        let machine = &self.machine;
        let (saved_state, next_start) = match machine.saved_state() {
            SavedState::Down if let (State::Starting { .. }, Some(until)) = (&machine.state, self.ready_until) => {
                (EntryState::Unready, until)
            }
            SavedState::Down if machine.stop_deadline().is_some() => (EntryState::StopAsked, Moment(0)),
            SavedState::Down => (EntryState::None, Moment(0)),
            SavedState::Waiting { until } => (EntryState::Backoff, until),
            SavedState::Unready { deadline } => (EntryState::Unready, deadline),
            SavedState::Errored(_) => (EntryState::Errored, Moment(0)),
            SavedState::Done(_) => (EntryState::Done, Moment(0)),
        };
        Record {
            restart_requests: launch.restart_requests,
            digest: launch.digest,
            base_digest: launch.base_digest,
            slot: self.id.slot,
            is_successor: self.id.is_successor,
            restarts: machine.restarts,
            unstable: machine.unstable,
            force_kills: machine.force_kills,
            saved_state,
            next_start,
            stop_deadline: machine.stop_deadline().unwrap_or_default(),
        }
    }

    /// Whether it may have a process.
    pub fn is_up(&self) -> bool {
        self.process.is_some() || self.machine.phase(self.process).is_alive()
    }

    /// As observers see it. The spec is the one that the process was really started with, except for what is
    /// followed while it lives.
    pub fn live(&self) -> LiveInstance {
        let (policy, record) = (&self.machine.policy, &self.record.spec);
        let spec = if Arc::ptr_eq(record, policy) || rules::can_follow(record, policy) { policy } else { record };
        LiveInstance {
            phase: self.machine.phase(self.process),
            incarnation: self.machine.incarnation,
            since: self.machine.since,
            restarts: self.machine.restarts,
            counts: Counts { unstable: self.machine.unstable, force_kills: self.machine.force_kills },
            spec: Arc::clone(spec),
            restart_requests: self.record.restart_requests,
            started: self.starts.last(),
            last_exit: self.last_exit,
            trouble: self.machine.trouble.clone(),
            status_text: self.status.clone(),
            hook: self.machine.hook_under_way(),
            taken: self.taken,
            following: self.machine.following(),
            is_unreachable: false,
        }
    }
}

/// The same instance always spreads its waits alike; different ones do not.
pub(super) fn seed(id: &InstanceId) -> u64 {
    Digest::of(id.to_string().as_bytes()).number()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lifetime_of_one_of_the_last_processes_is_known() {
        let mut starts = Starts::default();
        assert_eq!((starts.last(), starts.lifetime(WallTime(0), false)), (None, None));
        for at in 10..30 {
            starts.note(WallTime(at));
        }
        assert_eq!(starts.last(), Some(WallTime(29)));
        let lifetime = |start, is_before| {
            let (start, next) = starts.lifetime(WallTime(start), is_before)?;
            Some((start.0, next.map(|next| next.0)))
        };
        assert_eq!(lifetime(28, false), Some((28, Some(29))));
        assert_eq!(lifetime(29, false), Some((29, None)));
        assert_eq!(lifetime(29, true), Some((28, Some(29))));
        assert_eq!((lifetime(3, false), lifetime(14, true)), (None, None), "that is too long ago");
    }
}
