//! What a history remembers, how a change went, and where a rollback goes to.
//!
//! [`recorded`] goes with every accepted change; [`concluded`] finds how the last one went, from what is declared and what
//! lives; [`target_of`], [`revisions_of`] and [`rollback`] turn an entry into an apply.

mod conclusion;
mod recording;
mod returning;

use crate::model::{App, AppName, DeclaredThen, FieldChange, HistoryEntry, Project, Refusal, RevisionName};

use super::difference::difference;
use super::field_change::field_change;
use super::usage;

pub use conclusion::concluded;
pub use recording::{HistoryNews, recorded, tagged};
#[cfg(test)]
pub(super) use recording::{KEPT, expired};
pub(super) use returning::RollbackTo;
pub use returning::{Returned, revisions_of, rollback, target_of};

/// The entry that a user names: its generation, or a tag.
///
/// # Errors
/// There is none.
pub fn entry_of<'a>(stored: &'a Project, named: &str) -> Result<&'a HistoryEntry, Refusal> {
    let mut entries = stored.history.entries();
    let found = match named.parse::<u64>() {
        Ok(generation) => entries.find(|entry| entry.generation == generation),
        Err(_) => entries.find(|entry| entry.tag.as_deref() == Some(named)),
    };
    found.ok_or_else(|| usage(format!("the history has no entry `{named}`"), Some(known(stored))))
}

/// What there is to choose from.
fn known(stored: &Project) -> String {
    let newest: Vec<String> =
        stored.history.entries().rev().take(5).map(|entry| entry.generation.to_string()).collect();
    match newest.len() {
        0 => "the history is empty".to_owned(),
        _ => format!("the newest are {}; `pm history` lists all", newest.join(", ")),
    }
}

/// What differs between two specs of an app, ready to print: secrets are hidden. Those fields come first that need new
/// processes.
pub fn spec_difference(old: &App, new: &App) -> Vec<FieldChange> {
    let program = new.run.script.as_deref();
    difference(old, new).iter().map(|field| field_change(field, None, program)).collect()
}

/// What is declared now, as a history names it.
fn declared_now(stored: &Project) -> impl Iterator<Item = (&AppName, RevisionName)> {
    let staying = stored.apps.iter().filter(|(_, declared)| !declared.is_leaving);
    staying.map(|(name, declared)| (name, declared.revision_name()))
}

/// Whether these apps are all that is declared now, and as they were then.
pub fn is_as_then(stored: &Project, then: &DeclaredThen) -> bool {
    declared_now(stored).count() == then.len()
        && declared_now(stored).all(|(name, now)| then.get(name).is_some_and(|then| then.revision == Some(now)))
}
