//! New lines as they are written, across rotations and truncations.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::time::{Duration, Instant};

use super::index::Index;
use super::lines::Splitter;
use super::reader::read_up_to;
use super::segments::{LogFolder, Successors, identity};
use super::{Line, Source, sys};
use crate::model::WallTime;
use crate::os::Missing;

/// A line without its end is held back so long.
const HOLD: Duration = Duration::from_millis(200);
/// The beginning of a character without its end is held back so long.
const HOLD_CHARACTER: Duration = Duration::from_secs(5);
/// One answer holds no more than about this.
const LINES_MAX: usize = 10_000;
const BYTES_MAX: usize = 4 << 20;
const BLOCK_BYTES: usize = 64 << 10;
/// A reader that is further behind than this skips to near the end.
const BEHIND_BYTES_MAX: u64 = 8 << 20;
const BEHIND_BYTES_KEPT: u64 = 1 << 20;

/// Reads on where [`super::follow`] ended. Holds one open file per source.
#[derive(Debug, Default)]
pub struct Follower {
    trails: Vec<Trail>,
    /// Where the next poll begins, so that a flood does not hide the others.
    turn: usize,
    skipped_bytes: u64,
}

impl Follower {
    /// Follows more logs, and answers with what they hold since `since`, in time order: what is said before anybody
    /// knows that there is something to follow is not lost. A log that cannot be read is followed from its beginning;
    /// one that is followed already only gets its new name. The newest 10,000 lines at most. Blocks on the disk.
    pub fn add(&mut self, sources: Vec<Source>, since: WallTime) -> Vec<Line> {
        let query = super::LogQuery { lines: LINES_MAX, since: Some(since), ..super::LogQuery::default() };
        let mut lines = Vec::new();
        for source in sources {
            if let Some(known) = self.trails.iter_mut().find(|trail| trail.source.location.path == source.location.path)
            {
                known.source = source;
                continue;
            }
            let (said, one) = super::follow(std::slice::from_ref(&source), &query);
            self.trails.extend(one.trails);
            lines.extend(said.lines);
            keep_newest(&mut lines);
        }
        lines.sort_by_key(|line| line.at);
        lines
    }

    pub(super) fn add_at(&mut self, source: Source, place: Place, splitter: Splitter) {
        let (grew, latest) = (Instant::now(), WallTime(0));
        self.trails.push(Trail { source, place, splitter, grew, latest, keeps_whole: false });
    }

    /// No longer follows a log.
    pub fn remove(&mut self, source: &Source) {
        self.trails.retain(|trail| trail.source != *source);
    }

    /// What came since, in time order; bounded, so ask again until nothing comes. Blocks on the disk.
    pub fn poll(&mut self) -> Vec<Line> {
        let mut found = Found::default();
        let count = self.trails.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            if found.is_enough() {
                self.turn = at;
                break;
            }
            // A file that cannot be read now is tried again by the next poll; its place is kept.
            let _ = self.trails[at].advance(&mut found);
        }
        self.skipped_bytes += found.skipped_bytes;
        found.lines.sort_by_key(|(at, _)| *at);
        found.lines.into_iter().map(|(_, line)| line).collect()
    }

    /// A line without its end is held back: poll again after 200 ms even if no file grows.
    pub fn is_holding(&self) -> bool {
        self.trails.iter().any(|trail| trail.splitter.is_holding())
    }

    /// Lines without their end that nothing was added to for a while, of those that are not cut into pieces.
    pub fn held(&self) -> impl Iterator<Item = &[u8]> {
        let is_quiet = |trail: &&Trail| trail.keeps_whole && trail.grew.elapsed() >= HOLD;
        self.trails.iter().filter(is_quiet).map(|trail| trail.splitter.unfinished())
    }

    /// From now on a line without its end stays held until the end comes (or it is too long): it never comes in pieces.
    pub fn keep_whole(&mut self) {
        self.trails.iter_mut().for_each(|trail| trail.keeps_whole = true);
    }

    /// How many bytes were left out since the last question because the reader fell too far behind.
    pub fn take_skipped_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.skipped_bytes)
    }
}

/// A thousand apps may have said much before anybody looked.
fn keep_newest(lines: &mut Vec<Line>) {
    if lines.len() > LINES_MAX {
        lines.sort_by_key(|line| line.at);
        lines.drain(..lines.len() - LINES_MAX);
    }
}

/// What one poll has found, each line with the time that it is sorted by.
#[derive(Default)]
struct Found {
    lines: Vec<(WallTime, Line)>,
    bytes: usize,
    skipped_bytes: u64,
}

impl Found {
    fn is_enough(&self) -> bool {
        self.lines.len() >= LINES_MAX || self.bytes >= BYTES_MAX
    }
}

/// Where in which file of a log a reader stands.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Kept open: the file may be renamed or deleted, and its inode number must not be used again.
    file: Option<File>,
    identity: (u64, u64),
    offset: u64,
    /// The highest segment number that is certainly older than this file (or is its own).
    pub(super) highest_older: u64,
}

impl Place {
    pub(super) fn stand_in(&mut self, file: File, offset: u64) -> io::Result<()> {
        let found = file.metadata()?;
        self.identity = identity(&found);
        self.file = Some(file);
        self.offset = offset;
        Ok(())
    }
}

/// What the file at hand is called now.
enum Called {
    Current,
    Segment(OsString),
    Nothing,
}

/// One log being followed.
#[derive(Debug)]
struct Trail {
    source: Source,
    place: Place,
    splitter: Splitter,
    grew: Instant,
    /// The time that the last line of this poll is sorted by: where the clock was set back, or a time is
    /// guessed, a log keeps its own order.
    latest: WallTime,
    /// A line without its end is held until that comes.
    keeps_whole: bool,
}

