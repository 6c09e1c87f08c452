//! How far a log was written into the files that are written from it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::logs::segments::identity;
use crate::model::{Digest, WallTime};

/// A byte of a log: of which of its files, whatever that is called by now, and where in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct LogPosition {
    /// Device and inode number; zeros: the file that will be made.
    pub(super) file: (u64, u64),
    pub(super) offset: u64,
}

impl LogPosition {
    /// Behind everything that the log has.
    pub(super) fn end_of(log: &Path) -> Self {
        // Only a number to go on from: whoever put a link there has won nothing.
        fs::metadata(log).map_or_else(|_| Self::default(), |found| Self { file: identity(&found), offset: found.len() })
    }

    /// Whether the log ends in a line that is to be continued.
    pub(super) fn is_mid_line(&self, log: &Path) -> bool {
        let mut last = [b'\n'];
        let Some(at) = self.offset.checked_sub(1) else { return false };
        let is_read = File::open(log).and_then(|file| file.read_exact_at(&mut last, at)).is_ok();
        is_read && last != [b'\n']
    }

    /// No file was there when this was noted.
    pub(super) fn is_before_all(&self) -> bool {
        self.file == (0, 0)
    }
}

/// What a log is called in the journal.
pub(super) fn key(log: &Path) -> u64 {
    Digest::of(log.as_os_str().as_encoded_bytes()).number()
}

/// What the journal keeps of one log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Checkpoint {
    /// Its place in the journal.
    pub(super) slot: u64,
    pub(super) key: u64,
    /// The first byte that was not written yet.
    pub(super) position: LogPosition,
    /// The bytes before it are the beginning of a line.
    pub(super) is_continued: bool,
}

/// One log that is written from.
pub(super) struct ExportState {
    pub(super) checkpoint: Checkpoint,
    pub(super) read_to: LogPosition,
    /// The bytes between the two: the beginning of a line.
    pub(super) pending: Vec<u8>,
    /// When the first of them came.
    pub(super) began: WallTime,
    /// The last write failed.
    pub(super) has_backlog: bool,
}

impl ExportState {
    pub(super) fn at(checkpoint: Checkpoint) -> Self {
        let read_to = checkpoint.position;
        Self { checkpoint, read_to, pending: Vec::new(), began: WallTime(0), has_backlog: false }
    }

    /// Reads again what was not written.
    pub(super) fn rewind(&mut self) {
        self.read_to = self.checkpoint.position;
        self.pending.clear();
    }
}
