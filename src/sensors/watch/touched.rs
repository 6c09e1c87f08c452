//! Paths that something happened to in one burst, in order.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::model::{Millis, Moment};
use crate::os::FolderChange;
use crate::rules::BurstState;

/// Paths that are told apart in one burst; more are only known to be more.
const PATHS_MAX: usize = 10_000;

/// Paths that were left out and may count by rules that come a moment later.
const LEFT_OUT_MAX: usize = 1_000;
/// That is how late: rules and files of one checkout belong together.
const LEFT_OUT_FOR: Millis = Millis::seconds(10);

/// What is known about a path besides its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    /// It came into being in this burst: if it is gone at the end, nothing has happened.
    Appeared,
    /// It was there before, and was written, replaced or removed.
    Present,
    /// It has changed, whatever its contents say.
    Certain,
}

impl Touch {
    pub(super) fn by(change: FolderChange) -> Self {
        if change.is_new() { Self::Appeared } else { Self::Present }
    }
}

/// The paths of a burst.
#[derive(Debug, Default)]
pub(super) struct Touched {
    order: Vec<PathBuf>,
    how: HashMap<PathBuf, Touch>,
    /// How often something was noted.
    pub notes: u64,
    /// Some paths are not in it.
    pub is_incomplete: bool,
    /// New files that nobody has closed yet.
    open: HashSet<PathBuf>,
    /// What was there before the burst and is not there now.
    gone: HashSet<PathBuf>,
    /// Folders have come.
    has_folders: bool,
    /// What the rules left out, and when.
    left_out: HashMap<PathBuf, (Touch, Moment)>,
}

impl Touched {
    pub(super) fn note(&mut self, path: &Path, touch: Touch) {
        self.notes += 1;
        if let Some(known) = self.how.get_mut(path) {
            // What was seen first says whether it was there before.
            if touch == Touch::Certain {
                *known = touch;
            }
        } else if self.order.len() == PATHS_MAX {
            self.is_incomplete = true;
        } else {
            self.order.push(path.to_owned());
            self.how.insert(path.to_owned(), touch);
        }
    }

    /// The kernel has told what happened to a path. A link is never closed.
    pub(super) fn note_change(&mut self, path: &Path, change: FolderChange, is_link: bool) {
        let was_there = self.how.get(path).is_none_or(|touch| *touch != Touch::Appeared);
        self.note(path, Touch::by(change));
        if !self.how.contains_key(path) {
            return;
        }
        match change {
            FolderChange::Created if !is_link => {
                self.open.insert(path.to_owned());
            }
            FolderChange::Removed | FolderChange::MovedAway if was_there => {
                self.gone.insert(path.to_owned());
            }
            _ => {}
        }
        if change != FolderChange::Created {
            self.open.remove(path);
        }
        if change.is_new() || change == FolderChange::Written {
            self.gone.remove(path);
        }
    }

    /// A folder has come, with files in it or not.
    pub(super) fn note_folder(&mut self) {
        self.has_folders = true;
    }

    /// Whether more is to be expected.
    pub(super) fn state(&self) -> BurstState {
        if !self.open.is_empty() {
            BurstState::Writing
        } else if self.has_folders || !self.gone.is_empty() {
            BurstState::Partial
        } else {
            BurstState::Complete
        }
    }

    /// The folder of what was touched first.
    pub(super) fn first_folder(&self) -> Option<&Path> {
        self.order.first()?.parent()
    }

    /// Something happened to a path that does not count, as the rules are.
    pub(super) fn leave_out(&mut self, path: &Path, touch: Touch, now: Moment) {
        if self.left_out.len() >= LEFT_OUT_MAX {
            self.left_out.retain(|_, (_, at)| now.since(*at) < LEFT_OUT_FOR);
        }
        if let Some((_, at)) = self.left_out.get_mut(path) {
            *at = now;
        } else if self.left_out.len() < LEFT_OUT_MAX {
            self.left_out.insert(path.to_owned(), (touch, now));
        }
    }

    /// The rules are other ones: what counts by them. Of a path that has changed for certain that is known.
    pub(super) fn evaluate_anew(&mut self, now: Moment, mut counts: impl FnMut(&Path) -> bool) {
        let how = &mut self.how;
        self.order.retain(|path| {
            let is_kept = how.get(path) == Some(&Touch::Certain) || counts(path);
            if !is_kept {
                how.remove(path);
                self.open.remove(path);
                self.gone.remove(path);
            }
            is_kept
        });
        for (path, (touch, at)) in std::mem::take(&mut self.left_out) {
            if now.since(at) < LEFT_OUT_FOR && counts(&path) {
                self.note(&path, touch);
            }
        }
    }

    /// How many paths are told apart.
    pub(super) fn paths(&self) -> u32 {
        u32::try_from(self.order.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is nothing to be evaluated.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Takes all of it out, but for what was left out.
    pub(super) fn take(&mut self) -> Self {
        let left_out = std::mem::take(&mut self.left_out);
        std::mem::replace(self, Self { left_out, ..Self::default() })
    }

    /// In the order in which they were first touched.
    pub(super) fn each(&self) -> impl Iterator<Item = (&Path, Touch)> {
        self.order.iter().filter_map(|path| Some((path.as_path(), *self.how.get(path)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unfinished_is_known() {
        use FolderChange::{Created, MovedAway, MovedHere, Removed, Written};
        for (what, changes, expected) in [
            ("a write", vec![("a", Written)], BurstState::Complete),
            ("a new file that is being written", vec![("a", Created)], BurstState::Writing),
            ("one that is closed", vec![("a", Created), ("a", Written)], BurstState::Complete),
            ("one of two", vec![("a", Created), ("b", Created), ("b", Written)], BurstState::Writing),
            (
                "one that is moved to its place",
                vec![("t", Created), ("t", MovedAway), ("a", MovedHere)],
                BurstState::Complete,
            ),
            ("one that has come and gone", vec![("t", Created), ("t", Removed)], BurstState::Complete),
            ("a file that is removed", vec![("a", Removed)], BurstState::Partial),
            ("and has a successor", vec![("a", Removed), ("a", Created), ("a", Written)], BurstState::Complete),
            (
                "moved aside, and written anew",
                vec![("a", MovedAway), ("b", MovedHere), ("a", MovedHere)],
                BurstState::Complete,
            ),
            ("moved elsewhere", vec![("a", MovedAway), ("b", MovedHere)], BurstState::Partial),
        ] {
            let mut touched = Touched::default();
            for (name, change) in changes {
                touched.note_change(Path::new(name), change, false);
            }
            assert_eq!(touched.state(), expected, "{what}");
            assert_eq!(touched.take().state(), expected);
            assert_eq!(touched.state(), BurstState::Complete, "the next burst begins anew");
        }
        let mut touched = Touched::default();
        touched.note_change(Path::new("link"), Created, true);
        assert_eq!(touched.state(), BurstState::Complete, "a link is never closed");
        touched.note_folder();
        assert_eq!(touched.state(), BurstState::Partial);
    }
}
