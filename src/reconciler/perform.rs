//! One operation → orders for the supervisor. No choices: the plan made them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::OperationResult;
use super::execute::Execution;
use crate::events::Events;
use crate::logs::{self, LogQuery, Source};
use crate::model::{
    AppId, AppName, Cause, Change, Declared, Desired, Failure, Form, InstanceId, LiveInstance, Operation, Phase,
    Project, ProjectName, Stream, UpdateStrategy, Verb, WallTime,
};
use crate::os::{Home, Worker};
use crate::plan::is_of_form;
use crate::supervisor::{Launch, Order, Outcome, Supervisor, Task, log_path};

/// How long a new process must live to count as started, where nothing better is declared.
pub(super) const ALIVE_FOR: Duration = Duration::from_millis(300);
/// Lines of output that a failure report carries.
const LAST_LINES: usize = 5;

/// Whom an execution works with.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Takes the orders.
    pub supervisor: Supervisor,
    /// Is told what was accepted.
    pub events: Events,
    /// Where logs are.
    pub home: Home,
    /// Reads them.
    pub reader: Worker,
}

impl Execution {
    /// Does one operation. What is rare has a box of its own: a thousand starts wait side by side, each with room for
    /// the largest of these.
    pub(super) async fn perform(&self, operation: &Operation) -> OperationResult {
        let app = &operation.app;
        match &operation.verb {
            Verb::Start { slots } => self.start(app, slots).await,
            Verb::Roll { slots, manner } => Box::pin(self.roll(operation, slots, *manner)).await,
            Verb::Restart { slots, manner: manner @ (UpdateStrategy::Rolling | UpdateStrategy::Together) } => {
                Box::pin(self.roll(operation, slots, *manner)).await
            }
            Verb::Restart { slots, manner: UpdateStrategy::Restart } => Box::pin(self.restart(app, slots)).await,
            Verb::Scale { add, remove, .. } => {
                let removed = Box::pin(self.all(app, remove, |_| Some(Task::Delete(self.cause.clone())))).await;
                if removed == OperationResult::Done { Box::pin(self.start(app, add)).await } else { removed }
            }
            Verb::Update => Box::pin(self.update(app)).await,
            Verb::Rename { from } => Box::pin(self.rename(from, app)).await,
            Verb::Replace { old, slots } => Box::pin(self.replace(old, app, slots)).await,
            Verb::Stop { slots } => {
                Box::pin(self.discard_successors(app, slots)).await;
                Box::pin(self.all(app, slots, |_| Some(Task::Stop(self.cause.clone())))).await
            }
            Verb::Delete { slots } => {
                Box::pin(self.discard_successors(app, slots)).await;
                Box::pin(self.all(app, slots, |_| Some(Task::Delete(self.cause.clone())))).await
            }
            Verb::Keep | Verb::Hold => OperationResult::Done,
        }
    }

    pub(super) async fn start(&self, app: &AppName, slots: &[u32]) -> OperationResult {
        if let Some(declared) = self.declared(app) {
            self.make_room(&[app], &declared.spec.run.listen).await;
        }
        let slots = &self.meant(app, slots);
        let started = self.all(app, slots, |slot| self.new_process(app, slot).map(Task::Start)).await;
        self.lasts(app, slots, started).await
    }

    /// Waits for processes that somebody else has started as if they were its own, and touches none of them.
    pub(super) async fn come_up(&self, app: &AppName, slots: &[u32]) -> OperationResult {
        let slots = &self.meant(app, slots);
        let came_up = self.all(app, slots, |_| self.declared(app).map(|_| Task::Await)).await;
        self.lasts(app, slots, came_up).await
    }

    /// What has started must live for a moment, where it does not say itself that it is good.
    async fn lasts(&self, app: &AppName, slots: &[u32], started: OperationResult) -> OperationResult {
        if started == OperationResult::Done && !self.has_said_ready(app) {
            let stayed = self.stays_alive(app, slots).await;
            return Box::pin(self.tried_again(app, stayed)).await;
        }
        started
    }

