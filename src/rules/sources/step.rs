//! What comes next for a source.

use std::fmt;

use crate::model::{
    CommitEntry, CommitWait, EntryResult, GitSource, SourceAftermath, SourceRecord, SourceReport, UnderWay, WallTime,
    short_commit,
};

/// What is seen of a source beside what is kept of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SourceFacts<'a> {
    /// The commit that the branch names now; `None`: it could not be asked.
    pub head: Option<&'a str>,
    /// What the history says of the commit that is under way.
    pub entry: Option<CommitEntry>,
    /// A user wants the newest commit whatever is known of it.
    pub is_forced: bool,
    /// When the next window opens; `None`: commits may be deployed now.
    pub closed_until: Option<WallTime>,
}

/// One step of a sync.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SourceStep {
    /// Nothing is to be done.
    Rest(RestReason),
    /// Fetch this commit, check it, make its release, and apply it.
    Deploy {
        /// In hexadecimal digits.
        commit: String,
    },
    /// It is applied: wait until it is known how that went.
    Await {
        /// In hexadecimal digits.
        commit: String,
        /// The name of its entry in the history.
        generation: u64,
    },
    /// Its apps came up: see whether they stay.
    Prove {
        /// In hexadecimal digits.
        commit: String,
        /// The name of its entry in the history.
        generation: u64,
    },
    /// It is bad: go back to this generation; `None`: there is none.
    Return {
        /// In hexadecimal digits.
        commit: String,
        /// The last good one.
        to: Option<u64>,
    },
    /// It is over.
    Conclude(SourceReport),
}

/// The exit code of a deploy whose apps did not become or stay healthy.
const UNHEALTHY: u8 = 6;

/// Why nothing is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RestReason {
    /// The newest commit is deployed.
    UpToDate {
        /// In hexadecimal digits.
        commit: String,
    },
    /// The newest commit failed; nothing automatic tries it again.
    Failed {
        /// In hexadecimal digits.
        commit: String,
        /// In one sentence.
        reason: String,
        /// What a sync ends with.
        exit_code: u8,
    },
    /// The branch does not continue what is deployed.
    Stalled {
        /// In hexadecimal digits.
        commit: String,
        /// In one sentence.
        reason: String,
    },
    /// The newest commit waits.
    Waits {
        /// In hexadecimal digits.
        commit: String,
        /// What for.
        wait: CommitWait,
    },
    /// A user has suspended it.
    Suspended,
    /// The branch could not be asked.
    Unknown,
}

impl fmt::Display for RestReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate { commit } => write!(f, "up to date at {}", short_commit(commit)),
            Self::Failed { commit, reason, .. } => {
                write!(f, "{} failed and is not tried again: {reason}", short_commit(commit))
            }
            Self::Stalled { commit, reason } => write!(f, "{} is not deployed: {reason}", short_commit(commit)),
            Self::Waits { commit, wait: CommitWait::Approval } => {
                write!(f, "{} waits for approval", short_commit(commit))
            }
            Self::Waits { commit, wait: CommitWait::Window { .. } } => {
                write!(f, "{} waits for the next window", short_commit(commit))
            }
            Self::Suspended => f.write_str("suspended"),
            Self::Unknown => f.write_str("the repository could not be asked"),
        }
    }
}

/// What comes next. A swap that has begun is carried to its end first, suspended or not, whatever the branch names by now.
pub fn next_step(source: &GitSource, facts: &SourceFacts<'_>) -> SourceStep {
    match (&source.record.under_way, facts.entry) {
        (Some(under_way), Some(entry)) => finish(source, under_way, entry),
        _ => begin(source, facts),
    }
}

/// A commit that is declared already.
fn finish(source: &GitSource, under_way: &UnderWay, entry: CommitEntry) -> SourceStep {
    let (commit, generation) = (under_way.commit.clone(), entry.generation);
    if let Some(to) = entry.returned_to {
        let aftermath = SourceAftermath::RolledBack { to };
        let reason = "its apps did not stay healthy".to_owned();
        return SourceStep::Conclude(SourceReport::Failed { commit, reason, exit_code: UNHEALTHY, aftermath });
    }
    match entry.result {
        _ if !entry.is_newest => SourceStep::Conclude(SourceReport::Superseded { commit }),
        EntryResult::Superseded => SourceStep::Conclude(SourceReport::Superseded { commit }),
        EntryResult::Running => SourceStep::Await { commit, generation },
        EntryResult::Applied => SourceStep::Prove { commit, generation },
        EntryResult::Partial | EntryResult::Failed => {
            let to = source.record.healthy.as_ref().map(|healthy| healthy.generation);
            SourceStep::Return { commit, to }
        }
    }
}

/// Nothing of it is declared yet: the newest commit counts.
fn begin(source: &GitSource, facts: &SourceFacts<'_>) -> SourceStep {
    if source.is_suspended {
        return SourceStep::Rest(RestReason::Suspended);
    }
    let record = &source.record;
    let Some(head) = facts.head else { return SourceStep::Rest(RestReason::Unknown) };
    let commit = head.to_owned();
    let was_begun = record.under_way.as_ref().is_some_and(|under_way| under_way.commit == head);
    if facts.is_forced || was_begun {
        return SourceStep::Deploy { commit };
    }
    let step = rest(record, head).map_or_else(|| wait(source, facts, head), SourceStep::Rest);
    match step {
        // What it waits for is kept; so is that nothing waits any more.
        SourceStep::Rest(RestReason::Waits { commit, wait }) if !is_known(record, &commit, wait) => {
            SourceStep::Conclude(SourceReport::Waiting { commit, wait })
        }
        SourceStep::Rest(RestReason::Waits { .. }) | SourceStep::Deploy { .. } => step,
        SourceStep::Rest(RestReason::Stalled { .. }) if record.waiting.is_none() => step,
        step if record.waiting.is_none() && record.stalled.is_none() => step,
        _ => SourceStep::Conclude(SourceReport::NothingWaits),
    }
}

fn is_known(record: &SourceRecord, commit: &str, wait: CommitWait) -> bool {
    record.waiting.as_ref().is_some_and(|waiting| waiting.commit == commit && waiting.wait == wait)
}

/// Why the newest commit is not deployed, whatever the time.
fn rest(record: &SourceRecord, head: &str) -> Option<RestReason> {
    let commit = head.to_owned();
    if let Some(stalled) = record.stalled.as_ref().filter(|stalled| stalled.commit == head) {
        return Some(RestReason::Stalled { commit, reason: stalled.reason.clone() });
    }
    if let Some(failed) = record.failure_of(head) {
        let (reason, exit_code) = (failed.reason.clone(), failed.exit_code);
        return Some(RestReason::Failed { commit, reason, exit_code });
    }
    (record.attempted.as_deref() == Some(head)).then_some(RestReason::UpToDate { commit })
}

/// A commit that runs already waits for nothing: a user has changed how the source is followed.
fn wait(source: &GitSource, facts: &SourceFacts<'_>, head: &str) -> SourceStep {
    let (record, commit) = (&source.record, head.to_owned());
    let runs = record.applied.as_ref().is_some_and(|applied| applied.commit == head);
    let is_approved = !source.spec.policy.needs_approval || record.approved.as_deref() == Some(head);
    match facts.closed_until {
        _ if runs => SourceStep::Deploy { commit },
        _ if !is_approved => SourceStep::Rest(RestReason::Waits { commit, wait: CommitWait::Approval }),
        Some(until) => SourceStep::Rest(RestReason::Waits { commit, wait: CommitWait::Window { until } }),
        None => SourceStep::Deploy { commit },
    }
}
