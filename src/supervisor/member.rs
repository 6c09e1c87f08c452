//! One instance with everything that belongs to it: machine, process handle, launches, waiting orders.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::out_of_memory::OomKills;
use super::voices::Voices;
use super::{Launch, Outcome, Task};
use crate::anchor::{Record, Row, RowStanding};
use crate::lifecycle::{Machine, OrderEnd, Prospect, Standing, State};
use crate::model::{Exit, InstanceId, LiveInstance, Moment, WallTime};
use crate::os::PidFd;

/// One instance.
#[derive(Debug)]
pub(super) struct Member {
    /// Which.
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
    waiting: Vec<(Goal, oneshot::Sender<Outcome>)>,
}

impl Outcome {
    fn of(end: &OrderEnd) -> Self {
        match end {
            OrderEnd::Done => Self::Done,
            OrderEnd::Failed(failure) => Self::Failed(failure.clone()),
        }
    }
}

/// What an order is after. Orders with one goal are content with one end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Goal {
    Up,
    Down,
    Gone,
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
            started: None,
            last_exit: None,
            oom_kills: OomKills::default(),
            voices: Voices::default(),
            status: None,
            beat: None,
            user_id: None,
            waiting: Vec::new(),
        }
    }

    /// The main process, while there is one.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(PidFd::pid)
    }

    /// Takes an order's reply in. Who waits for something else is told that this one took its place.
    pub fn await_order(&mut self, task: &Task, reply: oneshot::Sender<Outcome>) {
        let goal = match task {
            Task::Start(_) | Task::Restart(_) => Goal::Up,
            Task::Stop(_) => Goal::Down,
            Task::Delete(_) => Goal::Gone,
            Task::Update(_) | Task::Rename(..) | Task::TakeOver => return drop(reply.send(Outcome::Done)),
            Task::Await => return self.join(reply),
        };
        for (other, waiter) in std::mem::take(&mut self.waiting) {
            if other == goal {
                self.waiting.push((other, waiter));
            } else {
                // Whoever stopped listening does not want to know.
                let _ = waiter.send(Outcome::Superseded);
            }
        }
        self.waiting.push((goal, reply));
    }

    /// Waits with those who want a good process, and takes nobody's place.
    fn join(&mut self, reply: oneshot::Sender<Outcome>) {
        let outcome = match self.machine.prospect() {
            Prospect::Open => return self.waiting.push((Goal::Up, reply)),
            Prospect::Settled(end) => Outcome::of(&end),
            Prospect::None => Outcome::Superseded,
        };
        // Whoever stopped listening does not want to know.
        let _ = reply.send(outcome);
    }

    /// Tells everyone who waits how it ended.
    pub fn settle(&mut self, end: &OrderEnd) {
        let outcome = Outcome::of(end);
        for (_, waiter) in self.waiting.drain(..) {
            let _ = waiter.send(outcome.clone());
        }
    }

    /// What the next daemon has to know. While a process lives (or is on its way) that is its own launch.
    pub fn row_record(&self) -> Record {
        let is_coming = matches!(self.machine.state, State::Preparing { .. } | State::Starting { .. });
        let launch = if is_coming { &self.next } else { &self.record };
        let machine = &self.machine;
        let (standing, next_start) = match machine.standing() {
            Standing::Down if machine.stop_deadline().is_some() => (RowStanding::StopAsked, Moment(0)),
            Standing::Down => (RowStanding::None, Moment(0)),
            Standing::Waiting { until } => (RowStanding::Backoff, until),
            Standing::Unready { deadline } => (RowStanding::Unready, deadline),
            Standing::Errored(_) => (RowStanding::Errored, Moment(0)),
            Standing::Done(_) => (RowStanding::Done, Moment(0)),
        };
        Record {
            epoch: launch.epoch,
            digest: launch.digest,
            base_digest: launch.base_digest,
            slot: self.id.slot,
            is_successor: self.id.is_successor,
            restarts: machine.restarts,
            unstable: machine.unstable,
            force_kills: machine.force_kills,
            standing,
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
        let spec = if policy.run == record.run { policy } else { record };
        LiveInstance {
            phase: self.machine.phase(self.pid()),
            generation: self.machine.generation,
            restarts: self.machine.restarts,
            unstable: self.machine.unstable,
            force_kills: self.machine.force_kills,
            spec: Arc::clone(spec),
            epoch: self.record.epoch,
            started: self.started,
            last_exit: self.last_exit,
            trouble: self.machine.trouble.clone(),
            status: self.status.clone(),
            hook: self.machine.hook_under_way(),
            is_unreachable: false,
        }
    }
}
