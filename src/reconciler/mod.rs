//! Closes the control loop: declared and live state → [`crate::plan`] decides → saved, ordered, reported.
//!
//! In:    intents (apply, edits), live changes, timers       Out:  orders to the supervisor, [`Progress`]
//! Never: a decision: which step is next is found by [`crate::plan::Jobs`], for any instant
//! Walk:  [`crate::api`] → `intents` → [`crate::plan`] → [`crate::store`] → `pass` → [`crate::supervisor`]

mod builds;
mod healing;
mod history;
mod intents;
mod notes;
mod pass;
mod ports;
mod reports;
mod run;
mod sockets;
mod sources;
mod stored;
mod trigger;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

pub use run::ReconcilerDeps;
pub use stored::StoreHandle;

use crate::model::{
    Actor, AppId, AppName, ApplyOptions, Cause, ChangedFiles, CommitEntry, Desired, Edit, Failure, GitSource,
    InstanceId, OperationReport, Plan, Progress, ProjectName, Proposed, Refusal, Revision, RollbackOptions,
    RolloutCommand, RolloutStatus, SourceCommand, SourceName, StartWait, Target,
};
use crate::plan::JobId;

/// An accepted change, being carried out.
#[derive(Debug)]
pub struct Accepted {
    /// What is done.
    pub plan: Plan,
    /// The project's new generation (the old one, if nothing changed).
    pub generation: u64,
    /// What happens, until `Finished`. Dropping it stops nothing.
    pub progress: broadcast::Receiver<Progress>,
    /// It is done, and will be forgotten: why it could not be kept.
    pub unremembered: Option<String>,
}

/// Why a change is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "error")]
pub enum ReconcileError {
    /// The planner refuses.
    #[error(transparent)]
    Refused(Refusal),
    /// There is no such app.
    #[error("no app `{app}`")]
    NoSuchApp {
        /// As asked.
        app: String,
    },
    /// The state could not be written; nothing was changed.
    #[error("cannot write the state; nothing was changed: {message}")]
    NotStored {
        /// The error of the kernel.
        message: String,
    },
    /// The daemon is shutting down.
    #[error("the daemon is shutting down")]
    ShuttingDown,
}

/// The way to the reconciler; cheap to clone.
#[derive(Clone, Debug)]
pub struct Reconciler {
    intents: mpsc::Sender<Intent>,
    desired: watch::Receiver<Arc<Desired>>,
    waiting: watch::Receiver<Arc<Waiting>>,
    files: watch::Sender<Arc<ChangedFiles>>,
}

/// What was declared at one generation.
#[derive(Debug)]
pub struct EntryRevisions {
    /// The generation.
    pub generation: u64,
    /// The revisions by app; `None`: its spec is not known any more.
    pub revisions: BTreeMap<AppName, Option<Revision>>,
}

/// What a rollback would do.
#[derive(Debug)]
pub struct RollbackPlan {
    /// The generation that it goes back to.
    pub generation: u64,
    /// The plan.
    pub plan: Plan,
    /// What it is refused for.
    pub refusals: Vec<Refusal>,
}

/// A source, and what its next step depends on.
#[derive(Debug)]
pub struct SourceState {
    /// What is kept of it.
    pub source: GitSource,
    /// Generation of its project; 0: there is none.
    pub generation: u64,
    /// What the history says of the commit that is under way.
    pub entry: Option<CommitEntry>,
    /// What that commit has changed.
    pub changed: Vec<AppName>,
    /// The name of the newest entry of the history; 0: there is none.
    pub newest_entry: u64,
    /// For each app the releases that it runs from, or was rolled back from.
    pub releases: BTreeMap<AppName, BTreeSet<PathBuf>>,
    /// All releases that something declared, something alive or the history names.
    pub needed: BTreeSet<PathBuf>,
}

/// Apps whose start waits for another app, with what they wait for.
pub type Waiting = BTreeMap<AppId, StartWait>;

/// Intents that may be queued; the senders wait beyond that.
const INTENTS_MAX: usize = 256;

