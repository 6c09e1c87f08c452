//! Carries orders out: owns every instance, feeds its lifecycle, performs the effects.
//!
//! In:    [`Order`]s, [`Observation`]s, exits, timers         Out:  effects performed, [`crate::model::Live`], events
//! Never: decisions (those are `lifecycle`'s), system calls (those are `os`'s)
//! Walk:  [`crate::reconciler`] → `run` → `actor` → [`crate::lifecycle`] → `actor/perform` → `host` → [`crate::os`]
//!
//! Four parts. The `actor` decides, and knows no kernel. `processes`, `channels` and `outputs` do what it asks for; `real`
//! puts them together as the `host::Host` of a running daemon. `run` waits for whatever happens next.

mod actor;
mod build;
mod channels;
mod cluster;
mod handover;
mod host;
mod metrics;
mod outputs;
mod processes;
mod real;
mod run;
#[cfg(test)]
pub(crate) mod tests;
mod world;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::anchor::HeldFd;
use crate::model::{
    App, AppId, Bytes, Environment, Failure, InstanceId, Launch, LeftProcess, Limits, ListenAddress, Live,
    LiveInstance, Moment, Order, WallTime,
};
use crate::os::Helper;

pub use actor::{Recovered, Specs};
pub use build::BuildFailed;
pub use cluster::Clusters;
pub use metrics::{MetricsReport, MetricsReports, NoReport};
pub use outputs::{Listeners, Outputs};
pub use processes::{ProbeRun, exec_context};
pub use world::{World, log_location, log_path};

/// Orders that may wait at the loop's door; the senders wait beyond that.
const REQUESTS_MAX: usize = 1024;

/// How long the last search of a shutdown may take. A process that hangs in the kernel may hold it up.
const LAST_SEARCH_MAX: Duration = Duration::from_secs(30);

/// How long last words are waited for.
const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// What somebody saw of a living process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Which instance.
    pub instance: InstanceId,
    /// Which of its processes; if another one lives by now, nothing follows.
    pub incarnation: u32,
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

/// Why a process did not get a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsignalled {
    /// There is none.
    NotRunning,
    /// It is another user's.
    NotAllowed,
}

/// Why a process did not get a line for its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoInput {
    /// There is no process.
    NotRunning,
    /// It has no pipe of ours there.
    NoPipe,
    /// It does not read.
    Full,
    /// It is another user's.
    NotAllowed,
}

/// Why something was not said to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSaid {
    /// It does not run.
    NotRunning,
    /// It has no channel, or has closed it.
    NoChannel,
    /// It does not read its channel, which is full.
    Full,
}

/// Whether something was said to a process, once that is known.
#[derive(Debug)]
pub(crate) enum Saying {
    Known(Result<(), NotSaid>),
    Asked(oneshot::Receiver<Result<(), NotSaid>>),
}

/// What has changed since the last time that it was asked for.
#[derive(Debug, Default)]
pub struct Changed {
    /// Instances as they are by now; `None`: gone.
    pub instances: Vec<(InstanceId, Option<LiveInstance>)>,
    /// Orders for instances that could not be made, all of them.
    pub refused: BTreeMap<InstanceId, (u64, Failure)>,
}

/// The way to the supervisor; cheap to clone.
#[derive(Clone, Debug)]
pub struct Supervisor {
    world: Arc<World>,
    requests: mpsc::Sender<Request>,
    revision: watch::Receiver<u64>,
    is_anchor_gone: watch::Receiver<bool>,
    builders: build::Builders,
}

/// What reaches the supervisor's task.
#[derive(Debug)]
pub(crate) enum Request {
    Orders(Vec<Order>),
    Changed(oneshot::Sender<Changed>),
    Observed(Observation),
    /// A command, and what follows its mark.
    Beside(InstanceId, u32, (String, String), oneshot::Sender<Result<Helper, String>>),
    LastWatchdogPing(InstanceId, u32, oneshot::Sender<Option<Moment>>),
    Drain(InstanceId, oneshot::Sender<oneshot::Receiver<()>>),
    Lifetime(InstanceId, WallTime, bool, oneshot::Sender<Option<(WallTime, Option<WallTime>)>>),
    KeepListeners(Vec<ListenAddress>),
    Metrics(AppId, oneshot::Sender<metrics::AskedWorkers>),
    Say(Vec<InstanceId>, String, oneshot::Sender<Vec<(InstanceId, Saying)>>),
    Input(Vec<InstanceId>, Vec<u8>, oneshot::Sender<Vec<(InstanceId, Result<(), NoInput>)>>),
    Signal(Vec<InstanceId>, i32, oneshot::Sender<Vec<(InstanceId, Result<u32, Unsignalled>)>>),
    Live(oneshot::Sender<Arc<Live>>),
    Look(Vec<InstanceId>, oneshot::Sender<Vec<(InstanceId, LiveInstance)>>),
    LookAtApps(fn(&App) -> bool, oneshot::Sender<BTreeMap<InstanceId, LiveInstance>>),
    LeftBy(Vec<InstanceId>, oneshot::Sender<(Vec<LeftProcess>, bool)>),
    EndEverything(oneshot::Sender<Vec<LeftProcess>>),
}

