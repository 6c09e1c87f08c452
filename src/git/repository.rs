//! The bare repository of a source: made, fetched into, asked.

use std::path::{Path, PathBuf};

use crate::model::{Millis, WallTime};
use crate::os::{self, Lock, killpoint};

use super::complaint::plain;
use super::program::{Git, GitCall, access};
use super::{CommitId, CommitInfo, GitError, GitTrouble, Remote, TrackedRef};

/// Files below the repository that are looked at for what killed processes left.
const LOOKED_AT_MAX: usize = 200_000;
/// Longest text that a commit says of itself, in letters.
const TEXT_MAX: usize = 200;

/// The folder of one source. While it is open no other process can open it.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
    git: Git,
    _lock: Lock,
}

impl Repository {
    /// Opens the folder of a source (`PM_HOME/sources/NAME`); makes it if need be. Removes what killed processes have left.
    ///
    /// # Errors
    /// `GitMissing`; `InUse`: another process has it open; the disk.
    pub fn open(folder: &Path) -> Result<Self, GitError> {
        let operation = "open";
        let disk = |error: std::io::Error| GitError::disk(operation, folder, &error);
        let git = Git::find(&folder.join("repository.git"))?;
        // A user may have made it, for what is in `shared`.
        os::create_private_folder(folder).and_then(|()| os::keep_private(folder)).map_err(disk)?;
        let Some(lock) = Lock::try_exclusive(&folder.join("lock")).map_err(disk)? else {
            return Err(GitError::new(GitTrouble::InUse, operation, folder.display().to_string(), ""));
        };
        for name in ["releases", "shared"] {
            os::make_folder(&folder.join(name)).map_err(disk)?;
        }
        let this = Self { folder: folder.to_owned(), git, _lock: lock };
        this.require_git_version()?;
        this.sweep().map_err(disk)?;
        Ok(this)
    }

    /// The folder of the source.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder whose entries are linked into every release.
    pub fn shared(&self) -> PathBuf {
        self.folder.join("shared")
    }

    pub(super) const fn git(&self) -> &Git {
        &self.git
    }

    fn bare(&self) -> PathBuf {
        self.folder.join("repository.git")
    }