    /// Whether the end of an order means that the app itself has said it is good.
    pub(super) fn has_said_ready(&self, app: &AppName) -> bool {
        self.declared(app).is_some_and(|declared| declared.spec.ready.is_some())
    }

    /// Whether a start of it may take long, and can say why.
    pub(super) fn may_be_unready(&self, app: &AppName) -> bool {
        self.declared(app).is_some_and(|declared| declared.spec.ready.is_some() || !declared.spec.hooks.is_empty())
    }

    async fn update(&self, app: &AppName) -> OperationResult {
        let Some(declared) = self.declared(app) else { return OperationResult::Superseded };
        let slots = self.live_slots(app).await;
        self.all(app, &slots, |_| Some(Task::Update(Arc::clone(&declared.spec)))).await
    }

    async fn rename(&self, from: &AppName, to: &AppName) -> OperationResult {
        let old = AppId::new(self.project.clone(), from.clone());
        let slots = self.live_slots(from).await;
        let now = self.surroundings.supervisor.look(slots.iter().map(|slot| old.instance(*slot)).collect()).await;
        let Some(declared) = self.declared(to) else { return OperationResult::Superseded };
        // A process of another form keeps that form under its new name, until it is replaced.
        let before = self.update_of(to).and_then(|update| update.from);
        let is_of_form = |slot| now.iter().any(|(id, live)| id.slot == slot && is_of_form(live, &declared, slot));
        let launch = |slot| match &before {
            Some(before) if !is_of_form(slot) => self.launch(to, slot).map(|launch| launch.in_form(before)),
            _ => self.launch(to, slot),
        };
        self.all(to, &slots, |slot| Some(Task::Rename(old.instance(slot), launch(slot)?))).await
    }

    /// Old stopped, new started; if that fails the old one runs again and stays declared.
    async fn replace(&self, old: &AppName, new: &AppName, slots: &[u32]) -> OperationResult {
        let can_start = self.can_start(new, slots).await;
        if can_start != OperationResult::Done {
            return can_start;
        }
        let old_slots = self.live_slots(old).await;
        let stopped = self.all(old, &old_slots, |_| Some(Task::Stop(self.cause.clone()))).await;
        if stopped != OperationResult::Done {
            return stopped;
        }
        if let Some(declared) = self.declared(new) {
            self.make_room(&[old, new], &declared.spec.run.listen).await;
        }
        let started = self.start(new, slots).await;
        if let OperationResult::Failed { instance, failure, exit, last_lines, .. } = started {
            if let Some(declared) = self.declared(old) {
                self.make_room(&[old, new], &declared.spec.run.listen).await;
            }
            let again = self.all(old, &old_slots, |slot| self.launch(old, slot).map(Task::Start)).await;
            let is_reverted = again == OperationResult::Done;
            return OperationResult::Failed {
                instance,
                failure,
                exit,
                last_lines,
                is_reverted,
                is_stuck: !is_reverted,
            };
        }
        let forgotten = Change::AppRemoved { project: self.project.clone(), name: old.clone() };
        if let Err(why) = self.amend(vec![forgotten], &self.promised).await {
            return OperationResult::Skipped { why };
        }
        self.all(old, &old_slots, |_| Some(Task::Delete(self.cause.clone()))).await
    }

    /// Gives one order per slot, all at once, and waits for all of them. `task` is `None` where a later command has
    /// changed what the plan was made from.
    pub(super) async fn all(
        &self,
        app: &AppName,
        slots: &[u32],
        task: impl Fn(u32) -> Option<Task>,
    ) -> OperationResult {
        self.each(self.instances(app, slots), task).await
    }

