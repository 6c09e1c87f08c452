//! New lines as they come, over rotations and truncations.

use super::{Line, Source};

/// Reads on where [`super::follow`] ended. Holds one open file per source.
#[derive(Debug)]
pub struct Follower {
    skipped_bytes: u64,
}

impl Follower {
    /// Follows one more log from its present end; a log that does not exist yet is followed from its beginning.
    pub fn add(&mut self, _source: Source) {
        unimplemented!()
    }

    /// No longer follows a log.
    pub fn remove(&mut self, _source: &Source) {
        unimplemented!()
    }

    /// What came since, in time order; bounded, so ask again until nothing comes. Blocks on the disk.
    pub fn poll(&mut self) -> Vec<Line> {
        unimplemented!()
    }

    /// A line without its end is held back: poll again after 200 ms even if no file grows.
    pub fn is_holding(&self) -> bool {
        unimplemented!()
    }

    /// How many bytes were left out since the last question because the reader fell too far behind.
    pub fn take_skipped_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.skipped_bytes)
    }
}