/// Dropped when a trigger needs nobody's memory any more: nothing is ever sent.
#[derive(Debug)]
pub(crate) struct Acted(#[expect(dead_code, reason = "held, then dropped")] oneshot::Sender<()>);

/// What reaches the reconciler's task.
#[derive(Debug)]
pub(crate) enum Intent {
    Plan(Box<Proposed>, ApplyOptions, oneshot::Sender<Result<(Plan, Vec<Refusal>), ReconcileError>>),
    Apply(Box<Proposed>, ApplyOptions, Actor, oneshot::Sender<Result<Accepted, ReconcileError>>),
    Edit(Vec<Target>, Edit, Actor, oneshot::Sender<Result<Vec<Accepted>, ReconcileError>>),
    /// Stop everything; remembered (`pm shutdown`) or only for now (the machine goes down).
    StopAll(Actor, bool, oneshot::Sender<Result<Vec<Accepted>, ReconcileError>>),
    Rollouts(oneshot::Sender<Vec<RolloutStatus>>),
    /// What a rehearsal of a start has found, by the number of its order.
    Rehearsed(InstanceId, u64, Result<(), Failure>),
    /// The report of an operation that failed, with what the app has printed.
    Completed(JobId, OperationReport),
    Desired(oneshot::Sender<Arc<Desired>>),
    CommandRollout(AppId, RolloutCommand, oneshot::Sender<Result<bool, ReconcileError>>),
    PlanRollback(ProjectName, RollbackOptions, oneshot::Sender<Result<RollbackPlan, ReconcileError>>),
    Rollback(ProjectName, RollbackOptions, Actor, oneshot::Sender<Result<Accepted, ReconcileError>>),
    /// A tag for an entry of a history, or none.
    Tag(ProjectName, String, Option<String>, oneshot::Sender<Result<u64, ReconcileError>>),
    /// What was declared at an entry of a history.
    Revisions(ProjectName, String, oneshot::Sender<Result<EntryRevisions, ReconcileError>>),
    /// What is kept of a source changes.
    Source(SourceName, Box<SourceCommand>, Actor, oneshot::Sender<Result<(), ReconcileError>>),
    /// What the worker of a sync needs; with the releases that are in use, or without.
    SourceWork(SourceName, bool, oneshot::Sender<Option<SourceState>>),
    /// From a sensor: the time to put right what is due, with the files that are not as they were applied.
    Heal(Arc<ChangedFiles>),
    /// From a sensor: new processes for an app, because of this.
    Trigger(AppId, Cause, Acted),
}

impl Reconciler {
    /// Starts the loop; its first wake-up brings up what should run and does not.
    pub fn start(desired: Desired, store: StoreHandle, deps: ReconcilerDeps) -> Self {
        let (intents, inbox) = mpsc::channel(INTENTS_MAX);
        let instances = run::Loop::new(desired, store, deps, inbox, intents.downgrade());
        let (desired, waiting) = (instances.desired_changes(), instances.waiting_changes());
        tokio::spawn(instances.run());
        Self { intents, desired, waiting, files: watch::Sender::default() }
    }

    /// What an apply would do, and what it is refused for. Touches nothing.
    ///
    /// # Errors
    /// Calls that make no sense.
    pub async fn plan(
        &self,
        proposed: Proposed,
        options: ApplyOptions,
    ) -> Result<(Plan, Vec<Refusal>), ReconcileError> {
        self.ask(|reply| Intent::Plan(Box::new(proposed), options, reply)).await?
    }

    /// Plans, keeps the new Desired durably, then carries it out in the background.
    ///
    /// # Errors
    /// What the planner refuses; a state that cannot be written.
    pub async fn apply(
        &self,
        proposed: Proposed,
        options: ApplyOptions,
        by: Actor,
    ) -> Result<Accepted, ReconcileError> {
        self.ask(|reply| Intent::Apply(Box::new(proposed), options, by, reply)).await?
    }

    /// Edits Desired by hand; one [`Accepted`] per touched project.
    ///
    /// # Errors
    /// An unknown app; a state that cannot be written.
    pub async fn edit(&self, targets: Vec<Target>, edit: Edit, by: Actor) -> Result<Vec<Accepted>, ReconcileError> {
        self.ask(|reply| Intent::Edit(targets, edit, by, reply)).await?
    }

    /// Stops everything in order and remembers that nothing should start.
    ///
    /// # Errors
    /// A state that cannot be written.
    pub async fn shut_down(&self, by: Actor) -> Result<Vec<Accepted>, ReconcileError> {
        self.ask(|reply| Intent::StopAll(by, true, reply)).await?
    }

    /// Stops everything in order; the next daemon starts it again.
    ///
    /// # Errors
    /// The daemon is leaving already.
    pub async fn stop_everything(&self, by: Actor) -> Result<Vec<Accepted>, ReconcileError> {
        self.ask(|reply| Intent::StopAll(by, false, reply)).await?
    }

    /// New processes for an app that runs, because of something that a sensor saw: by its update strategy, and one
    /// more time if something happens meanwhile. An app that a user stopped stays stopped. A timed task is run.
    ///
    /// What is given back ends once this is kept, needs nothing, or a later trigger of the app stands for it.
    pub async fn trigger(&self, app: AppId, cause: Cause) -> oneshot::Receiver<()> {
        let (acted, until_acted) = oneshot::channel();
        // A reconciler that is gone leaves with the daemon.
        let _ = self.intents.send(Intent::Trigger(app, cause, Acted(acted))).await;
        until_acted
    }

    /// Puts right by itself what is due (`self_heal`). `files`: those that are not as they were applied; they are known
    /// from then on.
    pub async fn heal(&self, files: ChangedFiles) {
        let files = Arc::new(files);
        if *self.files.borrow() != files {
            self.files.send_replace(Arc::clone(&files));
        }
        // A reconciler that is gone leaves with the daemon.
        let _ = self.intents.send(Intent::Heal(files)).await;
    }

    /// Files that are not as they were applied, as of the last look: of projects that heal themselves.
    pub fn changed_files(&self) -> Arc<ChangedFiles> {
        Arc::clone(&self.files.borrow())
    }

    /// The rollouts in progress.
    ///
    /// # Errors
    /// The daemon is shutting down.
    pub async fn rollouts(&self) -> Result<Vec<RolloutStatus>, ReconcileError> {
        self.ask(Intent::Rollouts).await
    }

    /// Pauses, resumes or aborts a rolling update. False: the app has none. A pause outlives the daemon.
    ///
    /// # Errors
    /// A state that cannot be written; the rollout continues as it did.
    pub async fn command_rollout(&self, app: AppId, command: RolloutCommand) -> Result<bool, ReconcileError> {
        self.ask(|reply| Intent::CommandRollout(app, command, reply)).await?
    }

    /// What a rollback would do. Touches nothing.
    ///
    /// # Errors
    /// There is nothing to go back to; calls that make no sense.
    pub async fn plan_rollback(
        &self,
        project: ProjectName,
        options: RollbackOptions,
    ) -> Result<RollbackPlan, ReconcileError> {
        self.ask(|reply| Intent::PlanRollback(project, options, reply)).await?
    }

    /// Declares again what was declared at an older generation, durably, then carries it out in the background.
    ///
    /// # Errors
    /// There is nothing to go back to; what the planner refuses; a state that cannot be written.
    pub async fn roll_back(
        &self,
        project: ProjectName,
        options: RollbackOptions,
        by: Actor,
    ) -> Result<Accepted, ReconcileError> {
        self.ask(|reply| Intent::Rollback(project, options, by, reply)).await?
    }

    /// Gives an entry of the history a tag, or takes it away. Returns the generation of the entry.
    ///
    /// # Errors
    /// No such entry; no such tag; a state that cannot be written.
    pub async fn tag(&self, project: ProjectName, entry: String, tag: Option<String>) -> Result<u64, ReconcileError> {
        self.ask(|reply| Intent::Tag(project, entry, tag, reply)).await?
    }

    /// What was declared at an entry of the history, by its generation or tag.
    ///
    /// # Errors
    /// No such entry.
    pub async fn revisions(&self, project: ProjectName, entry: String) -> Result<EntryRevisions, ReconcileError> {
        self.ask(|reply| Intent::Revisions(project, entry, reply)).await?
    }

    /// Changes what is kept of a source, durably.
    ///
    /// # Errors
    /// No such source; what a rule refuses; a state that cannot be written.
    pub async fn command_source(
        &self,
        source: SourceName,
        command: SourceCommand,
        by: Actor,
    ) -> Result<(), ReconcileError> {
        self.ask(|reply| Intent::Source(source, Box::new(command), by, reply)).await?
    }

    /// What the worker of a sync needs, with the releases that are in use if `has_releases`. None: there is no such source.
    ///
    /// # Errors
    /// The daemon is shutting down.
    pub async fn source_work(
        &self,
        source: SourceName,
        has_releases: bool,
    ) -> Result<Option<SourceState>, ReconcileError> {
        self.ask(|reply| Intent::SourceWork(source, has_releases, reply)).await
    }

    /// What should be, as it changes.
    pub fn desired_changes(&self) -> watch::Receiver<Arc<Desired>> {
        self.desired.clone()
    }

    /// Which starts wait for something, as it changes.
    pub fn waiting(&self) -> Arc<Waiting> {
        Arc::clone(&self.waiting.borrow())
    }

    /// What should be, now.
    ///
    /// # Errors
    /// The daemon is shutting down.
    pub async fn desired(&self) -> Result<Arc<Desired>, ReconcileError> {
        self.ask(Intent::Desired).await
    }

    async fn ask<T>(&self, intent: impl FnOnce(oneshot::Sender<T>) -> Intent) -> Result<T, ReconcileError> {
        let (reply, answer) = oneshot::channel();
        self.intents.send(intent(reply)).await.map_err(|_| ReconcileError::ShuttingDown)?;
        answer.await.map_err(|_| ReconcileError::ShuttingDown)
    }
}
