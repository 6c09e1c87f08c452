//! Processes replaced by new ones: the new one first where both can run, a few slots at a time, and back if it fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::OperationResult;
use super::execute::Execution;
use super::perform::ALIVE_FOR;
use super::rollouts::{Entered, RolloutWill};
use crate::model::{
    App, AppName, Declared, Failure, InstanceId, Live, LiveInstance, Millis, Operation, Phase, Plan, ProjectName,
    Readiness, Reason, UpdateStrategy, Verb,
};
use crate::os;
use crate::plan::is_of_form;
use crate::supervisor::Task;

impl Execution {
    /// A few slots at a time; the next ones only when these are good and stay so. If one fails, all go back. One roll
    /// of an app at a time: what another one has done since the plan was made is not done again.
    pub(super) async fn roll(&self, operation: &Operation, slots: &[u32], manner: UpdateStrategy) -> OperationResult {
        let app = &operation.app;
        // Asked when its turn has come: until then another one may be paused or resumed.
        let will = || self.update_of(app).map_or(RolloutWill::Go, |update| RolloutWill::of(&update));
        let rollout = self.rollouts.begin(self.id(app), slots, manner, will).await;
        let Some(declared) = self.declared(app) else { return OperationResult::Superseded };
        let (begun, left) = self.split(operation, &declared, slots).await;
        let spec = pace(&operation.verb, &declared.spec);
        let mut result = self.judge(app, &begun, &spec, &rollout).await;
        rollout.replaced(&begun);
        if result == OperationResult::Done {
            result = self.roll_all(app, left, manner, &spec, &rollout).await;
        }
        match result {
            OperationResult::Failed { .. } => self.go_back(app, result, manner).await,
            done_or_superseded => done_or_superseded,
        }
    }

    /// The slots that an earlier daemon has replaced, and those that are still to be: their process is not of the
    /// declared form. A process that only follows the renewal of another app, or that nobody can connect to, is of that
    /// form and meant all the same.
    async fn split(&self, operation: &Operation, declared: &Declared, slots: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let is_renewal = |reason: &Reason| matches!(reason, Reason::DependencyRestarted { .. } | Reason::Unreachable);
        if operation.reasons.iter().any(is_renewal) {
            return (Vec::new(), slots.to_vec());
        }
        let now = self.surroundings.supervisor.look(self.instances(&operation.app, slots)).await;
        let is_unfinished = operation.reasons.contains(&Reason::UpdateUnfinished);
        let is_done = |(id, live): &&(InstanceId, LiveInstance)| {
            (is_unfinished || live.phase.is_alive()) && is_of_form(live, declared, id.slot)
        };
        let of_form: BTreeSet<u32> = now.iter().filter(is_done).map(|(id, _)| id.slot).collect();
        let (done, left) = slots.iter().copied().partition(|slot| of_form.contains(slot));
        (if is_unfinished { done } else { Vec::new() }, left)
    }

    /// What an earlier daemon has replaced must be good and stay so, too.
    async fn judge(&self, app: &AppName, slots: &[u32], spec: &App, rollout: &Entered) -> OperationResult {
        if slots.is_empty() {
            return OperationResult::Done;
        }
        self.discard_successors(app, slots).await;
        let instances = self.instances(app, slots);
        let settled = async {
            self.come_to_rest(&instances).await;
            self.stay_good(&instances, spec.update.min_healthy_time.duration().max(ALIVE_FOR)).await
        };
        self.in_time(app, slots, spec, rollout, settled).await
    }

