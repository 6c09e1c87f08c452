//! Processes replaced by new ones: the new one first where both can run, a few slots at a time, and back if it fails.

use std::sync::Arc;
use std::time::Duration;

use super::OperationResult;
use super::execute::Execution;
use super::perform::ALIVE_FOR;
use crate::model::{
    App, AppId, AppName, Cause, Change, Declared, Failure, InstanceId, Live, Millis, Plan, ProjectName, UpdateStrategy,
    Verb,
};
use crate::supervisor::{Launch, Order, Outcome, Task};

/// One replacement that failed: the slots that run the new form by now, and why it ends here.
struct Failed {
    replaced: Vec<u32>,
    why: OperationResult,
}

impl Execution {
    /// A few slots at a time; the next ones only when these are good and stay so. If one fails, all go back.
    pub(super) async fn roll(&self, app: &AppName, slots: &[u32], manner: UpdateStrategy) -> OperationResult {
        let Some(declared) = self.declared(app) else { return OperationResult::Superseded };
        match self.roll_all(app, slots, manner, &declared.spec).await {
            Ok(()) => OperationResult::Done,
            Err(failed) => self.go_back(app, failed, manner).await,
        }
    }

    async fn roll_all(&self, app: &AppName, slots: &[u32], manner: UpdateStrategy, spec: &App) -> Result<(), Failed> {
        let mut replaced = Vec::new();
        for some in slots.chunks(at_once(spec, manner)) {
            let result = match manner {
                UpdateStrategy::Rolling => self.overlap(app, some, spec).await,
                UpdateStrategy::Restart => {
                    let restarted = self.restart_some(app, some).await;
                    if restarted == OperationResult::Done {
                        self.stay_good(&self.instances(app, some), spec.update.min_healthy_time.duration()).await
                    } else {
                        restarted
                    }
                }
            };
            if manner == UpdateStrategy::Restart || result == OperationResult::Done {
                replaced.extend_from_slice(some);
            }
            if result != OperationResult::Done {
                return Err(Failed { replaced, why: result });
            }
        }
        Ok(())
    }

    /// New processes as soon as possible, a few slots at a time.
    pub(super) async fn restart(&self, app: &AppName, slots: &[u32]) -> OperationResult {
        let Some(declared) = self.declared(app) else { return OperationResult::Superseded };
        for some in slots.chunks(at_once(&declared.spec, UpdateStrategy::Restart)) {
            let restarted = self.restart_some(app, some).await;
            if restarted != OperationResult::Done {
                return restarted;
            }
        }
        OperationResult::Done
    }

    async fn restart_some(&self, app: &AppName, slots: &[u32]) -> OperationResult {
        let restarted = self.all(app, slots, |slot| self.launch(app, slot).map(Task::Restart)).await;
        if restarted != OperationResult::Done || self.has_said_ready(app) {
            return restarted;
        }
        self.stay_good(&self.instances(app, slots), ALIVE_FOR).await
    }

    /// The new processes are good, and stay so, before the old ones are asked to end. If they are not, the old ones
    /// never noticed.
    async fn overlap(&self, app: &AppName, slots: &[u32], spec: &App) -> OperationResult {
        let successors: Vec<_> = self.instances(app, slots).into_iter().map(InstanceId::successor).collect();
        let deadline = spec.update.healthy_deadline.map_or(Duration::MAX, Millis::duration);
        let good = tokio::time::timeout(deadline, self.bring_up(app, &successors, spec));
        let good = match good.await {
            Ok(good) => good,
            Err(_) => {
                let after = spec.update.healthy_deadline.unwrap_or_default();
                let failure = Failure::NotReady { after, last: None };
                self.failed(successors[0].clone(), Some(failure)).await
            }
        };
        if good != OperationResult::Done {
            self.discard_successors(app, slots).await;
            return good;
        }
        let gone = self.all(app, slots, |_| Some(Task::Delete(self.cause.clone()))).await;
        if gone != OperationResult::Done {
            self.discard_successors(app, slots).await;
            return gone;
        }
        let id = self.id(app);
        self.all(app, slots, |slot| Some(Task::Rename(id.instance(slot).successor(), self.launch(app, slot)?))).await
    }

