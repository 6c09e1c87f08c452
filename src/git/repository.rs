//! The bare repository of a source: made, fetched into, asked.

use std::path::{Path, PathBuf};

use crate::model::Millis;

use super::{CommitId, CommitInfo, GitError, GitTrouble, Remote};

/// The folder of one source. While it is open no other process can open it.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// Opens the folder of a source (`PM_HOME/sources/NAME`); makes it, and the bare repository in it, if need be. Removes
    /// what killed processes have left.
    ///
    /// # Errors
    /// `GitMissing`; `InUse`: another process has it open; the disk.
    pub fn open(folder: &Path) -> Result<Self, GitError> {
        Ok(Self { folder: folder.to_owned() })
    }

    /// The folder of the source.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder whose entries are linked into every release.
    pub fn shared(&self) -> PathBuf {
        self.folder.join("shared")
    }

    /// Fetches a commit with all of its history. The commit is what [`super::remote_head`] returned, or one before it.
    /// Ends early, with `Superseded`, once `is_superseded` answers yes (asked some times a second).
    ///
    /// # Errors
    /// The remote cannot be reached in time, or does not have the commit (any more).
    pub fn fetch(
        &self,
        remote: &Remote,
        commit: &CommitId,
        patience: Millis,
        is_superseded: &dyn Fn() -> bool,
    ) -> Result<(), GitError> {
        let _ = (remote, patience, is_superseded);
        Err(self.not_yet("fetch", commit))
    }

    /// Whether the commit is here.
    ///
    /// # Errors
    /// git fails.
    pub fn has(&self, commit: &CommitId) -> Result<bool, GitError> {
        Err(self.not_yet("look for", commit))
    }

    /// Whether `new` has `old` in its history, or is it. A commit that is not here is in no history: all of it was fetched.
    ///
    /// # Errors
    /// `CommitGone`: `new` is not here; git fails.
    pub fn is_ancestor(&self, old: &CommitId, new: &CommitId) -> Result<bool, GitError> {
        let _ = old;
        Err(self.not_yet("compare", new))
    }

    /// What a commit says of itself.
    ///
    /// # Errors
    /// `CommitGone`; git fails.
    pub fn describe(&self, commit: &CommitId) -> Result<CommitInfo, GitError> {
        Err(self.not_yet("describe", commit))
    }

    pub(super) fn not_yet(&self, operation: &'static str, commit: &CommitId) -> GitError {
        GitError::new(GitTrouble::Failed, operation, commit.short(), "not yet built")
    }
}
