//! What a sensor saw becomes new processes, on the road that every command takes.

use super::run::Loop;
use crate::model::{AppId, Cause};
use crate::os;
use crate::plan::{self, Edit, EditRequest};

impl Loop {
    /// One trigger for one app. While the app is being worked on, the newest one waits; it is then one more time.
    pub(super) async fn trigger(&mut self, app: AppId, cause: Cause) {
        let key = (app.project.clone(), app.name.clone());
        if self.busy.borrow().contains_key(&key) {
            self.triggered.insert(app, cause);
            return;
        }
        let desired = self.current();
        let Some(project) = desired.projects.get(&app.project).filter(|_| !desired.is_shut_down && !self.is_leaving)
        else {
            return;
        };
        let live = self.surroundings.supervisor.live().await;
        let edit = Edit::Recycle;
        let targets = [(app.name.clone(), None)];
        let request = EditRequest { project: &app.project, targets: &targets, edit: &edit, by: "", at: os::wall() };
        // An app that is gone by now has nothing to be restarted.
        let Ok(changes) = plan::edit(project, &live, &request) else { return };
        if changes.is_empty() || self.keep(changes).await.is_err() {
            return;
        }
        let project = self.current().projects.get(&app.project).cloned().unwrap_or_default();
        let mut plan = plan::plan_wakeup(&app.project, &project, &live);
        plan.keep_only(|name| *name == app.name);
        plan.restart_at_once();
        self.failed.send_if_modified(|failed| failed.remove(&key).is_some());
        self.tell_accepted(&plan, project.generation, &cause);
        self.execute(plan, cause, Vec::new(), desired);
    }

    /// Triggers whose app is free again.
    pub(super) async fn take_waiting_triggers(&mut self) {
        let is_free = |app: &AppId| !self.busy.borrow().contains_key(&(app.project.clone(), app.name.clone()));
        let free: Vec<AppId> = self.triggered.keys().filter(|app| is_free(app)).cloned().collect();
        for app in free {
            if let Some(cause) = self.triggered.remove(&app) {
                self.trigger(app, cause).await;
            }
        }
    }
}
