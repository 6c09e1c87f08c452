//! The one loop that changes Desired: it takes intents, live changes and timers one by one; after each, a pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::reports::Reports;
use super::{Acted, Intent, StoreHandle, Waiting};
use crate::events::Events;
use crate::model::{AppId, Cause, Change, Desired, Failure, InstanceId, Live, Moment, Plan, ProjectName, WallTime};
use crate::os::{self, Home, Worker};
use crate::plan::{self, Jobs};
use crate::supervisor::Supervisor;

/// How often Desired and Live are compared although nothing woke the loop.
const SLOW_TIMER: Duration = Duration::from_secs(30);

/// Between two looks at the live state, while an app follows the renewals of what it depends on.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// How long nothing is carried out before unused memory is given back: whoever works has it back at once.
const TIDY_UP_AFTER: Duration = Duration::from_secs(1);

/// The rooms that the reconciler works with.
#[derive(Clone, Debug)]
pub struct ReconcilerDeps {
    /// Takes the orders.
    pub supervisor: Supervisor,
    /// Is told what was accepted.
    pub events: Events,
    /// Where logs are.
    pub home: Home,
    /// Reads them.
    pub reader: Worker,
}

/// What has changed since the last pass.
#[derive(Debug, Default)]
pub(super) struct DirtyApps {
    pub(super) apps: BTreeSet<AppId>,
    /// Something was accepted: the next pass looks at everything.
    pub(super) is_all: bool,
}

/// The reconciler's own memory; it belongs to one task. Nothing in it has to outlive the daemon.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) desired: watch::Sender<Arc<Desired>>,
    pub(super) store: StoreHandle,
    pub(super) deps: ReconcilerDeps,
    intents: mpsc::Receiver<Intent>,
    /// For work that is done elsewhere and comes back; weak, so that it does not keep the loop alive.
    pub(super) inbox: mpsc::WeakSender<Intent>,
    /// Everything was stopped for good: no wake-up starts anything any more.
    pub(super) is_leaving: bool,
    /// Plans that are being carried out.
    pub(super) jobs: Jobs,
    /// What those are told who wait for one.
    pub(super) reports: Reports,
    /// Some app is restarted together with what it depends on.
    pub(super) follows_renewals: bool,
    /// What is, as of the last look.
    pub(super) live: Live,
    /// Starts of which a rehearsal has found that they cannot succeed, by the number of their order.
    pub(super) unstartable: BTreeMap<InstanceId, (u64, Failure)>,
    /// What the next pass has to look at.
    pub(super) dirty: DirtyApps,
    /// When the next pass is due, whatever happens until then.
    pub(super) pass_at: Option<Moment>,
    /// What a pass wants kept and could not be written.
    pub(super) unkept: Vec<Change>,
    /// What was taken down although it could not be written: tried again with whatever is kept next.
    pub(super) unremembered: Vec<Change>,
    /// Apps whose start waits for another app.
    pub(super) waiting: watch::Sender<Arc<Waiting>>,
    /// Apps that a sensor asked to restart while they were being worked on: one more time for each.
    pub(super) triggered: BTreeMap<AppId, (Cause, Option<Acted>)>,
    /// Timed tasks with a run that was due while the last one went on: it follows.
    pub(super) queued: BTreeMap<AppId, WallTime>,
    /// What the last wake-up found for a project after a job of it had ended; the same again would lead nowhere.
    pub(super) woken: BTreeMap<ProjectName, Plan>,
}

impl Loop {
    pub fn new(
        desired: Desired,
        store: StoreHandle,
        deps: ReconcilerDeps,
        intents: mpsc::Receiver<Intent>,
        inbox: mpsc::WeakSender<Intent>,
    ) -> Self {
        Self {
            follows_renewals: desired.follows_renewals(),
            desired: watch::Sender::new(Arc::new(desired)),
            store,
            deps,
            intents,
            inbox,
            is_leaving: false,
            jobs: Jobs::default(),
            reports: Reports::default(),
            live: Live::default(),
            unstartable: BTreeMap::new(),
            dirty: DirtyApps::default(),
            pass_at: None,
            unkept: Vec::new(),
            unremembered: Vec::new(),
            waiting: watch::Sender::default(),
            triggered: BTreeMap::new(),
            queued: BTreeMap::new(),
            woken: BTreeMap::new(),
        }
    }

    pub fn desired_changes(&self) -> watch::Receiver<Arc<Desired>> {
        self.desired.subscribe()
    }

    pub fn waiting_changes(&self) -> watch::Receiver<Arc<Waiting>> {
        self.waiting.subscribe()
    }

    /// Runs until every handle is gone.
    pub async fn run(mut self) {
        let mut lives = self.deps.supervisor.changes();
        let mut timer = tokio::time::interval(SLOW_TIMER);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut wake_at: Option<Instant> = None;
        let mut dependents_at = None;
        let (mut tidy_up_at, mut jobs_seen) = (None, self.jobs.count());
        loop {
            tokio::select! {
                intent = self.intents.recv() => match intent {
                    Some(intent) => self.take(intent).await,
                    None => return,
                },
                _ = timer.tick() => self.wake().await,
                Ok(()) = lives.changed() => {
                    self.look().await;
                    if self.follows_renewals {
                        wake_at.get_or_insert_with(|| Instant::now() + LOOK_AGAIN_AFTER);
                    }
                    dependents_at = skipped_could_start_at(&self);
                }
                () = at(wake_at), if wake_at.is_some() => {
                    wake_at = None;
                    self.wake().await;
                }
                () = until(dependents_at), if dependents_at.is_some() => {
                    dependents_at = None;
                    self.wake().await;
                }
                () = until(self.pass_at), if self.pass_at.is_some() => {}
                () = at(tidy_up_at), if tidy_up_at.is_some() => {
                    tidy_up_at = None;
                    os::give_memory_back();
                }
            }
            let was_busy = !self.jobs.is_empty();
            self.pass().await;
            if was_busy && self.jobs.is_empty() {
                dependents_at = skipped_could_start_at(&self);
            }
            self.take_queued_runs().await;
            self.take_waiting_triggers().await;
            if !self.jobs.is_empty() || self.jobs.count() != jobs_seen {
                (tidy_up_at, jobs_seen) = (Some(Instant::now() + TIDY_UP_AFTER), self.jobs.count());
            }
        }
    }

    /// Brings the own copy of the live state up to date.
    pub(super) async fn look(&mut self) {
        let changed = self.deps.supervisor.changed().await;
        for (id, live) in changed.instances {
            self.dirty.apps.insert(id.app.clone());
            match live {
                Some(live) => drop(self.live.instances.insert(id, live)),
                None => drop(self.live.instances.remove(&id)),
            }
        }
        self.live.refused = changed.refused;
        self.live.refused.extend(self.unstartable.clone());
    }

    pub(super) fn current(&self) -> Arc<Desired> {
        Arc::clone(&self.desired.borrow())
    }
}

async fn at(moment: Option<Instant>) {
    tokio::time::sleep_until(moment.unwrap_or_else(Instant::now)).await;
}

async fn until(at: Option<Moment>) {
    let left = at.map_or(Duration::ZERO, |at| at.since(os::now()).duration());
    tokio::time::sleep(left).await;
}

/// When a look would start something that was skipped. Whatever jobs work on is theirs.
fn skipped_could_start_at(state: &Loop) -> Option<Moment> {
    if state.jobs.is_empty() { plan::dependent_could_start_at(&state.current(), &state.live) } else { None }
}
