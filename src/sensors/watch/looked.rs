//! Changes that are found by looking again: for file systems that tell nothing, and when the kernel's limit is reached.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;

use super::git::{Above, each};
use super::touched::{Touch, Touched};
use super::walk::Walk;
use crate::os::{self, Stamp};

/// Files that are looked at; more are not watched, which is said.
pub(super) const FILES_MAX: usize = 100_000;

/// The files as they were at the last look.
#[derive(Debug, Default)]
pub(super) struct Looked {
    files: HashMap<PathBuf, Stamp>,
}

impl Looked {
    /// The first look.
    pub(super) fn open(walk: &Walk<'_>, found: &mut Vec<PathBuf>) -> Self {
        let files = look(walk);
        found.extend(files.keys().cloned());
        Self { files }
    }

    /// Whether there are more files than are looked at.
    pub(super) fn is_full(&self) -> bool {
        self.files.len() >= FILES_MAX
    }

    /// Looks again and notes every difference.
    pub(super) fn absorb(&mut self, walk: &Walk<'_>, touched: &mut Touched) {
        let now = look(walk);
        for (path, stamp) in &now {
            match self.files.remove(path) {
                Some(before) if before == *stamp => {}
                Some(_) => touched.note(path, Touch::Present),
                None => touched.note(path, Touch::Appeared),
            }
        }
        for path in self.files.keys() {
            touched.note(path, Touch::Present);
        }
        self.files = now;
    }
}

fn look(walk: &Walk<'_>) -> HashMap<PathBuf, Stamp> {
    let mut seen = HashMap::new();
    let mut take = |path: PathBuf, above: &Above| {
        let is_wanted =
            seen.len() < FILES_MAX && walk.rules.is_wanted(&path) && !walk.rules.is_ignored(&path, false, each(above));
        if let Some(stamp) = is_wanted.then(|| os::stamp(&path)).flatten() {
            seen.insert(path, stamp);
        }
    };
    for root in walk.rules.roots() {
        if !os::is_folder(&root.path) {
            take(root.path.clone(), &None);
            continue;
        }
        let enter = |_: &std::path::Path| Ok::<_, Infallible>(Some(0));
        let _never_fails = walk.run(&root.path, &walk.git.above_root(&root.path), enter, |entered, files| {
            for file in files {
                take(file, entered.above);
            }
        });
    }
    seen
}
