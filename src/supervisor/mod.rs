//! Carries orders out: owns every instance, feeds its lifecycle, performs the effects.
//!
//! In:    [`Order`]s, [`Observation`]s, exits, timers         Out:  effects performed, [`crate::model::Live`], events
//! Never: decisions (those are `lifecycle`'s), system calls (those are `os`'s)
//! Walk:  [`crate::reconciler`] → here → [`crate::lifecycle`] → `perform` → [`crate::os`]

mod beside;
mod hooks;
mod listeners;
mod lost;
mod member;
mod out_of_memory;
mod outputs;
mod perform;
mod recover;
mod roster;
mod run;
mod spawn;
mod voices;
mod world;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::anchor::HeldFd;
use crate::model::{
    App, Bytes, Cause, Digest, Environment, Failure, Form, InstanceId, Limits, ListenAddress, Live, LiveInstance,
    Moment,
};
use crate::os::Helper;

pub use listeners::Listeners;
pub use outputs::Outputs;
pub use recover::Recovered;
pub use world::{Specs, World, log_path};

/// Orders that may wait at the loop's door; the senders wait beyond that.
const REQUESTS_MAX: usize = 1024;

/// How long last words are waited for.
const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// What the reconciler wants of one instance.
#[derive(Debug)]
pub struct Order {
    /// Which.
    pub instance: InstanceId,
    /// What.
    pub task: Task,
}

/// The task of an order.
#[derive(Debug)]
pub enum Task {
    /// Be running with this spec; if a process lives, keep it.
    Start(Launch),
    /// End the current process, if any, and run this spec.
    Restart(Launch),
    /// End the process and stay down.
    Stop(Cause),
    /// Follow new policies without touching the process.
    Update(Arc<App>),
    /// End the process and forget the instance.
    Delete(Cause),
    /// Bear a new name (and the spawn record that goes with it); the process is kept.
    Rename(InstanceId, Launch),
    /// Nothing: who gives it waits with the others until the process that is on its way is good, or has failed.
    Await,
    /// A successor: bear the name of the slot, if nobody bears it any more. Process and spawn record are kept.
    TakeOver,
}

/// Everything that a spawn needs to know.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The spec.
    pub spec: Arc<App>,
    /// Its name in the store.
    pub digest: Digest,
    /// The recorded shell environment.
    pub base: Arc<Environment>,
    /// Its name in the store.
    pub base_digest: Digest,
    /// The restart counter that the process is started under.
    pub epoch: u64,
    /// Why.
    pub cause: Cause,
}

impl Launch {
    /// The same process to be, made from something else.
    #[must_use]
    pub fn in_form(self, form: &Form) -> Self {
        let Form { spec, digest, base, base_digest } = form.clone();
        Self { spec, digest, base, base_digest, ..self }
    }
}

/// What somebody saw of a living process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Which instance.
    pub instance: InstanceId,
    /// Which of its processes; if another one lives by now, nothing follows.
    pub generation: u32,
    /// What was seen.
    pub seen: Seen,
}

/// What was seen of a living process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A probe was answered: good, or what was found instead.
    Probed(Result<(), String>),
    /// Its tree has used too much memory for several looks in a row.
    OverMemory {
        /// What it used.
        used: Bytes,
        /// What it may use.
        limit: Bytes,
    },
}

/// How an order ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As asked. Start, Restart and Await: the process runs and is good; Stop and Delete: nothing of it is left.
    Done,
    /// It could not be done.
    Failed(Failure),
    /// A later order for the same instance took its place.
    Superseded,
}

/// The way to the supervisor; cheap to clone.
#[derive(Clone, Debug)]
pub struct Supervisor {
    world: Arc<World>,
    requests: mpsc::Sender<Request>,
    revision: watch::Receiver<u64>,
    is_anchor_gone: watch::Receiver<bool>,
}

/// What reaches the supervisor's task.
#[derive(Debug)]
pub(crate) enum Request {
    Order(Order, oneshot::Sender<Outcome>),
    Observed(Observation),
    Beside(InstanceId, u32, String, oneshot::Sender<Result<Helper, String>>),
    LastBeat(InstanceId, u32, oneshot::Sender<Option<Moment>>),
    Drain(InstanceId, oneshot::Sender<oneshot::Receiver<()>>),
    KeepListeners(Vec<ListenAddress>),
    Live(oneshot::Sender<Arc<Live>>),
    Look(Vec<InstanceId>, oneshot::Sender<Vec<(InstanceId, LiveInstance)>>),
}

