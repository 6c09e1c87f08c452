//! Accepted plans in progress: one pure pass decides the next orders, at any moment and for any live state.
//!
//! A [`Job`] is a plan with the state of its steps. [`Jobs::advance`] looks at what is declared, the live state and what time
//! it is, and answers with orders, with changes that have to be on disk before it continues, and with what is to be told.
//! Nothing follows from a message having arrived: whatever wakes the caller, the pass finds the same next step. What must
//! outlive the daemon is declared ([`Rollout`], `is_leaving`); jobs themselves are made anew from that by a wake-up.

mod goals;
mod job;
mod line;
mod places;
mod replacing;
mod rolling;
#[cfg(test)]
mod sim;
mod start_place;
#[cfg(test)]
mod tests;
mod work;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

pub use goals::Printer;
use job::Job;
pub use work::builds_first;

use crate::model::{
    AppId, AppName, Cause, Change, Command, Declared, Desired, Fact, InstanceId, Launch, Live, LiveInstance, Millis,
    Moment, Operation, OperationReport, Order, Plan, Progress, Project, ProjectName, Reason, Rollout, RolloutStatus,
    StartWait, Subject, WaitsFor,
};

/// How long a new process must live to count as started, where nothing better is declared.
pub(super) const ALIVE_FOR: Millis = Millis(300);

/// What a pass sees.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What should be.
    pub desired: &'a Desired,
    /// What is.
    pub live: &'a Live,
    /// What time it is.
    pub now: Moment,
    /// How many processes may start at the same time where no file says so and nobody asked for it: after a reboot.
    pub unasked_starts_max: Option<u32>,
}

/// What follows from a pass, besides news for those who wait for a job.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Next {
    /// Starts to be rehearsed: whether anything is known that would keep them from succeeding.
    pub rehearsals: Vec<Rehearsal>,
    /// For the supervisor; the order of the list matters only for one and the same instance.
    pub orders: Vec<Order>,
    /// To be kept durably before the next pass: that pass may rely on it.
    pub changes: Vec<Change>,
    /// Events to publish, in this order.
    pub facts: Vec<(Subject, Fact)>,
    /// When another pass would decide more, by time alone.
    pub wake_at: Option<Moment>,
    /// By job, in order.
    pub messages: Vec<(JobId, News)>,
    /// What [`Jobs::waiting`] answers has changed.
    pub has_new_waits: bool,
    /// Apps with a line that has ended.
    freed: BTreeSet<AppId>,
    news: Vec<Progress>,
    printers: BTreeMap<InstanceId, Printer>,
}

impl Next {
    fn wake_at(&mut self, at: Moment) {
        self.wake_at = Some(self.wake_at.map_or(at, |known| known.min(at)));
    }
}

/// A start that would follow the end of a process; answered by [`Live::rehearsed`] or [`Live::refused`].
#[derive(Clone, PartialEq, Debug)]
pub struct Rehearsal {
    /// The instance.
    pub instance: InstanceId,
    /// The number of the order that it stands for.
    pub number: u64,
    /// What it would be started with.
    pub launch: Launch,
    /// The app is built, too: its build command has to succeed.
    pub is_build: bool,
}

/// The number of a job of this daemon.
pub type JobId = u64;

/// What those who wait for a job are told.
#[derive(Clone, PartialEq, Debug)]
pub enum News {
    /// Something went on.
    Progress(Progress),
    /// An operation failed: its report is to be completed with what that process has printed.
    Failed(OperationReport, Option<Printer>),
    /// Everything ended. The operations of the report are those that were told.
    Finished {
        /// The project of the job.
        project: ProjectName,
        /// The project's generation that the job works towards.
        generation: u64,
        /// How long it took.
        took: Millis,
        /// Something came up or was taken over: there may be more to do.
        has_news: bool,
    },
}

/// Which apps a pass has to look at.
#[derive(Clone, Copy, Debug)]
pub enum Dirty<'a> {
    /// Every app of every project.
    Everything,
    /// Those about which something changed, and those that are due.
    Apps(&'a BTreeSet<AppId>),
}

/// Numbers for orders; none is given twice.
#[derive(Debug, Default)]
pub(crate) struct Numbers(Cell<u64>);

