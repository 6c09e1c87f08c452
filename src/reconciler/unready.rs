//! Says of whom an operation waits to be ready, and why that is not so yet; and that a person holds it up.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use super::Progress;
use super::execute::Execution;
use crate::model::{AppName, HookUnderWay, InstanceId, LiveInstance, Operation, Phase, Readiness, Verb};

/// Most processes are ready before anybody could read it.
const SHOW_AFTER: Duration = Duration::from_secs(1);
/// The shortest time between two looks.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

impl Execution {
    /// Tells what holds an operation up, while it is carried out.
    pub(super) async fn show(&self, operation: &Operation) -> Infallible {
        let (app, verb) = (&operation.app, &operation.verb);
        tokio::select! {
            never = self.show_unready(app, verb.new_processes()), if self.may_be_unready(app) => never,
            never = self.show_pause(app), if matches!(verb, Verb::Roll { .. } | Verb::Restart { .. }) => never,
            else => std::future::pending().await,
        }
    }

    /// Tells each reason once, while these slots come up.
    pub(super) async fn show_unready(&self, app: &AppName, slots: &[u32]) -> Infallible {
        tokio::time::sleep(SHOW_AFTER).await;
        let instances = self.instances(app, slots);
        let instances: Vec<_> = instances.iter().cloned().map(InstanceId::successor).chain(instances.clone()).collect();
        let mut changes = self.surroundings.supervisor.changes();
        let mut told: BTreeMap<InstanceId, String> = BTreeMap::new();
        loop {
            changes.borrow_and_update();
            let live = self.surroundings.supervisor.look(instances.clone()).await;
            for (instance, live) in &live {
                let Some(why) = not_ready(live).filter(|why| told.get(instance) != Some(why)) else { continue };
                told.insert(instance.clone(), why.clone());
                let instance = instance.clone().settled();
                // Nobody may be listening any more.
                let _ = self.progress.send(Progress::Unready { instance, why });
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// Tells that the rolling update which an operation is, or stands behind, is paused.
    async fn show_pause(&self, app: &AppName) -> Infallible {
        let id = self.id(app);
        loop {
            self.rollouts.is_paused(&id, true).await;
            // Nobody may be listening any more.
            let _ = self.progress.send(Progress::Paused { app: app.clone() });
            self.rollouts.is_paused(&id, false).await;
        }
    }
}

/// What holds a process up that is not ready yet: a hook, or what its last probe found, with what it says of itself.
fn not_ready(live: &LiveInstance) -> Option<String> {
    if let Some(HookUnderWay { hook, limit, .. }) = live.hook {
        return Some(format!("its hook `{}` has not ended (it may take {limit})", hook.word()));
    }
    match (&live.phase, &live.status) {
        (Phase::Running { readiness: Readiness::Waiting { last: Some(last), .. }, .. }, Some(says)) => {
            Some(format!("{last} (says: {says})"))
        }
        (Phase::Running { readiness: Readiness::Waiting { last, .. }, .. }, _) => last.clone(),
        _ => None,
    }
}
