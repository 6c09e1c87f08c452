//! Folders with the files of one commit: made, built in, made read-only, removed.

use std::path::PathBuf;

use super::{CommitId, GitError, Repository};

/// How far a release folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseState {
    /// Just made: `build` may run in it now, then [`Repository::seal`].
    Fresh,
    /// Complete and read-only from an earlier sync: nothing is to be done.
    Sealed,
}

/// Something about a release that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseNote {
    /// Something in `shared` is not linked, because the commit has something else at this path.
    NotLinked(String),
    /// A submodule: an empty folder.
    EmptySubmodule(String),
    /// A pointer of Git LFS is left as it is.
    LfsPointer(String),
}

/// The files of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Their folder, `releases/COMMIT`.
    pub path: PathBuf,
    /// How far it is.
    pub state: ReleaseState,
    /// At most 100; empty for a sealed one.
    pub notes: Vec<ReleaseNote>,
}

/// What is accepted of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseOptions {
    /// Most files, links and folders.
    pub entries_max: usize,
    /// Most bytes in all files together.
    pub bytes_max: u64,
    /// Submodules become empty folders with a note, instead of refusing the commit.
    pub leaves_submodules_empty: bool,
    /// Pointers of Git LFS stay as they are, with a note, instead of refusing the commit.
    pub keeps_lfs_pointers: bool,
}

impl Default for ReleaseOptions {
    fn default() -> Self {
        Self { entries_max: 200_000, bytes_max: 8 << 30, leaves_submodules_empty: false, keeps_lfs_pointers: false }
    }
}

impl Repository {
    /// Makes the release folder of a commit that was fetched, with links to what is in `shared`. One that was not sealed
    /// (its sync was killed) is made again from the start; a sealed one is left as it is.
    ///
    /// # Errors
    /// The tree is refused (see [`super::GitTrouble::is_of_commit`]), the disk is full, `is_superseded` answered yes.
    pub fn release(
        &self,
        commit: &CommitId,
        options: &ReleaseOptions,
        is_superseded: &dyn Fn() -> bool,
    ) -> Result<Release, GitError> {
        let _ = (options, is_superseded);
        Err(self.not_yet("check out", commit))
    }

    /// The folder that a release of this commit has, or would have.
    pub fn release_path(&self, commit: &CommitId) -> PathBuf {
        self.folder().join("releases").join(commit.as_str())
    }

    /// Gives a fresh release to another user, so that `build` can run as that user. Links are not followed.
    ///
    /// # Errors
    /// We are not root.
    pub fn hand_over(&self, commit: &CommitId, user_id: u32, group_id: u32) -> Result<(), GitError> {
        let _ = (user_id, group_id);
        Err(self.not_yet("hand over", commit))
    }

    /// Makes a release read-only (files 0444 or 0555, folders 0555; ours again if it was handed over) and remembers that it
    /// is complete. Sealing twice is fine.
    ///
    /// # Errors
    /// There is no such release.
    pub fn seal(&self, commit: &CommitId) -> Result<(), GitError> {
        Err(self.not_yet("seal", commit))
    }

    /// All sealed releases, in the order of their names.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn releases(&self) -> Result<Vec<CommitId>, GitError> {
        Ok(Vec::new())
    }

    /// Removes every release but these, and whatever killed syncs have left. Says which releases were removed.
    ///
    /// # Errors
    /// Something cannot be removed; the others are gone nevertheless.
    pub fn prune(&self, keep: &[CommitId]) -> Result<Vec<CommitId>, GitError> {
        let _ = keep;
        Ok(Vec::new())
    }
}