impl Numbers {
    fn take(&self) -> u64 {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }
}

/// All jobs of a daemon, oldest first.
#[derive(Debug, Default)]
pub struct Jobs {
    all: Vec<Job>,
    numbers: Numbers,
    last_id: JobId,
    /// Apps whose steps somebody superseded since the last pass.
    superseded: BTreeSet<AppId>,
}

/// What a step sees.
pub(crate) struct Context<'a> {
    pub view: &'a View<'a>,
    pub project: &'a ProjectName,
    pub cause: &'a Cause,
    pub numbers: &'a Numbers,
}

impl<'a> Context<'a> {
    fn id(&self, app: &AppName) -> AppId {
        AppId::new(self.project.clone(), app.clone())
    }

    fn stored(&self) -> Option<&'a Project> {
        self.view.desired.projects.get(self.project)
    }

    fn declared(&self, app: &AppName) -> Option<&'a Declared> {
        self.stored()?.apps.get(app)
    }

    fn rollout(&self, app: &AppName) -> Option<&'a Rollout> {
        self.stored()?.rollouts.get(app)
    }

    fn live(&self, app: &AppName, slot: u32) -> Option<&'a LiveInstance> {
        self.view.live.instances.get(&self.id(app).instance(slot))
    }

    fn live_slots(&self, app: &AppName) -> Vec<u32> {
        let id = self.id(app);
        let all = self.view.live.instances.range(id.instance(0)..=id.instance(u32::MAX));
        all.filter(|(id, _)| !id.is_successor).map(|(id, _)| id.slot).collect()
    }

    /// The change by which an app that was to leave stays.
    fn stays(&self, app: &AppName, declared: &Declared) -> Change {
        let declared = Box::new(Declared { is_leaving: false, ..declared.clone() });
        Change::App { project: self.project.clone(), name: app.clone(), declared }
    }
}

impl Jobs {
    /// Takes a plan up. Its first orders come with the next pass.
    pub fn accept(&mut self, plan: &Plan, cause: Cause, generation: u64, view: &View) -> JobId {
        self.last_id += 1;
        for operation in plan.operations.iter().filter(|operation| is_run(operation)) {
            // A run that replaces another one does not wait for it.
            self.supersede_app(&AppId::new(plan.project.clone(), operation.app.clone()));
        }
        self.all.push(Job::new(self.last_id, plan, cause, generation, view));
        self.last_id
    }

    /// How many plans have been taken up so far.
    pub fn count(&self) -> u64 {
        self.last_id
    }

    /// Orders that belong to no job: for what no job works on.
    pub fn orders(&self, commands: Vec<(InstanceId, Command)>) -> Vec<Order> {
        let free = commands.into_iter().filter(|(instance, _)| !self.is_busy(&instance.app));
        free.map(|(instance, command)| Order { instance, number: self.numbers.take(), command }).collect()
    }

    /// Whether any job has something left to do about an app.
    pub fn is_busy(&self, app: &AppId) -> bool {
        self.of_project(&app.project).any(|job| job.is_open(&app.name))
    }

    /// Whether any job works on a project.
    pub fn is_project_busy(&self, project: &ProjectName) -> bool {
        self.of_project(project).next().is_some()
    }

    /// Whether there is any job.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What is accepted by these changes decides over the apps that they are about: older steps end. That single slots
    /// are stopped leaves the rest of an app as it is.
    pub fn supersede(&mut self, before: &Desired, changes: &[Change]) {
        for change in changes {
            match change {
                Change::App { project, name, declared } => {
                    let prior = before.projects.get(project).and_then(|project| project.apps.get(name));
                    if prior.is_some_and(|prior| declared.is_leaving || !declared.is_but_for_stops(prior)) {
                        self.supersede_app(&AppId::new(project.clone(), name.clone()));
                    }
                }
                Change::AppRemoved { project, name } => {
                    self.supersede_app(&AppId::new(project.clone(), name.clone()));
                }
                Change::ProjectRemoved { name } => self.supersede_project(Some(name)),
                Change::Project { .. }
                | Change::Rollout { .. }
                | Change::History { .. }
                | Change::Source { .. }
                | Change::ShutDown { .. } => {}
            }
        }
    }

