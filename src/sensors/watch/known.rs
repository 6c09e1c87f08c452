//! What files held when they were last looked at: the same bytes written again are no change.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use super::touched::Touch;
use crate::model::WallTime;
use crate::os::{self, Stamp};

/// Files that are remembered, 16 bytes each. One more is taken for changed whenever it is written.
const FILES_MAX: usize = 20_000;
/// Larger files are compared by size and time.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes that are read to know a whole tree.
const TREE_BYTES_MAX: u64 = 128 << 20;
/// Bytes that are read to evaluate one burst; what is beyond is compared by size and time.
pub(super) const BURST_BYTES_MAX: u64 = 64 << 20;
/// Clocks of file systems tick that coarsely.
const TICK_NS: i128 = 20_000_000;

/// Contents by path, both as numbers.
#[derive(Debug, Default)]
pub(super) struct Known {
    contents: HashMap<u64, u64>,
    bytes: u64,
}

impl Known {
    /// Takes a file in as it is, unless it was written since `began`: then nobody knows what it held before.
    /// Gives `false` once it is full.
    pub(super) fn learn(&mut self, path: &Path, began: WallTime) -> bool {
        if self.contents.len() >= FILES_MAX || self.bytes >= TREE_BYTES_MAX {
            return false;
        }
        let Some(stamp) = os::stamp(path).filter(|stamp| stamp.is_file) else { return true };
        let is_old = stamp.modified < i128::from(began.0) * 1_000_000 - TICK_NS;
        if is_old && !self.contents.contains_key(&number(path)) {
            let mut budget = FILE_BYTES_MAX;
            let content = content(path, &stamp, &mut budget);
            self.bytes += FILE_BYTES_MAX - budget;
            self.contents.insert(number(path), content);
        }
        true
    }

    /// Whether a touched path holds something else than before; remembers what it holds now.
    pub(super) fn has_changed(&mut self, path: &Path, touch: Touch, budget: &mut u64) -> bool {
        let key = number(path);
        let Some(stamp) = os::stamp(path) else {
            let was_known = self.contents.remove(&key).is_some();
            return was_known || touch != Touch::Appeared;
        };
        if !stamp.is_file {
            return touch == Touch::Certain;
        }
        let content = content(path, &stamp, budget);
        let has_room = self.contents.len() < FILES_MAX || self.contents.contains_key(&key);
        let before = if has_room { self.contents.insert(key, content) } else { None };
        touch == Touch::Certain || before != Some(content)
    }
}

fn number(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// The contents as a number; of a file that is large or cannot be read, its stamp.
fn content(path: &Path, stamp: &Stamp, budget: &mut u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    let is_small = stamp.size <= FILE_BYTES_MAX.min(*budget);
    match is_small.then(|| os::read_limited(path, FILE_BYTES_MAX)) {
        Some(Ok(bytes)) => {
            *budget = budget.saturating_sub(bytes.len() as u64);
            bytes.hash(&mut hasher);
        }
        Some(Err(_)) | None => stamp.hash(&mut hasher),
    }
    hasher.finish()
}
