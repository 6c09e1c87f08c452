//! Ownership of projects: a defaulted name belongs to its folder, and a project to its set of files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::model::{ApplyOptions, Confirm, Origin, Project, Proposed, Refusal, RefusalKind};

use super::target::Target;

/// A project whose name was only taken from a folder's name belongs to that folder.
pub(super) fn check_folder(stored: Option<&Project>, proposed: &Proposed) -> Result<(), Refusal> {
    let Some(stored) = stored.filter(|stored| is_owned(proposed, stored)) else { return Ok(()) };
    let (theirs, ours) = (&stored.origin.folder, &proposed.origin.folder);
    if proposed.origin.is_named || theirs == ours {
        return Ok(());
    }
    Err(Refusal {
        kind: RefusalKind::Ownership,
        message: format!(
            "project `{}` belongs to `{}`; this file is in `{}`, and the project's name was only taken from its \
             folder",
            proposed.project,
            theirs.display(),
            ours.display()
        ),
        hint: Some("add `project = \"…\"` to the file to give it a name of its own".to_owned()),
        confirm: None,
    })
}

/// Another file set of the same project would silently delete what the first one declared.
pub(super) fn check_files(
    stored: Option<&Project>,
    proposed: &Proposed,
    target: &Target,
    options: &ApplyOptions,
) -> Result<(), Refusal> {
    let Some(stored) = stored.filter(|stored| is_owned(proposed, stored)) else { return Ok(()) };
    if options.replace_files || target.leaving.is_empty() || has_same_files(&stored.origin, &proposed.origin) {
        return Ok(());
    }
    let leaving: Vec<_> = target.leaving.iter().map(|name| format!("`{name}`")).collect();
    Err(Refusal {
        kind: RefusalKind::Safety,
        message: format!(
            "project `{}` was applied from {}, not from {}: this would delete {}",
            proposed.project,
            listed(&stored.origin.files),
            listed(&proposed.origin.files),
            leaving.join(", ")
        ),
        hint: Some("list all files of the project, or confirm with `--replace-files`".to_owned()),
        confirm: Some(Confirm::ReplaceFiles),
    })
}

/// A second checkout of a project would take over the processes of the first one, and then the first one those of the
/// second. `is_there`: whether a file of the last apply still exists, as another file than the one that is applied.
///
/// # Errors
/// It does, and that was not confirmed.
pub fn check_checkout(
    stored: Option<&Project>,
    proposed: &Proposed,
    options: &ApplyOptions,
    is_there: impl Fn(&Path) -> bool,
) -> Result<(), Refusal> {
    let Some(stored) = stored.filter(|stored| is_owned(proposed, stored)) else { return Ok(()) };
    let is_moved = proposed.origin.is_named && stored.origin.folder != proposed.origin.folder;
    if !is_moved || options.replace_files || options.is_wakeup {
        return Ok(());
    }
    let Some(file) = stored.origin.files.iter().find(|file| is_there(file)) else { return Ok(()) };
    Err(Refusal {
        kind: RefusalKind::Safety,
        message: format!(
            "project `{}` runs from `{}`, which still exists: this would move its apps to `{}`",
            proposed.project,
            file.display(),
            proposed.origin.folder.display()
        ),
        hint: Some(
            "a second checkout needs a `project` of its own, which `--worktree` gives to a linked git worktree; if the \
             apps are to move, confirm with `--replace-files`"
                .to_owned(),
        ),
        confirm: Some(Confirm::ReplaceFiles),
    })
}

/// Whether two applies name the same files, seen from their folders: release folders come and go.
pub(super) fn has_same_files(old: &Origin, new: &Origin) -> bool {
    relative_files(old) == relative_files(new)
}

fn relative_files(origin: &Origin) -> BTreeSet<&Path> {
    origin.files.iter().map(|file| file.strip_prefix(&origin.folder).unwrap_or(file)).collect()
}

/// Apps that were started by hand, and projects without apps, belong to no file.
fn is_owned(proposed: &Proposed, stored: &Project) -> bool {
    !proposed.project.is_nobody() && !stored.apps.is_empty() && !stored.origin.files.is_empty()
}

fn listed(files: &[PathBuf]) -> String {
    let files: Vec<_> = files.iter().map(|file| format!("`{}`", file.display())).collect();
    files.join(", ")
}
