//! One instance with everything that belongs to it: machine, process handle, launches, waiting orders.

use std::collections::VecDeque;
use std::sync::Arc;

use super::out_of_memory::OomKills;
use super::voices::Voices;
use crate::anchor::{EntryState, Record, Row};
use crate::lifecycle::{Machine, SavedState, State};
use crate::model::{Counts, Exit, InstanceId, Launch, LiveInstance, Moment, Taken, WallTime};
use crate::os::PidFd;
use crate::rules;

/// One instance.
#[derive(Debug)]
pub(super) struct Member {
    /// Its name in all events and orders.
    pub id: InstanceId,
    /// Its row of the process table, for as long as it exists.
    pub row: Row,
    /// What it does; decides everything.
    pub machine: Machine,
    /// What the next process is started with.
    pub next: Launch,
    /// What the current (or last) process was started with: the spawn record.
    pub record: Launch,
    /// The main process, while it lives and is ours.
    pub process: Option<PidFd>,
    /// Its number cannot have been another one's since: this daemon has held it.
    pub was_seen_alive: bool,
    /// When its last processes were started.
    pub starts: Starts,
    /// How the last one ended.
    pub last_exit: Option<Exit>,
    /// What memory has cost its tree.
    pub oom_kills: OomKills,
    /// What it can tell us by itself.
    pub voices: Voices,
    /// What it has said about itself (`STATUS=`).
    pub status: Option<String>,
    /// When it last said `WATCHDOG=1`.
    pub beat: Option<Moment>,
    /// The user that its process runs as, if another one than ours.
    pub user_id: Option<u32>,
    /// The newest order that it has taken up.
    pub taken: Taken,
}

/// Starts that are remembered: more than come at once.
const STARTS_MAX: usize = 16;

/// When the last processes of an instance were started, in order.
#[derive(Debug, Default)]
pub(super) struct Starts(VecDeque<WallTime>);

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

impl Member {
    pub fn new(id: InstanceId, row: Row, machine: Machine, launch: Launch) -> Self {
        Self {
            id,
            row,
            machine,
            record: launch.clone(),
            next: launch,
            process: None,
            was_seen_alive: false,
            starts: Starts::default(),
            last_exit: None,
            oom_kills: OomKills::default(),
            voices: Voices::default(),
            status: None,
            beat: None,
            user_id: None,
            taken: Taken::default(),
        }
    }

    /// The main process, while there is one.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(PidFd::pid)
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
        self.process.is_some() || self.machine.phase(self.pid()).is_alive()
    }

    /// As observers see it. The spec is the one that the process was really started with, except for what is
    /// followed while it lives.
    pub fn live(&self) -> LiveInstance {
        let (policy, record) = (&self.machine.policy, &self.record.spec);
        let spec = if rules::can_follow(record, policy) { policy } else { record };
        LiveInstance {
            phase: self.machine.phase(self.pid()),
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