    /// The same for instances that are named one by one.
    pub(super) async fn each(&self, instances: Vec<InstanceId>, task: impl Fn(u32) -> Option<Task>) -> OperationResult {
        let mut orders = JoinSet::new();
        for instance in instances {
            let Some(task) = task(instance.slot) else { return OperationResult::Superseded };
            let supervisor = self.surroundings.supervisor.clone();
            orders.spawn(async move { (instance.clone(), supervisor.order(Order { instance, task }).await) });
        }
        let mut worst = OperationResult::Done;
        while let Some(joined) = orders.join_next().await {
            match joined {
                Ok((_, Outcome::Done)) => {}
                Ok((instance, Outcome::Failed(failure))) => {
                    worst = Box::pin(self.failed(instance, Some(failure))).await;
                }
                Ok((_, Outcome::Superseded)) | Err(_) => {
                    if worst == OperationResult::Done {
                        worst = OperationResult::Superseded;
                    }
                }
            }
        }
        worst
    }

    /// A service that ends within its first moments has failed, unless its policy calls that exit done.
    async fn stays_alive(&self, app: &AppName, slots: &[u32]) -> OperationResult {
        self.stay_good(&self.instances(app, slots), ALIVE_FOR).await
    }

    /// Looks twice: what was up at first must still be the same process, and good.
    pub(super) async fn stay_good(&self, instances: &[InstanceId], time: Duration) -> OperationResult {
        let before = self.surroundings.supervisor.look(instances.to_vec()).await;
        tokio::time::sleep(time).await;
        let after = self.surroundings.supervisor.look(instances.to_vec()).await;
        if before.len() < instances.len() || after.len() < instances.len() {
            return OperationResult::Superseded;
        }
        for ((instance, before), (_, after)) in before.iter().zip(&after) {
            match first_moments(before, after) {
                FirstMoments::Lived => {}
                FirstMoments::Overtaken => return OperationResult::Superseded,
                FirstMoments::Failed(failure) => return Box::pin(self.failed(instance.clone(), failure)).await,
            }
        }
        OperationResult::Done
    }

    pub(super) async fn failed(&self, instance: InstanceId, failure: Option<Failure>) -> OperationResult {
        let live = self.surroundings.supervisor.look(vec![instance.clone()]).await;
        let (exit, started) = live.first().map_or((None, None), |(_, live)| (live.last_exit, live.started));
        self.surroundings.supervisor.drained(instance.clone()).await;
        let last_lines = self.last_lines(&instance, started).await;
        OperationResult::Failed { instance, failure, exit, last_lines, is_reverted: false, is_stuck: false }
    }

    /// What the process has printed lately, and not the one before it.
    async fn last_lines(&self, instance: &InstanceId, since: Option<WallTime>) -> Vec<String> {
        let Some(declared) = self.declared(&instance.app.name) else { return Vec::new() };
        let source = |stream| Source {
            instance: instance.clone(),
            stream,
            path: log_path(&self.surroundings.home, instance, stream, &declared.spec.logs),
        };
        let sources = [source(Stream::Stdout), source(Stream::Stderr)];
        let (reply, lines) = oneshot::channel();
        let read = move || {
            let lines = logs::read(&sources, &LogQuery { lines: LAST_LINES, since }).unwrap_or_default();
            let _ = reply.send(lines);
        };
        if self.surroundings.reader.submit(Box::new(read)).is_err() {
            return Vec::new();
        }
        let lines = lines.await.unwrap_or_default();
        lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
    }

    /// What this plan wants of an app, unless a later command wants something else by now. That single slots are
    /// stopped meanwhile leaves the rest of it as it is.
    pub(super) fn declared(&self, app: &AppName) -> Option<Declared> {
        self.declared_by(&self.desired.borrow(), app)
    }

    fn declared_by(&self, desired: &Desired, app: &AppName) -> Option<Declared> {
        let promised = declared_in(&self.promised, &self.project, app)?;
        declared_in(desired, &self.project, app).filter(|declared| declared.is_but_for_stops(promised)).cloned()
    }

