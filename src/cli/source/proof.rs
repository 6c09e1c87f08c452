//! Whether the apps of a commit stay healthy for a while.

use std::collections::BTreeMap;

use super::sync::{PAUSE, SourceSync, client};
use crate::cli::fail::CommandError;
use crate::os;
use crate::wire::{PhaseRow, ReadinessRow, Row, Scope, Selection, SourceWork};

impl SourceSync<'_> {
    /// Looks at what the commit has changed for as long as it has to stay healthy; why it did not.
    pub(super) fn watch(work: &SourceWork) -> Result<Option<String>, CommandError> {
        let scope = Scope { project: work.project.clone(), ..Scope::default() };
        let selection = Selection { selectors: Vec::new(), scope };
        let began = os::now();
        let mut first: BTreeMap<String, u32> = BTreeMap::new();
        loop {
            let rows = client()?.list(&selection)?.apps;
            let is_meant = |row: &&Row| !row.is_successor && work.changed.contains(&row.app);
            for row in rows.iter().filter(is_meant) {
                let restarts = *first.entry(row.id.clone()).or_insert(row.restarts);
                if let Some(why) = why_bad(row, restarts) {
                    return Ok(Some(format!("`{}` did not stay healthy: {why}", row.app)));
                }
            }
            if os::now().since(began) >= work.source.spec.dwell {
                return Ok(None);
            }
            os::pause(PAUSE);
        }
    }
}

/// What speaks against a copy that has had so many restarts when it came up.
fn why_bad(row: &Row, restarts: u32) -> Option<String> {
    match &row.phase {
        PhaseRow::Errored { failure } => Some(failure.to_string()),
        PhaseRow::Running { readiness: ReadinessRow::Failing { last, .. }, .. } => Some(last.clone()),
        _ if row.restarts > restarts => {
            let ended = row.last_exit.map(|exit| format!("it ended with {exit}"));
            Some(ended.unwrap_or_else(|| "it was restarted".to_owned()))
        }
        PhaseRow::Backoff { .. } => {
            let ended = row.last_exit.map(|exit| format!("it ended with {exit}"));
            Some(ended.unwrap_or_else(|| "it ended".to_owned()))
        }
        _ => None,
    }
}
