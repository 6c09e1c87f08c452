//! Closes the circle: wake → read Desired and Live → plan → execute → report.
//!
//! In:    intents (apply, edits), wake-ups without data      Out:  orders to the supervisor, [`Progress`]
//! Never: a second way to start or stop anything; input in a wake-up
//! Walk:  [`crate::api`] → `intent` → [`crate::store`] → [`crate::plan`] → `execute` → [`crate::supervisor`]

mod conditions;
mod execute;
mod going_back;
mod notes;
mod perform;
mod rollout;
mod rollouts;
mod run;
mod sockets;
mod stored;
mod trigger;
mod unready;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use rollouts::Rollouts;

pub use crate::plan::Edit;
pub use perform::Surroundings;
pub use rollouts::{Rollout, RolloutWill};
pub use stored::Keeper;

use crate::model::{
    Actor, AppId, AppName, ApplyOptions, Cause, Change, Condition, Desired, Exit, Failure, InstanceId, Millis, Moment,
    Plan, Proposed, Refusal,
};

/// What an edit is about: whole apps, or one slot of one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The app.
    pub app: AppId,
    /// One slot only (restart, start, stop).
    pub slot: Option<u32>,
}

/// One line of progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "progress")]
pub enum Progress {
    /// An operation begins.
    Began {
        /// The app.
        app: AppName,
        /// The verb: `start`, `roll`, …
        verb: String,
    },
    /// An operation ended.
    Ended(OperationReport),
    /// A start waits for another app.
    Waits {
        /// The app.
        app: AppName,
        /// For what.
        waits_for: WaitsFor,
    },
    /// A new process is not ready yet.
    Unready {
        /// Which.
        instance: InstanceId,
        /// What its probe found: `connection refused`.
        why: String,
    },
    /// The rolling update of the app is paused, and the operation waits until it is resumed.
    Paused {
        /// The app.
        app: AppName,
    },
    /// Everything ended.
    Finished(Report),
}

/// How one operation ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationReport {
    /// The app.
    pub app: AppName,
    /// The verb: `start`, `roll`, …
    pub verb: String,
    /// How.
    pub result: OperationResult,
    /// How long it took.
    pub took: Millis,
}

/// The result of one operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum OperationResult {
    /// As planned.
    Done,
    /// It failed.
    Failed {
        /// Which instance.
        instance: InstanceId,
        /// Why, if the instance was given up or could not be started.
        failure: Option<Failure>,
        /// How the process ended, if it ended.
        exit: Option<Exit>,
        /// The last lines that it printed.
        last_lines: Vec<String>,
        /// Whether the old spec runs again.
        is_reverted: bool,
        /// Whether going back was tried, and failed as well.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_stuck: bool,
    },
    /// Something that it needed failed, or deletes are withheld.
    Skipped {
        /// Why.
        why: String,
    },
    /// A later command took over.
    Superseded,
}

/// How the whole of it ended.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// In the order in which they ended.
    pub operations: Vec<OperationReport>,
    /// The project's generation afterwards.
    pub generation: u64,
    /// How long it took.
    pub took: Millis,
}

/// An accepted change, being carried out.
#[derive(Debug)]
pub struct Accepted {
    /// What is done.
    pub plan: Plan,
    /// The project's new generation (the old one, if nothing changed).
    pub generation: u64,
    /// What happens, until `Finished`. Dropping it stops nothing.
    pub progress: broadcast::Receiver<Progress>,
}

/// Why a change is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "error")]
pub enum ReconcileError {
    /// The planner refuses.
    #[error(transparent)]
    Refused(Refusal),
    /// There is no such app.
    #[error("there is no app `{app}`")]
    NoSuchApp {
        /// As asked.
        app: String,
    },
    /// The state could not be written; nothing was changed.
    #[error("cannot write the state, nothing was changed: {message}")]
    NotStored {
        /// What the kernel said.
        message: String,
    },
    /// The daemon is leaving.
    #[error("the daemon is shutting down")]
    ShuttingDown,
}

/// The way to the reconciler; cheap to clone.
#[derive(Clone, Debug)]
pub struct Reconciler {
    intents: mpsc::Sender<Intent>,
    desired: watch::Receiver<Arc<Desired>>,
    waiting: watch::Receiver<Arc<Waiting>>,
    rollouts: Rollouts,
}

/// Apps whose start waits for another app, with what they wait for.
pub type Waiting = BTreeMap<AppId, WaitsFor>;

/// What a start waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitsFor {
    /// The app that it depends on.
    pub app: AppName,
    /// What has to have happened to it.
    pub condition: Condition,
    /// How it is at present: `not ready yet: connection refused`.
    pub why: String,
    /// Since when.
    pub since: Moment,
}

/// Intents that may wait at the door; the senders wait beyond that.
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
    /// From an execution: keep these unless somebody changed the same things since that Desired.
    Amend(Vec<Change>, Arc<Desired>, oneshot::Sender<Result<bool, ReconcileError>>),
    Desired(oneshot::Sender<Arc<Desired>>),
    WantRollout(AppId, RolloutWill, oneshot::Sender<Result<bool, ReconcileError>>),
    /// From a sensor: new processes for an app, because of this.
    Trigger(AppId, Cause, Acted),
    /// Compare what is stored with what lives.
    Wake,
}

impl Reconciler {
    /// Starts the loop; its first wake-up brings up what should run and does not.
    pub fn start(desired: Desired, keeper: Keeper, surroundings: Surroundings) -> Self {
        let (intents, inbox) = mpsc::channel(INTENTS_MAX);
        let instances = run::Loop::new(desired, keeper, surroundings, inbox, intents.downgrade());
        let (desired, waiting) = (instances.desired_changes(), instances.waiting_changes());
        let rollouts = instances.rollouts.clone();
        tokio::spawn(instances.run());
        Self { intents, desired, waiting, rollouts }
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
    /// more time if something happens meanwhile. An app that a person stopped stays stopped. A timed task is run.
    ///
    /// What is given back ends once this is kept, needs nothing, or a later trigger of the app stands for it.
    pub async fn trigger(&self, app: AppId, cause: Cause) -> oneshot::Receiver<()> {
        let (acted, until_acted) = oneshot::channel();
        // A reconciler that is gone leaves with the daemon.
        let _ = self.intents.send(Intent::Trigger(app, cause, Acted(acted))).await;
        until_acted
    }

    /// The rolling updates that are under way.
    pub fn rollouts(&self) -> Vec<Rollout> {
        self.rollouts.all()
    }

    /// Pauses, resumes or aborts a rolling update. False: the app has none. A pause outlives the daemon.
    ///
    /// # Errors
    /// A state that cannot be written; the update goes on as it did.
    pub async fn want_rollout(&self, app: AppId, will: RolloutWill) -> Result<bool, ReconcileError> {
        self.ask(|reply| Intent::WantRollout(app, will, reply)).await?
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
    /// The daemon is leaving.
    pub async fn desired(&self) -> Result<Arc<Desired>, ReconcileError> {
        self.ask(Intent::Desired).await
    }

    async fn ask<T>(&self, intent: impl FnOnce(oneshot::Sender<T>) -> Intent) -> Result<T, ReconcileError> {
        let (reply, answer) = oneshot::channel();
        self.intents.send(intent(reply)).await.map_err(|_| ReconcileError::ShuttingDown)?;
        answer.await.map_err(|_| ReconcileError::ShuttingDown)
    }
}
