//! Waits until what an app depends on has come to be.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::execute::Execution;
use super::{OperationResult, Progress, Waiting, WaitsFor};
use crate::model::{AppId, AppName, Condition, Fact, Failure, InstanceId, Kind, Phase, Subject};
use crate::os;
use crate::rules::{self, Standpoint};

/// The shortest time between two looks: a thousand apps that start tick a thousand times.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);

/// A wait for operations of the same plan is shown when it lasts longer than this.
const SHOW_AFTER: Duration = Duration::from_millis(250);

/// How a wait ended.
pub(super) enum Waited {
    /// Everything is as the app needs it.
    Met,
    /// It will not be.
    Never(String),
    /// A later command wants something else of the app.
    Superseded,
}

impl Execution {
    /// Waits for everything that an app depends on, one after the other.
    pub(super) async fn wait_for_dependencies(&self, app: &AppName) -> Waited {
        let Some(declared) = self.declared(app) else { return Waited::Superseded };
        for (dependency, condition) in &declared.spec.depends_on {
            match self.wait_for(app, dependency, *condition).await {
                Waited::Met => {}
                ended => return ended,
            }
        }
        Waited::Met
    }

    async fn wait_for(&self, app: &AppName, dependency: &AppName, condition: Condition) -> Waited {
        let mut changes = self.surroundings.supervisor.changes();
        let mut desired = self.desired.clone();
        let mut shown = Shown { waiting: &self.waiting, app: AppId::new(self.project.clone(), app.clone()) };
        let mut is_told = false;
        loop {
            changes.borrow_and_update();
            desired.borrow_and_update();
            if self.declared(app).is_none() {
                return Waited::Superseded;
            }
            let why = match self.standpoint(dependency, condition).await {
                Standpoint::Met => return Waited::Met,
                Standpoint::Never(why) => {
                    return Waited::Never(format!(
                        "{dependency}, which it depends on, is not {}: {why}",
                        condition.word()
                    ));
                }
                Standpoint::NotYet(why) => why,
            };
            self.tell_wait(&mut shown, dependency, condition, why, &mut is_told);
            tokio::select! {
                tick = changes.changed() => if tick.is_err() { return Waited::Superseded },
                tick = desired.changed() => if tick.is_err() { return Waited::Superseded },
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// A task that its policy tries again has not failed for those who wait for it: it is waited for as they need it.
    pub(super) async fn tried_again(&self, task: &AppName, first: OperationResult) -> OperationResult {
        let (OperationResult::Failed { instance, .. }, Some(condition)) = (&first, self.needed_as(task)) else {
            return first;
        };
        let (mut changes, mut desired) = (self.surroundings.supervisor.changes(), self.desired.clone());
        let mut told = String::new();
        loop {
            changes.borrow_and_update();
            desired.borrow_and_update();
            if self.declared(task).is_none() {
                return OperationResult::Superseded;
            }
            match self.standpoint(task, condition).await {
                Standpoint::Met => return OperationResult::Done,
                Standpoint::Never(_) => return self.failed(instance.clone(), self.failure_of(instance).await).await,
                Standpoint::NotYet(why) if why != told => {
                    told.clone_from(&why);
                    // Nobody may be listening any more.
                    let _ = self.progress.send(Progress::Unready { instance: instance.clone(), why });
                }
                Standpoint::NotYet(_) => {}
            }
            tokio::select! {
                tick = changes.changed() => if tick.is_err() { return OperationResult::Superseded },
                tick = desired.changed() => if tick.is_err() { return OperationResult::Superseded },
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// What others need of a task that runs when it is started.
    fn needed_as(&self, task: &AppName) -> Option<Condition> {
        let apps = &self.promised.projects.get(&self.project)?.apps;
        apps.get(task).filter(|declared| declared.spec.kind == Kind::Task && !declared.spec.is_timed_task())?;
        let conditions = apps.values().filter_map(|declared| declared.spec.depends_on.get(task).copied());
        conditions.max_by_key(|condition| *condition == Condition::Completed)
    }

    async fn failure_of(&self, instance: &InstanceId) -> Option<Failure> {
        let live = self.surroundings.supervisor.look(vec![instance.clone()]).await;
        live.into_iter().find_map(|(_, live)| match live.phase {
            Phase::Errored { failure } => Some(failure),
            _ => None,
        })
    }

    /// Shows what an app waits for while the operations on its dependencies are carried out. Never ends by itself; at
    /// its end nothing is shown any more.
    pub(super) async fn show_dependencies(&self, app: &AppName) {
        // Most dependencies are met before anybody could read it.
        tokio::time::sleep(SHOW_AFTER).await;
        let mut changes = self.surroundings.supervisor.changes();
        let mut shown = Shown { waiting: &self.waiting, app: AppId::new(self.project.clone(), app.clone()) };
        let mut is_told = false;
        loop {
            changes.borrow_and_update();
            for (dependency, condition) in
                self.declared(app).map(|declared| declared.spec.depends_on.clone()).unwrap_or_default()
            {
                if let Standpoint::NotYet(why) = self.standpoint(&dependency, condition).await {
                    self.tell_wait(&mut shown, &dependency, condition, why, &mut is_told);
                    break;
                }
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    fn tell_wait(
        &self,
        shown: &mut Shown<'_>,
        dependency: &AppName,
        condition: Condition,
        why: String,
        is_told: &mut bool,
    ) {
        let app = shown.app.name.clone();
        if shown.show(dependency, condition, &why) {
            let waits_for = WaitsFor { app: dependency.clone(), condition, why: why.clone(), since: os::now() };
            let _ = self.progress.send(Progress::Waits { app: app.clone(), waits_for });
        }
        if !std::mem::replace(is_told, true) {
            let fact = Fact::WaitsFor { app: dependency.clone(), condition, why };
            self.surroundings.events.tell(Subject::App(self.project.clone(), app), fact);
        }
    }

    async fn standpoint(&self, dependency: &AppName, condition: Condition) -> Standpoint {
        let live = self.surroundings.supervisor.live().await;
        let desired = Arc::clone(&self.desired.borrow());
        let declared = desired.projects.get(&self.project).and_then(|project| project.apps.get(dependency));
        let id = AppId::new(self.project.clone(), dependency.clone());
        rules::dependency(condition, declared, |slot| live.instances.get(&id.instance(slot)))
    }
}

/// What observers see of a wait, for as long as it lasts.
struct Shown<'a> {
    waiting: &'a watch::Sender<Arc<Waiting>>,
    app: AppId,
}

impl Shown<'_> {
    /// Returns whether that is news.
    fn show(&mut self, dependency: &AppName, condition: Condition, why: &str) -> bool {
        self.waiting.send_if_modified(|waiting| {
            let known = waiting.get(&self.app).filter(|known| known.app == *dependency && known.condition == condition);
            if known.is_some_and(|known| known.why == why) {
                return false;
            }
            let since = known.map_or_else(os::now, |known| known.since);
            let waits_for = WaitsFor { app: dependency.clone(), condition, why: why.to_owned(), since };
            Arc::make_mut(waiting).insert(self.app.clone(), waits_for);
            true
        })
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.waiting.send_if_modified(|waiting| {
            waiting.contains_key(&self.app) && Arc::make_mut(waiting).remove(&self.app).is_some()
        });
    }
}
