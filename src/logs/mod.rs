//! Bytes from children → files, readers, followers.
//!
//! In:    FIFOs of instances                Out:  log files, a side index of times, [`Line`]s
//! Never: a second writer per file; a byte in user memory between pipe and file
//! Walk:  children → `pump` → files → `reader` → [`crate::api`]

use std::path::PathBuf;

use crate::model::{InstanceId, OnLogFull, Rotation, Stream, WallTime};

/// One output of one table row: what the pump is told about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamKey {
    /// The row of the process table.
    pub row: u32,
    /// Which output.
    pub stream: Stream,
}

/// Where the bytes of a stream go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTarget {
    /// Whose output it is (for events and prefixes).
    pub instance: InstanceId,
    /// The file.
    pub path: PathBuf,
    /// When it is cut.
    pub rotation: Rotation,
    /// What happens when the disk is full.
    pub on_full: OnLogFull,
}

/// A file to read lines from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Whose.
    pub instance: InstanceId,
    /// Which output.
    pub stream: Stream,
    /// The current file; its numbered segments stand beside it.
    pub path: PathBuf,
}

/// Which lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// At most so many of the newest, over all sources together.
    pub lines: usize,
    /// None older than this.
    pub since: Option<WallTime>,
}

/// One line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When the daemon received it (of its batch).
    pub at: WallTime,
    /// Whose.
    pub instance: InstanceId,
    /// Which output.
    pub stream: Stream,
    /// The bytes as the process wrote them, without the line feed; long lines come in pieces.
    pub text: Vec<u8>,
}
