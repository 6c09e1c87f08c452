//! One pass: what the jobs decide is saved, ordered and reported, until nothing more follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::broadcast;

use super::run::{DirtyApps, Loop};
use super::view::view_of;
use super::{Accepted, Intent, ReconcileError, builds, history};
use crate::model::{
    AppId, AppName, Cause, Change, Command, Desired, Fact, Failure, InstanceId, Live, Millis, Moment, Operation, Order,
    Plan, Progress, Project, ProjectName, Reason, StartWait, Subject, VerbKind,
};
use crate::os;
use crate::plan::{self, Dirty, News, Rehearsal};

/// When what could not be written is tried again.
const KEEP_AGAIN_AFTER: Millis = Millis(1000);

impl Loop {
    /// Looks at what is dirty and does what follows, again and again as long as something has to be kept first.
    pub(super) async fn pass(&mut self) {
        loop {
            let desired = self.current();
            let view = view_of(&desired, &self.live);
            let DirtyApps { apps, is_all } = std::mem::take(&mut self.dirty);
            let dirty = if is_all { Dirty::Everything } else { Dirty::Apps(&apps) };
            let next = self.jobs.advance(&view, dirty);
            self.pass_at = next.wake_at;
            for (about, fact) in next.facts {
                self.deps.events.emit(about, fact);
            }
            if next.has_new_waits {
                let dependencies =
                    self.jobs.waiting().into_iter().map(|(app, waits)| (app, StartWait::Dependency(waits)));
                let places = self.jobs.awaiting_places(&view);
                let waiting = dependencies.chain(places).chain(self.jobs.building()).collect();
                self.waiting.send_replace(Arc::new(waiting));
            }
            self.rehearse(next.rehearsals);
            self.give(next.orders).await;
            let has_kept = self.keep_decided(next.changes).await;
            // Who is told of an end may look at what was kept of it.
            for (job, news) in next.messages {
                self.report(job, news).await;
            }
            if !has_kept && self.pass_at.is_none_or(|at| at > os::now()) {
                return;
            }
        }
    }

    /// Keeps what a pass has decided. True: the next pass may rely on something new. What cannot be written now is tried
    /// again; until then nothing is done that relies on it.
    async fn keep_decided(&mut self, changes: Vec<Change>) -> bool {
        let had_trouble = !self.unkept.is_empty() || !self.unremembered.is_empty();
        for change in changes {
            if !self.unkept.contains(&change) {
                self.unkept.push(change);
            }
        }
        if self.unkept.is_empty() && self.unremembered.is_empty() {
            return false;
        }
        let all = std::mem::take(&mut self.unkept);
        self.dirty.apps.extend(all.iter().filter_map(app_of));
        let Err(error) = self.keep(all.clone()).await else { return true };
        if !had_trouble {
            let message = format!("{error}; the changes that depend on it wait, and saving is retried every second");
            self.deps.events.emit(Subject::Daemon, Fact::Trouble { message });
        }
        self.unkept = all;
        let again = os::now().after(KEEP_AGAIN_AFTER);
        self.pass_at = Some(self.pass_at.map_or(again, |at: Moment| at.max(again)));
        false
    }

    /// Durable first, then in memory: what users are told was accepted survives everything.
    pub(super) async fn keep(&mut self, changes: Vec<Change>) -> Result<(), ReconcileError> {
        if changes.is_empty() && self.unremembered.is_empty() {
            return Ok(());
        }
        self.store.commit([self.unremembered.as_slice(), &changes].concat()).await?;
        self.unremembered.clear();
        os::killpoint("desired.kept");
        self.take_in(changes);
        Ok(())
    }

    /// As [`Self::keep`]. What a user wants taken down is taken down, even if it cannot be kept; then why it is not
    /// remembered (yet).
    pub(super) async fn keep_or_take_down(&mut self, changes: Vec<Change>) -> Result<Option<String>, ReconcileError> {
        let Err(error) = self.keep(changes.clone()).await else { return Ok(None) };
        let ReconcileError::NotStored { message } = &error else { return Err(error) };
        if !self.current().is_only_taken_down_by(&changes) {
            return Err(error);
        }
        let why = format!("this was not saved, so the next daemon starts the processes again: {message}");
        self.unremembered.retain(|change| !changes.contains(change));
        self.unremembered.extend(changes.clone());
        self.take_in(changes);
        Ok(Some(why))
    }

    fn take_in(&mut self, changes: Vec<Change>) {
        self.desired.send_modify(|desired| {
            let desired = Arc::make_mut(desired);
            for change in changes {
                desired.accept(change);
            }
        });
        self.follows_renewals = self.current().follows_renewals();
    }

    /// Orders for the supervisor; what stands in the way of the sockets of a new process is closed first.
    async fn give(&mut self, orders: Vec<Order>) {
        if orders.is_empty() {
            return;
        }
        for order in &orders {
            if let Command::Start(launch) | Command::Restart(launch) = &order.command {
                self.make_room(&order.instance.app, &launch.spec.run.listen);
            }
        }
        if orders.iter().any(|order| order.command == Command::TakeOver) {
            os::killpoint("roll.vacated");
        }
        self.deps.supervisor.order(orders).await;
    }

    /// Asks whether anything is known against these starts; the answers come back as intents.
    fn rehearse(&self, rehearsals: Vec<Rehearsal>) {
        for Rehearsal { instance, number, launch, is_build } in rehearsals {
            let (supervisor, inbox) = (self.deps.supervisor.clone(), self.inbox.clone());
            let desired = self.desired.subscribe();
            tokio::spawn(async move {
                let result = if is_build {
                    builds::build(supervisor, desired, instance.app.clone(), launch).await
                } else {
                    supervisor.rehearse(instance.clone(), launch).await
                };
                if let Some(inbox) = inbox.upgrade() {
                    // A reconciler that is gone leaves with the daemon.
                    let _ = inbox.send(Intent::Rehearsed(instance, number, result)).await;
                }
            });
        }
    }

