//! What is in a commit, path by path, and what differs between two.

use std::collections::BTreeMap;

use crate::model::Digest;

use super::program::GitCall;
use super::tree::{EntryKind, TreeEntry, read_listing, shown};
use super::{CommitId, GitError, GitTrouble, Repository};

/// Kept of a listing of files.
const LISTING_BYTES_MAX: usize = 128 << 20;
/// Most changed paths that are returned.
const CHANGES_MAX: usize = 10_000;

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
        let entries = self.entries(commit)?;
        Ok(paths.iter().map(|path| (path.clone(), content_digest(&entries, path))).collect())
    }

    /// What differs in the trees of two commits.
    ///
    /// # Errors
    /// There is no such commit, or git fails.
    pub fn changed_paths(&self, old: &CommitId, new: &CommitId) -> Result<Changes, GitError> {
        let args = ["diff-tree", "-r", "-z", "--name-status", "--no-renames", old.as_str(), new.as_str(), "--"];
        let mut call = GitCall::local("compare", new.short(), &args);
        call.bytes_max = LISTING_BYTES_MAX;
        let answer = self.git().ask(&call)?;
        if answer.exit_code != Some(0) {
            return Err(call.failed(&answer));
        }
        let mut words = answer.output.split(|byte| *byte == 0);
        let mut changes = Changes { is_cut: answer.is_cut, ..Changes::default() };
        while let (Some(kind), Some(path)) = (words.next(), words.next()) {
            if changes.paths.len() == CHANGES_MAX {
                changes.is_cut = true;
                break;
            }
            let kind = match kind {
                b"A" => ChangeKind::Added,
                b"D" => ChangeKind::Deleted,
                _ => ChangeKind::Modified,
            };
            changes.paths.push(ChangedPath { path: shown(path), kind });
        }
        Ok(changes)
    }

    /// Everything in a commit.
    pub(super) fn entries(&self, commit: &CommitId) -> Result<Vec<TreeEntry>, GitError> {
        let args = ["ls-tree", "-r", "-t", "-l", "-z", "--full-tree", commit.as_str(), "--"];
        let mut call = GitCall::local("read", commit.short(), &args);
        call.bytes_max = LISTING_BYTES_MAX;
        read_listing(&self.git().run(&call)?).ok_or_else(|| call.error(GitTrouble::Failed, "unknown form of answer"))
    }

    /// The texts of all links among these, by path.
    pub(super) fn link_texts(&self, entries: &[TreeEntry]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, GitError> {
        let links: Vec<&TreeEntry> = entries.iter().filter(|entry| entry.kind == EntryKind::Link).collect();
        if links.is_empty() {
            return Ok(BTreeMap::new());
        }
        let input: String = links.iter().flat_map(|link| [link.id.as_str(), "\n"]).collect();
        let mut call = GitCall::local("read", "links", &["cat-file", "--batch"]);
        (call.input, call.bytes_max) = (input.as_bytes(), LISTING_BYTES_MAX);
        let output = self.git().run(&call)?;
        let mut rest = output.as_slice();
        let mut texts = BTreeMap::new();
        for link in links {
            let (text, after) =
                read_object(rest).ok_or_else(|| call.error(GitTrouble::Failed, "unknown form of answer"))?;
            texts.insert(link.path.clone(), text.to_vec());
            rest = after;
        }
        Ok(texts)
    }
}

/// The first object of what `git cat-file --batch` prints, and the rest.
fn read_object(output: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = output.iter().position(|byte| *byte == b'\n')?;
    let size: usize = std::str::from_utf8(&output[..end]).ok()?.rsplit(' ').next()?.parse().ok()?;
    let body = &output[end + 1..];
    Some((body.get(..size)?, body.get(size + 1..)?))
}

fn content_digest(entries: &[TreeEntry], path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path).trim_end_matches('/');
    let is_whole = path.is_empty() || path == ".";
    if let Some(entry) = entries.iter().find(|entry| entry.path == path.as_bytes()) {
        return format!("{} {}", entry.mode, entry.id);
    }
    let is_top = |entry: &&TreeEntry| !entry.path.contains(&b'/');
    let is_match = |entry: &&TreeEntry| entry.kind != EntryKind::Folder && fast_glob::glob_match(path, &entry.path);
    let mut text = Vec::new();
    for entry in entries.iter().filter(|entry| if is_whole { is_top(entry) } else { is_match(entry) }) {
        text.extend_from_slice(format!("{} {} ", entry.mode, entry.id).as_bytes());
        text.extend_from_slice(&entry.path);
        text.push(0);
    }
    if text.is_empty() && !is_whole { "absent".to_owned() } else { Digest::of(&text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(lines: &[(&str, &str, &str)]) -> Vec<TreeEntry> {
        let texts: Vec<String> = lines.iter().map(|(mode, id, path)| format!("{mode} x {id} 1\t{path}\0")).collect();
        read_listing(texts.concat().as_bytes()).unwrap()
    }

    #[test]
    fn a_digest_changes_with_its_own_content_only() {
        let old = listing(&[
            ("100644", "1", "README"),
            ("040000", "2", "api"),
            ("100644", "3", "api/main.js"),
            ("040000", "4", "web"),
            ("100644", "5", "web/main.js"),
            ("100644", "5", "web/x.css"),
        ]);
        let new = listing(&[
            ("100644", "9", "README"),
            ("040000", "2", "api"),
            ("100644", "3", "api/main.js"),
            ("040000", "8", "web"),
            ("100644", "7", "web/main.js"),
            ("100644", "5", "web/x.css"),
            ("100644", "5", "web/y.css"),
        ]);
        for (path, is_same) in [
            ("api", true),
            ("./api/", true),
            ("api/main.js", true),
            ("web", false),
            ("**/*.css", false),
            ("web/x.*", true),
            ("api/**", true),
            ("*/main.js", false),
            ("", false),
            (".", false),
            ("none", true),
            ("none/*", true),
        ] {
            assert_eq!(content_digest(&old, path) == content_digest(&new, path), is_same, "{path}");
        }
        assert_eq!(content_digest(&old, "none"), "absent");
        assert_ne!(content_digest(&old, "README"), content_digest(&listing(&[("100755", "1", "README")]), "README"));
    }

    #[test]
    fn objects_are_read_by_their_size() {
        let output = b"abc blob 4\na\nb\n\nabd blob 0\n\n";
        let (first, rest) = read_object(output).unwrap();
        assert_eq!((first, read_object(rest)), (b"a\nb\n".as_slice(), Some((b"".as_slice(), b"".as_slice()))));
        assert_eq!(read_object(b"abc missing\n"), None);
        assert_eq!(read_object(b"abc blob 10\nshort\n"), None);
    }
}
