//! Paths that something happened to in one burst, in order.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::model::{Millis, Moment};

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

/// The paths of a burst.
#[derive(Debug, Default)]
pub(super) struct Touched {
    order: Vec<PathBuf>,
    how: HashMap<PathBuf, Touch>,
    /// How often something was noted.
    pub notes: u64,
    /// Some paths are not in it.
    pub is_incomplete: bool,
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
