//! The end of a rolling update: nothing is kept of a good one, a bad one goes back to what the app was before.

use super::OperationResult;
use super::execute::Execution;
use super::perform::{declared_in, launch_of};
use super::rollout::at_once;
use crate::model::{
    AppName, Cause, Change, Declared, Fact, Failure, Form, InstanceId, LiveInstance, Operation, Phase, Subject, Update,
    UpdateStrategy, Verb,
};
use crate::plan::is_of_form;
use crate::supervisor::Task;

impl Execution {
    /// What failed goes back to the form before, declared and running, unless the file does not want that, somebody
    /// else took over, or there is no other form to go back to.
    pub(super) async fn go_back(&self, app: &AppName, why: OperationResult, manner: UpdateStrategy) -> OperationResult {
        let OperationResult::Failed { instance, failure, exit, last_lines, .. } = why else { return why };
        let is_wanted = failure == Some(Failure::Aborted) || self.wants_revert(app);
        let before = self.update_of(app).and_then(|update| update.from).filter(|_| is_wanted);
        let reverted = match before {
            Some(before) => Some(self.revert(app, &before, manner).await),
            None => None,
        };
        if reverted == Some(OperationResult::Superseded) {
            return OperationResult::Superseded;
        }
        let is_reverted = reverted == Some(OperationResult::Done);
        let is_stuck = reverted.is_some() && !is_reverted;
        OperationResult::Failed { instance: instance.settled(), failure, exit, last_lines, is_reverted, is_stuck }
    }

    fn wants_revert(&self, app: &AppName) -> bool {
        self.declared(app).is_some_and(|declared| declared.spec.update.auto_revert)
    }

    /// What is kept of the app's rolling update.
    pub(super) fn update_of(&self, app: &AppName) -> Option<Update> {
        self.desired.borrow().projects.get(&self.project)?.updates.get(app).cloned()
    }

    /// Every slot whose process is of another form goes back to `before`, as long as nobody wants something else.
    async fn revert(&self, app: &AppName, before: &Form, manner: UpdateStrategy) -> OperationResult {
        let changes = |declared: &Declared| {
            let (project, name) = (self.project.clone(), app.clone());
            let ended = Change::Update { project: project.clone(), name: name.clone(), update: None };
            vec![ended, Change::App { project, name, declared: Box::new(declared.in_form(before)) }]
        };
        match self.amend_app(app, changes).await {
            Ok(true) => {}
            Ok(false) => return OperationResult::Superseded,
            Err(why) => return OperationResult::Skipped { why },
        }
        let Some(declared) = declared_in(&self.desired.borrow(), &self.project, app).cloned() else {
            return OperationResult::Superseded;
        };
        let old = |slot| launch_of(&declared, slot, Cause::Revert);
        let is_wanted = |slot| {
            let desired = self.desired.borrow();
            let now = declared_in(&desired, &self.project, app).filter(|now| now.is_but_for_stops(&declared));
            now.is_some_and(|now| now.may_run(slot))
        };
        let others = self.of_other_forms(app, &declared).await;
        let slots: Vec<u32> = others.iter().map(|(id, _)| id.slot).collect();
        let mut manner = manner;
        if others.iter().any(|(_, live)| live.spec.shuts_out(&before.spec)) {
            manner = UpdateStrategy::Together;
            let stopped = self.all(app, &slots, |slot| is_wanted(slot).then_some(Task::Stop(Cause::Revert))).await;
            if stopped == OperationResult::Superseded {
                return stopped;
            }
        }
        self.make_room(&[app], &before.spec.run.listen).await;
        let mut worst = OperationResult::Done;
        for some in slots.chunks(at_once(&before.spec, manner)) {
            match self.all(app, some, |slot| is_wanted(slot).then(|| Task::Restart(old(slot)))).await {
                OperationResult::Done => {}
                OperationResult::Superseded => return OperationResult::Superseded,
                failed => worst = failed,
            }
        }
        worst
    }

    /// What should run and was started from something else, or could not be started at all: such a slot still shows
    /// what its last process was.
    async fn of_other_forms(&self, app: &AppName, declared: &Declared) -> Vec<(InstanceId, LiveInstance)> {
        let slots: Vec<u32> = (0..declared.instances()).filter(|slot| declared.may_run(*slot)).collect();
        let now = self.surroundings.supervisor.look(self.instances(app, &slots)).await;
        let is_other = |(id, live): &(InstanceId, LiveInstance)| {
            !is_of_form(live, declared, id.slot) || matches!(live.phase, Phase::Errored { .. } | Phase::Stopped)
        };
        now.into_iter().filter(is_other).collect()
    }

    /// Who was not there when an update failed finds it among the events of the app.
    pub(super) fn tell_failed_update(&self, operation: &Operation, result: &OperationResult) {
        let OperationResult::Failed { instance, failure, exit, is_reverted, is_stuck, .. } = result else { return };
        if matches!(operation.verb, Verb::Roll { .. }) {
            let (instance, failure, exit) = (instance.clone(), failure.clone(), *exit);
            let (is_reverted, is_stuck) = (*is_reverted, *is_stuck);
            let fact = Fact::UpdateFailed { instance, failure, exit, is_reverted, is_stuck };
            let about = Subject::App(self.project.clone(), operation.app.clone());
            self.surroundings.events.tell(about, fact);
        }
    }

    /// Nothing has to be kept any more of an update that came to a good end. What cannot be written now is judged again by
    /// a wake-up.
    pub(super) async fn conclude(&self, operation: &Operation, result: &OperationResult) {
        let is_good_end = matches!(operation.verb, Verb::Roll { .. }) && *result == OperationResult::Done;
        if is_good_end && self.update_of(&operation.app).is_some() {
            let (project, name) = (self.project.clone(), operation.app.clone());
            let ended = Change::Update { project, name, update: None };
            let _ = self.amend_app(&operation.app, |_| vec![ended.clone()]).await;
        }
    }
}