impl Supervisor {
    /// Takes over what the last daemon left, then starts the loop. Must be called inside the runtime.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn start(world: World, held: Vec<HeldFd>, specs: &dyn Specs) -> io::Result<(Self, Recovered)> {
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let (roster, revision) = roster::Roster::new();
        let (anchor_gone, is_anchor_gone) = watch::channel(false);
        let world = Arc::new(world);
        let mut instances = run::Loop::new(Arc::clone(&world), roster, inbox, anchor_gone)?;
        let recovered = instances.recover(held, specs);
        tokio::spawn(instances.run());
        Ok((Self { world, requests, revision, is_anchor_gone }, recovered))
    }

    /// Gives an order and waits for its end. A stopped supervisor answers `Superseded`.
    pub async fn order(&self, order: Order) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        if self.requests.send(Request::Order(order, reply)).await.is_err() {
            return Outcome::Superseded;
        }
        outcome.await.unwrap_or(Outcome::Superseded)
    }

    /// Tells what a sensor saw. A stopped supervisor does not want to know.
    pub async fn observed(&self, observation: Observation) {
        let _ = self.requests.send(Request::Observed(observation)).await;
    }

    /// Starts a command by `sh -c` beside a living process: in its folder, with its environment, as its user.
    /// `None`: that process is gone.
    ///
    /// # Errors
    /// Why it could not be started, in words.
    pub async fn run_beside(
        &self,
        instance: InstanceId,
        generation: u32,
        command: String,
    ) -> Option<Result<Helper, String>> {
        let (reply, helper) = oneshot::channel();
        self.requests.send(Request::Beside(instance, generation, command, reply)).await.ok()?;
        helper.await.ok()
    }

    /// When a process last said `WATCHDOG=1`.
    pub async fn last_beat(&self, instance: InstanceId, generation: u32) -> Option<Moment> {
        let (reply, beat) = oneshot::channel();
        self.requests.send(Request::LastBeat(instance, generation, reply)).await.ok()?;
        beat.await.ok()?
    }

    /// Waits until what an instance has printed so far stands in its log; on a full disk for a bounded time.
    pub async fn drained(&self, instance: InstanceId) {
        let (reply, draining) = oneshot::channel();
        if self.requests.send(Request::Drain(instance, reply)).await.is_err() {
            return;
        }
        if let Ok(drained) = draining.await {
            // Too late, or no pump any more: whoever reads the log finds what is there.
            let _ = tokio::time::timeout(DRAIN_WAIT, drained).await;
        }
    }

    /// Closes the sockets that are held open for apps at other addresses than these.
    pub async fn keep_listeners(&self, wanted: Vec<ListenAddress>) {
        // A stopped supervisor holds nothing any more.
        let _ = self.requests.send(Request::KeepListeners(wanted)).await;
    }

    /// What is held open for apps and keeps these addresses from being listened at.
    pub fn listeners_in_the_way(&self, addresses: &[ListenAddress]) -> Vec<ListenAddress> {
        self.world.listeners.in_the_way(addresses)
    }

    /// Closes these at once: when this returns, their ports are free. Only for what no process has any more.
    pub fn close_listeners(&self, addresses: &[ListenAddress]) {
        self.world.listeners.close(&self.world.anchor, addresses);
    }

    /// What is, now, with a look at whether anybody can connect to the sockets of apps.
    pub async fn live_with_sockets(&self) -> Arc<Live> {
        let live = self.live().await;
        let unreachable = self.world.listeners.unreachable(&live);
        if unreachable.is_empty() {
            return live;
        }
        let mut live = (*live).clone();
        for id in unreachable {
            live.instances.entry(id).and_modify(|instance| instance.is_unreachable = true);
        }
        Arc::new(live)
    }

    /// Which of these limits cannot be had on this machine, and why.
    pub fn missing_limits(&self, limits: &Limits) -> Option<String> {
        self.world.missing_limits(limits)
    }

    /// What is, now.
    pub async fn live(&self) -> Arc<Live> {
        let (reply, live) = oneshot::channel();
        if self.requests.send(Request::Live(reply)).await.is_err() {
            return Arc::default();
        }
        live.await.unwrap_or_default()
    }

    /// What is, of these instances only, in the order in which they are asked for: what it costs does not depend on how
    /// many others there are. Those that do not exist are left out.
    pub async fn look(&self, instances: Vec<InstanceId>) -> Vec<(InstanceId, LiveInstance)> {
        let (reply, live) = oneshot::channel();
        if self.requests.send(Request::Look(instances, reply)).await.is_err() {
            return Vec::new();
        }
        live.await.unwrap_or_default()
    }

    /// Resolves when the anchor has died: apps run on, but new ones cannot be started until there is another one.
    pub async fn anchor_gone(&self) {
        let mut is_gone = self.is_anchor_gone.clone();
        // A loop that has ended will not tell any more.
        if is_gone.wait_for(|is_gone| *is_gone).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Ticks whenever [`Self::live`] would answer differently.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.revision.clone()
    }
}
