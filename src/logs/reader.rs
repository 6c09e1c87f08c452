//! The last lines of several logs, merged in time order.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::UNIX_EPOCH;

use super::extent::{CURRENT, Extent};
use super::follower::{Follower, Place};
use super::index::Index;
use super::lines::{LINE_BYTES_MAX, Splitter};
use super::segments::{LogFolder, identity};
use super::{Line, Location, LogQuery, Older, Reading, Source};
use crate::model::{AppId, WallTime};
use crate::os::Missing;

/// More lines are never answered.
const LINES_MAX: usize = 100_000;
/// More text is never answered, nor read from one log.
const BYTES_MAX: usize = 16 << 20;
const BLOCK_BYTES: u64 = 64 << 10;
/// Lines that are taken in before they are put in order for the first time.
const SETTLE_LINES: usize = 2000;

/// The newest lines of each app in time order, an unfinished last line included. Blocks on the disk.
///
/// At most 100,000 lines and 16 MiB. A file that does not exist has no lines.
pub fn read(sources: &[Source], query: &LogQuery) -> Reading {
    let mut newest = Newest::new(query);
    let mut unread = Vec::new();
    for source in sources {
        match Tail::read(&source.location, query) {
            Ok(mut tail) => {
                let mut lines = tail.lines();
                lines.extend(tail.splitter.finish());
                newest.note_older(tail.older);
                newest.note_process(tail.is_of_no_process);
                newest.take(source, lines);
            }
            Err(error) => unread.push(refusal(source, &error)),
        }
    }
    newest.into_reading(unread)
}

pub(super) fn refusal(source: &Source, error: &io::Error) -> String {
    format!("cannot read `{}`: {error}", source.location.path.display())
}

/// The same without unfinished lines, and a follower that continues exactly behind. What cannot be read is followed from
/// its beginning as soon as it can. Blocks on the disk.
pub fn follow(sources: &[Source], query: &LogQuery) -> (Reading, Follower) {
    let mut newest = Newest::new(query);
    let (mut follower, mut unread) = (Follower::default(), Vec::new());
    for source in sources {
        match Tail::read(&source.location, query) {
            Ok(mut tail) => {
                newest.older = newest.older.max(tail.older);
                newest.take(source, tail.lines());
                follower.add_at(source.clone(), tail.place, tail.splitter);
            }
            Err(error) => {
                unread.push(refusal(source, &error));
                follower.add_at(source.clone(), Place::default(), Splitter::default());
            }
        }
    }
    (newest.into_reading(unread), follower)
}

/// The newest lines so far, each with the time that it is sorted by.
pub(super) struct Newest {
    lines: Vec<(WallTime, Line)>,
    /// Of one app.
    lines_max: usize,
    /// They are put in order when there are so many.
    settle_at: usize,
    older: Older,
    is_of_no_process: bool,
}

impl Newest {
    pub(super) fn new(query: &LogQuery) -> Self {
        let (lines_max, is_of_no_process) = (query.lines.min(LINES_MAX), query.is_previous);
        let (lines, settle_at, older) = (Vec::new(), SETTLE_LINES, Older::None);
        Self { lines, lines_max, settle_at, older, is_of_no_process }
    }

    /// One log has something of the process that was asked for, or not.
    pub(super) fn note_process(&mut self, is_of_no_process: bool) {
        self.is_of_no_process &= is_of_no_process;
    }

    /// Of one log it was left out so much.
    pub(super) fn note_older(&mut self, older: Older) {
        self.older = self.older.max(older);
    }

