//! The one loop that changes Desired: intents come in one after the other, each is planned, kept, then carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;

use super::execute::Execution;
use super::notes;
use super::perform::Surroundings;
use super::rollout::strays;
use super::rollouts::{RolloutWill, Rollouts};
use super::{Accepted, Acted, Edit, Intent, Keeper, ReconcileError, Target, Waiting};
use crate::model::{
    Actor, AppId, AppName, ApplyOptions, Cause, Change, Desired, Digest, Fact, Live, OnDependencyRestart, Operation,
    Plan, Project, ProjectName, Proposed, Reason, Refusal, Subject, Update, Verb, WallTime,
};
use crate::os;
use crate::plan::{self, EditRequest};
use crate::supervisor::{Order, Task};

/// How often Desired and Live are compared although nobody woke the loop.
const SLOW_TIMER: Duration = Duration::from_secs(30);

/// Between two looks at what lives, while an app follows the renewals of what it depends on.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// The reconciler's own memory; it belongs to one task.
#[derive(Debug)]
pub(super) struct Loop {
    desired: watch::Sender<Arc<Desired>>,
    keeper: Keeper,
    pub(super) surroundings: Surroundings,
    intents: mpsc::Receiver<Intent>,
    /// Everything was stopped for good: no wake-up starts anything any more.
    pub(super) is_leaving: bool,
    /// For executions, which have amendments of their own; weak, so that they do not keep the loop alive.
    door: mpsc::WeakSender<Intent>,
    /// What failed in this form: nothing automatic tries it again until somebody changes it.
    pub(super) failed: watch::Sender<BTreeMap<(ProjectName, AppName), Digest>>,
    /// Apps whose start waits for another app.
    pub(super) waiting: watch::Sender<Arc<Waiting>>,
    /// Rolling updates that are under way.
    pub(super) rollouts: Rollouts,
    /// Apps that a sensor asked to restart while they were being worked on: one more time for each.
    pub(super) triggered: BTreeMap<AppId, (Cause, Option<Acted>)>,
    /// Timed tasks with a run that was due while the last one went on: it follows.
    pub(super) queued: BTreeMap<AppId, WallTime>,
    /// Apps that an execution is working on, with how many; a wake-up leaves them alone.
    pub(super) busy: watch::Sender<BTreeMap<(ProjectName, AppName), u32>>,
}

impl Loop {
    pub fn new(
        desired: Desired,
        keeper: Keeper,
        surroundings: Surroundings,
        intents: mpsc::Receiver<Intent>,
        door: mpsc::WeakSender<Intent>,
    ) -> Self {
        Self {
            desired: watch::Sender::new(Arc::new(desired)),
            keeper,
            surroundings,
            intents,
            is_leaving: false,
            door,
            failed: watch::Sender::new(BTreeMap::new()),
            waiting: watch::Sender::default(),
            rollouts: Rollouts::default(),
            triggered: BTreeMap::new(),
            queued: BTreeMap::new(),
            busy: watch::Sender::new(BTreeMap::new()),
        }
    }

    pub fn desired_changes(&self) -> watch::Receiver<Arc<Desired>> {
        self.desired.subscribe()
    }

    pub fn waiting_changes(&self) -> watch::Receiver<Arc<Waiting>> {
        self.waiting.subscribe()
    }

    /// Runs until every handle is gone.
    pub async fn run(mut self) {
        self.wake().await;
        let mut timer = tokio::time::interval(SLOW_TIMER);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        timer.tick().await;
        let mut freed = self.busy.subscribe();
        let mut lives = self.surroundings.supervisor.changes();
        let mut look_at: Option<Instant> = None;
        loop {
            let has_followers = follows_renewals(&self.current());
            tokio::select! {
                intent = self.intents.recv() => match intent {
                    Some(intent) => self.take(intent).await,
                    None => return,
                },
                _ = timer.tick() => self.wake().await,
                Ok(()) = lives.changed(), if has_followers || !self.queued.is_empty() => {
                    self.take_queued_runs().await;
                    if has_followers {
                        look_at.get_or_insert_with(|| Instant::now() + LOOK_AGAIN_AFTER);
                    }
                }
                () = tokio::time::sleep_until(look_at.unwrap_or_else(Instant::now)), if look_at.is_some() => {
                    look_at = None;
                    self.wake().await;
                }
                Ok(()) = freed.changed(), if !self.triggered.is_empty() => self.take_waiting_triggers().await,
            }
        }
    }

