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
const FILE_BYTES_MAX: u64 = 32 << 20;
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

/// What came of looking at one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learned {
    /// So much was read.
    Bytes(u64),
    /// No more is remembered.
    Full,
}

impl Known {
    /// Takes a file in as it is, unless it was written since `began`: then nobody knows what it held before.
    pub(super) fn learn(&mut self, path: &Path, began: WallTime) -> Learned {
        if self.contents.len() >= FILES_MAX || self.bytes >= TREE_BYTES_MAX {
            return Learned::Full;
        }
        let Some(stamp) = os::stamp(path).filter(|stamp| stamp.is_file) else { return Learned::Bytes(0) };
        let is_old = stamp.modified < i128::from(began.0) * 1_000_000 - TICK_NS;
        if is_old && !self.contents.contains_key(&number(path)) {
            let mut budget = FILE_BYTES_MAX;
            let content = content(path, &stamp, &mut budget);
            self.contents.insert(number(path), content);
            let bytes = FILE_BYTES_MAX - budget;
            self.bytes += bytes;
            return Learned::Bytes(bytes);
        }
        Learned::Bytes(0)
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
    if stamp.size <= FILE_BYTES_MAX.min(*budget) {
        let mut hasher = DefaultHasher::new();
        if let Ok(bytes) = os::read_pieces(path, FILE_BYTES_MAX, |piece| hasher.write(piece)) {
            *budget = budget.saturating_sub(bytes);
            bytes.hash(&mut hasher);
            return hasher.finish();
        }
    }
    let mut hasher = DefaultHasher::new();
    stamp.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_known_by_its_bytes_up_to_a_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for (size, is_known) in [(0, true), (5, true), (100_000, true), (3 << 20, true), (33 << 20, false)] {
            let mut known = Known::default();
            let mut write = |first: u8, second: u64| {
                let mut bytes = vec![7; size];
                if let Some(byte) = bytes.last_mut() {
                    *byte = first;
                }
                fs::write(&path, &bytes).unwrap();
                let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(second);
                fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
                let mut budget = BURST_BYTES_MAX;
                known.has_changed(&path, Touch::Present, &mut budget)
            };
            assert!(write(1, 1), "{size}: never seen before");
            assert_eq!(write(1, 2), !is_known, "{size}: the same bytes at another time");
            assert_eq!(write(2, 2), size > 0 && is_known, "{size}: another byte at the end, at the same time");
        }
    }

    #[test]
    fn what_a_burst_may_cost_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, vec![1; 1 << 20]).unwrap();
        let mut budget = (3 << 20) / 2;
        let mut known = Known::default();
        assert!(known.has_changed(&path, Touch::Present, &mut budget));
        assert_eq!(budget, 1 << 19, "what was read is counted");
        known.has_changed(&path, Touch::Present, &mut budget);
        assert_eq!(budget, 1 << 19, "more than that is not read");
    }
}
