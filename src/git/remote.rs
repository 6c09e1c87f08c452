//! A repository elsewhere, and what its branch points to.

use std::path::PathBuf;

use crate::model::Millis;

use super::{CommitId, GitError, RemoteUrl};

/// What of a repository is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The branch that the repository itself calls its first (`HEAD`).
    Default,
    /// The newest commit of a branch: `main`, `release/2`.
    Branch(String),
    /// The commit that a tag names.
    Tag(String),
    /// Always the same commit.
    Commit(CommitId),
}

/// A repository and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it is.
    pub url: RemoteUrl,
    /// What is followed.
    pub wanted: Wanted,
    /// The private key for ssh; `None`: the agent, or the keys that ssh takes by itself.
    pub ssh_key: Option<PathBuf>,
    /// The file of known host keys; `None`: `~/.ssh/known_hosts` and the one of the machine.
    pub known_hosts: Option<PathBuf>,
}

/// Asks the remote which commit is wanted now. Writes nothing.
///
/// # Errors
/// It cannot be reached in time, or there is no such branch or tag.
pub fn remote_head(remote: &Remote, patience: Millis) -> Result<CommitId, GitError> {
    let _ = patience;
    match &remote.wanted {
        Wanted::Commit(commit) => Ok(commit.clone()),
        _ => Err(GitError::new(super::GitTrouble::Failed, "read", remote.url.to_string(), "not yet built")),
    }
}