    /// Who asked and went away does not want the answer: sending into the void is fine everywhere here.
    async fn take(&mut self, intent: Intent) {
        match intent {
            Intent::Trigger(app, cause, acted) => self.trigger(app, cause, Some(acted)).await,
            Intent::Wake => self.wake().await,
            Intent::Desired(reply) => drop(reply.send(self.current())),
            Intent::Plan(proposed, options, reply) => drop(reply.send(self.plan(&proposed, &options).await)),
            Intent::Apply(proposed, options, by, reply) => {
                let accepted = self.apply(&proposed, &options, by).await;
                let _ = reply.send(accepted);
            }
            Intent::Edit(targets, edit, by, reply) => {
                let accepted = self.edit(&targets, &edit, &by).await;
                let _ = reply.send(accepted);
            }
            Intent::Amend(changes, promised, reply) => {
                let kept = self.amend(changes, &promised).await;
                let _ = reply.send(kept);
            }
            Intent::WantRollout(app, will, reply) => {
                let wanted = self.want_rollout(&app, will).await;
                let _ = reply.send(wanted);
            }
            Intent::StopAll(by, is_remembered, reply) => {
                let accepted = self.stop_all(&by, is_remembered).await;
                let _ = reply.send(accepted);
            }
        }
    }

    /// Compares what is stored with what lives. Takes no input: what happens after a crash happens every day.
    async fn wake(&mut self) {
        let desired = self.current();
        if desired.is_shut_down || self.is_leaving {
            return;
        }
        let live = self.surroundings.supervisor.live().await;
        for name in every_project(&desired, &live) {
            let project = desired.projects.get(&name).cloned().unwrap_or_default();
            let mut plan = plan::plan_wakeup(&name, &project, &live);
            plan::add_unfinished(&mut plan, &project, &live);
            plan.keep_only(|app| self.may_touch(&name, &project, app));
            self.discard_strays(&name, &plan, &live);
            for (plan, cause) in by_cause(plan).into_iter().filter(|(plan, _)| !plan.is_empty()) {
                self.execute(plan, cause, Vec::new());
            }
        }
    }

    /// New processes of a rolling update that nobody wants any more: the daemon that had started them is gone.
    fn discard_strays(&self, project: &ProjectName, plan: &Plan, live: &Live) {
        let busy = self.busy.borrow();
        for instance in strays(project, plan, live) {
            if !busy.contains_key(&(project.clone(), instance.app.name.clone())) {
                let supervisor = self.surroundings.supervisor.clone();
                let order = Order { instance, task: Task::Delete(Cause::Boot) };
                tokio::spawn(async move { supervisor.order(order).await });
            }
        }
    }

    /// Whether something automatic may work on an app: nobody else does, and it has not failed in this form.
    fn may_touch(&self, name: &ProjectName, project: &Project, app: &AppName) -> bool {
        let key = (name.clone(), app.clone());
        let failed = self.failed.borrow().get(&key).copied();
        let digest = project.apps.get(app).map(|declared| declared.digest);
        !self.busy.borrow().contains_key(&key) && (failed.is_none() || failed != digest)
    }

    /// What is refused by an apply can be looked at all the same.
    async fn plan(&self, proposed: &Proposed, options: &ApplyOptions) -> Result<(Plan, Vec<Refusal>), ReconcileError> {
        let live = self.surroundings.supervisor.live().await;
        let desired = self.current();
        let stored = desired.projects.get(&proposed.project);
        let (mut plan, mut refusals) = plan::plan(stored, proposed, &live, options).map_err(ReconcileError::Refused)?;
        refusals.extend(plan::check_sockets(&desired, proposed, options).err());
        notes::add(&mut plan, proposed, &live, &self.surroundings.supervisor);
        Ok((plan, refusals))
    }

