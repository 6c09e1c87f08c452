//! What can go wrong with a repository, in words and with a next step.

use std::fmt;

/// What kind of trouble it is: stable, one word per kind in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GitTrouble {
    /// There is no `git` on the PATH, or it is too old.
    GitMissing,
    /// The address is not one that is used.
    UrlRefused,
    /// The server does not answer, or its name is unknown.
    Unreachable,
    /// There is no repository at the address, or it is not shown to us.
    NoRepository,
    /// The server asks for a key or a password.
    AuthenticationNeeded,
    /// The host key of an ssh server is unknown, or another one than before.
    UnknownHostKey,
    /// A local repository belongs to another user.
    ForeignOwner,
    /// There is no such branch or tag.
    NoSuchRef,
    /// The commit is not in the repository (any more).
    CommitGone,
    /// It took too long and was ended.
    TimedOut,
    /// Ended because the caller has something newer to do.
    Superseded,
    /// The server's answer is not git's, is cut off, or holds broken objects.
    Garbage,
    /// An object of the commit or of its history is malformed: no honest git writes such.
    Malformed,
    /// No room on the disk, or a quota is used up.
    DiskFull,
    /// The commit or tag has no signature.
    Unsigned,
    /// It is signed by nobody who is allowed to, or the signature does not fit.
    WronglySigned,
    /// More files or bytes than the limits allow.
    TooLarge,
    /// The tree holds a name or a link that could reach outside of it.
    Hostile,
    /// The tree holds submodules, which are not checked out.
    Submodules,
    /// A file is only a pointer of Git LFS.
    LfsPointers,
    /// Another sync works in the same folder.
    InUse,
    /// Anything else that git or the disk reports.
    Failed,
}

