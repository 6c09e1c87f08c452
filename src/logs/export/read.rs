//! The bytes of a log from a position on, across the files that it consists of, with their times.

use std::ffi::OsStr;
use std::fs::File;
use std::io;

use super::checkpoint::LogPosition;
use crate::logs::Location;
use crate::logs::file::OpenFiles;
use crate::logs::index::Index;
use crate::logs::reader::{read_up_to, written};
use crate::logs::segments::{LogFolder, Successors, identity};
use crate::model::WallTime;
use crate::os::Missing;

/// Most bytes that are read at once.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// When bytes came, by their place in what was read.
pub(super) struct Times(Vec<(usize, TimeSource)>);

enum TimeSource {
    /// All at one time.
    At(WallTime),
    /// By an index, in which the first of them has this offset.
    By(Index, u64),
}

impl Times {
    pub(super) fn at(time: WallTime) -> Self {
        Self(vec![(0, TimeSource::At(time))])
    }

    /// When this byte came.
    pub(super) fn of(&self, at: usize) -> WallTime {
        let after = self.0.partition_point(|(start, _)| *start <= at);
        match self.0.get(after.saturating_sub(1)) {
            Some((_, TimeSource::At(time))) => *time,
            Some((start, TimeSource::By(index, offset))) => index.time_of(offset + at.saturating_sub(*start) as u64),
            None => WallTime(0),
        }
    }

    /// So many bytes stand before these.
    pub(super) fn shift(&mut self, bytes: usize) {
        self.0.iter_mut().for_each(|(start, _)| *start += bytes);
    }

    /// So many bytes of this time stand before these.
    pub(super) fn begin_with(&mut self, time: WallTime, bytes: usize) {
        self.shift(bytes);
        self.0.insert(0, (0, TimeSource::At(time)));
    }

    /// These follow.
    pub(super) fn append(&mut self, mut more: Self) {
        self.0.append(&mut more.0);
    }
}

/// Reads at most `max` bytes of a log from a position on, which moves along. `None`: there are no more.
///
/// # Errors
/// The log cannot be read now.
pub(super) fn read_on(
    open: &OpenFiles,
    log: &Location,
    from: &mut LogPosition,
    into: &mut Vec<u8>,
    max: usize,
) -> io::Result<Option<Times>> {
    if let Some(open) = open.open_log(log)
        && (from.is_before_all() || open.identity == from.file)
    {
        from.file = open.identity;
        let start = begin(&open.reader, from)?;
        if read(&open.reader, from, into, max)? == 0 {
            return Ok(None);
        }
        return match open.newest.filter(|(offset, _)| *offset <= start) {
            Some((_, at)) => Ok(Some(Times::at(at))),
            None => times_of_current(log, &open.reader, start).map(Some),
        };
    }
    read_by_name(log, from, into, max)
}

/// The same through the names of the files.
fn read_by_name(log: &Location, from: &mut LogPosition, into: &mut Vec<u8>, max: usize) -> io::Result<Option<Times>> {
    let folder = match LogFolder::open(log, Missing::Fails) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    loop {
        let Successors { own, ahead } = folder.successors(from.file, 0)?;
        let is_current = own.is_none() && folder.is_named(folder.current(), from.file);
        let first = ahead.first().filter(|_| from.is_before_all()).map(|(name, _)| name.clone());
        // What is gone took with it what was left of it: what stands there now has come since.
        let name = own.clone().or(first).unwrap_or_else(|| folder.current().to_owned());
        let file = match folder.read(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if own.is_none() && !is_current {
            *from = LogPosition { file: identity(&file.metadata()?), offset: 0 };
        }
        let start = begin(&file, from)?;
        if read(&file, from, into, max)? > 0 {
            return times(&folder, &name, &file, start).map(Some);
        }
        if name.as_os_str() == folder.current() {
            return Ok(None);
        }
        if own.is_none() {
            continue; // its name is known now
        }
        let Some((next, _)) = ahead.first() else { return Ok(None) };
        let Ok(next) = folder.read(next) else { return Ok(None) }; // cut just now: look again with the next bytes
        *from = LogPosition { file: identity(&next.metadata()?), offset: 0 };
    }
}

/// Where reading begins: at the beginning of a file that somebody has emptied.
fn begin(file: &File, from: &mut LogPosition) -> io::Result<u64> {
    if file.metadata()?.len() < from.offset {
        from.offset = 0;
    }
    Ok(from.offset)
}

fn read(file: &File, from: &mut LogPosition, into: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    let there = file.metadata()?.len().saturating_sub(from.offset);
    let wanted = usize::try_from(there).unwrap_or(max).min(max);
    let held = into.len();
    into.resize(held + wanted, 0);
    let read = read_up_to(file, &mut into[held..], from.offset);
    into.truncate(held + read.as_ref().copied().unwrap_or(0));
    let read = read?;
    from.offset += read as u64;
    Ok(read)
}

fn times_of_current(log: &Location, file: &File, start: u64) -> io::Result<Times> {
    let folder = LogFolder::open(log, Missing::Fails)?;
    times(&folder, folder.current(), file, start)
}

fn times(folder: &LogFolder, name: &OsStr, file: &File, start: u64) -> io::Result<Times> {
    Ok(Times(vec![(0, TimeSource::By(Index::read_from(folder, name, written(file)?, start), start))]))
}