    /// The lines of one log.
    pub(super) fn take(&mut self, source: &Source, lines: Vec<(WallTime, Vec<u8>)>) {
        // Where the clock was set back, a log keeps its own order: no line sorts before the one above it.
        let mut latest = WallTime(0);
        let surplus = lines.len().saturating_sub(self.lines_max);
        if surplus > 0 {
            self.older = self.older.max(Older::More);
        }
        for (at, text) in lines.into_iter().skip(surplus) {
            latest = latest.max(at);
            self.lines.push((latest, Line { at, instance: source.instance.clone(), stream: source.stream, text }));
        }
        if self.lines.len() > self.settle_at || self.text_bytes() > 2 * BYTES_MAX {
            self.settle();
        }
    }

    fn text_bytes(&self) -> usize {
        self.lines.iter().map(|(_, line)| line.text.len()).sum()
    }

    /// Puts them in order and lets go of the oldest of each app, and of all.
    fn settle(&mut self) {
        self.lines.sort_by_key(|(at, _)| *at);
        let (mut room, mut total) = (BYTES_MAX, 0);
        let mut of_app: BTreeMap<AppId, usize> = BTreeMap::new();
        let mut kept = Vec::with_capacity(self.lines.len());
        for (at, line) in std::mem::take(&mut self.lines).into_iter().rev() {
            let count = of_app.entry(line.instance.app.clone()).or_default();
            if *count == self.lines_max {
                self.older = self.older.max(Older::More);
                continue;
            }
            if total == LINES_MAX || line.text.len() > room {
                self.older = Older::Bounded;
                break;
            }
            *count += 1;
            total += 1;
            room -= line.text.len();
            kept.push((at, line));
        }
        kept.reverse();
        self.settle_at = 2 * kept.len() + SETTLE_LINES;
        self.lines = kept;
    }

    pub(super) fn into_reading(mut self, unread: Vec<String>) -> Reading {
        self.settle();
        let lines = self.lines.into_iter().map(|(_, line)| line).collect();
        Reading { lines, unread, older: self.older, is_of_no_process: self.is_of_no_process }
    }
}

/// The end of one log.
struct Tail {
    /// In the order of the log.
    spans: Vec<Span>,
    /// Behind the last of them.
    place: Place,
    splitter: Splitter,
    older: Older,
    is_of_no_process: bool,
}

/// Neighbouring bytes of one file.
struct Span {
    index: Index,
    start: u64,
    bytes: Vec<u8>,
}

