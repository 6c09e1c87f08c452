//! Processes replaced by new ones: the new one first where both can run, a few slots at a time, and back if it fails.

use std::sync::Arc;
use std::time::Duration;

use super::OperationResult;
use super::execute::Execution;
use super::perform::ALIVE_FOR;
use super::rollouts::Entered;
use crate::model::{
    App, AppName, Cause, Change, Declared, Failure, InstanceId, Live, LiveInstance, Millis, Operation, Plan,
    ProjectName, Reason, UpdateStrategy, Verb,
};
use crate::os;
use crate::supervisor::{Launch, Task};

/// One replacement that failed: the slots that run the new form by now, and why it ends here.
struct Failed {
    replaced: Vec<u32>,
    why: OperationResult,
}

impl Execution {
    /// A few slots at a time; the next ones only when these are good and stay so. If one fails, all go back. One roll
    /// of an app at a time: what another one has done since the plan was made is not done again.
    pub(super) async fn roll(&self, operation: &Operation, slots: &[u32], manner: UpdateStrategy) -> OperationResult {
        let app = &operation.app;
        let rollout = self.rollouts.begin(self.id(app), slots, manner).await;
        let Some(declared) = self.declared(app) else { return OperationResult::Superseded };
        let slots = self.left_by_others(operation, &declared, slots).await;
        match self.roll_all(app, &slots, manner, &declared.spec, &rollout).await {
            Ok(()) => OperationResult::Done,
            Err(failed) => self.go_back(app, failed, manner).await,
        }
    }

    /// The slots whose process is not of the declared form. A process that only follows the renewal of another app is
    /// of that form and meant all the same.
    async fn left_by_others(&self, operation: &Operation, declared: &Declared, slots: &[u32]) -> Vec<u32> {
        let is_renewal = |reason: &Reason| matches!(reason, Reason::DependencyRestarted { .. });
        if operation.reasons.iter().any(is_renewal) {
            return slots.to_vec();
        }
        let id = self.id(&operation.app);
        let now = self.surroundings.supervisor.look(self.instances(&operation.app, slots)).await;
        let is_done = |slot: u32| {
            let live = now.instances.get(&id.instance(slot));
            live.is_some_and(|live| live.phase.is_alive() && is_of_form(live, declared, slot))
        };
        slots.iter().copied().filter(|slot| !is_done(*slot)).collect()
    }

    async fn roll_all(
        &self,
        app: &AppName,
        slots: &[u32],
        manner: UpdateStrategy,
        spec: &App,
        rollout: &Entered,
    ) -> Result<(), Failed> {
        let mut replaced = Vec::new();
        for some in slots.chunks(at_once(spec, manner)) {
            if !rollout.may_go_on().await {
                let why = self.failed(self.id(app).instance(some[0]), Some(Failure::Aborted)).await;
                return Err(Failed { replaced, why });
            }
            let result = match manner {
                UpdateStrategy::Rolling => self.overlap(app, some, spec).await,
                UpdateStrategy::Restart => self.in_time(app, some, spec, self.replace_in_place(app, some, spec)).await,
            };
            if manner == UpdateStrategy::Restart || result == OperationResult::Done {
                replaced.extend_from_slice(some);
                rollout.replaced(some);
            }
            if result != OperationResult::Done {
                return Err(Failed { replaced, why: result });
            }
        }
        Ok(())
    }

    async fn replace_in_place(&self, app: &AppName, slots: &[u32], spec: &App) -> OperationResult {
        let restarted = self.restart_some(app, slots).await;
        if restarted != OperationResult::Done {
            return restarted;
        }
        self.stay_good(&self.instances(app, slots), spec.update.min_healthy_time.duration()).await
    }

