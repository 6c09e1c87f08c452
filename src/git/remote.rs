//! A repository elsewhere, and what its branch points to.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::model::Millis;

use super::complaint::plain;
use super::program::{Git, GitCall, access};
use super::{CommitId, GitError, GitTrouble, RemoteUrl};

/// What of a repository is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackedRef {
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
    pub wanted: TrackedRef,
    /// The private key for ssh; `None`: the agent, or the keys that ssh takes by itself.
    pub ssh_key: Option<PathBuf>,
    /// The file of known host keys; `None`: `~/.ssh/known_hosts` and the one of the machine.
    pub known_hosts: Option<PathBuf>,
}

impl TrackedRef {
    /// The name of what is followed, as the remote lists it.
    pub(super) fn full_name(&self) -> String {
        match self {
            Self::Default => "HEAD".to_owned(),
            Self::Branch(name) => format!("refs/heads/{name}"),
            Self::Tag(name) => format!("refs/tags/{name}"),
            Self::Commit(commit) => commit.to_string(),
        }
    }

    /// Whether git takes the name for one of a branch or a tag and for nothing else: the rules of
    /// `git-check-ref-format(1)`.
    pub(super) fn is_ref_name(&self) -> bool {
        let (Self::Branch(name) | Self::Tag(name)) = self else { return true };
        let is_lock = |part: &str| part.strip_suffix("lock").is_some_and(|rest| rest.ends_with('.'));
        let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !is_lock(part);
        let is_forbidden = |letter: char| letter.is_control() || " ~^:?*[\\".contains(letter);
        name.split('/').all(is_part)
            && !name.starts_with('-')
            && !name.ends_with('.')
            && name != "@"
            && !name.contains("..")
            && !name.contains("@{")
            && !name.contains(is_forbidden)
    }
}

impl fmt::Display for TrackedRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default branch"),
            Self::Branch(name) => write!(f, "branch {}", plain(name, 200)),
            Self::Tag(name) => write!(f, "tag {}", plain(name, 200)),
            Self::Commit(commit) => write!(f, "commit {}", commit.short()),
        }
    }
}

/// Asks the remote which commit is wanted now. Writes nothing.
///
/// # Errors
/// It cannot be reached in time, or there is no such branch or tag.
pub fn remote_head(remote: &Remote, patience: Millis) -> Result<CommitId, GitError> {
    let (shown, name) = (remote.url.to_string(), remote.wanted.full_name());
    let peeled = format!("{name}^{{}}");
    let args = ["ls-remote", "--exit-code", "origin", &name, &peeled];
    let mut call = GitCall::local("ask", &shown, &args);
    if let TrackedRef::Commit(commit) = &remote.wanted {
        return Ok(commit.clone());
    }
    if !remote.wanted.is_ref_name() {
        return Err(call.error(GitTrouble::NoSuchRef, remote.wanted.to_string()));
    }
    // There is no repository here: nothing in the folders above could be taken for one.
    let git = Git::find(Path::new("/dev/null/none"))?;
    let access = access(remote).map_err(|why| call.error(GitTrouble::Failed, why))?;
    (call.settings, call.variables, call.patience) = (&access.settings, &access.variables, patience);
    let answer = git.ask(&call)?;
    match answer.exit_code {
        Some(0) => {}
        Some(2) if answer.output.is_empty() && answer.complaint.is_empty() => {
            return Err(call.error(GitTrouble::NoSuchRef, remote.wanted.to_string()));
        }
        _ => return Err(call.failed(&answer)),
    }
    let text = String::from_utf8_lossy(&answer.output);
    let line = |wanted: &str| {
        text.lines().find_map(|line| line.split_once('\t').filter(|(_, name)| *name == wanted).map(|(id, _)| id))
    };
    match line(&peeled).or_else(|| line(&name)) {
        Some(id) => CommitId::parse(id).map_err(|_| call.error(GitTrouble::Garbage, "not the name of a commit")),
        None => Err(call.error(GitTrouble::NoSuchRef, remote.wanted.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_git_would_read_otherwise_are_none() {
        for name in ["main", "release/2.0", "fix-1", "ünï", "a@b", "HEAD"] {
            assert!(TrackedRef::Branch(name.into()).is_ref_name(), "{name}");
        }
        for name in [
            "",
            "-x",
            "a b",
            "a..b",
            "a~1",
            "a^",
            "a:b",
            "+a",
            "a?",
            "a*",
            "a[",
            "a\\",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.",
            "a.lock",
            "a/b.lock/c",
            "a@{1}",
            "a\nb",
            "@",
        ] {
            let is_sign = name == "+a"; // a plus is a letter like any other after `refs/heads/`
            assert_eq!(TrackedRef::Branch(name.into()).is_ref_name(), is_sign, "{name}");
        }
    }
}
