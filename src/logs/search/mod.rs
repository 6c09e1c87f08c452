//! Which lines of a log are wanted, and finding them in all of it.
//!
//! A log is searched from its beginning (or from `since`) to its end, a mebibyte at a time. Where only a pattern is given,
//! lines without it are never cut out of the block.

mod filter;
mod level;
mod scan;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicBool;

use super::follower::{Follower, Place};
use super::lines::Splitter;
use super::reader::{Newest, refusal};
use super::{LogQuery, Reading, Source};

pub use filter::{FilterError, LineFilter, LineWords, Sieve};
pub use level::LineLevel;

use scan::Scan;

/// The newest lines of each app that a filter wants, in time order, an unfinished last line included. Blocks on the disk;
/// ends soon after `stop` has become true, with what was found.
///
/// At most 100,000 lines and 16 MiB. A file that does not exist has no lines.
pub fn search(sources: &[Source], query: &LogQuery, filter: &LineFilter, stop: &AtomicBool) -> Reading {
    let mut newest = Newest::new(query);
    let mut unread = Vec::new();
    for source in sources {
        match Scan::run(&source.location, query, filter, stop) {
            Ok(mut scan) => {
                scan.finish(filter);
                newest.note_older(scan.older);
                newest.note_process(scan.is_of_no_process);
                newest.take(source, scan.lines.into());
            }
            Err(error) => unread.push(refusal(source, &error)),
        }
    }
    newest.into_reading(unread)
}

/// The same without unfinished lines, and a follower that continues exactly behind: its lines are not filtered yet.
pub fn search_and_follow(
    sources: &[Source],
    query: &LogQuery,
    filter: &LineFilter,
    stop: &AtomicBool,
) -> (Reading, Follower) {
    let mut newest = Newest::new(query);
    let (mut follower, mut unread) = (Follower::default(), Vec::new());
    for source in sources {
        match Scan::run(&source.location, query, filter, stop) {
            Ok(scan) => {
                newest.note_older(scan.older);
                newest.take(source, scan.lines.into());
                follower.add_at(source.clone(), scan.place, scan.splitter);
            }
            Err(error) => {
                unread.push(refusal(source, &error));
                follower.add_at(source.clone(), Place::default(), Splitter::default());
            }
        }
    }
    (newest.into_reading(unread), follower)
}
