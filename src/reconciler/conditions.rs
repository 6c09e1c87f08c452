//! Waits until what an app depends on has come to be.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::execute::Execution;
use super::{Progress, Waiting, WaitsFor};
use crate::model::{AppId, AppName, Condition, Fact, Subject, Verb};
use crate::os;
use crate::rules::{self, Standpoint};

/// The shortest time between two looks: a thousand apps that start tick a thousand times.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);

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
            if shown.show(dependency, condition, &why) {
                let waits_for = WaitsFor { app: dependency.clone(), condition, why: why.clone(), since: os::now() };
                let _ = self.progress.send(Progress::Waits { app: app.clone(), waits_for });
            }
            if !std::mem::replace(&mut is_told, true) {
                let fact = Fact::WaitsFor { app: dependency.clone(), condition, why };
                self.surroundings.events.tell(Subject::App(self.project.clone(), app.clone()), fact);
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return Waited::Superseded },
                changed = desired.changed() => if changed.is_err() { return Waited::Superseded },
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
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

/// Whether carrying it out brings new processes, which need what the app depends on.
pub(super) fn needs_dependencies(verb: &Verb) -> bool {
    match verb {
        Verb::Start { .. } | Verb::Roll { .. } | Verb::Restart { .. } | Verb::Replace { .. } => true,
        Verb::Scale { add, .. } => !add.is_empty(),
        Verb::Update | Verb::Rename { .. } | Verb::Stop { .. } | Verb::Delete { .. } | Verb::Keep | Verb::Hold => false,
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
