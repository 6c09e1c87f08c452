//! Orders, exits and timers in, effects out: everything that is decided about instances, without a machine.
//!
//! The actor owns every instance. [`InstanceActor::handle`] takes one [`ActorEvent`] to its end, through `lifecycle` and back out to
//! its [`Host`]; [`InstanceActor::settle`] ends a turn. Nothing here waits, reads a clock or touches the kernel, so a test runs
//! the whole of it on a pretended host.

mod claims;
mod clusters;
mod exits;
mod heard;
mod instance;
mod lost;
mod orders;
mod perform;
mod recover;
mod registry;

use std::collections::{BTreeMap, BTreeSet};

use super::cluster::WorkerWord;
use super::host::{Channel, HookEnd, Host, SpawnEnd, SweepEnd};
use super::{Observation, Seen};
use crate::lifecycle::Input;
use crate::model::{AppId, Failure, InstanceId, Order};

pub use claims::Specs;
use clusters::{ClusterApps, worker_said};
pub(super) use instance::Instance;
pub use recover::Recovered;
pub(super) use registry::Registry;

/// The supervisor's own memory, and the machine that it works on.
#[derive(Debug)]
pub(super) struct InstanceActor<H> {
    pub host: H,
    pub registry: Registry,
    /// Processes that ended and whose status the anchor has not written yet; with a failure, if they never
    /// executed their program.
    unharvested: BTreeMap<u32, Option<Failure>>,
    /// Looks in a row at which some of them had ended long ago.
    unharvested_looks: u32,
    /// Rows whose trees are to be looked at, in one sweep for all.
    sweeps: BTreeSet<u32>,
    /// Rows that have changed in this turn.
    unmirrored: BTreeSet<u32>,
    /// Instances that are gone, whose row a hook may still touch.
    unfreed: BTreeMap<u32, InstanceId>,
    /// Instances that are gone, whose row is given back before anybody else takes their name.
    leaving: BTreeMap<u32, InstanceId>,
    /// What was said about limits that cannot be had.
    told_limits: BTreeMap<AppId, String>,
    clusters: ClusterApps,
    /// The newest order that was given to anybody: an older one makes no instance.
    newest_order: u64,
}

/// One thing that can happen.
#[derive(Debug)]
pub(super) enum ActorEvent {
    Ordered(Vec<Order>),
    Observed(Observation),
    Spawned(SpawnEnd),
    HookEnded(HookEnd),
    Swept(SweepEnd),
    /// A process ended. Its status stands in the table as soon as the anchor has reaped it.
    Ended {
        row: u32,
        incarnation: u32,
    },
    /// A process has said something.
    Heard {
        row: u32,
        channel: Channel,
    },
    /// A worker of a cluster has said something.
    WorkerSaid(WorkerWord),
    /// The anchor has written how processes have ended.
    Harvested,
    AnchorGone,
    /// The moment that [`Registry::next_alarm`] named has come.
    Alarm,
    /// Time to look at what nobody was woken for.
    Look,
}

impl<H: Host> InstanceActor<H> {
    pub fn new(host: H) -> Self {
        Self {
            host,
            registry: Registry::default(),
            unharvested: BTreeMap::new(),
            unharvested_looks: 0,
            sweeps: BTreeSet::new(),
            unmirrored: BTreeSet::new(),
            unfreed: BTreeMap::new(),
            leaving: BTreeMap::new(),
            told_limits: BTreeMap::new(),
            clusters: ClusterApps::default(),
            newest_order: 0,
        }
    }

    /// Takes one event to its end.
    pub fn handle(&mut self, event: ActorEvent) {
        match event {
            ActorEvent::Ordered(orders) => orders.into_iter().for_each(|order| self.order(order)),
            ActorEvent::Observed(observation) => self.observed(observation),
            ActorEvent::Spawned(end) => self.spawned(end),
            ActorEvent::HookEnded(end) => self.hook_ended(end),
            ActorEvent::Swept(SweepEnd { row, incarnation, left }) => {
                // A look at the tree of an earlier process says nothing of this one.
                if self.registry.get(row).is_some_and(|instance| instance.machine.incarnation == incarnation) {
                    self.step(row, Input::Swept { left });
                }
            }
            ActorEvent::Ended { row, incarnation } => self.ended(row, incarnation),
            ActorEvent::Heard { row, channel } => self.heard(row, channel),
            ActorEvent::WorkerSaid(word) => worker_said(self, word),
            ActorEvent::Harvested => self.harvest(),
            ActorEvent::AnchorGone => self.anchor_gone(),
            ActorEvent::Alarm => {
                for row in self.registry.due(self.host.now()) {
                    self.step(row, Input::Alarm);
                }
            }
            ActorEvent::Look => self.look_at_rows(),
        }
    }

    /// The end of a turn: what all of its events have in common is done once. True: observers see something new.
    pub fn settle(&mut self) -> bool {
        while !self.sweeps.is_empty() {
            let rows = std::mem::take(&mut self.sweeps);
            for (row, left) in self.host.sweep(&rows) {
                self.step(row, Input::Swept { left });
            }
        }
        self.clusters.close_unused(&self.registry, &mut self.host);
        self.give_rows_back();
        if !self.unmirrored.is_empty() {
            self.host.mirror(std::mem::take(&mut self.unmirrored));
        }
        self.registry.take_untold()
    }

    fn observed(&mut self, observation: Observation) {
        let Observation { instance, incarnation, seen } = observation;
        let Some(row) = self.registry.row_of(&instance) else { return };
        let input = match seen {
            Seen::Probed(result) => Input::Probed { incarnation, result },
            Seen::OverMemory { used, limit } => Input::OverMemory { incarnation, used, limit },
        };
        self.step(row, input);
    }
}