    /// Bounds one step by `healthy_deadline`, and ends it as soon as a later command wants something else.
    async fn in_time(
        &self,
        app: &AppName,
        slots: &[u32],
        spec: &App,
        step: impl Future<Output = OperationResult>,
    ) -> OperationResult {
        let deadline = spec.update.healthy_deadline.map_or(Duration::MAX, Millis::duration);
        tokio::select! {
            result = step => result,
            () = self.is_superseded(app) => OperationResult::Superseded,
            () = tokio::time::sleep(deadline) => {
                let after = spec.update.healthy_deadline.unwrap_or_default();
                let failure = Failure::NotReady { after, last: None };
                self.failed(self.id(app).instance(slots[0]), Some(failure)).await
            }
        }
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

    /// Resolves when a later command wants something else of the app.
    async fn is_superseded(&self, app: &AppName) {
        let mut desired = self.desired.clone();
        while self.declared(app).is_some() && desired.changed().await.is_ok() {}
    }

    /// The new processes are good, and stay so, before the old ones are asked to end. If they are not, the old ones
    /// never noticed.
    async fn overlap(&self, app: &AppName, slots: &[u32], spec: &App) -> OperationResult {
        let good = self.in_time(app, slots, spec, self.bring_up(app, slots, spec)).await;
        if good != OperationResult::Done {
            self.discard_successors(app, slots).await;
            return good;
        }
        let gone = self.all(app, slots, |_| Some(Task::Delete(self.cause.clone()))).await;
        if gone != OperationResult::Done {
            self.discard_successors(app, slots).await;
            return gone;
        }
        os::killpoint("roll.vacated");
        self.each(self.successors(app, slots), |_| Some(Task::TakeOver)).await
    }

    async fn bring_up(&self, app: &AppName, slots: &[u32], spec: &App) -> OperationResult {
        self.discard_other_forms(app, slots).await;
        let successors = self.successors(app, slots);
        let started = self.each(successors.clone(), |slot| self.launch(app, slot).map(Task::Start)).await;
        if started != OperationResult::Done {
            return started;
        }
        let time = spec.update.min_healthy_time.duration();
        let time = if self.has_said_ready(app) { time } else { time.max(ALIVE_FOR) };
        self.stay_good(&successors, time).await
    }

    /// A daemon that died may have left new processes of a form that is not wanted any more.
    async fn discard_other_forms(&self, app: &AppName, slots: &[u32]) {
        let Some(declared) = self.declared(app) else { return };
        let left = self.surroundings.supervisor.look(self.successors(app, slots)).await;
        let others = left.instances.iter().filter(|(id, live)| !is_of_form(live, &declared, id.slot));
        let slots: Vec<u32> = others.map(|(id, _)| id.slot).collect();
        self.discard_successors(app, &slots).await;
    }

    /// What failed goes back to the form before, declared and running, unless the file does not want that, somebody
    /// else took over, or there is no other form to go back to.
    async fn go_back(&self, app: &AppName, failed: Failed, manner: UpdateStrategy) -> OperationResult {
        let OperationResult::Failed { instance, failure, exit, last_lines, .. } = failed.why else {
            return failed.why;
        };
        let is_wanted = failure == Some(Failure::Aborted) || self.wants_revert(app);
        let is_reverted = match self.form_before(app).filter(|_| is_wanted) {
            Some(before) => self.revert(app, &before, &failed.replaced, manner).await,
            None => false,
        };
        OperationResult::Failed { instance: instance.settled(), failure, exit, last_lines, is_reverted }
    }

    fn wants_revert(&self, app: &AppName) -> bool {
        self.declared(app).is_some_and(|declared| declared.spec.update.auto_revert)
    }

    /// The last form of the app, if it differs from the one that failed.
    fn form_before(&self, app: &AppName) -> Option<Declared> {
        let new = self.declared(app)?;
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
        let left = self.surroundings.supervisor.look(self.successors(app, slots)).await;
        let _ = self.each(left.instances.into_keys().collect(), |_| Some(Task::Delete(self.cause.clone()))).await;
    }

    fn successors(&self, app: &AppName, slots: &[u32]) -> Vec<InstanceId> {
        self.instances(app, slots).into_iter().map(InstanceId::successor).collect()
    }
}

/// Whether a process was started from what is declared now.
fn is_of_form(live: &LiveInstance, declared: &Declared, slot: u32) -> bool {
    live.epoch >= declared.epoch_of(slot) && live.spec.run == declared.spec.run
}

/// How many slots are replaced side by side.
fn at_once(spec: &App, manner: UpdateStrategy) -> usize {
    let most = match manner {
        UpdateStrategy::Rolling => spec.update.max_surge,
        UpdateStrategy::Restart => spec.update.max_unavailable,
    };
    usize::try_from(most).unwrap_or(usize::MAX).max(1)
}

/// Successors that no roll of the plan will make use of. One whose slot has nobody else is no stray.
pub(super) fn strays(project: &ProjectName, plan: &Plan, live: &Live) -> Vec<InstanceId> {
    let is_rolled = |id: &InstanceId| {
        plan.operations.iter().any(|operation| {
            operation.app == id.app.name
                && matches!(&operation.verb, Verb::Roll { slots, .. } if slots.contains(&id.slot))
        })
    };
    let is_beside = |id: &&InstanceId| live.instances.contains_key(&InstanceId::clone(id).settled());
    let successors = live.instances.keys().filter(|id| id.is_successor && id.app.project == *project);
    let successors = successors.filter(is_beside);
    successors.filter(|id| !is_rolled(id)).cloned().collect()
}