    async fn bring_up(&self, app: &AppName, successors: &[InstanceId], spec: &App) -> OperationResult {
        for successor in successors {
            let Some(launch) = self.launch(app, successor.slot) else { return OperationResult::Superseded };
            let order = Order { instance: successor.clone(), task: Task::Start(launch) };
            match self.surroundings.supervisor.order(order).await {
                Outcome::Done => {}
                Outcome::Failed(failure) => return self.failed(successor.clone(), Some(failure)).await,
                Outcome::Superseded => return OperationResult::Superseded,
            }
        }
        let time = spec.update.min_healthy_time.duration();
        let time = if self.has_said_ready(app) { time } else { time.max(ALIVE_FOR) };
        let good = self.stay_good(successors, time).await;
        // While they were looked at, somebody may have asked for something else.
        if good == OperationResult::Done && self.declared(app).is_none() { OperationResult::Superseded } else { good }
    }

    /// What failed goes back to the form before, declared and running, unless the file does not want that, somebody
    /// else took over, or there is no other form to go back to.
    async fn go_back(&self, app: &AppName, failed: Failed, manner: UpdateStrategy) -> OperationResult {
        let OperationResult::Failed { instance, failure, exit, last_lines, .. } = failed.why else {
            return failed.why;
        };
        let is_reverted = match self.form_before(app) {
            Some(before) => self.revert(app, &before, &failed.replaced, manner).await,
            None => false,
        };
        OperationResult::Failed { instance: instance.settled(), failure, exit, last_lines, is_reverted }
    }

    /// The last form of the app, if it differs from the one that failed.
    fn form_before(&self, app: &AppName) -> Option<Declared> {
        let new = self.declared(app).filter(|new| new.spec.update.auto_revert)?;
        let before = self.before.projects.get(&self.project)?.apps.get(app)?;
        (before.digest != new.digest).then(|| before.clone())
    }

    async fn revert(&self, app: &AppName, before: &Declared, replaced: &[u32], manner: UpdateStrategy) -> bool {
        let declared = Box::new(before.clone());
        let change = Change::App { project: self.project.clone(), name: app.clone(), declared };
        if self.amend(vec![change]).await.is_err() {
            return false;
        }
        let old = |slot| Launch {
            epoch: before.epoch_of(slot),
            spec: Arc::clone(&before.spec),
            digest: before.digest,
            base: Arc::clone(&before.base),
            base_digest: before.base_digest,
            cause: Cause::Revert,
        };
        let mut is_done = true;
        for some in replaced.chunks(at_once(&before.spec, manner)) {
            is_done &= self.all(app, some, |slot| Some(Task::Restart(old(slot)))).await == OperationResult::Done;
        }
        is_done
    }

    /// Ends new processes that are not to take their slots over.
    pub(super) async fn discard_successors(&self, app: &AppName, slots: &[u32]) {
        let live = self.surroundings.supervisor.live().await;
        let successors = self.instances(app, slots).into_iter().map(InstanceId::successor);
        for instance in successors.filter(|instance| live.instances.contains_key(instance)) {
            let task = Task::Delete(self.cause.clone());
            self.surroundings.supervisor.order(Order { instance, task }).await;
        }
    }

    fn instances(&self, app: &AppName, slots: &[u32]) -> Vec<InstanceId> {
        let id = self.id(app);
        slots.iter().map(|slot| id.instance(*slot)).collect()
    }

    fn id(&self, app: &AppName) -> AppId {
        AppId::new(self.project.clone(), app.clone())
    }
}

/// How many slots are replaced side by side.
fn at_once(spec: &App, manner: UpdateStrategy) -> usize {
    let most = match manner {
        UpdateStrategy::Rolling => spec.update.max_surge,
        UpdateStrategy::Restart => spec.update.max_unavailable,
    };
    usize::try_from(most).unwrap_or(usize::MAX).max(1)
}

/// Successors that no roll of the plan will make use of.
pub(super) fn strays(project: &ProjectName, plan: &Plan, live: &Live) -> Vec<InstanceId> {
    let is_rolled = |id: &InstanceId| {
        plan.operations.iter().any(|operation| {
            operation.app == id.app.name
                && matches!(&operation.verb, Verb::Roll { slots, .. } if slots.contains(&id.slot))
        })
    };
    let successors = live.instances.keys().filter(|id| id.is_successor && id.app.project == *project);
    successors.filter(|id| !is_rolled(id)).cloned().collect()
}
