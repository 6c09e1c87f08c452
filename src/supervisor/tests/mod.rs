//! The actor on a pretended machine: for its own tests, and for the histories of `plan`.

mod actor;
mod journal;
mod mirror;
mod pretended;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::actor::{ActorEvent, InstanceActor, Specs};
use super::cluster::{WorkerSaid, WorkerWord};
use super::{Changed, Observation, Seen};
use crate::model::{
    App, Command, Digest, Environment, Fact, InstanceId, Launch, Live, Millis, Moment, Order, Subject, Taken,
};

pub(crate) use pretended::{Behaviour, Dice, Fate, Killed, Pretended, Process};

/// How often the daemon looks at the table, whatever happens.
const LOOK_EVERY: Millis = Millis::seconds(2);

/// A supervisor on a pretended machine.
#[derive(Debug)]
pub(crate) struct Supervised {
    /// `None` while no daemon lives.
    actor: Option<InstanceActor<Pretended>>,
    /// The machine, while no daemon lives.
    alone: Option<Pretended>,
    known: Known,
    next_look: Moment,
}

/// Specs and base environments, as the store has them.
#[derive(Debug, Default)]
struct Known {
    specs: BTreeMap<Digest, Arc<App>>,
    bases: BTreeMap<Digest, Arc<Environment>>,
}

impl Specs for Known {
    fn spec(&self, digest: &Digest) -> Option<Arc<App>> {
        self.specs.get(digest).cloned()
    }

    fn base(&self, digest: &Digest) -> Option<Arc<Environment>> {
        self.bases.get(digest).cloned()
    }
}

impl Supervised {
    pub(crate) fn new(fate: Fate) -> Self {
        let host = Pretended::new(fate);
        let next_look = host.now.after(LOOK_EVERY);
        Self { actor: Some(InstanceActor::new(host)), alone: None, known: Known::default(), next_look }
    }

    pub(crate) fn host(&mut self) -> &mut Pretended {
        match (&mut self.actor, &mut self.alone) {
            (Some(actor), _) => &mut actor.host,
            (None, Some(host)) => host,
            (None, None) => unreachable!("a machine is always there"),
        }
    }

    /// Gives orders as one batch.
    pub(crate) fn order(&mut self, orders: Vec<Order>) {
        for order in &orders {
            if let Command::Start(launch) | Command::Restart(launch) | Command::Rename(_, launch) = &order.command {
                self.known.learn(launch);
            }
        }
        self.handle(ActorEvent::Ordered(orders));
    }

    fn handle(&mut self, event: ActorEvent) {
        if let Some(actor) = &mut self.actor {
            actor.handle(event);
            actor.settle();
        }
    }

    fn worker_says(&mut self, instance: &InstanceId, incarnation: u32, said: WorkerSaid) {
        let row = self.actor.as_ref().and_then(|actor| actor.registry.row_of(instance));
        if let Some(row) = row {
            self.handle(ActorEvent::WorkerSaid(WorkerWord { row, incarnation, said }));
        }
    }

    fn observe(&mut self, row: u32, incarnation: u32, seen: Seen) {
        let instance = self.actor.as_ref().and_then(|actor| actor.registry.get(row)).map(|found| found.id.clone());
        if let Some(instance) = instance {
            self.handle(ActorEvent::Observed(Observation { instance, incarnation, seen }));
        }
    }

    /// When something happens by itself.
    pub(crate) fn next(&self) -> Option<Moment> {
        let host = self.actor.as_ref().map(|actor| &actor.host).or(self.alone.as_ref());
        let alarm = self.actor.as_ref().and_then(|actor| actor.registry.next_alarm());
        let look = self.actor.as_ref().filter(|actor| actor.host.dice.is_some()).map(|_| self.next_look);
        [host.and_then(Pretended::next_due), alarm, look].into_iter().flatten().min()
    }

    /// The next thing that happens by itself, at this moment.
    pub(crate) fn step(&mut self, now: Moment) {
        let host = self.host();
        host.now = host.now.max(now);
        if host.next_due().is_some_and(|at| at <= now) {
            if let Some(event) = self.host().happen() {
                self.handle(event);
            }
            for (row, incarnation) in std::mem::take(&mut self.host().bad_answers) {
                self.observe(row, incarnation, Seen::Probed(Err("no answer".to_owned())));
            }
            return;
        }
        let alarm = self.actor.as_ref().and_then(|actor| actor.registry.next_alarm());
        if alarm.is_some_and(|at| at <= now) {
            self.handle(ActorEvent::Alarm);
        } else if self.next_look <= now {
            self.next_look = now.after(LOOK_EVERY);
            self.handle(ActorEvent::Look);
        }
    }

    /// The daemon dies, and the machine goes on. With `is_begun`, starts had come as far as to be announced.
    pub(crate) fn kill(&mut self, is_begun: bool) {
        if let Some(actor) = self.actor.take() {
            let mut host = actor.host;
            host.daemon_died(is_begun);
            self.alone = Some(host);
        }
    }

    /// The next daemon takes over, under a new anchor if need be.
    pub(crate) fn boot(&mut self) {
        self.kill(false);
        if let Some(mut host) = self.alone.take() {
            host.begin();
            self.next_look = host.now.after(LOOK_EVERY);
            let actor = self.actor.insert(InstanceActor::new(host));
            actor.recover(&self.known);
            actor.settle();
        }
    }

    /// What has changed since the last time.
    pub(crate) fn changed(&mut self) -> Changed {
        self.actor.as_mut().map_or_else(Changed::default, |actor| actor.registry.take_changed())
    }

    /// What is.
    pub(crate) fn live(&mut self) -> Arc<Live> {
        self.actor.as_mut().map_or_else(Arc::default, |actor| actor.registry.live())
    }

    /// The newest order that an instance has taken up.
    pub(crate) fn taken(&self, id: &InstanceId) -> Option<Taken> {
        let actor = self.actor.as_ref()?;
        Some(actor.registry.get(actor.registry.row_of(id)?)?.taken)
    }

    /// Instances with a living process, and its number.
    pub(crate) fn running(&self) -> Vec<(InstanceId, u32)> {
        let instances = self.actor.iter().flat_map(|actor| actor.registry.iter());
        instances.filter_map(|(_, instance)| Some((instance.id.clone(), instance.process?))).collect()
    }

    /// The rows of all instances, if a daemon lives.
    pub(crate) fn rows(&self) -> Option<BTreeSet<u32>> {
        Some(self.actor.as_ref()?.registry.iter().map(|(row, _)| row).collect())
    }

    /// What was told since the last time.
    pub(crate) fn take_facts(&mut self) -> Vec<(Subject, Fact)> {
        self.host().take_facts()
    }
}

impl Known {
    fn learn(&mut self, launch: &Launch) {
        self.specs.insert(launch.digest, Arc::clone(&launch.spec));
        self.bases.insert(launch.base_digest, Arc::clone(&launch.base));
    }
}