    async fn apply(
        &mut self,
        proposed: &Proposed,
        options: &ApplyOptions,
        by: Actor,
    ) -> Result<Accepted, ReconcileError> {
        let live = self.surroundings.supervisor.live().await;
        let desired = self.current();
        plan::check_sockets(&desired, proposed, options).map_err(ReconcileError::Refused)?;
        let stored = desired.projects.get(&proposed.project);
        let mut decision = plan::decide(stored, proposed, &live, options).map_err(ReconcileError::Refused)?;
        notes::add(&mut decision.plan, proposed, &live, &self.surroundings.supervisor);
        // Deletes come last, and only if nothing failed: until then what is to be deleted stays declared.
        let (removals, mut changes) = split_removals(decision.changes, &decision.plan);
        if desired.is_shut_down {
            changes.push(Change::ShutDown { is_shut_down: false });
        }
        self.keep(changes).await?;
        self.forgive(&proposed.project);
        let generation = self.generation_of(&proposed.project);
        let cause = Cause::Apply { by, generation };
        self.tell_accepted(&decision.plan, generation, &cause);
        Ok(self.execute(decision.plan, cause, removals))
    }

    /// A person applies: updates that have failed, and whose form is wanted all the same, are judged once more.
    fn forgive(&self, name: &ProjectName) {
        let desired = self.current();
        let Some(project) = desired.projects.get(name).filter(|project| !project.updates.is_empty()) else { return };
        let is_open = |key: &(ProjectName, AppName)| key.0 == *name && project.updates.contains_key(&key.1);
        self.failed.send_if_modified(|failed| {
            let before = failed.len();
            failed.retain(|key, _| !is_open(key));
            failed.len() < before
        });
    }

    async fn edit(&mut self, targets: &[Target], edit: &Edit, by: &Actor) -> Result<Vec<Accepted>, ReconcileError> {
        let mut by_project: BTreeMap<ProjectName, Vec<(AppName, Option<u32>)>> = BTreeMap::new();
        for target in targets {
            by_project.entry(target.app.project.clone()).or_default().push((target.app.name.clone(), target.slot));
        }
        let live = self.surroundings.supervisor.live().await;
        let mut changes = Vec::new();
        let desired = self.current();
        let (at, known) = (os::wall(), every_project(&desired, &live));
        for (project, targets) in &by_project {
            if !known.contains(project) {
                return Err(ReconcileError::NoSuchApp { app: project.to_string() });
            }
            let stored = desired.projects.get(project).cloned().unwrap_or_default();
            let request = EditRequest { project, targets, edit, by: &by.name, at };
            changes.extend(plan::edit(&stored, &live, &request).map_err(ReconcileError::Refused)?);
        }
        if desired.is_shut_down && matches!(edit, Edit::Start | Edit::Restart | Edit::Run) {
            changes.push(Change::ShutDown { is_shut_down: false });
        }
        self.keep(changes).await?;
        let cause = Cause::Command { by: by.clone(), verb: verb(edit).to_owned() };
        let is_alone = targets.len() == 1;
        let mut accepted = Vec::new();
        for (name, targets) in by_project {
            let project = self.current().projects.get(&name).cloned();
            // One that is gone with its last app keeps its number: it is not new.
            let generation = desired.projects.get(&name).map_or(0, |before| before.generation);
            let project = project.unwrap_or_else(|| Project { generation, ..Project::default() });
            let mut plan = plan::plan_edited(&name, &project, &live, &targets, edit, is_alone);
            if *edit != Edit::Reload {
                plan.restart_at_once(|app| !project.is_paused(app));
            }
            let request = EditRequest { project: &name, targets: &targets, edit, by: &by.name, at };
            plan::add_forgotten(&mut plan, &project, &live, &request);
            self.tell_accepted(&plan, project.generation, &cause);
            accepted.push(self.execute(plan, cause.clone(), Vec::new()));
        }
        Ok(accepted)
    }

