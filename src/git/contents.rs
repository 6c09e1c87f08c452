//! What is in a commit, path by path, and what differs between two.

use std::collections::BTreeMap;

use super::{CommitId, GitError, Repository};

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// Its content, its kind or its executable bit is another one.
    Modified,
}

/// One path that differs between two commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedPath {
    /// Relative to the root of the repository. What is not text in it is replaced by `�`.
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// The paths that differ between two commits.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Changes {
    /// In the order of their names, at most 10,000.
    pub paths: Vec<ChangedPath>,
    /// There are more.
    pub is_cut: bool,
}

impl Repository {
    /// For each asked path what names its content in `commit`: equal names, equal content. A path is relative to the root
    /// of the repository: a file, a folder (`""` or `.` is the whole tree), or a glob (`src/**/*.rs`). What is not there
    /// is `absent`.
    ///
    /// # Errors
    /// There is no such commit, or git fails.
    pub fn content_digests(&self, commit: &CommitId, paths: &[String]) -> Result<BTreeMap<String, String>, GitError> {
        let _ = paths;
        Err(self.not_yet("read", commit))
    }

    /// What differs in the trees of two commits.
    ///
    /// # Errors
    /// There is no such commit, or git fails.
    pub fn changed_paths(&self, old: &CommitId, new: &CommitId) -> Result<Changes, GitError> {
        let _ = old;
        Err(self.not_yet("compare", new))
    }
}
