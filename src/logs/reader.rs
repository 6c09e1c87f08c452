//! The last lines of several logs, merged in time order.

use std::io;

use super::{Follower, Line, LogQuery, Source};

/// The newest lines over all sources in time order, an unfinished last line included. Blocks on the disk.
///
/// # Errors
/// A file exists and cannot be read. A file that does not exist has no lines.
pub fn read(_sources: &[Source], _query: &LogQuery) -> io::Result<Vec<Line>> {
    unimplemented!()
}

/// The same, and a follower that continues exactly behind the last of them. Blocks on the disk.
///
/// # Errors
/// A file exists and cannot be read.
pub fn follow(_sources: &[Source], _query: &LogQuery) -> io::Result<(Vec<Line>, Follower)> {
    unimplemented!()
}
