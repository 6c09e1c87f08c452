//! Walks through what is watched; what is left out is not even entered.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::os;
use crate::rules::{IgnoreRules, WatchRules};

/// Largest `.gitignore` that is read.
const IGNORE_FILE_BYTES_MAX: u64 = 1 << 20;
/// Folders above a root that are searched for the top of its repository.
const LEVELS_UP_MAX: usize = 32;
/// Deeper folders are not entered: links can make a tree endless.
const LEVELS_DOWN_MAX: usize = 128;

/// The `.gitignore` rules that hold in a folder, the nearest first.
pub(super) type Above = Option<Arc<Ignores>>;

/// The rules of one file, and those of the folders above.
#[derive(Debug)]
pub(super) struct Ignores {
    rules: IgnoreRules,
    above: Above,
}

/// One after the other, the nearest first.
pub(super) fn each(above: &Above) -> impl Iterator<Item = &IgnoreRules> {
    std::iter::successors(above.as_deref(), |ignores| ignores.above.as_deref()).map(|ignores| &ignores.rules)
}

/// With the rules of one more file, if it exists and says anything.
fn with(above: &Above, folder: &Path, file: &Path) -> Above {
    let text = os::read_limited(file, IGNORE_FILE_BYTES_MAX).unwrap_or_default();
    let rules = IgnoreRules::parse(folder, &String::from_utf8_lossy(&text));
    if rules.is_empty() { above.clone() } else { Some(Arc::new(Ignores { rules, above: above.clone() })) }
}

/// The rules that hold at a root before its own: those of the repository around it, from its top downwards.
pub(super) fn above_root(root: &Path) -> Above {
    let top = root.ancestors().take(LEVELS_UP_MAX).find(|folder| os::exists(&folder.join(".git")))?;
    let mut above = with(&None, top, &top.join(".git/info/exclude"));
    let mut between: Vec<&Path> = root.ancestors().skip(1).take_while(|folder| folder.starts_with(top)).collect();
    while let Some(folder) = between.pop() {
        above = with(&above, folder, &folder.join(".gitignore"));
    }
    above
}

/// A folder that was entered.
pub(super) struct Entered<'a> {
    /// What `enter` gave for it.
    pub number: i32,
    pub path: &'a Path,
    /// The rules that hold for what is in it.
    pub above: &'a Above,
}

/// How one walks.
pub(super) struct Walk<'a> {
    pub rules: &'a WatchRules,
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
        let mut followed = HashSet::new();
        while let Some((path, above, level)) = open.pop() {
            let Some(number) = enter(&path)? else { continue };
            let entries = os::list_entries(&path);
            let has_rules = entries.iter().any(|entry| entry.name == ".gitignore");
            let above = if has_rules { with(&above, &path, &path.join(".gitignore")) } else { above };
            let mut files = Vec::new();
            for entry in entries {
                let child = path.join(&entry.name);
                let is_folder = entry.is_folder
                    || (entry.is_link
                        && self.follows_links
                        && os::is_folder(&child)
                        && os::canonicalize(&child).is_ok_and(|target| followed.insert(target)));
                if !is_folder {
                    files.push(child);
                } else if level < LEVELS_DOWN_MAX && !self.rules.is_ignored(&child, true, each(&above)) {
                    open.push((child, above.clone(), level + 1));
                }
            }
            visit(Entered { number, path: &path, above: &above }, files);
        }
        Ok(())
    }
}
