//! One instance with everything that belongs to it: machine, process handle, launches, waiting orders.

use std::sync::Arc;

use super::out_of_memory::OomKills;
use super::voices::Voices;
use crate::anchor::{EntryState, Record, Row};
use crate::lifecycle::{Machine, SavedState, State};
use crate::model::{Exit, InstanceId, Launch, LiveInstance, Moment, Taken, WallTime};
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
    /// When it was started.
    pub started: Option<WallTime>,
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
            started: None,
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
            restarts: self.machine.restarts,
            unstable: self.machine.unstable,
            force_kills: self.machine.force_kills,
            spec: Arc::clone(spec),
            restart_requests: self.record.restart_requests,
            started: self.started,
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