    /// Everything is to stop.
    pub fn supersede_all(&mut self) {
        self.supersede_project(None);
    }

    fn supersede_project(&mut self, project: Option<&ProjectName>) {
        let jobs = self.all.iter().filter(|job| project.is_none_or(|project| job.project == *project));
        let apps = jobs.flat_map(|job| job.all_lines().map(|line| AppId::new(job.project.clone(), line.app.clone())));
        for app in apps.collect::<BTreeSet<_>>() {
            self.supersede_app(&app);
        }
    }

    fn supersede_app(&mut self, app: &AppId) {
        for job in self.all.iter_mut().filter(|job| job.project == app.project) {
            let lines = job.lines.iter_mut().chain(&mut job.deletes);
            for line in lines.filter(|line| line.app == app.name && !line.is_over()) {
                line.supersede();
                self.superseded.insert(app.clone());
            }
        }
    }

    /// What starts wait for, by app.
    pub fn waiting(&self) -> BTreeMap<AppId, WaitsFor> {
        let of_job = |job: &Job| {
            let shown = |line: &line::Line| {
                Some((AppId::new(job.project.clone(), line.app.clone()), line.waits_for()?.clone()))
            };
            job.lines.iter().filter_map(shown).collect::<Vec<_>>()
        };
        self.all.iter().flat_map(of_job).collect()
    }

    /// Apps that are being built before their first process starts.
    pub fn building(&self) -> Vec<(AppId, StartWait)> {
        let of_job = |job: &Job| {
            let build = |line: &line::Line| {
                let since = line.builds_since()?;
                Some((AppId::new(job.project.clone(), line.app.clone()), StartWait::Build { since }))
            };
            job.lines.iter().filter_map(build).collect::<Vec<_>>()
        };
        self.all.iter().flat_map(of_job).collect()
    }

    /// Whether a start of the app waits for something that it depends on.
    pub fn is_waiting(&self, app: &AppId) -> bool {
        self.of_project(&app.project).any(|job| job.lines.iter().any(|line| line.app == app.name && line.is_waiting()))
    }

    /// The rolling replacements that are in progress.
    pub fn rollouts(&self, view: &View) -> Vec<RolloutStatus> {
        let of_job = |job: &Job| {
            let context = job.context(view, &self.numbers);
            job.lines.iter().filter_map(|line| line.rollout(&context)).collect::<Vec<_>>()
        };
        self.all.iter().flat_map(of_job).collect()
    }

    /// Looks at what is dirty and at what is due, and continues as far as possible.
    pub fn advance(&mut self, view: &View, dirty: Dirty) -> Next {
        let mut next = Next::default();
        // Apps of which a younger job may continue, whether anything changed about them or not.
        let mut freed = std::mem::take(&mut self.superseded);
        let (mut dirty, nothing) = (dirty, BTreeSet::new());
        loop {
            for at in 0..self.all.len() {
                let (older, rest) = self.all.split_at_mut(at);
                let Some(job) = rest.first_mut() else { break };
                let mut due = job.due(view, dirty);
                due.extend(freed.iter().filter(|app| app.project == job.project).flat_map(|app| job.at(&app.name)));
                due.extend(job.admitted());
                job.advance(older, due, view, &self.numbers, &mut next);
                freed.append(&mut next.freed);
            }
            if !self.admit(view, &mut next) {
                break;
            }
            (dirty, freed) = (Dirty::Apps(&nothing), BTreeSet::new());
        }
        self.all.retain(|job| job.open > 0);
        for job in &self.all {
            let waits = job.lines.iter().chain(&job.deletes).filter_map(|line| line.wake_at);
            waits.min().into_iter().for_each(|at| next.wake_at(at));
        }
        next
    }

    fn of_project(&self, project: &ProjectName) -> impl Iterator<Item = &Job> {
        self.all.iter().filter(move |job| job.project == *project)
    }
}

/// A run of a timed task that somebody or the clock asks for.
fn is_run(operation: &Operation) -> bool {
    operation.reasons.iter().any(|reason| matches!(reason, Reason::Due | Reason::RunAsked))
}