    /// Keeps whether an update is paused, then follows. False: there is none.
    async fn want_rollout(&mut self, app: &AppId, will: RolloutWill) -> Result<bool, ReconcileError> {
        if !self.rollouts.is_open(app) {
            return Ok(false);
        }
        let (project, name) = (app.project.clone(), app.name.clone());
        let desired = self.current();
        let known = desired.projects.get(&project).and_then(|project| project.updates.get(&name)).cloned();
        let known = known.unwrap_or_default();
        let (is_paused, is_aborted) = (will == RolloutWill::Pause, will == RolloutWill::Abort && known.from.is_some());
        let update = Update { is_paused, is_aborted, ..known.clone() };
        if update != known {
            self.keep(vec![Change::Update { project, name, update: Some(Box::new(update)) }]).await?;
        }
        Ok(self.rollouts.want(app, will))
    }

    async fn stop_all(&mut self, by: &Actor, is_remembered: bool) -> Result<Vec<Accepted>, ReconcileError> {
        if is_remembered {
            self.keep(vec![Change::ShutDown { is_shut_down: true }]).await?;
        }
        self.is_leaving = true;
        let live = self.surroundings.supervisor.live().await;
        let cause = Cause::Command { by: by.clone(), verb: "shutdown".into() };
        let desired = self.current();
        let plans = every_project(&desired, &live).into_iter().map(|name| {
            let project = desired.projects.get(&name).cloned().unwrap_or_default();
            plan::plan_shutdown(&name, &project, &live, &by.name)
        });
        Ok(plans.map(|plan| self.execute(plan, cause.clone(), Vec::new())).collect())
    }

    /// Durable first, then in memory: what people are told was accepted survives everything.
    pub(super) async fn keep(&mut self, changes: Vec<Change>) -> Result<(), ReconcileError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.keeper.commit(changes.clone()).await?;
        os::killpoint("desired.kept");
        self.desired.send_modify(|desired| {
            let desired = Arc::make_mut(desired);
            for change in changes {
                desired.accept(change);
            }
        });
        Ok(())
    }

    /// What an execution has to change at its end. Whatever somebody else changed meanwhile stays as they wanted it; false
    /// if there was any of that.
    async fn amend(&mut self, changes: Vec<Change>, promised: &Desired) -> Result<bool, ReconcileError> {
        let desired = self.current();
        let is_as_promised = |change: &Change| match change {
            Change::AppRemoved { project, name }
            | Change::App { project, name, .. }
            | Change::Update { project, name, .. } => {
                let of = |desired: &Desired| {
                    desired.projects.get(project).and_then(|project| project.apps.get(name).cloned())
                };
                of(&desired) == of(promised)
            }
            Change::ProjectRemoved { name } => {
                let generation = |desired: &Desired| desired.projects.get(name).map(|project| project.generation);
                generation(&desired) == generation(promised)
            }
            Change::Project { .. } | Change::ShutDown { .. } => false,
        };
        let is_whole = changes.iter().all(is_as_promised);
        self.keep(changes.into_iter().filter(is_as_promised).collect()).await?;
        Ok(is_whole)
    }

    pub(super) fn execute(&self, plan: Plan, cause: Cause, removals: Vec<Change>) -> Accepted {
        let (progress, receiver) = broadcast::channel(plan.operations.len() * 2 + 16);
        let generation = self.generation_of(&plan.project);
        let execution = Execution {
            surroundings: self.surroundings.clone(),
            project: plan.project.clone(),
            promised: self.current(),
            desired: self.desired.subscribe(),
            busy: self.busy.clone(),
            failed: self.failed.clone(),
            waiting: self.waiting.clone(),
            rollouts: self.rollouts.clone(),
            cause,
            generation,
            progress,
            door: self.door.clone(),
        };
        tokio::spawn(Arc::new(execution).run(plan.clone(), removals));
        Accepted { plan, generation, progress: receiver }
    }

    pub(super) fn tell_accepted(&self, plan: &Plan, generation: u64, cause: &Cause) {
        if plan.is_empty() {
            return;
        }
        let (summary, apps) = (plan.in_short(), plan.changed_apps());
        let fact = Fact::Accepted { cause: cause.clone(), generation, summary, apps };
        self.surroundings.events.tell(Subject::Project(plan.project.clone()), fact);
    }

    pub(super) fn current(&self) -> Arc<Desired> {
        Arc::clone(&self.desired.borrow())
    }

    fn generation_of(&self, project: &ProjectName) -> u64 {
        self.desired.borrow().projects.get(project).map_or(0, |project| project.generation)
    }
}

