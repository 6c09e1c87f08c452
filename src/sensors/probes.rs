//! Follows the live state, and keeps one task for every process that has a probe.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::SensorDeps;
use super::address::Listeners;
use super::probe::{ProbeSubject, Task};
use crate::model::{App, InstanceId, LiveInstance, Moment, Phase, Readiness};
use crate::os;

/// Probes in progress at one time; the others wait for their turn.
const AT_ONCE_MAX: usize = 64;
/// The shortest time between two looks at the live state: a thousand apps that start tick a thousand times.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(3);

/// What all probes share.
pub(super) struct Tools {
    pub deps: SensorDeps,
    /// Who listens where.
    pub listeners: Listeners,
    /// Probes that may be in progress at once.
    pub turns: Semaphore,
    /// What the places of the probes of health in their intervals are counted from.
    pub began: Instant,
    /// How many processes are being tried because they are not ready yet.
    pub waiting: AtomicUsize,
}

/// One process that is asked.
struct Asked {
    incarnation: u32,
    stage: ProbeStage,
    spec: Arc<App>,
    task: AbortHandle,
}

/// What its probe is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ProbeStage {
    Ready,
    Health,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs until the supervisor is gone. Nothing happens here while nothing changes.
pub(super) async fn follow(deps: SensorDeps) {
    let mut changes = deps.supervisor.changes();
    let tools = Arc::new(Tools {
        deps,
        listeners: Listeners::default(),
        turns: Semaphore::new(AT_ONCE_MAX),
        began: Instant::now(),
        waiting: AtomicUsize::new(0),
    });
    let mut asked: BTreeMap<InstanceId, Asked> = BTreeMap::new();
    loop {
        changes.borrow_and_update();
        let live = tools.deps.supervisor.look_at_apps(|app| app.ready.is_some() || app.health.is_some()).await;
        asked.retain(|id, _| live.get(id).is_some_and(|live| stage(live).is_some()));
        for (id, live) in &live {
            let Some((stage, process)) = stage(live) else { continue };
            let known = asked.get(id);
            if known.is_some_and(|known| known.asks(stage, live)) {
                continue;
            }
            let was_waiting =
                known.is_some_and(|known| known.stage == ProbeStage::Ready && known.incarnation == live.incarnation);
            let task = start(&tools, id, live, stage, process, was_waiting);
            let (incarnation, spec) = (live.incarnation, Arc::clone(&live.spec));
            asked.insert(id.clone(), Asked { incarnation, stage, spec, task });
        }
        let waiting = asked.values().filter(|asked| asked.stage == ProbeStage::Ready).count();
        tools.waiting.store(waiting, Ordering::Relaxed);
        if changes.changed().await.is_err() {
            return;
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
}

impl Asked {
    /// Whether this is what an instance needs now.
    fn asks(&self, stage: ProbeStage, live: &LiveInstance) -> bool {
        let is_same_spec = Arc::ptr_eq(&self.spec, &live.spec)
            || match stage {
                ProbeStage::Ready => self.spec.ready == live.spec.ready,
                ProbeStage::Health => self.spec.health == live.spec.health,
            };
        self.incarnation == live.incarnation && self.stage == stage && is_same_spec
    }
}

/// What an instance is asked now, and which process: its number and since when it runs.
fn stage(live: &LiveInstance) -> Option<(ProbeStage, (u32, Moment))> {
    let Phase::Running { pid, since, readiness } = &live.phase else { return None };
    let stage = match readiness {
        Readiness::Waiting { .. } if live.spec.ready.is_some() => ProbeStage::Ready,
        Readiness::Ready | Readiness::Failing { .. } if live.spec.health.is_some() => ProbeStage::Health,
        Readiness::Waiting { .. } | Readiness::Ready | Readiness::Failing { .. } => return None,
    };
    Some((stage, (*pid, *since)))
}

fn start(
    tools: &Arc<Tools>,
    id: &InstanceId,
    live: &LiveInstance,
    stage: ProbeStage,
    (pid, since): (u32, Moment),
    was_waiting: bool,
) -> AbortHandle {
    let spec = &live.spec;
    let subject = ProbeSubject {
        instance: id.clone(),
        incarnation: live.incarnation,
        pid,
        since,
        started: live.started.unwrap_or_default(),
        spec: Arc::clone(spec),
    };
    let task = Task { tools: Arc::clone(tools), subject };
    match (stage, spec.ready.clone(), spec.health.clone()) {
        (ProbeStage::Ready, Some(ready), _) => tokio::spawn(task.until_ready(ready)).abort_handle(),
        (ProbeStage::Health, _, Some(health)) => {
            // One that an earlier daemon saw becoming ready: that was at its start at the earliest.
            let good_since = if was_waiting || spec.ready.is_none() { os::now().max(since) } else { since };
            let is_failing = matches!(&live.phase, Phase::Running { readiness: Readiness::Failing { .. }, .. });
            tokio::spawn(task.watch_health(health, good_since, is_failing)).abort_handle()
        }
        (ProbeStage::Ready | ProbeStage::Health, ..) => tokio::spawn(async {}).abort_handle(),
    }
}
