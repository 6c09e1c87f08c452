//! The entry of an accepted change, and which older ones it pushes out.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Actor, AppEntry, AppName, AppOutcome, Change, EntryOrigin, EntryResult, History, HistoryEntry, Project,
    ProjectName, Provenance, Refusal, RefusalKind, RevisionName, WallTime,
};

use super::declared_now;
use crate::plan::usage;

/// Entries that a project keeps, whatever they say.
pub(in crate::plan) const KEPT: usize = 20;
/// Tags of a project: each keeps an entry and its specs.
const TAGS_MAX: usize = 50;
/// Longest tag, in bytes.
const TAG_BYTES_MAX: usize = 40;

/// What an entry says besides what has changed.
#[derive(Clone, Copy, Debug)]
pub struct HistoryNews<'a> {
    /// The user who requested it; `None`: `pm` does it by itself.
    pub by: Option<&'a Actor>,
    /// Wall clock.
    pub at: WallTime,
    /// The kind of command.
    pub origin: &'a EntryOrigin,
    /// Where it came from.
    pub provenance: Option<&'a Provenance>,
}

/// The entry that goes with `changes` of a project, and the entries that are forgotten for it. None if the same apps are
/// declared as before, or the project is gone.
pub fn recorded(
    name: &ProjectName,
    stored: Option<&Project>,
    changes: &[Change],
    news: &HistoryNews<'_>,
) -> Vec<Change> {
    if !changes.iter().any(|change| is_other_declaration(name, stored, change)) {
        return Vec::new();
    }
    let (mut generation, mut after) = (0, BTreeMap::new());
    if let Some(stored) = stored {
        generation = stored.generation;
        after.extend(declared_now(stored));
    }
    for change in changes {
        match change {
            Change::Project { name: of, generation: next, .. } if of == name => generation = *next,
            Change::App { project, name: app, declared } if project == name && !declared.is_leaving => {
                after.insert(app, declared.revision_name());
            }
            Change::App { project, name: app, .. } | Change::AppRemoved { project, name: app } if project == name => {
                after.remove(app);
            }
            Change::ProjectRemoved { name: of } if of == name => return Vec::new(),
            _ => {}
        }
    }
    let nothing = History::default();
    let history = stored.map_or(&nothing, |stored| &stored.history);
    // What failed and was rolled back by `pm` is declared once more.
    let is_again = |app: &AppName, now: RevisionName| {
        let prior = stored.and_then(|stored| stored.apps.get(app));
        prior.is_none_or(|prior| prior.revision_name() != now)
    };
    let apps = changed(history, &after, is_again).filter(|_| is_new(history, generation));
    let Some(apps) = apps else { return Vec::new() };
    let entry = HistoryEntry {
        generation,
        at: news.at,
        by: news.by.cloned(),
        origin: news.origin.clone(),
        provenance: news.provenance.cloned().unwrap_or_default(),
        apps,
        result: EntryResult::Running,
        tag: None,
    };
    let mut changes = superseded(name, history);
    changes.extend(put(name, history, entry));
    changes
}

/// Whether an app is declared otherwise after it, or not at all. Most changes are about something else.
fn is_other_declaration(name: &ProjectName, stored: Option<&Project>, change: &Change) -> bool {
    match change {
        Change::App { project, name: app, declared } if project == name => {
            let prior = stored.and_then(|stored| stored.apps.get(app));
            prior.is_none_or(|prior| {
                (prior.revision_name(), prior.is_leaving) != (declared.revision_name(), declared.is_leaving)
            })
        }
        Change::AppRemoved { project, .. } => project == name,
        _ => false,
    }
}

fn is_new(history: &History, generation: u64) -> bool {
    history.newest().is_none_or(|newest| newest.generation < generation)
}

/// What is not as the newest entry says, or failed then and is declared again; `None` if there is nothing.
pub(super) fn changed(
    history: &History,
    after: &BTreeMap<&AppName, RevisionName>,
    is_again: impl Fn(&AppName, RevisionName) -> bool,
) -> Option<BTreeMap<AppName, AppEntry>> {
    let before = history.declared_at(u64::MAX);
    let entry = |revision| AppEntry { revision, outcome: AppOutcome::Pending };
    let is_other = |(app, now): &(&&AppName, &RevisionName)| match before.get(**app) {
        Some(before) if before.revision == Some(**now) => before.outcome == AppOutcome::Failed && is_again(app, **now),
        _ => true,
    };
    let other = after.iter().filter(is_other).map(|(app, now)| ((*app).clone(), entry(Some(*now))));
    let gone = before.keys().filter(|app| !after.contains_key(**app)).map(|app| ((*app).clone(), entry(None)));
    let apps: BTreeMap<_, _> = other.chain(gone).collect();
    (!apps.is_empty()).then_some(apps)
}

