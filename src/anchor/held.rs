//! Descriptors that the anchor holds for the daemon, so that they survive it.

use std::sync::atomic::Ordering::{Acquire, Release};

use super::layout::HeldCells;

/// Standard output of a row; the key is the row.
pub const HELD_OUTPUT: u32 = 1;
/// Standard error of a row; the key is the row.
pub const HELD_ERRORS: u32 = 2;
/// A listening socket.
pub const HELD_LISTENER: u32 = 3;
/// Our end of a channel to a Node process; the key is row and generation.
pub const HELD_CHANNEL: u32 = 4;

/// The socket that a process notifies us by; the key is row and generation.
pub const HELD_NOTIFY: u32 = 5;

/// One held descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// What it belongs to: mostly a row.
    pub key: u64,
    /// What it is: one of the `HELD_…` numbers.
    pub kind: u32,
    /// Its number, in the anchor and in a daemon that was just started.
    pub fd: i32,
}

impl HeldCells {
    /// What stands here.
    pub(super) fn get(&self) -> Option<Held> {
        let kind = self.kind.load(Acquire);
        (kind != 0).then(|| Held { key: self.key.load(Acquire), kind, fd: self.fd.load(Acquire) })
    }

    /// Anchor only: the kind last, since it is what makes the entry valid.
    pub(super) fn put(&self, held: Held) {
        self.key.store(held.key, Release);
        self.fd.store(held.fd, Release);
        self.kind.store(held.kind, Release);
    }

    /// Anchor only.
    pub(super) fn clear(&self) {
        self.kind.store(0, Release);
    }
}
