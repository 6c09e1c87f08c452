//! Which bytes of the files of a log are wanted, by time and by process.

use std::ops::Range;

use super::LogQuery;
use super::index::Index;
use super::segments::LogFolder;
use crate::model::WallTime;

/// The number of the current file of a log, among those of its full segments.
pub(super) const CURRENT: u64 = u64::MAX;

/// A byte of a log: the number of its file, and where it is there.
type Position = (u64, u64);

/// The wanted part of one log.
pub(super) struct Extent {
    since: Option<WallTime>,
    until: Option<WallTime>,
    /// `None`: of all processes.
    process: Option<ProcessPart>,
}

/// The output of one process.
struct ProcessPart {
    /// `None`: from the beginning of what is left of the log.
    start: Option<Position>,
    /// `None`: the log has nothing of such a process.
    end: Option<Position>,
}

impl Extent {
    /// Looks up the borders between processes, if they matter. `older`: the numbers of the full segments, in order.
    pub(super) fn of(log: &LogFolder, query: &LogQuery, older: &[u64]) -> Self {
        let process = query.is_previous.then(|| ProcessPart::previous(log, older));
        Self { since: query.since, until: query.until, process }
    }

    /// Whether the part belongs to a process of which the log has nothing.
    pub(super) fn is_of_no_process(&self) -> bool {
        self.process.as_ref().is_some_and(|part| part.end.is_none())
    }

    /// What is wanted of one of the files, which is `size` long.
    pub(super) fn in_file(&self, number: u64, index: &Index, size: u64) -> Range<u64> {
        let end = self.until.map_or(size, |until| index.end_before(until, size));
        let first = self.since.map_or(0, |since| index.start_of(since));
        let (mut range, Some(part)) = (first..end, &self.process) else { return first.min(end)..end };
        match part.end {
            Some((file, offset)) if file == number => range.end = range.end.min(offset),
            Some((file, _)) if number < file => {}
            _ => range.end = 0,
        }
        match part.start {
            Some((file, offset)) if file == number => range.start = range.start.max(offset),
            Some((file, _)) if number < file => range.end = 0,
            _ => {}
        }
        range.start.min(range.end)..range.end
    }
}

impl ProcessPart {
    /// Of the process before the one that began last.
    fn previous(log: &LogFolder, older: &[u64]) -> Self {
        let (mut end, mut begun_at) = (None, None);
        for number in [CURRENT].iter().chain(older.iter().rev()).copied() {
            let name = if number == CURRENT { log.current().to_owned() } else { log.segment(number) };
            let index = Index::read(log, &name, WallTime(0));
            for (offset, at) in index.borders().rev() {
                if begun_at.replace(at) == Some(at) {
                    continue; // both outputs of that process go into this log
                }
                if end.is_some() {
                    return Self { start: Some((number, offset)), end };
                }
                end = Some((number, offset));
            }
        }
        Self { start: None, end }
    }
}