/// What the last change has come to is not found out any more.
fn superseded(name: &ProjectName, history: &History) -> Vec<Change> {
    let open = history.newest().filter(|newest| newest.result == EntryResult::Running);
    let entry = open.map(|newest| HistoryEntry { result: EntryResult::Superseded, ..newest.clone() });
    entry.map(|entry| change(name, entry)).into_iter().collect()
}

/// A new entry, and those that are forgotten for it.
pub(super) fn put(name: &ProjectName, history: &History, entry: HistoryEntry) -> Vec<Change> {
    let mut after = history.clone();
    after.put(entry.clone());
    let forgotten = expired(&after).into_iter();
    let forgotten = forgotten.map(|generation| Change::History { project: name.clone(), generation, entry: None });
    std::iter::once(change(name, entry)).chain(forgotten).collect()
}

pub(super) fn change(name: &ProjectName, entry: HistoryEntry) -> Change {
    Change::History { project: name.clone(), generation: entry.generation, entry: Some(Box::new(entry)) }
}

/// The entries that need not be kept: all but the newest ones, those with a tag, and for every app that is declared the
/// newest one at which it was healthy.
pub(in crate::plan) fn expired(history: &History) -> Vec<u64> {
    let old = history.entries().len().saturating_sub(KEPT);
    if old == 0 {
        return Vec::new();
    }
    let (mut declared, mut healthy) = (BTreeMap::new(), BTreeMap::new());
    for entry in history.entries() {
        entry.add_to(&mut declared);
        let good = declared.iter().filter(|(_, change)| change.outcome == AppOutcome::Healthy);
        healthy.extend(good.map(|(app, _)| (*app, entry.generation)));
    }
    healthy.retain(|app, _| declared.contains_key(app));
    let wanted: BTreeSet<u64> = healthy.into_values().collect();
    let old = history.entries().take(old);
    old.filter(|entry| entry.tag.is_none() && !wanted.contains(&entry.generation))
        .map(|entry| entry.generation)
        .collect()
}

/// The changes that give an entry a tag, or (`None`) take it away. A tag that another entry has moves.
///
/// # Errors
/// There is no such entry; the tag is no name; there are too many.
pub fn tagged(name: &ProjectName, stored: &Project, entry: &str, tag: Option<&str>) -> Result<Vec<Change>, Refusal> {
    let entry = super::entry_of(stored, entry)?;
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let others = || stored.history.entries().filter(|other| other.generation != entry.generation);
    if tag.is_some() && others().filter(|other| other.tag.is_some() && other.tag.as_deref() != tag).count() >= TAGS_MAX
    {
        return Err(Refusal {
            kind: RefusalKind::Safety,
            message: format!("a project has at most {TAGS_MAX} tags"),
            hint: Some("remove one: `pm history tag --remove TAG`".to_owned()),
            confirm: None,
        });
    }
    let retagged = |entry: &HistoryEntry, tag: Option<&str>| {
        change(name, HistoryEntry { tag: tag.map(str::to_owned), ..entry.clone() })
    };
    let moved =
        others().filter(|other| tag.is_some() && other.tag.as_deref() == tag).map(|other| retagged(other, None));
    let own = (entry.tag.as_deref() != tag).then(|| retagged(entry, tag));
    Ok(moved.chain(own).collect())
}

/// A tag must not look like a generation, and can be typed.
fn check_tag(tag: &str) -> Result<(), Refusal> {
    let is_letter = |letter: char| letter.is_alphanumeric() || "._-+/".contains(letter);
    let is_name = tag.starts_with(char::is_alphanumeric) && tag.chars().all(is_letter) && tag.len() <= TAG_BYTES_MAX;
    if is_name && tag.parse::<u64>().is_err() {
        return Ok(());
    }
    let hint =
        format!("a tag has letters, digits and `._-+/`, at most {TAG_BYTES_MAX} bytes, and is not only a number");
    Err(usage(format!("`{tag}` cannot be a tag"), Some(hint)))
}
