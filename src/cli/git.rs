//! The commit that is checked out in a folder, read from the files of the repository: nothing of it is run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::os;

/// `HEAD`, a branch, the name of another folder.
const SMALL_BYTES_MAX: u64 = 4 << 10;
/// The list of branches that are no files of their own; in a larger one it is not looked up.
const PACKED_BYTES_MAX: u64 = 4 << 20;

/// In hexadecimal digits; `None` outside of a repository, before its first commit, and where its files cannot be read.
pub(super) fn commit_of(folder: &Path) -> Option<String> {
    let git = git_folder(folder)?;
    let head = text(&git.join("HEAD"), SMALL_BYTES_MAX)?;
    let Some(branch) = head.trim().strip_prefix("ref: ") else { return commit(&head) };
    if !branch.starts_with("refs/") || branch.split('/').any(|part| part == "..") {
        return None;
    }
    let shared = named_in(&git.join("commondir"), "").unwrap_or_else(|| git.clone());
    let own = |folder: &Path| commit(&text(&folder.join(branch), SMALL_BYTES_MAX)?);
    own(&git).or_else(|| own(&shared)).or_else(|| {
        let packed = text(&shared.join("packed-refs"), PACKED_BYTES_MAX)?;
        packed.lines().find_map(|line| commit(line.strip_suffix(branch)?.strip_suffix(' ')?))
    })
}

/// The name by which the repository knows the linked worktree (`git worktree add`) that a folder is in; `None` in the main
/// one, in a submodule and outside of a repository. It stays when another branch is checked out.
pub(super) fn worktree_of(folder: &Path) -> Option<String> {
    let git = git_folder(folder)?;
    let is_linked = git.parent()?.file_name()? == "worktrees";
    is_linked.then(|| git.file_name().map(|name| name.to_string_lossy().into_owned())).flatten()
}

/// Where git keeps what belongs to the checkout that a folder is in.
fn git_folder(folder: &Path) -> Option<PathBuf> {
    let mut folders = folder.ancestors().map(|folder| folder.join(".git"));
    let (found, kind) = folders.find_map(|path| Some((path.clone(), os::file_kind(&path).ok()?)))?;
    match kind {
        os::FileKind::Folder => Some(found),
        // A worktree or a submodule.
        os::FileKind::File => named_in(&found, "gitdir: "),
        os::FileKind::Other => None,
    }
}

/// The folder that a file names, relative to its own.
fn named_in(file: &Path, prefix: &str) -> Option<PathBuf> {
    let text = text(file, SMALL_BYTES_MAX)?;
    Some(file.parent()?.join(text.trim().strip_prefix(prefix)?))
}

fn text(path: &Path, bytes_max: u64) -> Option<String> {
    // Files only: nothing is waited for.
    let is_file = matches!(os::file_kind(path), Ok(os::FileKind::File));
    let bytes = is_file.then(|| os::read_contents(path, bytes_max, Duration::ZERO).ok()).flatten()?;
    String::from_utf8(bytes).ok()
}

fn commit(text: &str) -> Option<String> {
    let text = text.trim();
    let is_name = [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_name.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: &str = "0123456789abcdef0123456789abcdef01234567";
    const TWO: &str = "fedcba9876543210fedcba9876543210fedcba98";

    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);

    /// A repository with these files in `.git`, and the commit that is seen from a folder in it.
    fn seen(files: &[(&str, &str)]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(folder.path().join("deploy/shop")).unwrap();
        commit_of(&folder.path().join("deploy/shop"))
    }

    #[test]
    fn the_commit_is_found_wherever_git_keeps_it() {
        let head = (".git/HEAD", "ref: refs/heads/main\n");
        let cases: [Case<'_>; 9] = [
            (&[(".git/HEAD", ONE)], Some(ONE)),
            (&[head, (".git/refs/heads/main", &format!("{ONE}\n"))], Some(ONE)),
            (
                &[head, (".git/packed-refs", &format!("# pack\n{TWO} refs/heads/x/main\n{ONE} refs/heads/main\n"))],
                Some(ONE),
            ),
            (
                &[head, (".git/refs/heads/main", ONE), (".git/packed-refs", &format!("{TWO} refs/heads/main\n"))],
                Some(ONE),
            ),
            (
                &[
                    ("deploy/.git", "gitdir: ../.git/worktrees/deploy\n"),
                    (".git/worktrees/deploy/HEAD", "ref: refs/heads/fix\n"),
                    (".git/worktrees/deploy/commondir", "../..\n"),
                    (".git/refs/heads/fix", TWO),
                    head,
                ],
                Some(TWO),
            ),
            (&[head], None),
            (&[(".git/HEAD", "ref: ../../secret")], None),
            (&[(".git/HEAD", "ref: refs/../../secret"), ("secret", ONE)], None),
            (&[(".git/HEAD", "something else")], None),
        ];
        for (files, expected) in cases {
            assert_eq!(seen(files).as_deref(), expected, "{files:?}");
        }
        assert_eq!(commit_of(Path::new("/")), None);
    }

    #[test]
    fn a_linked_worktree_has_the_name_that_its_repository_gave_it() {
        let folder = tempfile::tempdir().unwrap();
        for (git, expected) in [
            ("gitdir: /repo/.git/worktrees/feature-x\n", Some("feature-x")),
            ("gitdir: ../.git/worktrees/fix\n", Some("fix")),
            ("gitdir: ../.git/modules/lib\n", None),
            ("something else", None),
        ] {
            fs::write(folder.path().join(".git"), git).unwrap();
            assert_eq!(worktree_of(&folder.path().join("deploy")).as_deref(), expected, "{git}");
        }
        fs::remove_file(folder.path().join(".git")).unwrap();
        fs::create_dir_all(folder.path().join(".git/worktrees/x")).unwrap();
        assert_eq!(worktree_of(folder.path()), None, "the main one");
    }
}