    /// Those of the slots that nobody has stopped meanwhile.
    pub(super) fn meant(&self, app: &AppName, slots: &[u32]) -> Vec<u32> {
        let stopped = self.declared(app).map(|declared| declared.stopped_slots).unwrap_or_default();
        slots.iter().copied().filter(|slot| !stopped.contains(slot)).collect()
    }

    /// Whether nobody wants something else of the app, or has stopped one of these slots.
    pub(super) fn is_wanted(&self, app: &AppName, slots: &[u32]) -> bool {
        self.declared(app).is_some_and(|declared| slots.iter().all(|slot| !declared.stopped_slots.contains(slot)))
    }

    /// Changes how an app is declared on behalf of this plan, as long as nobody wants something else of it: false if
    /// somebody does. What people stop meanwhile stays stopped.
    pub(super) async fn amend_app(
        &self,
        app: &AppName,
        changes: impl Fn(&Declared) -> Vec<Change>,
    ) -> Result<bool, String> {
        loop {
            let current = Arc::clone(&self.desired.borrow());
            let Some(declared) = self.declared_by(&current, app) else { return Ok(false) };
            if self.amend(changes(&declared), &current).await? {
                return Ok(true);
            }
        }
    }

    /// What a new process in a slot is started with; none where a person has stopped it meanwhile.
    pub(super) fn new_process(&self, app: &AppName, slot: u32) -> Option<Launch> {
        self.launch(app, slot).filter(|_| self.is_wanted(app, &[slot]))
    }

    pub(super) fn launch(&self, app: &AppName, slot: u32) -> Option<Launch> {
        Some(launch_of(&self.declared(app)?, slot, self.cause.clone()))
    }

    pub(super) fn id(&self, app: &AppName) -> AppId {
        AppId::new(self.project.clone(), app.clone())
    }

    pub(super) fn instances(&self, app: &AppName, slots: &[u32]) -> Vec<InstanceId> {
        let id = self.id(app);
        slots.iter().map(|slot| id.instance(*slot)).collect()
    }

    pub(super) async fn live_slots(&self, app: &AppName) -> Vec<u32> {
        let live = self.surroundings.supervisor.live().await;
        let ids = live.instances.keys().filter(|id| id.app.project == self.project && id.app.name == *app);
        ids.filter(|id| !id.is_successor).map(|id| id.slot).collect()
    }
}

/// The process of a slot, as it is declared.
pub(super) fn launch_of(declared: &Declared, slot: u32, cause: Cause) -> Launch {
    let Form { spec, digest, base, base_digest } = declared.form();
    Launch { spec, digest, base, base_digest, epoch: declared.epoch_of(slot), cause }
}

/// What became of a process in its first moments.
enum FirstMoments {
    Lived,
    /// Somebody else stopped or replaced it meanwhile.
    Overtaken,
    Failed(Option<Failure>),
}

fn first_moments(before: &LiveInstance, after: &LiveInstance) -> FirstMoments {
    let ended_by_itself = after.restarts != before.restarts;
    match &after.phase {
        Phase::Done { .. } => FirstMoments::Lived,
        Phase::Errored { failure } => FirstMoments::Failed(Some(failure.clone())),
        Phase::Backoff { .. } => FirstMoments::Failed(after.trouble.clone()),
        _ if ended_by_itself => FirstMoments::Failed(after.trouble.clone()),
        // It is no good and on its way out: nobody else has stopped it.
        Phase::Stopping { .. } if after.trouble.is_some() => FirstMoments::Failed(after.trouble.clone()),
        Phase::Running { .. } if before.generation == after.generation => FirstMoments::Lived,
        Phase::Running { .. } | Phase::Starting | Phase::Stopping { .. } | Phase::Stopped => FirstMoments::Overtaken,
    }
}

pub(super) fn declared_in<'a>(desired: &'a Desired, project: &ProjectName, app: &AppName) -> Option<&'a Declared> {
    desired.projects.get(project).map(|project: &Project| &project.apps).and_then(|apps| apps.get(app))
}
