//! Who signed a commit or a tag.

use std::path::PathBuf;

use crate::os;

use super::complaint::plain;
use super::program::GitCall;
use super::{CommitId, GitError, GitTrouble, Repository};

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
    /// ([`super::TrackedRef::Tag`]).
    ///
    /// # Errors
    /// `Unsigned`, `WronglySigned`; the file of signers cannot be read; `ssh-keygen` or `gpg` is missing.
    pub fn verify(&self, commit: &CommitId, signed: &Signed, signers: &Signers) -> Result<Signature, GitError> {
        let thing = match signed {
            Signed::Commit => format!("the signature of {}", commit.short()),
            Signed::Tag(name) => format!("the signature of tag {}", plain(name, 100)),
        };
        let object = match signed {
            Signed::Commit => commit.to_string(),
            Signed::Tag(name) => self.tag_object(commit, name, &thing)?,
        };
        let verb = if *signed == Signed::Commit { "verify-commit" } else { "verify-tag" };
        let args = [verb, "--raw", &object];
        let call = GitCall::local("verify", &thing, &args);
        let (settings, variables) = checker(signers).map_err(|why| call.error(GitTrouble::Failed, why))?;
        let answer = self.git().ask(&GitCall { settings: &settings, variables: &variables, ..call })?;
        let signature = read_signature(&answer.complaint, signers);
        match (answer.exit_code, signature) {
            (Some(0), Some(signature)) => Ok(signature),
            _ if !self.is_signed(signed, &object)? => Err(call.error(GitTrouble::Unsigned, "")),
            _ => {
                let line = answer.complaint.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
                Err(call.error(GitTrouble::WronglySigned, plain(line, 200)))
            }
        }
    }

    /// The object of a fetched tag: it has to bear this name itself (an old tag may stand under a new name) and to name
    /// the commit.
    fn tag_object(&self, commit: &CommitId, name: &str, thing: &str) -> Result<String, GitError> {
        let call = GitCall::local("verify", thing, &["cat-file", "tag", "refs/pm/tag"]);
        let answer = self.git().ask(&call)?;
        if answer.exit_code != Some(0) {
            return Err(call.error(GitTrouble::Unsigned, "the tag has no object of its own, or was not fetched"));
        }
        let text = String::from_utf8_lossy(&answer.output);
        let header = text.split("\n\n").next().unwrap_or_default();
        let has = |line: &str| header.lines().any(|there| there == line);
        if !has(&format!("object {commit}")) || !has(&format!("tag {name}")) {
            return Err(call.error(GitTrouble::WronglySigned, "the tag object names another tag or another commit"));
        }
        let id = self.git().run(&GitCall::local("verify", thing, &["rev-parse", "--verify", "refs/pm/tag"]))?;
        Ok(String::from_utf8_lossy(&id).trim().to_owned())
    }

    /// Whether there is a signature at all, of whatever kind.
    fn is_signed(&self, signed: &Signed, object: &str) -> Result<bool, GitError> {
        let (kind, begin) = match signed {
            Signed::Commit => ("commit", "\ngpgsig"),
            Signed::Tag(_) => ("tag", "\n-----BEGIN "),
        };
        let text = self.git().run(&GitCall::local("read", object, &["cat-file", kind, object]))?;
        Ok(String::from_utf8_lossy(&text).contains(begin))
    }
}

/// Settings and variables that leave one way to check a signature: one of the other kind is refused.
type Checker = (Vec<(String, String)>, Vec<(String, String)>);

fn checker(signers: &Signers) -> Result<Checker, String> {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let (Signers::Ssh(path) | Signers::Gpg(path)) = signers;
    let text = path.to_str().ok_or("the path of the signers is no text")?;
    if !os::exists(path) {
        return Err(format!("there is no {text}"));
    }
    let refused = "/bin/false";
    Ok(match signers {
        Signers::Ssh(_) => (
            vec![
                set("gpg.ssh.allowedSignersFile", text),
                set("gpg.program", refused),
                set("gpg.openpgp.program", refused),
                set("gpg.x509.program", refused),
            ],
            Vec::new(),
        ),
        Signers::Gpg(_) => {
            (vec![set("gpg.ssh.program", refused), set("gpg.x509.program", refused)], vec![set("GNUPGHOME", text)])
        }
    })
}

/// What the checking program says of a good signature.
fn read_signature(complaint: &str, signers: &Signers) -> Option<Signature> {
    match signers {
        Signers::Ssh(_) => {
            let line = complaint.lines().find_map(|line| line.strip_prefix("Good \"git\" signature for "))?;
            let (signer, rest) = line.rsplit_once(" with ")?;
            let key = rest.rsplit_once(" key ").map_or(rest, |(_, key)| key);
            Some(Signature { signer: plain(signer, 200), key: plain(key, 200) })
        }
        Signers::Gpg(_) => {
            let status = |word: &str| {
                complaint.lines().find_map(|line| line.strip_prefix("[GNUPG:] ")?.strip_prefix(word)?.strip_prefix(' '))
            };
            let signer = status("GOODSIG")?.split_once(' ').map_or("", |(_, name)| name);
            let key = status("VALIDSIG")?.split(' ').next().unwrap_or_default();
            Some(Signature { signer: plain(signer, 200), key: plain(key, 200) })
        }
    }
}
