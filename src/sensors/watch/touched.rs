//! Paths that something happened to in one burst, in order.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Paths that are told apart in one burst; more are only known to be more.
const PATHS_MAX: usize = 10_000;

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

    /// In the order in which they were first touched.
    pub(super) fn each(&self) -> impl Iterator<Item = (&Path, Touch)> {
        self.order.iter().filter_map(|path| Some((path.as_path(), *self.how.get(path)?)))
    }
}
