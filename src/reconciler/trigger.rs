//! Triggers of sensors become new processes, on the same path as every command.

use super::Acted;
use super::run::Loop;
use crate::model::{AppId, Cause, Declared, DesiredState, Edit, Fact, Project, RunSkip, Subject, WallTime};
use crate::os;
use crate::plan::{self, EditRequest};
use crate::rules::{self, Turn};

impl Loop {
    /// One trigger for one app. While the app is being worked on, the newest one waits; it is then one more time.
    /// Whoever waits for `acted` learns by its end that this is kept, or that there is nothing to be kept.
    pub(super) async fn trigger(&mut self, app: AppId, cause: Cause, acted: Option<Acted>) {
        let desired = self.current();
        let Some(project) = desired.projects.get(&app.project).filter(|_| !desired.is_shut_down && !self.is_leaving)
        else {
            return;
        };
        let task = project.apps.get(&app.name).filter(|declared| declared.spec.is_timed_task());
        match (task, &cause) {
            // That may take forever, and must not become a late run of its own.
            (Some(_), Cause::Cron { due }) if self.jobs.is_waiting(&app) => {
                return self.leave_out(&app, *due, RunSkip::LastWaits);
            }
            // Whether a run that continues holds up the next one is for its policy to say.
            (Some(_), Cause::Cron { .. }) => {}
            _ if self.jobs.is_busy(&app) => {
                self.triggered.insert(app, (cause, acted));
                return;
            }
            _ => {}
        }
        match (task, cause) {
            (None, cause) => self.restart(app, project, cause).await,
            (Some(task), Cause::Cron { due }) => self.run_on_time(&app, project, task, due).await,
            // The next run sees whatever has changed.
            (Some(_), _) => {}
        }
    }

    async fn restart(&mut self, app: AppId, project: &Project, cause: Cause) {
        self.look().await;
        let edit = Edit::AutoRestart;
        let targets = [(app.name.clone(), None)];
        let request = EditRequest { project: &app.project, targets: &targets, edit: &edit, by: "", at: os::wall() };
        // An app that is gone by now has nothing to be restarted.
        let Ok(mut changes) = plan::edit(project, &self.live, &request) else { return };
        changes.extend(plan::built_at_last(&app.project, project, &app.name));
        if changes.is_empty() || self.keep(changes).await.is_err() {
            return;
        }
        let project = self.current().projects.get(&app.project).cloned().unwrap_or_default();
        let mut plan = plan::plan_wakeup(&app.project, &project, &self.live);
        plan.keep_only(|name| *name == app.name);
        plan.restart_at_once(|app| project.may_restart_at_once(app));
        self.emit_accepted(&plan, project.generation, &cause);
        self.execute(plan, cause);
    }

    /// A timed task is due. Nothing is kept of that: a run that is lost with its daemon is not made up for.
    async fn run_on_time(&mut self, app: &AppId, project: &Project, task: &Declared, due: WallTime) {
        if task.desired_state != DesiredState::Up {
            return;
        }
        self.look().await;
        let is_going = plan::is_going(app, &self.live);
        let policy = task.spec.schedule.cron_overlap;
        let is_replacing = match rules::overlap(policy, is_going, self.queued.contains_key(app)) {
            Turn::Run => false,
            Turn::Replace => true,
            Turn::Wait => {
                self.queued.insert(app.clone(), due);
                return;
            }
            Turn::Skip(why) => return self.leave_out(app, due, why),
        };
        let plan = plan::plan_run(&app.project, project, &app.name, &self.live, is_replacing);
        if !plan.is_empty() {
            self.execute(plan, Cause::Cron { due });
        }
    }

    /// Triggers whose app is free again.
    pub(super) async fn take_waiting_triggers(&mut self) {
        let free: Vec<AppId> = self.triggered.keys().filter(|app| !self.jobs.is_busy(app)).cloned().collect();
        for app in free {
            if let Some((cause, acted)) = self.triggered.remove(&app) {
                self.trigger(app, cause, acted).await;
            }
        }
    }

    /// Runs that waited for the end of the last one. What was stopped or deleted meanwhile finds nothing to run.
    pub(super) async fn take_queued_runs(&mut self) {
        let free: Vec<AppId> = self.queued.keys().filter(|app| !plan::is_going(app, &self.live)).cloned().collect();
        for app in free {
            if let Some(due) = self.queued.remove(&app) {
                self.trigger(app, Cause::Cron { due }, None).await;
            }
        }
    }

    fn leave_out(&self, app: &AppId, due: WallTime, why: RunSkip) {
        let fact = Fact::CronSkipped { due, why };
        self.deps.events.emit(Subject::App(app.project.clone(), app.name.clone()), fact);
    }
}
