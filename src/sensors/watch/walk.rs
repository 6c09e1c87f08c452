//! Walks through what is watched; what is left out is not even entered.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::git::{Above, GitRules, each, with_folder};
use crate::os;
use crate::rules::WatchRules;

/// Deeper folders are not entered: links can make a tree endless.
const LEVELS_DOWN_MAX: usize = 128;

/// A folder that was entered.
pub(super) struct Entered<'a> {
    /// What `enter` gave for it.
    pub number: i32,
    pub path: &'a Path,
    /// The rules that hold for what is in it.
    pub above: &'a Above,
    /// Those of its files that are links.
    pub links: Vec<PathBuf>,
}

/// How one walks.
pub(super) struct Walk<'a> {
    pub rules: &'a WatchRules,
    pub git: GitRules<'a>,
    pub follows_links: bool,
}

impl Walk<'_> {
    /// Whether a file counts that may be gone by now, with the folders on the way to it. `above`: the rules of git that
    /// hold for a path, where they are known.
    pub(super) fn counts(&self, file: &Path, above: impl Fn(&Path) -> Above) -> bool {
        let is_ignored = |path: &Path, is_folder| self.rules.is_ignored(path, is_folder, each(&above(path)));
        let is_below_root =
            |path: &Path| self.rules.roots().iter().any(|root| path != root.path && path.starts_with(&root.path));
        let mut folders = file.ancestors().skip(1).take_while(|folder| is_below_root(folder));
        self.rules.is_wanted(file) && !is_ignored(file, false) && !folders.any(|folder| is_ignored(folder, true))
    }

    /// Walks through `start` and everything below that is not left out. `enter` comes before the folder is read, so
    /// that a watch which is placed there misses nothing; it may decline. `visit` gets each folder and its files.
    ///
    /// # Errors
    /// What `enter` says: it ends the walk.
    pub(super) fn run<E>(
        &self,
        start: &Path,
        above: &Above,
        mut enter: impl FnMut(&Path) -> Result<Option<i32>, E>,
        mut visit: impl FnMut(Entered<'_>, Vec<PathBuf>),
    ) -> Result<(), E> {
        let mut open = vec![(start.to_owned(), above.clone(), 0)];
        // What is behind links comes last: a folder that can be reached without one bears its own name.
        let mut linked = Vec::new();
        let mut seen = HashSet::new();
        while let Some((path, above, level)) = open.pop().or_else(|| linked.pop()) {
            let Some(number) = enter(&path)? else { continue };
            if self.follows_links && !os::folder_identity(&path).is_none_or(|identity| seen.insert(identity)) {
                continue;
            }
            let entries = os::list_entries(&path);
            let has = |name: &str| entries.iter().any(|entry| entry.name == name);
            let own = if has(".git") { self.git.of_repository(&path) } else { None };
            let mut above = own.unwrap_or(above);
            if has(".gitignore") {
                above = with_folder(&above, &path);
            }
            let (mut files, mut links) = (Vec::new(), Vec::new());
            for entry in entries {
                let child = path.join(&entry.name);
                let is_followed = entry.is_link && self.follows_links && os::is_folder(&child);
                if !entry.is_folder && !is_followed {
                    if entry.is_link {
                        links.push(child.clone());
                    }
                    files.push(child);
                } else if level < LEVELS_DOWN_MAX && !self.rules.is_ignored(&child, true, each(&above)) {
                    let next = if is_followed { &mut linked } else { &mut open };
                    next.push((child, above.clone(), level + 1));
                }
            }
            visit(Entered { number, path: &path, above: &above, links }, files);
        }
        Ok(())
    }
}
