//! The states of an instance; each carries exactly the data that exists in it.

use crate::model::{Cause, Exit, Failure, Following, Millis, Moment, Readiness};

/// Where one instance stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// Left by an earlier daemon and not looked at yet.
    Unknown,
    /// No process, and none is coming.
    Resting(Rest),
    /// Its `pre_start` hook runs; there is no process yet.
    Preparing {
        /// What requested this start; goes into the event.
        cause: Cause,
        /// When a hook that was not heard of has failed.
        until: Moment,
    },
    /// A spawn is on its way.
    Starting {
        /// What requested this start; goes into the event.
        cause: Cause,
        /// What was requested meanwhile.
        then: Option<Then>,
    },
    /// The process is alive.
    Running {
        /// Since when.
        since: Moment,
        /// Whether it is ready.
        readiness: Readiness,
    },
    /// The process lives on while its `pre_stop` hook runs; then it is asked to end.
    Leaving {
        /// Since when it runs.
        since: Moment,
        /// When it is asked even if the hook was not heard of.
        until: Moment,
        /// What follows when nothing is left.
        then: Then,
    },
    /// A worker of a cluster gets no more connections and ends those that it has; then it is asked to end.
    Draining {
        /// Since when it runs.
        since: Moment,
        /// When it is asked even if it has connections.
        until: Moment,
        /// What follows when nothing is left.
        then: Then,
    },
    /// The process was asked to end, or ended and leaves nothing behind in a moment.
    Stopping {
        /// When SIGKILL follows (again).
        deadline: Moment,
        /// Whether the main process is still alive.
        is_main_alive: bool,
        /// Since when it ran, for the verdict on its exit.
        since: Moment,
        /// Whether what it left behind has been asked to end.
        are_leftovers_asked: bool,
        /// When the tree is looked at again.
        next_sweep: Option<Moment>,
        /// Whether SIGKILL was sent.
        is_killed: bool,
        /// What follows when nothing is left.
        then: Then,
    },
    /// It ended on its own and is started again at a moment.
    Waiting {
        /// The moment.
        until: Moment,
        /// The whole wait.
        delay: Millis,
        /// Why it is started then.
        cause: Cause,
    },
    /// Deleted: the supervisor forgets it.
    Gone,
}

impl State {
    /// Which of these follow each other under one word for observers.
    pub(super) fn stage(&self) -> u8 {
        match self {
            Self::Unknown | Self::Preparing { .. } | Self::Starting { .. } => 0,
            Self::Running { .. } => 1,
            Self::Leaving { .. } | Self::Draining { .. } | Self::Stopping { .. } => 2,
            Self::Waiting { .. } => 3,
            Self::Resting(Rest::Stopped) | Self::Gone => 4,
            Self::Resting(Rest::Done(_)) => 5,
            Self::Resting(Rest::Errored(_)) => 6,
        }
    }

    /// At rest because of how its last process ended: since that end.
    pub fn rests_since_exit(&self) -> bool {
        match self {
            Self::Resting(Rest::Done(_)) => true,
            Self::Resting(Rest::Errored(failure)) => !matches!(failure, Failure::Spawn { .. } | Failure::Hook { .. }),
            _ => false,
        }
    }
}

/// Why there is no process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rest {
    /// Nobody wants one.
    Stopped,
    /// The policy calls its last exit done.
    Done(Exit),
    /// Given up until a user asks.
    Errored(Failure),
}

/// What follows when nothing of the process is left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Then {
    /// Stay down.
    Rest,
    /// Start again, because of this.
    Again(Cause),
    /// Be forgotten.
    Gone,
    /// It ended, or was ended, without a user's wish: ask the policy.
    Evaluate {
        /// How it ended.
        end: End,
        /// How long it ran.
        uptime: Millis,
    },
}

impl Then {
    /// As observers see it.
    pub(super) fn following(&self) -> Following {
        match self {
            Self::Rest => Following::Rest,
            Self::Again(_) => Following::Start,
            Self::Gone => Following::Removal,
            Self::Evaluate { .. } => Following::Policy,
        }
    }
}

/// An end that no user requested.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// By itself.
    Exited(Exit),
    /// On its own, before it was ready.
    ExitedUnready(Exit),
    /// It was stopped because it was unhealthy.
    Ended {
        /// What was wrong.
        trouble: Failure,
        /// The same, as a cause.
        cause: Cause,
        /// How it ended; `Unknown` while it has not.
        exit: Exit,
    },
}