    /// What a rehearsal has found stands beside the live state.
    pub(super) fn rehearsed(&mut self, instance: InstanceId, number: u64, result: Result<(), Failure>) {
        self.dirty.apps.insert(instance.app.clone());
        match result {
            Ok(()) => drop(self.live.rehearsed.insert(instance, number)),
            Err(failure) => drop(self.unstartable.insert(instance, (number, failure))),
        }
        self.live.refused.extend(self.unstartable.clone());
    }

    async fn report(&mut self, job: plan::JobId, news: News) {
        match news {
            News::Progress(progress) => {
                let stopped = match &progress {
                    Progress::Ended(report) if report.verb == VerbKind::Stop => Some(report.app.clone()),
                    _ => None,
                };
                self.reports.report(job, progress);
                if let Some(app) = stopped {
                    self.report_left(job, app).await;
                }
            }
            News::Failed(report, printer) => self.complete(job, report, printer),
            News::Finished { project, generation, took, has_news } => {
                self.reports.finish(job, generation, took);
                self.after_job(&project, has_news).await;
            }
        }
    }

    /// A job is over: nothing is held for it any more, and there may be something that waited for it.
    async fn after_job(&mut self, project: &ProjectName, has_news: bool) {
        if self.jobs.is_empty() {
            self.live.rehearsed.clear();
            self.unstartable.clear();
        }
        let wanted = self.listeners(None);
        self.deps.supervisor.keep_listeners(wanted).await;
        if has_news && !self.is_leaving && !self.current().is_shut_down {
            self.wake_project(project, true);
        }
        history::conclude(self, project).await;
    }

    /// Compares what is stored with the live state. Takes no input: what happens after a crash happens every day.
    pub(super) async fn wake(&mut self) {
        self.look().await;
        let desired = self.current();
        if desired.is_shut_down || self.is_leaving {
            return;
        }
        for name in every_project(&desired, &self.live) {
            self.wake_project(&name, false);
            history::conclude(self, &name).await;
        }
    }

    /// `is_sequel`: a job of the project has just ended.
    fn wake_project(&mut self, name: &ProjectName, is_sequel: bool) {
        let desired = self.current();
        let project = desired.projects.get(name).cloned().unwrap_or_default();
        let mut plan = plan::plan_wakeup(name, &project, &self.live);
        plan::add_unfinished(&mut plan, &project, &self.live);
        plan::leave_rejected(&mut plan, &project, &self.live);
        plan.keep_only(|app| !self.jobs.is_busy(&AppId::new(name.clone(), app.clone())));
        if is_sequel && self.woken.get(name) == Some(&plan) {
            return;
        }
        self.tidy(name, &project, &plan);
        if plan.is_empty() {
            self.woken.remove(name);
        } else {
            self.woken.insert(name.clone(), plan.clone());
        }
        for (plan, cause) in by_cause(plan).into_iter().filter(|(plan, _)| !plan.is_empty()) {
            self.execute(plan, cause);
        }
    }

    /// New processes of a rolling update that nobody works on any more.
    fn tidy(&self, name: &ProjectName, project: &Project, plan: &Plan) {
        let orders = self.jobs.orders(plan::leftover_successors(name, project, plan, &self.live));
        if !orders.is_empty() {
            let supervisor = self.deps.supervisor.clone();
            tokio::spawn(async move { supervisor.order(orders).await });
        }
    }

    /// Begins to carry a plan out.
    pub(super) fn execute(&mut self, plan: Plan, cause: Cause) -> Accepted {
        let (sender, progress) = broadcast::channel(plan.operations.len() * 2 + 16);
        let generation = self.generation_of(&plan.project);
        let desired = self.current();
        let view = view_of(&desired, &self.live);
        let job = self.jobs.accept(&plan, cause, generation, &view);
        self.reports.open(job, plan.project.clone(), sender);
        self.dirty.is_all = true;
        self.pass_at = Some(view.now);
        Accepted { plan, generation, progress, unremembered: None }
    }

    pub(super) fn emit_accepted(&self, plan: &Plan, generation: u64, cause: &Cause) {
        if plan.is_empty() {
            return;
        }
        let (changes, other_apps) = (plan.changes(), plan.other_apps());
        let fact = Fact::Accepted { cause: cause.clone(), generation, changes, other_apps };
        self.deps.events.emit(Subject::Project(plan.project.clone()), fact);
    }

    pub(super) fn generation_of(&self, project: &ProjectName) -> u64 {
        self.desired.borrow().projects.get(project).map_or(0, |project: &Project| project.generation)
    }
}

/// Every project that is declared, or of which something is alive.
pub(super) fn every_project(desired: &Desired, live: &Live) -> BTreeSet<ProjectName> {
    let alive = live.instances.keys().map(|id| &id.app.project);
    desired.projects.keys().chain(alive).cloned().collect()
}

fn app_of(change: &Change) -> Option<AppId> {
    match change {
        Change::App { project, name, .. }
        | Change::AppRemoved { project, name }
        | Change::Rollout { project, name, .. } => Some(AppId::new(project.clone(), name.clone())),
        Change::Project { .. }
        | Change::ProjectRemoved { .. }
        | Change::History { .. }
        | Change::Source { .. }
        | Change::ShutDown { .. } => None,
    }
}

/// What a wake-up found, by the reason that users are told.
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