impl Tail {
    /// Reads backwards until there are enough lines, or time, or bytes.
    fn read(location: &Location, query: &LogQuery) -> io::Result<Self> {
        let mut tail = Self {
            spans: Vec::new(),
            place: Place::default(),
            splitter: Splitter::default(),
            older: Older::None,
            is_of_no_process: query.is_previous,
        };
        let log = match LogFolder::open(location, Missing::Fails) {
            Ok(log) => log,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(tail),
            Err(error) => return Err(error),
        };
        let (current, older) = pieces(&log)?;
        let mut wanted = Wanted::new(query);
        tail.place.highest_older = current.as_ref().map_or(older.last().copied().unwrap_or(0), |(_, number)| *number);
        let extent = Extent::of(&log, query, &older);
        tail.is_of_no_process = extent.is_of_no_process();
        if let Some((file, _)) = current {
            let end = tail.take((&log, log.current(), CURRENT), &file, &extent, &mut wanted)?;
            tail.place.stand_in(file, end)?;
        }
        for number in older.into_iter().rev() {
            if wanted.is_enough {
                break;
            }
            let name = log.segment(number);
            match log.read(&name) {
                Ok(file) => drop(tail.take((&log, &name, number), &file, &extent, &mut wanted)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => break, // deleted by a cut just now
                Err(error) => return Err(error),
            }
        }
        tail.spans.reverse();
        if wanted.is_out_of_bytes() {
            tail.older = Older::Bounded;
        }
        if wanted.is_enough && !wanted.is_one_long_line() {
            tail.splitter.skip_to_next_line(); // reading stopped somewhere in a line, or on the byte before one
        }
        Ok(tail)
    }

    /// Reads what is wanted of one file. Its size at that moment.
    fn take(
        &mut self,
        (log, name, number): (&LogFolder, &OsStr, u64),
        file: &File,
        extent: &Extent,
        wanted: &mut Wanted,
    ) -> io::Result<u64> {
        let size = file.metadata()?.len();
        let index = Index::read(log, name, written(file)?);
        let Range { start: first, end } = extent.in_file(number, &index, size);
        // One byte before the first that counts, to see whether a line begins there.
        let floor = first.saturating_sub(1);
        let (mut start, mut blocks) = (end, Vec::new());
        while start > floor && !wanted.is_enough {
            let bytes = (start - floor).min(BLOCK_BYTES);
            let mut block = vec![0; usize::try_from(bytes).unwrap_or(0)];
            let read = read_up_to(file, &mut block, start - bytes)?;
            block.truncate(read); // cut short by somebody just now
            start -= bytes;
            wanted.note(&block);
            blocks.push(block);
        }
        wanted.is_enough |= first > 0;
        blocks.reverse();
        self.spans.push(Span { index, start, bytes: blocks.concat() });
        Ok(size)
    }

    /// The lines that have an end. What has none stays in the splitter.
    fn lines(&mut self) -> Vec<(WallTime, Vec<u8>)> {
        let mut lines = Vec::new();
        for Span { index, start, bytes } in &self.spans {
            let time_of = |at: usize| index.time_of(start + at as u64);
            self.splitter.feed(bytes, time_of, |at, text| lines.push((at, text)));
        }
        self.spans.clear();
        lines
    }
}

/// How much is still wanted of one log.
struct Wanted {
    lines: usize,
    line_feeds: usize,
    bytes: usize,
    is_enough: bool,
}

impl Wanted {
    fn new(query: &LogQuery) -> Self {
        let lines = query.lines.min(LINES_MAX);
        let bytes = BYTES_MAX.min((lines + 1) * LINE_BYTES_MAX);
        Self { lines, line_feeds: 0, bytes, is_enough: false }
    }

    /// Reading ended because there was too much text, not because there were enough lines.
    fn is_out_of_bytes(&self) -> bool {
        self.bytes == 0 && self.line_feeds <= self.lines
    }

    /// All that was read belongs to one line, whose beginning is out of reach.
    fn is_one_long_line(&self) -> bool {
        self.bytes == 0 && self.line_feeds == 0
    }

    fn note(&mut self, block: &[u8]) {
        let line_feeds = memchr::memchr_iter(b'\n', block).count();
        self.line_feeds += line_feeds;
        self.bytes = self.bytes.saturating_sub(block.len());
        // One more than lines: the first one found ends a line that is not wanted.
        self.is_enough = self.line_feeds > self.lines || self.bytes == 0;
    }
}

/// The current file of a log, opened, with the number of the newest segment; and the numbers of the older files.
pub(super) type Pieces = (Option<(File, u64)>, Vec<u64>);

pub(super) fn pieces(log: &LogFolder) -> io::Result<Pieces> {
    let current = match log.read(log.current()) {
        Ok(file) => Some(file),
        // One with words of its own: something else stands there.
        Err(error) if error.kind() == io::ErrorKind::NotFound && error.get_ref().is_none() => None,
        Err(error) => return Err(error),
    };
    let mut older = log.numbers()?;
    let newest = older.last().copied().unwrap_or(0);
    let Some(current) = current else { return Ok((None, older)) };
    // Cut between the two looks: what was opened bears the newest number now.
    if log.is_named(&log.segment(newest), identity(&current.metadata()?)) {
        older.pop();
    }
    Ok((Some((current, newest)), older))
}

/// When a file was last written: the time of lines that have no better one.
pub(super) fn written(file: &File) -> io::Result<WallTime> {
    let since = file.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

/// Fills `block` from `at` on as far as the file goes.
pub(super) fn read_up_to(file: &File, block: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < block.len() {
        match file.read_at(&mut block[read..], at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
