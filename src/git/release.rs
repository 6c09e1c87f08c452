//! Folders with the files of one commit: made, built in, made read-only, removed.

use std::ffi::OsStr;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::model::Millis;
use crate::os::{self, killpoint};

use super::program::GitCall;
use super::shared::link_shared;
use super::tree::{EntryKind, Refused, TreeEntry, check_entries, check_links, shown};
use super::{CommitId, GitError, GitTrouble, Repository};

const CHECK_OUT: &str = "check out";
/// How long git may take to write all files of a commit.
const FILL_PATIENCE: Millis = Millis::seconds(1800);
/// Most notes on one release.
const NOTES_MAX: usize = 100;
/// Sizes of a pointer of Git LFS.
const LFS_POINTER_BYTES: RangeInclusive<u64> = 40..=1024;

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
        let path = self.release_path(commit);
        if self.is_sealed(commit) {
            return Ok(Release { path, state: ReleaseState::Sealed, notes: Vec::new() });
        }
        let disk = |error: io::Error| GitError::disk(CHECK_OUT, &path, &error);
        let temporary = self.beside(commit, "tmp");
        os::remove_tree(&temporary).and_then(|()| os::remove_tree(&path)).map_err(disk)?;
        let entries = self.checked_entries(commit, options)?;
        let made = self.fill(commit, &entries, &temporary, is_superseded).and_then(|()| {
            killpoint("git_checked_out");
            let mut notes = notes_on(commit, &entries, &temporary, options)?;
            link_shared(&self.shared(), &temporary, &mut notes).map_err(disk)?;
            notes.truncate(NOTES_MAX);
            self.hold(commit, true)?;
            os::rename_durably(&temporary, &path).map_err(disk)?;
            killpoint("git_released");
            Ok(notes)
        });
        if made.is_err() {
            let _best_effort = os::remove_tree(&temporary);
        }
        Ok(Release { path, state: ReleaseState::Fresh, notes: made? })
    }

    /// The folder that a release of this commit has, or would have.
    pub fn release_path(&self, commit: &CommitId) -> PathBuf {
        self.folder().join("releases").join(commit.as_str())
    }

    /// What stands beside a release: `tmp` while it is filled, `sealed` once it is complete, `old` while it is removed.
    fn beside(&self, commit: &CommitId, what: &str) -> PathBuf {
        self.folder().join("releases").join(format!(".{commit}.{what}"))
    }

    fn is_sealed(&self, commit: &CommitId) -> bool {
        os::exists(&self.beside(commit, "sealed")) && os::is_folder(&self.release_path(commit))
    }

    fn checked_entries(&self, commit: &CommitId, options: &ReleaseOptions) -> Result<Vec<TreeEntry>, GitError> {
        let refused = |(trouble, why): Refused| GitError::new(trouble, CHECK_OUT, commit.short(), why);
        let entries = self.entries(commit)?;
        check_entries(&entries, options.entries_max, options.bytes_max).map_err(refused)?;
        check_links(&self.link_texts(&entries)?).map_err(refused)?;
        match entries.iter().find(|entry| entry.kind == EntryKind::Submodule) {
            Some(entry) if !options.leaves_submodules_empty => {
                Err(refused((GitTrouble::Submodules, shown(&entry.path))))
            }
            _ => Ok(entries),
        }
    }

    /// Puts the files into a new folder. Nothing of the repository runs: git knows no filter, and no hook.
    fn fill(
        &self,
        commit: &CommitId,
        entries: &[TreeEntry],
        folder: &Path,
        is_superseded: &dyn Fn() -> bool,
    ) -> Result<(), GitError> {
        let disk = |error: io::Error| GitError::disk(CHECK_OUT, folder, &error);
        os::create_private_folder(folder).map_err(disk)?;
        if entries.is_empty() {
            return Ok(());
        }
        let index = self.beside(commit, "index");
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let variables = [("GIT_INDEX_FILE".to_owned(), text(&index)), ("GIT_WORK_TREE".to_owned(), text(folder))];
        let call = GitCall {
            variables: &variables,
            patience: FILL_PATIENCE,
            is_superseded,
            ..GitCall::local(CHECK_OUT, commit.short(), &[])
        };
        let filled = self.git().run(&GitCall { args: &["read-tree", commit.as_str()], ..call }).and_then(|_| {
            self.git().run(&GitCall { args: &["checkout-index", "--all", "--force", "--quiet"], ..call })
        });
        // git does not always say why it cannot write.
        let filled = filled.map_err(|error| no_room(folder).map_or(error, disk));
        let removed = os::remove_if_there(&index);
        filled?;
        removed.map_err(disk)
    }

    /// Gives a fresh release to another user, so that `build` can run as that user. Links are not followed.
    ///
    /// # Errors
    /// We are not root.
    pub fn hand_over(&self, commit: &CommitId, user_id: u32, group_id: u32) -> Result<(), GitError> {
        let path = self.release_path(commit);
        os::give_tree(&path, user_id, group_id).map_err(|error| GitError::disk("hand over", &path, &error))
    }

    /// Makes a release read-only (files 0444 or 0555, folders 0555; ours again if it was handed over) and remembers that it
    /// is complete. Where others may pass the folder of the source, only we may enter it (0500). Sealing twice is fine.
    ///
    /// # Errors
    /// There is no such release.
    pub fn seal(&self, commit: &CommitId) -> Result<(), GitError> {
        let path = self.release_path(commit);
        let disk = |error: io::Error| GitError::disk("seal", &path, &error);
        if self.is_sealed(commit) {
            return Ok(());
        }
        // Where others get as far as this, it is for nobody else until somebody is let in.
        let root_mode = if os::lets_pass(self.folder()) { 0o500 } else { 0o555 };
        os::seal_tree(&path, root_mode).map_err(disk)?;
        killpoint("git_read_only");
        os::sync_tree(&path).map_err(disk)?;
        os::write_atomically(&self.beside(commit, "sealed"), b"", 0o600).map_err(disk)?;
        killpoint("git_sealed");
        Ok(())
    }

    /// All sealed releases, in the order of their names.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn releases(&self) -> Result<Vec<CommitId>, GitError> {
        let mut found: Vec<CommitId> = self.names()?.iter().filter_map(|name| CommitId::parse(name).ok()).collect();
        found.retain(|commit| self.is_sealed(commit));
        found.sort();
        Ok(found)
    }

    /// The names in the folder of releases that are text; there is nothing of ours among the others.
    fn names(&self) -> Result<Vec<String>, GitError> {
        let folder = self.folder().join("releases");
        let names = os::file_names(&folder).map_err(|error| GitError::disk("read", &folder, &error))?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// Removes every release but these, and whatever killed syncs have left. Says which releases were removed.
    ///
    /// # Errors
    /// Something cannot be removed; the others are gone nevertheless.
    pub fn prune(&self, keep: &[CommitId]) -> Result<Vec<CommitId>, GitError> {
        let (mut removed, mut first_error) = (Vec::new(), None);
        for name in self.names()? {
            // `COMMIT`, `.COMMIT.tmp`: everything else was not made here.
            let core = name.strip_prefix('.').map_or(name.as_str(), |rest| rest.split('.').next().unwrap_or_default());
            let Ok(commit) = CommitId::parse(core) else { continue };
            let is_leftover = [".tmp", ".old", ".index", ".lock"].iter().any(|end| name.ends_with(end));
            if keep.contains(&commit) && !is_leftover {
                continue;
            }
            let is_release = name == commit.as_str();
            match self.remove(&commit, &name) {
                Ok(()) if is_release => removed.push(commit),
                Ok(()) => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        self.tidy_up();
        removed.sort();
        first_error.map_or(Ok(removed), Err)
    }

    fn remove(&self, commit: &CommitId, name: &str) -> Result<(), GitError> {
        let path = self.folder().join("releases").join(name);
        let disk = |error: io::Error| GitError::disk("remove", &path, &error);
        if name != commit.as_str() {
            return os::remove_tree(&path).map_err(disk);
        }
        // First it is no release any more, then it is taken apart.
        os::remove_if_there(&self.beside(commit, "sealed")).map_err(disk)?;
        killpoint("git_unsealed");
        let old = self.beside(commit, "old");
        os::remove_tree(&old).and_then(|()| os::rename(&path, &old)).map_err(disk)?;
        killpoint("git_put_aside");
        os::remove_tree(&old).map_err(disk)?;
        self.hold(commit, false)
    }
}

/// The error of a full disk, if nothing more can be written there.
fn no_room(folder: &Path) -> Option<io::Error> {
    os::write_whole(&folder.join(".room"), &vec![0; 1 << 20], 0o600).err().filter(os::is_disk_full)
}

/// Submodules and pointers of Git LFS among the files of a release that is being made.
fn notes_on(
    commit: &CommitId,
    entries: &[TreeEntry],
    folder: &Path,
    options: &ReleaseOptions,
) -> Result<Vec<ReleaseNote>, GitError> {
    let mut notes = Vec::new();
    for entry in entries {
        let is_small = entry.kind == EntryKind::File && LFS_POINTER_BYTES.contains(&entry.bytes);
        if entry.kind == EntryKind::Submodule {
            notes.push(ReleaseNote::EmptySubmodule(shown(&entry.path)));
        } else if is_small && is_lfs_pointer(&folder.join(OsStr::from_bytes(&entry.path))) {
            if !options.keeps_lfs_pointers {
                return Err(GitError::new(GitTrouble::LfsPointers, CHECK_OUT, commit.short(), shown(&entry.path)));
            }
            notes.push(ReleaseNote::LfsPointer(shown(&entry.path)));
        }
    }
    Ok(notes)
}

fn is_lfs_pointer(path: &Path) -> bool {
    os::first_line(path).is_some_and(|line| {
        line.strip_prefix("version https://").is_some_and(|rest| {
            rest.starts_with("git-lfs.github.com/spec/") || rest.starts_with("hawser.github.com/spec/")
        })
    })
}