    /// Waits until none of them is starting any more, or waits to be ready.
    async fn come_to_rest(&self, instances: &[InstanceId]) {
        let mut changes = self.surroundings.supervisor.changes();
        loop {
            changes.borrow_and_update();
            let now = self.surroundings.supervisor.look(instances.to_vec()).await;
            let is_open = |(_, live): &(InstanceId, LiveInstance)| {
                matches!(live.phase, Phase::Starting | Phase::Running { readiness: Readiness::Waiting { .. }, .. })
            };
            if !now.iter().any(is_open) || changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn roll_all(
        &self,
        app: &AppName,
        mut left: Vec<u32>,
        manner: UpdateStrategy,
        spec: &App,
        rollout: &Entered,
    ) -> OperationResult {
        while let Some(first) = left.first() {
            let first = self.id(app).instance(*first);
            tokio::select! {
                () = rollout.may_go_on() => {}
                () = self.is_superseded(app, &[]) => return OperationResult::Superseded,
            }
            if rollout.will() == RolloutWill::Abort {
                return self.failed(first, Some(Failure::Aborted)).await;
            }
            left = self.meant(app, &left);
            let some = left[..left.len().min(at_once(spec, manner))].to_vec();
            rollout.keep_only(&left);
            match self.roll_some(app, &some, manner, spec, rollout).await {
                OperationResult::Done => left.retain(|slot| !some.contains(slot)),
                // One of them was stopped: the others have their turn without it.
                OperationResult::Superseded if self.is_wanted(app, &[]) && !self.is_wanted(app, &some) => {}
                ended => return ended,
            }
            rollout.keep_only(&left);
        }
        OperationResult::Done
    }

    async fn roll_some(
        &self,
        app: &AppName,
        some: &[u32],
        manner: UpdateStrategy,
        spec: &App,
        rollout: &Entered,
    ) -> OperationResult {
        let result = match manner {
            UpdateStrategy::Rolling => self.overlap(app, some, spec, rollout).await,
            UpdateStrategy::Restart => {
                self.in_time(app, some, spec, rollout, self.replace_in_place(app, some, spec)).await
            }
            UpdateStrategy::Together => {
                self.in_time(app, some, spec, rollout, self.replace_together(app, some, spec)).await
            }
        };
        if result == OperationResult::Done {
            rollout.replaced(some);
        }
        result
    }

    async fn replace_in_place(&self, app: &AppName, slots: &[u32], spec: &App) -> OperationResult {
        let restarted = self.restart_some(app, slots).await;
        if restarted != OperationResult::Done {
            return restarted;
        }
        self.stay_good(&self.instances(app, slots), spec.update.min_healthy_time.duration()).await
    }

    /// What the old processes listen at is free only when the last of them is gone.
    async fn replace_together(&self, app: &AppName, slots: &[u32], spec: &App) -> OperationResult {
        let stopped = self.all(app, slots, |_| Some(Task::Stop(self.cause.clone()))).await;
        if stopped != OperationResult::Done {
            return stopped;
        }
        self.make_room(&[app], &spec.run.listen).await;
        self.replace_in_place(app, slots, spec).await
    }

    /// Bounds one step by `healthy_deadline`, and ends it as soon as a later command wants something else, or that it goes
    /// back.
    async fn in_time(
        &self,
        app: &AppName,
        slots: &[u32],
        spec: &App,
        rollout: &Entered,
        step: impl Future<Output = OperationResult>,
    ) -> OperationResult {
        let deadline = spec.update.healthy_deadline.map_or(Duration::MAX, Millis::duration);
        tokio::select! {
            result = step => result,
            () = self.is_superseded(app, slots) => OperationResult::Superseded,
            () = rollout.is_aborted() => self.failed(self.id(app).instance(slots[0]), Some(Failure::Aborted)).await,
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
            let restarted = self.restart_some(app, &self.meant(app, some)).await;
            if restarted != OperationResult::Done {
                return restarted;
            }
        }
        OperationResult::Done
    }

    async fn restart_some(&self, app: &AppName, slots: &[u32]) -> OperationResult {
        let restarted = self.all(app, slots, |slot| self.new_process(app, slot).map(Task::Restart)).await;
        if restarted != OperationResult::Done || self.has_said_ready(app) {
            return restarted;
        }
        self.stay_good(&self.instances(app, slots), ALIVE_FOR).await
    }

    /// Resolves when a later command wants something else of the app, or has stopped one of these slots.
    async fn is_superseded(&self, app: &AppName, slots: &[u32]) {
        let mut desired = self.desired.clone();
        while self.is_wanted(app, slots) && desired.changed().await.is_ok() {}
    }

    /// The new processes are good, and stay so, before the old ones are asked to end. If they are not, the old ones
    /// never noticed.
    async fn overlap(&self, app: &AppName, slots: &[u32], spec: &App, rollout: &Entered) -> OperationResult {
        let good = self.in_time(app, slots, spec, rollout, self.bring_up(app, slots, spec)).await;
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
        self.make_room(&[app], &spec.run.listen).await;
        let successors = self.successors(app, slots);
        let started = self.each(successors.clone(), |slot| self.new_process(app, slot).map(Task::Start)).await;
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
        let others = left.iter().filter(|(id, live)| !is_of_form(live, &declared, id.slot));
        let slots: Vec<u32> = others.map(|(id, _)| id.slot).collect();
        self.discard_successors(app, &slots).await;
    }

    /// Ends new processes that are not to take their slots over.
    pub(super) async fn discard_successors(&self, app: &AppName, slots: &[u32]) {
        let left = self.surroundings.supervisor.look(self.successors(app, slots)).await;
        let _ =
            self.each(left.into_iter().map(|(id, _)| id).collect(), |_| Some(Task::Delete(self.cause.clone()))).await;
    }

    fn successors(&self, app: &AppName, slots: &[u32]) -> Vec<InstanceId> {
        self.instances(app, slots).into_iter().map(InstanceId::successor).collect()
    }
}

/// What a restart is rolled by: new processes as soon as the last ones are good.
fn pace(verb: &Verb, spec: &Arc<App>) -> Arc<App> {
    let mut spec = Arc::clone(spec);
    if matches!(verb, Verb::Restart { .. }) {
        Arc::make_mut(&mut spec).update.min_healthy_time = Millis(0);
    }
    spec
}

/// How many slots are replaced side by side.
pub(super) fn at_once(spec: &App, manner: UpdateStrategy) -> usize {
    let most = match manner {
        UpdateStrategy::Rolling => spec.update.max_surge,
        UpdateStrategy::Restart => spec.update.max_unavailable,
        UpdateStrategy::Together => u32::MAX,
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