impl Trail {
    fn advance(&mut self, found: &mut Found) -> io::Result<()> {
        self.latest = WallTime(0);
        loop {
            // Only compared: whoever put a link there has won nothing.
            let at_path = fs::metadata(&self.source.location.path).ok();
            let is_current = at_path.as_ref().is_some_and(|at_path| identity(at_path) == self.place.identity);
            let is_silent = at_path.is_none() && self.place.file.is_none();
            // Whoever follows is looked up first: once it exists the pump has let go of this file for good,
            // so what is read afterwards is all of it.
            let mut name = Called::Current;
            let next = if is_current || is_silent { None } else { self.next_file(found, &mut name)? };
            let is_at_end = self.read_on(&name, found)?;
            match next {
                Some((file, highest_older)) if is_at_end => {
                    self.place.stand_in(file, 0)?;
                    self.place.highest_older = highest_older;
                }
                _ => break,
            }
        }
        if self.splitter.is_holding() && !self.keeps_whole && self.grew.elapsed() >= HOLD {
            let is_given_up = self.grew.elapsed() >= HOLD_CHARACTER;
            let line = if is_given_up { self.splitter.finish() } else { self.splitter.finish_whole() };
            self.emit(found, line);
        }
        Ok(())
    }

    /// Reads from the file at hand (called `name`) until its end or until there is enough; answers whether
    /// its end was reached.
    fn read_on(&mut self, name: &Called, found: &mut Found) -> io::Result<bool> {
        let Some(file) = &self.place.file else { return Ok(true) };
        let size = file.metadata()?.len();
        if size < self.place.offset {
            // Emptied by somebody: what comes now is new. What was held is a line of its own.
            self.place.offset = 0;
            let line = self.splitter.finish();
            self.emit(found, line);
        }
        self.catch_up(size, found);
        if size == self.place.offset {
            return Ok(true);
        }
        let Some(file) = &self.place.file else { return Ok(true) };
        let index = self.index(name);
        let mut block = vec![0; BLOCK_BYTES];
        let mut lines = Vec::new();
        let mut is_at_end = false;
        while !is_at_end && found.lines.len() + lines.len() < LINES_MAX && found.bytes < BYTES_MAX {
            let read = read_up_to(file, &mut block, self.place.offset)?;
            let time_of = |at: usize| index.time_of(self.place.offset + at as u64);
            self.splitter.feed(&block[..read], time_of, |at, text| lines.push((at, text)));
            self.place.offset += read as u64;
            found.bytes += read;
            is_at_end = read < block.len();
        }
        self.grew = Instant::now();
        self.emit(found, lines);
        Ok(is_at_end)
    }

    /// The times of the file at hand, from its present place on.
    fn index(&self, name: &Called) -> Index {
        let now = sys::wall_now();
        let read = |folder: &LogFolder| match name {
            Called::Current => Index::read_from(folder, folder.current(), now, self.place.offset),
            Called::Segment(name) => Index::read_from(folder, name, now, self.place.offset),
            Called::Nothing => Index::none(now),
        };
        LogFolder::open(&self.source.location, Missing::Fails).map_or(Index::none(now), |folder| read(&folder))
    }

    /// Skips to near the end of a file that has grown much faster than it was read.
    fn catch_up(&mut self, size: u64, found: &mut Found) {
        let behind = size.saturating_sub(self.place.offset);
        if behind > BEHIND_BYTES_MAX {
            self.place.offset = size - BEHIND_BYTES_KEPT;
            found.skipped_bytes += behind - BEHIND_BYTES_KEPT;
            self.splitter.skip_to_next_line();
        }
    }

    /// The file after the one at hand; leaves out whole files while too much lies ahead. `name` becomes what
    /// the file at hand is called now.
    fn next_file(&mut self, found: &mut Found, name: &mut Called) -> io::Result<Option<(File, u64)>> {
        let log = match LogFolder::open(&self.source.location, Missing::Fails) {
            Ok(log) => log,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *name = Called::Nothing;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Successors { own, ahead } = log.successors(self.place.identity, self.place.highest_older)?;
        *name = own.map_or(Called::Nothing, Called::Segment);
        let newest = ahead.last().map_or(0, |(_, number)| *number);
        let (mut sizes, mut bytes_ahead) = (Vec::new(), 0);
        for (name, _) in &ahead {
            let Some(bytes) = log.bytes_of(name) else { return Ok(None) }; // gone just now: look again
            sizes.push(bytes);
            bytes_ahead += bytes;
        }
        let mut left_out = 0;
        while left_out + 1 < sizes.len() && bytes_ahead > BEHIND_BYTES_MAX {
            bytes_ahead -= sizes[left_out];
            left_out += 1;
        }
        // One at a time: a log may have thousands of segments.
        let Some((name, number)) = ahead.get(left_out) else { return Ok(None) };
        let file = match log.read(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        // A cut in between would have put another file under the last name.
        if log.numbers()?.last().is_some_and(|highest| *highest > newest) {
            return Ok(None);
        }
        if left_out > 0 {
            found.skipped_bytes += sizes[..left_out].iter().sum::<u64>();
            self.splitter.skip_to_next_line();
        }
        Ok(Some((file, *number)))
    }

    fn emit(&mut self, found: &mut Found, lines: impl IntoIterator<Item = (WallTime, Vec<u8>)>) {
        let Source { instance, stream, .. } = &self.source;
        for (at, text) in lines {
            self.latest = self.latest.max(at);
            let line = Line { at, instance: instance.clone(), stream: *stream, text };
            found.lines.push((self.latest, line));
        }
    }
}
