//! The mirror of the pretended table: what is left of it when the anchor dies, and what may be missing then.

use super::Dice;
use crate::supervisor::host::{Entry, Record};

/// A copy that misses the end misses at most so many writes.
const MISSED_MAX: u64 = 20;

type Copied = (Entry, Record);

/// Every copy of an entry that was made, in order.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    written: Vec<(usize, Copied)>,
    /// The disk is full.
    pub is_frozen: bool,
}

impl Mirror {
    /// A new daemon writes all of it.
    pub fn create(&mut self, entries: &[Copied]) {
        if !self.is_frozen {
            self.written = entries.iter().copied().enumerate().collect();
        }
    }

    pub fn write(&mut self, row: usize, copied: Copied) {
        if !self.is_frozen {
            self.written.push((row, copied));
        }
    }

    /// Somebody removes it.
    pub fn lose(&mut self) {
        self.written.clear();
        self.is_frozen = true;
    }

    /// What a new anchor makes of it. With dice the file may be gone, may have been written in vain from some moment on (the
    /// disk was full), or has rows that are damaged. And whether it was as it should have been.
    pub fn restore(&self, rows: usize, mut dice: Option<&mut Dice>) -> (Vec<Copied>, bool) {
        let mut entries = vec![(Entry::free(), Record::default()); rows];
        let mut roll = |sides| dice.as_mut().map_or(sides - 1, |dice| dice.roll(sides));
        let is_to_miss = match roll(6) {
            0 => return (entries, false),
            1 => roll(MISSED_MAX),
            _ => 0,
        };
        let is_damaged = roll(6) == 0;
        let kept = self.written.len().saturating_sub(usize::try_from(is_to_miss).unwrap_or(0));
        for (row, copied) in &self.written[..kept] {
            entries[*row] = *copied;
        }
        for entry in &mut entries {
            if is_damaged && roll(3) == 0 {
                *entry = (Entry::free(), Record::default());
            }
        }
        (entries, is_to_miss == 0 && !is_damaged && !self.is_frozen)
    }
}