/// Every project that is declared, or of which something lives.
fn every_project(desired: &Desired, live: &Live) -> BTreeSet<ProjectName> {
    let alive = live.instances.keys().map(|id| &id.app.project);
    desired.projects.keys().chain(alive).cloned().collect()
}

/// What is kept only after everything else has succeeded, and what is kept at once. An app that is replaced is
/// forgotten by the replacement itself, once the new one runs.
fn split_removals(changes: Vec<Change>, plan: &Plan) -> (Vec<Change>, Vec<Change>) {
    let is_any = |wanted: &dyn Fn(&Operation) -> bool| plan.operations.iter().any(wanted);
    let is_deleted = |name: &AppName| is_any(&|one| one.app == *name && matches!(one.verb, Verb::Delete { .. }));
    let is_replaced = |name: &AppName| is_any(&|one| matches!(&one.verb, Verb::Replace { old, .. } if old == name));
    let kept =
        changes.into_iter().filter(|change| !matches!(change, Change::AppRemoved { name, .. } if is_replaced(name)));
    kept.partition(|change| match change {
        Change::AppRemoved { name, .. } => is_deleted(name),
        Change::ProjectRemoved { .. } => true,
        Change::Project { .. } | Change::App { .. } | Change::Update { .. } | Change::ShutDown { .. } => false,
    })
}

/// Whether some app is restarted together with what it depends on.
fn follows_renewals(desired: &Desired) -> bool {
    let apps = desired.projects.values().flat_map(|project| project.apps.values());
    apps.map(|declared| declared.spec.on_dependency_restart).any(|policy| policy == OnDependencyRestart::Restart)
}

/// What a wake-up found, by the reason that people are told.
fn by_cause(plan: Plan) -> Vec<(Plan, Cause)> {
    let renewed = |operation: &Operation| {
        operation.reasons.iter().find_map(|reason| match reason {
            Reason::DependencyRestarted { app } => Some(app.clone()),
            _ => None,
        })
    };
    let followed: BTreeMap<AppName, AppName> =
        plan.operations.iter().filter_map(|operation| Some((operation.app.clone(), renewed(operation)?))).collect();
    let mut parts = Vec::new();
    for dependency in followed.values().collect::<BTreeSet<_>>() {
        let mut part = plan.clone();
        part.keep_only(|app| followed.get(app) == Some(dependency));
        part.restart_at_once(|_| true);
        parts.push((part, Cause::Dependency { app: dependency.clone() }));
    }
    let mut rest = plan;
    rest.keep_only(|app| !followed.contains_key(app));
    parts.push((rest, Cause::Boot));
    parts
}

fn verb(edit: &Edit) -> &'static str {
    match edit {
        Edit::Start => "start",
        Edit::Stop { .. } => "stop",
        Edit::Restart | Edit::Recycle => "restart",
        Edit::Reload => "reload",
        Edit::Run => "run",
        Edit::Delete => "delete",
        Edit::Scale { .. } => "scale",
        Edit::Unhold => "unhold",
    }
}