impl Supervisor {
    /// Takes over what the last daemon left, then starts the loop. Must be called inside the runtime.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn start(world: World, held: Vec<HeldFd>, specs: &dyn Specs) -> io::Result<(Self, Recovered)> {
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let (ticks, revision) = watch::channel(0);
        let (anchor_gone, is_anchor_gone) = watch::channel(false);
        let world = Arc::new(world);
        let (work, recovered) = run::Loop::begin(Arc::clone(&world), held, specs, inbox, ticks, anchor_gone)?;
        tokio::spawn(work.run());
        let builders = build::Builders::default();
        Ok((Self { world, requests, revision, is_anchor_gone, builders }, recovered))
    }

    /// Gives orders. How they go is seen in [`Live`]; a stopped supervisor takes none.
    pub async fn order(&self, orders: Vec<Order>) {
        let _ = self.requests.send(Request::Orders(orders)).await;
    }

    /// What has changed since this was asked last: for one who keeps a copy of [`Live`].
    pub async fn changed(&self) -> Changed {
        let (reply, changed) = oneshot::channel();
        if self.requests.send(Request::Changed(reply)).await.is_err() {
            return Changed::default();
        }
        changed.await.unwrap_or_default()
    }

    /// What would keep a process from being started, known before the one that runs is ended for it.
    ///
    /// # Errors
    /// The failure that the start would end with.
    pub async fn rehearse(&self, instance: InstanceId, launch: Launch) -> Result<(), Failure> {
        let (reply, rehearsed) = oneshot::channel();
        let world = Arc::clone(&self.world);
        let work = Box::new(move || {
            // Who asked may have gone away.
            let _ = reply.send(processes::rehearse(&world, &instance, &launch));
        });
        // With too many spawns waiting nothing is known against it.
        let _ = self.world.spawners.submit(work);
        rehearsed.await.unwrap_or(Ok(()))
    }

    /// Runs the build command of an app, in its context; two at a time over all apps, one of each. Dropped before its end, it
    /// is killed.
    ///
    /// # Errors
    /// How it failed.
    pub fn build(
        &self,
        spec: Arc<App>,
        base: Arc<Environment>,
    ) -> impl Future<Output = Result<(), BuildFailed>> + Send + use<> {
        build::build(self.builders.clone(), self.world.home.clone(), spec, base)
    }

    /// The same before the first process starts: whoever starts the app meanwhile waits for the same build.
    ///
    /// # Errors
    /// How it failed.
    pub fn build_before_start(
        &self,
        spec: Arc<App>,
        base: Arc<Environment>,
    ) -> impl Future<Output = Result<(), BuildFailed>> + Send + use<> {
        build::build_before_start(self.builders.clone(), self.world.home.clone(), spec, base)
    }

    /// Tells what a sensor saw. A stopped supervisor does not want to know.
    pub async fn observed(&self, observation: Observation) {
        let _ = self.requests.send(Request::Observed(observation)).await;
    }

    /// Starts a probe by command beside a living process, in its context.
    /// `None`: that process is gone.
    ///
    /// # Errors
    /// Why it could not be started, in words.
    pub async fn run_probe(
        &self,
        instance: InstanceId,
        incarnation: u32,
        command: String,
    ) -> Option<Result<ProbeRun, String>> {
        let (reply, helper) = oneshot::channel();
        let tag = processes::ProbeTag::next();
        let command = (command, tag.suffix());
        self.requests.send(Request::Beside(instance, incarnation, command, reply)).await.ok()?;
        let helper = helper.await.ok()?;
        Some(helper.map(|helper| ProbeRun::new(helper, tag, Arc::clone(&self.world))))
    }

    /// When a process last said `WATCHDOG=1`.
    pub async fn last_watchdog_ping(&self, instance: InstanceId, incarnation: u32) -> Option<Moment> {
        let (reply, last_ping) = oneshot::channel();
        self.requests.send(Request::LastWatchdogPing(instance, incarnation, reply)).await.ok()?;
        last_ping.await.ok()?
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

    /// When the process of `start` (or the one before it) was started, and when the next one was, if there is one by now.
    pub async fn lifetime(
        &self,
        instance: InstanceId,
        start: WallTime,
        is_before: bool,
    ) -> Option<(WallTime, Option<WallTime>)> {
        let (reply, lifetime) = oneshot::channel();
        self.requests.send(Request::Lifetime(instance, start, is_before, reply)).await.ok()?;
        lifetime.await.ok()?
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

    /// Running copies that nobody can connect to at one of their addresses.
    pub fn unreachable(&self, live: &Live) -> Vec<InstanceId> {
        self.world.listeners.unreachable(live)
    }

    /// What is, now, with a look at whether anybody can connect to the sockets of apps.
    pub async fn live_with_sockets(&self) -> Arc<Live> {
        let live = self.live().await;
        let unreachable = self.unreachable(&live);
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

    /// What is, of the instances whose app is wanted, by the spec that they were started with or the one that they follow
    /// now; nothing is copied of the others.
    pub async fn look_at_apps(&self, is_wanted: fn(&App) -> bool) -> BTreeMap<InstanceId, LiveInstance> {
        let (reply, live) = oneshot::channel();
        if self.requests.send(Request::LookAtApps(is_wanted, reply)).await.is_err() {
            return BTreeMap::new();
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

    /// What may have been left by these instances, which have ended, and may be of others that live. True: something of
    /// them may live that nobody can find.
    pub async fn left_by(&self, instances: Vec<InstanceId>) -> (Vec<LeftProcess>, bool) {
        let (reply, left) = oneshot::channel();
        if self.requests.send(Request::LeftBy(instances, reply)).await.is_err() {
            return (Vec::new(), false);
        }
        left.await.unwrap_or_default()
    }

    /// For a shutdown, when all instances are stopped: ends whatever else is provably of this home. Returns what could
    /// not be ended; `None`: that could not be looked for.
    pub async fn end_everything(&self) -> Option<Vec<LeftProcess>> {
        let (reply, left) = oneshot::channel();
        self.requests.send(Request::EndEverything(reply)).await.ok()?;
        self.world.clusters.settled().await;
        tokio::time::timeout(LAST_SEARCH_MAX, left).await.ok()?.ok()
    }

    /// Writes into the standard input of these. Those that are gone are left out.
    pub async fn input(&self, instances: Vec<InstanceId>, text: Vec<u8>) -> Vec<(InstanceId, Result<(), NoInput>)> {
        let (reply, written) = oneshot::channel();
        if self.requests.send(Request::Input(instances, text, reply)).await.is_err() {
            return Vec::new();
        }
        written.await.unwrap_or_default()
    }

    /// Sends a signal to the main processes of these, and says which process each went to. Those that are gone are left out.
    pub async fn signal(&self, instances: Vec<InstanceId>, signal: i32) -> Vec<(InstanceId, Result<u32, Unsignalled>)> {
        let (reply, signalled) = oneshot::channel();
        if self.requests.send(Request::Signal(instances, signal, reply)).await.is_err() {
            return Vec::new();
        }
        signalled.await.unwrap_or_default()
    }

    /// Says a line of JSON to these, on their channels. Those that are gone are left out.
    pub async fn say(&self, instances: Vec<InstanceId>, line: String) -> Vec<(InstanceId, Result<(), NotSaid>)> {
        let (reply, sayings) = oneshot::channel();
        if self.requests.send(Request::Say(instances, line, reply)).await.is_err() {
            return Vec::new();
        }
        let mut said = Vec::new();
        for (instance, saying) in sayings.await.unwrap_or_default() {
            let outcome = match saying {
                Saying::Known(outcome) => outcome,
                // Without an answer its channel was closed in this moment.
                Saying::Asked(answer) => answer.await.unwrap_or(Err(NotSaid::NoChannel)),
            };
            said.push((instance, outcome));
        }
        said
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
