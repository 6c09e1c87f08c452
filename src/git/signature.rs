//! Who signed a commit or a tag.

use std::path::PathBuf;

use super::{CommitId, GitError, Repository};

/// Who may sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signers {
    /// ssh keys, one a line: `name namespaces="git" ssh-ed25519 AAAA…` (see `ssh-keygen(1)`, ALLOWED SIGNERS).
    Ssh(PathBuf),
    /// Every key in this folder of `gpg` (its `GNUPGHOME`), and no other.
    Gpg(PathBuf),
}

/// What has to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// The commit itself.
    Commit,
    /// The tag of this name, which has to name the commit.
    Tag(String),
}

/// A good signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Who signed, as the file of allowed signers or the key names them.
    pub signer: String,
    /// The fingerprint of the key.
    pub key: String,
}

impl Repository {
    /// Checks the signature of a commit, or of the tag that names it. A tag has to be fetched before
    /// ([`super::Wanted::Tag`]).
    ///
    /// # Errors
    /// `Unsigned`, `WronglySigned`; the file of signers cannot be read; `ssh-keygen` or `gpg` is missing.
    pub fn verify(&self, commit: &CommitId, signed: &Signed, signers: &Signers) -> Result<Signature, GitError> {
        let _ = (signed, signers);
        Err(self.not_yet("verify", commit))
    }
}
