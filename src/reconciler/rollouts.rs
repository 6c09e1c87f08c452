//! The rolling updates that are under way, and what people want of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::model::{AppId, Update, UpdateStrategy};

/// One rolling update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The app.
    pub app: AppId,
    /// Slots that have been replaced.
    pub done: Vec<u32>,
    /// Slots that have not, those that are being replaced now included.
    pub left: Vec<u32>,
    /// Which process comes first.
    pub manner: UpdateStrategy,
    /// Whether it goes on.
    pub will: RolloutWill,
}

/// What is wanted of a rolling update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RolloutWill {
    /// Go on.
    Go,
    /// Begin no further slot.
    Pause,
    /// Go back.
    Abort,
}

/// All of them, shared by the loop and the executions; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Rollouts(watch::Sender<BTreeMap<AppId, Rollout>>);

impl Rollouts {
    /// What is under way, by app.
    pub fn all(&self) -> Vec<Rollout> {
        self.0.borrow().values().cloned().collect()
    }

    /// Says what is wanted of one. False: there is none, or it is going back already.
    pub fn want(&self, app: &AppId, will: RolloutWill) -> bool {
        self.0.send_if_modified(|all| match all.get_mut(app) {
            Some(rollout) if rollout.will != RolloutWill::Abort => {
                rollout.will = will;
                true
            }
            Some(_) | None => false,
        })
    }

    /// Whether one is under way and not going back yet.
    pub fn is_open(&self, app: &AppId) -> bool {
        self.0.borrow().get(app).is_some_and(|rollout| rollout.will != RolloutWill::Abort)
    }

    /// Waits until a person has paused the one of an app, or until nobody has any more.
    pub async fn is_paused(&self, app: &AppId, is_paused: bool) {
        let mut changes = self.0.subscribe();
        let is_held =
            |all: &BTreeMap<AppId, Rollout>| all.get(app).is_some_and(|rollout| rollout.will == RolloutWill::Pause);
        // The sender is ours.
        let _ = changes.wait_for(|all| is_held(all) == is_paused).await;
    }

    /// Enters one, when no other one of the app is under way any more; it is forgotten with the handle.
    pub async fn begin(
        &self,
        app: AppId,
        slots: &[u32],
        manner: UpdateStrategy,
        will: impl Fn() -> RolloutWill,
    ) -> Entered {
        let mut changes = self.0.subscribe();
        loop {
            let is_entered = self.0.send_if_modified(|all| {
                let is_free = !all.contains_key(&app);
                all.entry(app.clone()).or_insert_with(|| Rollout {
                    app: app.clone(),
                    done: Vec::new(),
                    left: slots.to_vec(),
                    manner,
                    will: will(),
                });
                is_free
            });
            // The sender is ours: the wait ends only because the other one has.
            if is_entered || changes.wait_for(|all| !all.contains_key(&app)).await.is_err() {
                return Entered { rollouts: self.0.clone(), app };
            }
        }
    }
}

/// A rolling update that is entered in the list.
pub(super) struct Entered {
    rollouts: watch::Sender<BTreeMap<AppId, Rollout>>,
    app: AppId,
}

impl RolloutWill {
    /// What was wanted when it was last kept.
    pub(super) fn of(update: &Update) -> Self {
        match update {
            Update { is_aborted: true, .. } => Self::Abort,
            Update { is_paused: true, .. } => Self::Pause,
            _ => Self::Go,
        }
    }
}

impl Entered {
    /// What is wanted of it now.
    pub fn will(&self) -> RolloutWill {
        self.rollouts.borrow().get(&self.app).map_or(RolloutWill::Go, |rollout| rollout.will)
    }

    /// Waits as long as it is paused.
    pub async fn may_go_on(&self) {
        self.until(|will| will != RolloutWill::Pause).await;
    }

    /// Waits until it is to go back.
    pub async fn is_aborted(&self) {
        self.until(|will| will == RolloutWill::Abort).await;
    }

    async fn until(&self, is_so: impl Fn(RolloutWill) -> bool) {
        let will = |all: &BTreeMap<AppId, Rollout>| all.get(&self.app).map_or(RolloutWill::Go, |rollout| rollout.will);
        let mut changes = self.rollouts.subscribe();
        // The sender is ours.
        let _ = changes.wait_for(|all| is_so(will(all))).await;
    }

    /// Of what is left, the rest was stopped meanwhile.
    pub fn keep_only(&self, slots: &[u32]) {
        self.rollouts.send_if_modified(|all| {
            let Some(rollout) = all.get_mut(&self.app) else { return false };
            let before = rollout.left.len();
            rollout.left.retain(|slot| slots.contains(slot));
            rollout.left.len() < before
        });
    }

    /// Some slots were replaced.
    pub fn replaced(&self, slots: &[u32]) {
        self.rollouts.send_modify(|all| {
            if let Some(rollout) = all.get_mut(&self.app) {
                rollout.left.retain(|slot| !slots.contains(slot));
                rollout.done.extend_from_slice(slots);
            }
        });
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.rollouts.send_modify(|all| drop(all.remove(&self.app)));
    }
}