    /// Settings in variables came with 2.31, a global file by variable with 2.32.
    fn require_git_version(&self) -> Result<(), GitError> {
        let call = GitCall::local("use", "git", &["version"]);
        let text = String::from_utf8_lossy(&self.git.run(&call)?).trim().to_owned();
        let mut numbers = text.trim_start_matches("git version ").split('.').map_while(|part| part.parse::<u32>().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version >= (2, 32) { Ok(()) } else { Err(call.error(GitTrouble::GitMissing, plain(&text, TEXT_MAX))) }
    }

    /// Removes locks and half-written packs: nobody else works here, so that whoever made them is dead.
    fn sweep(&self) -> std::io::Result<()> {
        os::remove_tree(&self.folder.join("repository.tmp"))?;
        for path in os::walk_files(&self.bare(), LOOKED_AT_MAX) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".lock") || name.starts_with("tmp_") || name == "gc.pid" {
                os::remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    /// Makes the bare repository, whole or not at all.
    fn require_bare(&self, commit: &CommitId) -> Result<(), GitError> {
        if os::is_folder(&self.bare()) {
            return Ok(());
        }
        let temporary = self.folder.join("repository.tmp");
        let disk = |error: std::io::Error| GitError::disk("make", &temporary, &error);
        os::remove_tree(&temporary).map_err(disk)?;
        os::create_private_folder(&temporary).map_err(disk)?;
        let format = if commit.as_str().len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        let thing = temporary.display().to_string();
        let args = ["init", "--quiet", "--bare", "--template=", format];
        Git::find(&temporary)?.run(&GitCall::local("make", &thing, &args))?;
        killpoint("git_repository_made");
        os::rename_durably(&temporary, &self.bare()).map_err(disk)
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
        let shown = format!("{} of {}", remote.wanted, remote.url);
        let call = GitCall { patience, is_superseded, ..GitCall::local("fetch", &shown, &[]) };
        if !remote.wanted.is_ref_name() {
            return Err(call.error(GitTrouble::NoSuchRef, ""));
        }
        self.require_bare(commit)?;
        let is_tag = matches!(remote.wanted, TrackedRef::Tag(_));
        if !is_tag && self.has(commit)? {
            return Ok(());
        }
        let access = access(remote).map_err(|why| call.error(GitTrouble::Failed, why))?;
        let call = GitCall { settings: &access.settings, variables: &access.variables, ..call };
        let target = if is_tag { "refs/pm/tag" } else { "refs/pm/head" };
        let fetched = self.fetch_ref(&call, &format!("+{}:{target}", remote.wanted.full_name()));
        match fetched {
            // A server need not hand out a commit by its name; then it may be on one of its branches.
            Err(error) if error.trouble == GitTrouble::CommitGone && matches!(remote.wanted, TrackedRef::Commit(_)) => {
                self.fetch_ref(&call, "+refs/heads/*:refs/pm/heads/*")?;
            }
            fetched => fetched?,
        }
        killpoint("git_fetched");
        if self.has(commit)? { Ok(()) } else { Err(call.error(GitTrouble::CommitGone, commit.short())) }
    }

    fn fetch_ref(&self, call: &GitCall<'_>, refspec: &str) -> Result<(), GitError> {
        let args = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--prune", "--force", "origin", refspec];
        self.remove_unfinished();
        let fetched = self.git.run(&GitCall { args: &args, ..*call });
        if fetched.is_err() {
            self.remove_unfinished();
        }
        fetched.map(|_nothing| ())
    }

    /// What a fetch has left that was ended, or filled the disk: git keeps it for days. Nobody else writes here.
    fn remove_unfinished(&self) {
        let packs = self.bare().join("objects/pack");
        for (name, _) in os::list_folder(&packs) {
            if name.starts_with("tmp_") {
                let _ = os::remove_if_there(&packs.join(name));
            }
        }
    }

    /// Whether the commit is here.
    ///
    /// # Errors
    /// git fails.
    pub fn has(&self, commit: &CommitId) -> Result<bool, GitError> {
        if !os::is_folder(&self.bare()) {
            return Ok(false);
        }
        let object = format!("{commit}^{{commit}}");
        Ok(self.git.ask(&GitCall::local("look for", commit.short(), &["cat-file", "-e", &object]))?.exit_code
            == Some(0))
    }

    /// Whether `new` has `old` in its history, or is it. A commit that is not here is in no history: all of it was fetched.
    ///
    /// # Errors
    /// `CommitGone`: `new` is not here; git fails.
    pub fn is_ancestor(&self, old: &CommitId, new: &CommitId) -> Result<bool, GitError> {
        let args = ["merge-base", "--is-ancestor", old.as_str(), new.as_str()];
        let call = GitCall::local("compare", new.short(), &args);
        if !self.has(new)? {
            return Err(call.error(GitTrouble::CommitGone, ""));
        }
        if !self.has(old)? {
            return Ok(false);
        }
        let answer = self.git.ask(&call)?;
        match answer.exit_code {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(call.failed(&answer)),
        }
    }

    /// What a commit says of itself.
    ///
    /// # Errors
    /// `CommitGone`; git fails.
    pub fn describe(&self, commit: &CommitId) -> Result<CommitInfo, GitError> {
        let args = ["log", "-1", "--format=%s%x00%an%x00%ct", commit.as_str(), "--"];
        let call = GitCall::local("describe", commit.short(), &args);
        if !self.has(commit)? {
            return Err(call.error(GitTrouble::CommitGone, ""));
        }
        let answer = self.git.run(&GitCall { bytes_max: 1 << 20, ..call })?;
        let text = String::from_utf8_lossy(&answer);
        let mut parts = text.trim_end_matches('\n').split('\0');
        let mut part = || parts.next().unwrap_or_default();
        let (subject, author, seconds) =
            (plain(part(), TEXT_MAX), plain(part(), TEXT_MAX), part().parse().unwrap_or(0_u64));
        let committed_at = WallTime(seconds.saturating_mul(1000));
        Ok(CommitInfo { commit: commit.clone(), subject, author, committed_at })
    }

    /// Keeps a commit and its history from being cleaned away, or lets go of it.
    pub(super) fn hold(&self, commit: &CommitId, is_held: bool) -> Result<(), GitError> {
        let name = format!("refs/pm/releases/{commit}");
        let hold = ["update-ref", &name, commit.as_str()];
        let drop = ["update-ref", "-d", &name];
        let args: &[&str] = if is_held { &hold } else { &drop };
        self.git.run(&GitCall::local("note", commit.short(), args)).map(|_nothing| ())
    }

    /// Packs what has become many files. Never urgent: that it fails is no trouble.
    pub(super) fn tidy_up(&self) {
        let settings = [("gc.auto", "6700"), ("gc.autoPackLimit", "20"), ("gc.autoDetach", "false")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let call = GitCall::local("pack", "the repository", &["gc", "--auto", "--quiet"]);
        let call = GitCall { settings: &settings, patience: Millis::seconds(600), ..call };
        let _best_effort = self.git.ask(&call);
    }
}
