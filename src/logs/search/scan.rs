//! One log, from its beginning to its end, a block at a time.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use regex::bytes::Regex;

use super::super::extent::{CURRENT, Extent};
use super::super::follower::Place;
use super::super::index::Index;
use super::super::lines::{LINE_BYTES_MAX, Splitter};
use super::super::reader::{pieces, read_up_to, written};
use super::super::segments::LogFolder;
use super::super::{Location, LogQuery, Older};
use super::filter::{LineFilter, Sieve};
use crate::model::WallTime;
use crate::os::Missing;

/// Text that is kept of one log.
const BYTES_MAX: usize = 16 << 20;

/// How much is looked at together. Tests see many blocks.
fn block_bytes() -> usize {
    if cfg!(test) { 100 } else { 1 << 20 }
}

/// What was found in one log, and where the search ended.
pub(super) struct Scan {
    /// The newest of the wanted lines.
    pub(super) lines: VecDeque<(WallTime, Vec<u8>)>,
    lines_max: usize,
    bytes: usize,
    pub(super) older: Older,
    /// The log has nothing of the process that was asked for.
    pub(super) is_of_no_process: bool,
    pub(super) place: Place,
    /// Holds the line that has no end yet.
    pub(super) splitter: Splitter,
    sieve: Sieve,
}

impl Scan {
    pub(super) fn run(
        location: &Location,
        query: &LogQuery,
        filter: &LineFilter,
        stop: &AtomicBool,
    ) -> io::Result<Self> {
        let mut scan = Self {
            lines: VecDeque::new(),
            lines_max: query.lines,
            bytes: 0,
            older: Older::None,
            is_of_no_process: query.is_previous,
            place: Place::default(),
            splitter: Splitter::default(),
            sieve: Sieve::default(),
        };
        let log = match LogFolder::open(location, Missing::Fails) {
            Ok(log) => log,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(scan),
            Err(error) => return Err(error),
        };
        let (current, older) = pieces(&log)?;
        scan.place.highest_older = current.as_ref().map_or(older.last().copied().unwrap_or(0), |(_, number)| *number);
        let extent = Extent::of(&log, query, &older);
        scan.is_of_no_process = extent.is_of_no_process();
        for number in older {
            let name = log.segment(number);
            match log.read(&name) {
                Ok(file) => drop(scan.file((&log, &name, number), &file, &extent, filter, stop)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {} // deleted by a cut just now
                Err(error) => return Err(error),
            }
        }
        if let Some((file, _)) = current {
            let end = scan.file((&log, log.current(), CURRENT), &file, &extent, filter, stop)?;
            scan.place.stand_in(file, end)?;
        }
        Ok(scan)
    }

    /// The last line is over, end or not.
    pub(super) fn finish(&mut self, filter: &LineFilter) {
        if let Some((at, text)) = self.splitter.finish() {
            self.pass(filter, at, text);
        }
    }

    /// Searches one of the files; where the search ended.
    fn file(
        &mut self,
        (log, name, number): (&LogFolder, &OsStr, u64),
        file: &File,
        extent: &Extent,
        filter: &LineFilter,
        stop: &AtomicBool,
    ) -> io::Result<u64> {
        let index = Index::read(log, name, written(file)?);
        let Range { start: first, end } = extent.in_file(number, &index, file.metadata()?.len());
        let mut at = first.saturating_sub(1);
        if first > 0 {
            self.splitter.skip_to_next_line(); // from the byte before, to see whether a line begins there
        }
        let mut block = vec![0; block_bytes()];
        while at < end && !stop.load(Ordering::Relaxed) {
            let wanted = usize::try_from(end - at).unwrap_or(block.len()).min(block.len());
            let read = read_up_to(file, &mut block[..wanted], at)?;
            if read == 0 {
                break; // cut short by somebody just now
            }
            match filter.only_pattern() {
                Some(pattern) => self.block_with(pattern, filter, &block[..read], at, &index),
                None => self.lines_of(filter, &block[..read], at, &index),
            }
            at += read as u64;
        }
        Ok(at)
    }

    /// Cuts out only the lines with the pattern, where whole lines are concerned.
    fn block_with(&mut self, pattern: &Regex, filter: &LineFilter, block: &[u8], at: u64, index: &Index) {
        let newline = |bytes: &[u8]| memchr::memchr(b'\n', bytes).map(|end| end + 1);
        // The end of the line before, and the beginning of the one behind.
        let first = if self.splitter.is_in_line() { newline(block).unwrap_or(block.len()) } else { 0 };
        let last = memchr::memrchr(b'\n', block).map_or(first, |end| (end + 1).max(first));
        self.lines_of(filter, &block[..first], at, index);
        let mut from = first;
        while let Some(found) = pattern.find_at(&block[..last], from).filter(|found| found.start() < last) {
            let start = memchr::memrchr(b'\n', &block[from..found.start()]).map_or(from, |end| from + end + 1);
            let end = start + newline(&block[start..last]).unwrap_or(last - start);
            // A pattern that matches a line feed has found two lines; each counts by itself.
            if pattern.is_match(&block[start..end - 1]) || end - start > LINE_BYTES_MAX {
                self.lines_of(filter, &block[start..end], at + start as u64, index);
            }
            from = end;
        }
        self.lines_of(filter, &block[last..], at + last as u64, index);
    }

    fn lines_of(&mut self, filter: &LineFilter, bytes: &[u8], at: u64, index: &Index) {
        let mut lines = Vec::new();
        self.splitter.feed(bytes, |offset| index.time_of(at + offset as u64), |at, text| lines.push((at, text)));
        for (at, text) in lines {
            self.pass(filter, at, text);
        }
    }

    fn pass(&mut self, filter: &LineFilter, at: WallTime, text: Vec<u8>) {
        let mut sieve = std::mem::take(&mut self.sieve);
        sieve.pass(filter, at, text, |at, text| self.keep(at, text));
        self.sieve = sieve;
    }

    fn keep(&mut self, at: WallTime, text: Vec<u8>) {
        self.bytes += text.len();
        self.lines.push_back((at, text));
        while self.lines.len() > self.lines_max || self.bytes > BYTES_MAX {
            let is_bounded = self.lines.len() <= self.lines_max;
            self.older = self.older.max(if is_bounded { Older::Bounded } else { Older::More });
            let Some((_, oldest)) = self.lines.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }
}
