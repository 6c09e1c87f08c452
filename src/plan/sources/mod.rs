//! What an apply of a Git source may do, and which apps stay in the release that they run from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::model::{
    App, ApplyOptions, CommitEntry, Desired, Digest, EntryOrigin, Origin, Project, ProjectName, Proposed, Refusal,
    RefusalKind, SourceApply, SourceName,
};

#[cfg(test)]
mod tests;

/// A project that a source deploys is changed by nothing else that declares it, and a source takes over no project.
///
/// # Errors
/// The project is another one's.
pub fn check_source(desired: &Desired, proposed: &Proposed, options: &ApplyOptions) -> Result<(), Refusal> {
    let project = &proposed.project;
    if let Some(apply) = options.source.as_deref() {
        let source = &apply.source;
        let is_followed = desired.sources.get(source).is_some_and(|source| !source.is_suspended);
        if !is_followed {
            return Err(Refusal {
                kind: RefusalKind::Stale,
                message: format!("the source `{source}` was suspended or removed meanwhile"),
                hint: Some("`pm source list` shows what is followed".to_owned()),
                confirm: None,
            });
        }
    }
    let owner = desired.sources.iter().find(|(_, source)| source.record.project.as_ref() == Some(project));
    match (owner, options.source.as_deref().map(|apply| &apply.source)) {
        (Some((owner, _)), Some(source)) if owner != source => Err(Refusal {
            kind: RefusalKind::Ownership,
            message: format!("project `{project}` is deployed by the source `{owner}`"),
            hint: Some("give the file of this source another `project`".to_owned()),
            confirm: None,
        }),
        (Some((owner, source)), None) if !source.is_suspended => Err(Refusal {
            kind: RefusalKind::Ownership,
            message: format!("project `{project}` is deployed by the source `{owner}`, not from files"),
            hint: Some(format!("commit the change, or take over by hand: `pm source suspend {owner}`")),
            confirm: None,
        }),
        (None, Some(_)) if desired.projects.get(project).is_some_and(|stored| !stored.apps.is_empty()) => {
            let files = desired.projects.get(project).map(|stored| listed(&stored.origin)).unwrap_or_default();
            Err(Refusal {
                kind: RefusalKind::Ownership,
                message: format!("project `{project}` exists already, and was applied from {files}"),
                hint: Some(format!(
                    "give the file in the repository another `project`, or hand the project over: `pm down -p {project}`"
                )),
                confirm: None,
            })
        }
        _ => Ok(()),
    }
}

fn listed(origin: &Origin) -> String {
    match origin.files.as_slice() {
        [] => "the command line".to_owned(),
        files => files.iter().map(|file| format!("`{}`", file.display())).collect::<Vec<_>>().join(", "),
    }
}

/// What a source proposes, where an app whose spec and inputs are those of an older release stays in that one: word for word as
/// it is declared, or as it was when it was rolled back.
pub fn settled(
    stored: Option<&Project>,
    proposed: &Proposed,
    apply: &SourceApply,
    spec: impl Fn(&Digest) -> Option<Arc<App>>,
) -> Proposed {
    let mut settled = proposed.clone();
    let Some(stored) = stored else { return settled };
    for app in &mut settled.apps {
        let Some(declared) = stored.apps.get(&app.name) else { continue };
        let Some(same) = apply.same.iter().find(|same| same.app == app.name) else { continue };
        let rolled_back = declared.pin.and_then(|pin| pin.from).and_then(|digest| spec(&digest));
        let known = [Some(Arc::clone(&declared.spec)), rolled_back];
        let is_known = |moved: &App| known.iter().flatten().any(|known| **known == *moved);
        let moved = same.releases.iter().filter_map(|release| moved(app, &apply.release, release));
        if let Some(same) = moved.into_iter().find(is_known) {
            *app = same;
        }
    }
    settled
}

/// The same app in another release; `None` if it cannot be said in JSON.
fn moved(app: &App, from: &Path, to: &Path) -> Option<App> {
    let mut value = serde_json::to_value(app).ok()?;
    replace(&mut value, from.to_str()?, to.to_str()?);
    serde_json::from_value(value).ok()
}

/// The folder of a release has the name of its commit: nothing else contains it.
fn replace(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text.contains(from) => *text = text.replace(from, to),
        Value::Array(values) => {
            for value in values {
                replace(value, from, to);
            }
        }
        Value::Object(values) => {
            if values.keys().any(|key| key.contains(from)) {
                let moved = std::mem::take(values).into_iter().map(|(key, value)| (key.replace(from, to), value));
                *values = moved.collect();
            }
            for value in values.values_mut() {
                replace(value, from, to);
            }
        }
        _ => {}
    }
}

/// The release in `folder` (which holds the releases of a source by their commits) that a spec names.
pub fn release_of(app: &App, folder: &Path) -> Option<PathBuf> {
    let text = serde_json::to_string(app).ok()?;
    let prefix = format!("{}/", folder.to_str()?);
    let rest = &text[text.find(&prefix)? + prefix.len()..];
    let end = rest.find(|letter: char| !letter.is_ascii_hexdigit()).unwrap_or(rest.len());
    (end >= 40).then(|| folder.join(&rest[..end]))
}

/// What the history of a project says of the commit of a source that is applied at or after generation `from`.
pub fn commit_entry(project: &Project, source: &SourceName, commit: &str, from: u64) -> Option<CommitEntry> {
    let is_it = |provenance: &crate::model::Provenance| {
        provenance.source.as_ref() == Some(source) && provenance.commit.as_deref() == Some(commit)
    };
    let entries = || project.history.entries().filter(|entry| entry.generation > from);
    let entry = entries().find(|entry| entry.origin == EntryOrigin::Apply && is_it(&entry.provenance))?;
    let later = entries().filter(|later| later.generation > entry.generation);
    let returned_to = later.filter_map(|later| match later.origin {
        EntryOrigin::Rollback { to } => Some(to),
        _ => None,
    });
    let is_newest = project.history.newest().is_some_and(|newest| newest.generation == entry.generation);
    let (generation, result) = (entry.generation, entry.result);
    Some(CommitEntry { generation, result, returned_to: returned_to.into_iter().next(), is_newest })
}

/// The project of a source, as far as its next apply depends on it.
pub fn project_of<'a>(desired: &'a Desired, source: &SourceName) -> Option<(&'a ProjectName, &'a Project)> {
    let name = desired.sources.get(source)?.record.project.as_ref()?;
    desired.projects.get_key_value(name)
}
