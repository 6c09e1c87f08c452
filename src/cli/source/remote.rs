//! The repository that a source follows, and what a trouble with it means for a look.

use std::path::PathBuf;

use crate::cli::fail::Code;
use crate::git::{CommitId, GitError, GitTrouble, Remote, RemoteUrl, TrackedRef, remote_head};
use crate::model::{Millis, SourceSpec, TickEnd};

/// How long the other end may take to say what a branch names.
const LOOK_MAX: Millis = Millis::seconds(30);

/// The address and the branch, as git takes them; or how a look ends whose address is none.
pub(super) fn remote_of(spec: &SourceSpec) -> Result<Remote, TickEnd> {
    let url = RemoteUrl::parse(&spec.url).map_err(|error| TickEnd {
        words: format!("{} cannot be asked: {error}", spec.shown_url()),
        hint: Some("name another one: `pm source add NAME URL`".to_owned()),
        exit_code: Code::Error as u8,
        is_unreachable: true,
        again_at: None,
    })?;
    Ok(Remote { url, wanted: TrackedRef::Branch(spec.branch.clone()), ssh_key: None, known_hosts: None })
}

/// The commit that the branch names now. Nothing is written for the answer.
pub(super) fn head_of(spec: &SourceSpec) -> Result<CommitId, TickEnd> {
    remote_head(&remote_of(spec)?, LOOK_MAX).map_err(|error| unreachable(spec, &error))
}

/// Nothing is kept of the trouble: the next look tries again.
pub(super) fn unreachable(spec: &SourceSpec, error: &GitError) -> TickEnd {
    let (words, hint) = if error.trouble == GitTrouble::NoSuchRef {
        let words = format!("{} has no branch `{}`", spec.shown_url(), spec.branch);
        (words, "name another one: `pm source add NAME URL --branch BRANCH`")
    } else {
        (error.to_string(), error.next_step())
    };
    TickEnd { words, hint: Some(hint.to_owned()), exit_code: Code::Error as u8, is_unreachable: true, again_at: None }
}

/// The commits of these release folders.
pub(super) fn commits_of(releases: &[PathBuf]) -> Vec<CommitId> {
    let name = |release: &PathBuf| CommitId::parse(release.file_name()?.to_str()?).ok();
    releases.iter().filter_map(name).collect()
}