impl GitTrouble {
    /// Stable name, for JSON and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GitMissing => "git_missing",
            Self::UrlRefused => "url_refused",
            Self::Unreachable => "unreachable",
            Self::NoRepository => "no_repository",
            Self::AuthenticationNeeded => "authentication_needed",
            Self::UnknownHostKey => "unknown_host_key",
            Self::ForeignOwner => "foreign_owner",
            Self::NoSuchRef => "no_such_ref",
            Self::CommitGone => "commit_gone",
            Self::TimedOut => "timed_out",
            Self::Superseded => "superseded",
            Self::Garbage => "garbage",
            Self::Malformed => "malformed",
            Self::DiskFull => "disk_full",
            Self::Unsigned => "unsigned",
            Self::WronglySigned => "wrongly_signed",
            Self::TooLarge => "too_large",
            Self::Hostile => "hostile_tree",
            Self::Submodules => "submodules",
            Self::LfsPointers => "lfs_pointers",
            Self::InUse => "in_use",
            Self::Failed => "failed",
        }
    }

    /// Whether the same call may succeed later without anybody changing the repository or the configuration.
    pub const fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Unreachable
                | Self::TimedOut
                | Self::Superseded
                | Self::Garbage
                | Self::DiskFull
                | Self::InUse
                | Self::Failed
        )
    }

    /// Whether the commit itself is what is wrong: only another commit (or other settings) helps.
    pub const fn is_of_commit(self) -> bool {
        matches!(
            self,
            Self::Unsigned
                | Self::WronglySigned
                | Self::Malformed
                | Self::TooLarge
                | Self::Hostile
                | Self::Submodules
                | Self::LfsPointers
        )
    }

    const fn words(self) -> &'static str {
        match self {
            Self::GitMissing => "there is no usable git",
            Self::UrlRefused => "the address is refused",
            Self::Unreachable => "the server does not answer",
            Self::NoRepository => "there is no repository, or it is not visible to this user",
            Self::AuthenticationNeeded => "the server asks for a key or a password",
            Self::UnknownHostKey => "the host key of the server is not known",
            Self::ForeignOwner => "the repository belongs to another user",
            Self::NoSuchRef => "there is no such branch or tag",
            Self::CommitGone => "the commit is not in the repository",
            Self::TimedOut => "it took too long",
            Self::Superseded => "something newer is to be done",
            Self::Garbage => "the answer cannot be used",
            Self::Malformed => "it holds an object that git refuses",
            Self::DiskFull => "the disk is full",
            Self::Unsigned => "it is not signed",
            Self::WronglySigned => "the signature is not one of an allowed signer",
            Self::TooLarge => "it is too large",
            Self::Hostile => "it could reach outside of its folder",
            Self::Submodules => "it has submodules, which are not checked out",
            Self::LfsPointers => "a file is only a pointer of Git LFS",
            Self::InUse => "another sync is at work in the same folder",
            Self::Failed => "git failed",
        }
    }

    /// What to do about it: one sentence without a full stop.
    pub const fn next_step(self) -> &'static str {
        match self {
            Self::GitMissing => "install git 2.32 or newer and make sure that it is on the PATH of the daemon",
            Self::UrlRefused => "use https://, ssh://, user@host:path, file:// or an absolute path",
            Self::Unreachable => "check the name of the server and the network; the next look tries again",
            Self::NoRepository => "check the path of the address, and whether this user may read it",
            Self::AuthenticationNeeded => {
                "add a read-only deploy key for the ssh of the daemon's user, or a token to the https address"
            }
            Self::UnknownHostKey => {
                "compare the key with the one that the server publishes, then add it: ssh-keyscan HOST >> ~/.ssh/known_hosts"
            }
            Self::ForeignOwner => "change its owner, or reach it by ssh://",
            Self::NoSuchRef => "list what there is: git ls-remote --heads --tags URL",
            Self::CommitGone => "push the commit again, or sync the newest one",
            Self::TimedOut => "the next look tries again; if it is always slow, see what keeps the server",
            Self::Superseded => "nothing: the newer commit is taken",
            Self::Garbage => "try again; if it stays so, run `git fsck` in the repository on the server",
            Self::Malformed => "find it with `git fsck`, and rewrite the commit that brought it",
            Self::DiskFull => "make room; nothing half-written is left",
            Self::Unsigned => "sign the commit (git commit -S) and push it",
            Self::WronglySigned => "sign it with an allowed key, or add the key to the file of allowed signers",
            Self::TooLarge => "take large files out of the repository",
            Self::Hostile => "remove that entry from the repository",
            Self::Submodules => "put the files into the repository itself (git subtree), or build from a package",
            Self::LfsPointers => "put the file itself into the repository",
            Self::InUse => "wait for it to end",
            Self::Failed => "run the same git command by hand to see more",
        }
    }
}

/// A failed call: what was attempted, with what, and why it failed. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitError {
    /// The kind.
    pub trouble: GitTrouble,
    /// What was attempted, after "cannot": `fetch`, `check out`.
    pub operation: &'static str,
    /// With what: an address without credentials, a commit, a path.
    pub thing: String,
    /// The last line that git printed, or the path concerned; may be empty.
    pub detail: String,
}

impl GitError {
    pub(super) fn new(
        trouble: GitTrouble,
        operation: &'static str,
        thing: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self { trouble, operation, thing: thing.into(), detail: detail.into() }
    }

    /// A failed access to the disk, or a program that could not be started.
    pub(super) fn disk(operation: &'static str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let trouble = if crate::os::is_disk_full(error) { GitTrouble::DiskFull } else { GitTrouble::Failed };
        Self::new(trouble, operation, path.display().to_string(), error.to_string())
    }

    /// Why it failed, without what was attempted: for a sentence that names the commit already.
    pub fn reason(&self) -> String {
        let words = self.trouble.words();
        if self.detail.is_empty() { words.to_owned() } else { format!("{words}: {}", self.detail) }
    }

    /// What to do about it.
    pub const fn next_step(&self) -> &'static str {
        self.trouble.next_step()
    }
}

impl fmt::Display for GitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.operation, self.thing, self.reason())
    }
}

impl std::error::Error for GitError {}
