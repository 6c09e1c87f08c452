//! What comes next for a source.

use std::fmt;

use crate::model::{CommitEntry, EntryResult, GitSource, SourceAftermath, SourceReport, UnderWay, short_commit};

/// What is seen of a source beside what is kept of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SourceFacts<'a> {
    /// The commit that the branch names now; `None`: it could not be asked.
    pub head: Option<&'a str>,
    /// What the history says of the commit that is under way.
    pub entry: Option<CommitEntry>,
    /// A user wants the newest commit whatever is known of it.
    pub is_forced: bool,
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
    if let Some(stalled) = record.stalled.as_ref().filter(|stalled| stalled.commit == head) {
        return SourceStep::Rest(RestReason::Stalled { commit, reason: stalled.reason.clone() });
    }
    if let Some(failed) = record.failure_of(head) {
        let (reason, exit_code) = (failed.reason.clone(), failed.exit_code);
        return SourceStep::Rest(RestReason::Failed { commit, reason, exit_code });
    }
    if record.attempted.as_deref() == Some(head) {
        return SourceStep::Rest(RestReason::UpToDate { commit });
    }
    SourceStep::Deploy { commit }
}
