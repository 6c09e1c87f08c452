//! An index of when each byte of a log was written, and where the output of each process begins: 16 bytes per entry, next
//! to the log, best effort.
//!
//! An entry is written *before* its batch, so a reader never sees a byte that would be given an older time.
//! An entry whose batch failed says nothing: the next one has the same offset, and the last of equals counts.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use super::segments::LogFolder;
use crate::model::WallTime;

const ENTRY_BYTES: u64 = 16;
/// In the time of an entry: what follows is of another process than what comes before.
const BORDER: u64 = 1 << 63;
/// Reading looks at no more than this many of the newest entries (16 MiB).
const ENTRIES_MAX: u64 = 1 << 20;

/// "From this byte on, until the next entry, bytes came at this time."
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    offset: u64,
    at: WallTime,
    is_border: bool,
}

impl Entry {
    fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        let at = (self.at.0 & !BORDER) | if self.is_border { BORDER } else { 0 };
        bytes[8..].copy_from_slice(&at.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (offset, at) = bytes.split_first_chunk::<8>()?;
        let at = u64::from_le_bytes(at.try_into().ok()?);
        let is_border = at & BORDER != 0;
        Some(Self { offset: u64::from_le_bytes(*offset), at: WallTime(at & !BORDER), is_border })
    }
}

/// Whether the pause since the last entry is worth 16 more bytes: exact times while that stays near 1 % of
/// the log, and to a tenth of a second beyond that, however short its lines are. It is cut with its log.
fn is_due(pause: Option<Duration>, index_bytes: u64, log_bytes: u64) -> bool {
    const GRACE_BYTES: u64 = 4096;
    match pause {
        None => true,
        Some(pause) if pause >= Duration::from_millis(100) => true,
        Some(pause) => pause >= Duration::from_millis(10) && index_bytes <= log_bytes / 100 + GRACE_BYTES,
    }
}

/// Appends times of one log file.
#[derive(Debug)]
pub(super) struct IndexWriter {
    file: File,
    bytes: u64,
    last: Option<Instant>,
    /// The borders at the end, with nothing behind them: of processes that have written nothing. Two at most.
    borders: Vec<Entry>,
    /// The entry that was written last.
    newest: Option<Entry>,
}

impl IndexWriter {
    /// The last byte with a time of its own, and that time; `None`: nothing was written since this was opened.
    pub(super) fn newest(&self) -> Option<(u64, WallTime)> {
        self.newest.map(|entry| (entry.offset, entry.at))
    }

    /// Opens the index of a log that is `log_bytes` long. What cannot be true of such a log is thrown away.
    pub(super) fn open(folder: &LogFolder, log_bytes: u64) -> io::Result<Self> {
        let mut file = folder.open_index()?;
        let bytes = file.metadata()?.len();
        let whole = bytes / ENTRY_BYTES * ENTRY_BYTES;
        let mut writer_bytes = whole;
        let mut borders = Vec::new();
        if whole > 0 {
            let mut last = [0; 32];
            let last = &mut last[..if whole > ENTRY_BYTES { 32 } else { 16 }];
            file.seek(SeekFrom::Start(whole - last.len() as u64))?;
            file.read_exact(last)?;
            let newest: Vec<Entry> = last.chunks_exact(16).filter_map(Entry::from_bytes).collect();
            let is_of_this_log = log_bytes > 0 && newest.last().is_some_and(|last| last.offset <= log_bytes);
            writer_bytes = if is_of_this_log { whole } else { 0 };
            let are_last = |entry: &&Entry| is_of_this_log && entry.is_border && entry.offset == log_bytes;
            borders = newest.iter().rev().take_while(are_last).copied().collect();
            borders.reverse();
        }
        if writer_bytes != bytes {
            file.set_len(writer_bytes)?;
        }
        Ok(Self { file, bytes: writer_bytes, last: None, borders, newest: None })
    }

    /// The log was emptied or cut short by somebody: its times are not known any more.
    pub(super) fn restart(&mut self) {
        if self.file.set_len(0).is_ok() {
            self.bytes = 0;
            self.last = None;
            self.borders.clear();
            self.newest = None;
        }
    }

    /// Notes that what is appended at `offset` came now.
    pub(super) fn note(&mut self, offset: u64, at: WallTime, now: Instant) {
        if is_due(self.last.map(|last| now.duration_since(last)), self.bytes, offset) {
            self.write(Entry { offset, at, is_border: false });
            self.last = Some(now);
            self.borders.clear();
        }
    }

    /// What is appended next gets a time of its own, however short the pause.
    pub(super) fn begin_time(&mut self) {
        self.last = None;
    }

    /// Notes that what is appended at `offset` is of a process that begins `at` this time. Of many that write nothing one
    /// after another the first and the last are kept.
    pub(super) fn note_border(&mut self, offset: u64, at: WallTime) {
        if self.borders.first().is_some_and(|border| border.offset != offset) {
            self.borders.clear();
        }
        if self.borders.last().is_some_and(|border| border.at == at) {
            return; // both outputs of that process go into this log
        }
        if self.borders.len() == 2 && self.file.set_len(self.bytes - ENTRY_BYTES).is_ok() {
            self.bytes -= ENTRY_BYTES;
            self.borders.pop();
        }
        let border = Entry { offset, at, is_border: true };
        self.write(border);
        self.borders.push(border);
        self.last = None; // what it writes first gets its own time
    }

    /// A full disk loses times and borders only.
    fn write(&mut self, entry: Entry) {
        match self.file.write(&entry.to_bytes()) {
            Ok(16) => {
                self.bytes += ENTRY_BYTES;
                self.newest = Some(entry);
            }
            Ok(_) => drop(self.file.set_len(self.bytes)), // half an entry would make all later ones unreadable
            Err(_) => {}
        }
    }
}

/// The times of one log file, for looking up.
#[derive(Debug)]
pub(super) struct Index {
    entries: Vec<Entry>,
    /// For a log without entries: when it was last written.
    fallback: WallTime,
}

impl Index {
    /// Without any entry.
    pub(super) fn none(fallback: WallTime) -> Self {
        Self { entries: Vec::new(), fallback }
    }

    /// Reads the index of a log file. What is missing or wrong costs precision only.
    pub(super) fn read(folder: &LogFolder, name: &OsStr, fallback: WallTime) -> Self {
        Self { entries: entries(folder, name, ENTRIES_MAX).unwrap_or_default(), fallback }
    }

    /// The same, for bytes from `offset` on only: mostly a glance at the newest entries.
    pub(super) fn read_from(folder: &LogFolder, name: &OsStr, fallback: WallTime, offset: u64) -> Self {
        const GLANCE_ENTRIES: u64 = 256;
        let glance = entries(folder, name, GLANCE_ENTRIES).unwrap_or_default();
        if glance.first().is_some_and(|first| first.offset > offset) {
            return Self::read(folder, name, fallback);
        }
        Self { entries: glance, fallback }
    }

    /// When the byte at `offset` came; for bytes older than the index, the index's beginning.
    pub(super) fn time_of(&self, offset: u64) -> WallTime {
        let after = self.entries.partition_point(|entry| entry.offset <= offset);
        self.entries.get(after.saturating_sub(1)).map_or(self.fallback, |entry| entry.at)
    }

    /// The first byte whose time is `since` or later; `u64::MAX` where there is none. The clock may have
    /// been set back in between, so this looks from the end for the last entry that is too old.
    pub(super) fn start_of(&self, since: WallTime) -> u64 {
        if self.entries.is_empty() && self.fallback < since {
            return u64::MAX;
        }
        match self.entries.iter().rposition(|entry| entry.at < since) {
            Some(at) => self.entries.get(at + 1).map_or(u64::MAX, |entry| entry.offset),
            None => 0,
        }
    }

    /// Where processes begin, and when, in order. One whose outputs go into one log may have begun twice.
    pub(super) fn borders(&self) -> impl DoubleEndedIterator<Item = (u64, WallTime)> {
        self.entries.iter().filter(|entry| entry.is_border).map(|entry| (entry.offset, entry.at))
    }

    /// The end of what came before `until`, of a log that is `end` long. Where no times are known, all of it may have.
    pub(super) fn end_before(&self, until: WallTime, end: u64) -> u64 {
        if self.entries.is_empty() { end } else { self.start_of(until).min(end) }
    }
}

/// The newest entries, in order.
fn entries(folder: &LogFolder, name: &OsStr, entries_max: u64) -> io::Result<Vec<Entry>> {
    let mut file = folder.read_index(name)?;
    let whole = file.metadata()?.len() / ENTRY_BYTES;
    file.seek(SeekFrom::Start(whole.saturating_sub(entries_max) * ENTRY_BYTES))?;
    let mut bytes = Vec::new();
    file.take(entries_max * ENTRY_BYTES).read_to_end(&mut bytes)?;
    let mut found: Vec<Entry> = bytes.chunks_exact(16).filter_map(Entry::from_bytes).collect();
    // Searching relies on growing offsets; an index that was restarted under our eyes might not have them.
    let is_ordered = found.is_sorted_by_key(|entry| entry.offset);
    if !is_ordered {
        found.clear();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::path::Path;

    use super::super::segments::by_path::{folder, index_path};
    use super::*;

    fn read(log: &Path) -> Index {
        Index::read(&folder(log), log.file_name().unwrap(), WallTime(7))
    }

    fn written(log: &Path, entries: &[(u64, u64)], log_bytes: u64) -> Index {
        let mut writer = IndexWriter::open(&folder(log), log_bytes).unwrap();
        let mut now = Instant::now();
        for (offset, at) in entries {
            writer.note(*offset, WallTime(*at), now);
            now += Duration::from_secs(2);
        }
        read(log)
    }

    #[test]
    fn a_byte_has_the_time_of_the_last_entry_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let index = written(&folder.path().join("a"), &[(0, 100), (0, 150), (50, 200), (90, 300)], 0);
        for (offset, at) in [(0, 150), (49, 150), (50, 200), (89, 200), (90, 300), (5000, 300)] {
            assert_eq!(index.time_of(offset), WallTime(at), "{offset}");
        }
        for (since, start) in [(0, 0), (150, 0), (151, 50), (300, 90), (301, u64::MAX)] {
            assert_eq!(index.start_of(WallTime(since)), start, "{since}");
        }
    }

    #[test]
    fn without_an_index_lines_have_the_time_of_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let index = read(&folder.path().join("a"));
        assert_eq!((index.time_of(3), index.start_of(WallTime(7))), (WallTime(7), 0));
        assert_eq!(index.start_of(WallTime(8)), u64::MAX);
    }

    #[test]
    fn borders_stand_where_processes_begin_and_those_of_silent_ones_do_not_pile_up() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a");
        let mut writer = IndexWriter::open(&self::folder(&log), 0).unwrap();
        writer.note(0, WallTime(100), Instant::now());
        writer.note_border(50, WallTime(200));
        writer.note(50, WallTime(201), Instant::now());
        for at in 300..310 {
            writer.note_border(80, WallTime(at));
            writer.note_border(80, WallTime(at)); // its other output
        }
        fs::write(&log, [b'x'; 80]).unwrap();
        let mut writer = IndexWriter::open(&self::folder(&log), 80).unwrap();
        writer.note_border(80, WallTime(400));
        writer.note(80, WallTime(401), Instant::now());
        let index = read(&log);
        let borders: Vec<_> = index.borders().map(|(offset, at)| (offset, at.0)).collect();
        assert_eq!(borders, [(50, 200), (80, 300), (80, 400)]);
        assert_eq!([0, 49, 50, 79, 80].map(|at| index.time_of(at).0), [100, 100, 201, 201, 401]);
        assert_eq!(fs::metadata(index_path(&log)).unwrap().len(), 6 * 16);
    }

    #[test]
    fn an_index_that_belongs_to_another_log_is_thrown_away_and_half_an_entry_too() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a");
        written(&log, &[(0, 100), (50, 200)], 0);
        OpenOptions::new().append(true).open(index_path(&log)).unwrap().write_all(b"half").unwrap();
        assert_eq!(written(&log, &[(60, 300)], 60).time_of(60), WallTime(300), "goes on");
        assert_eq!(read(&log).time_of(50), WallTime(200));
        written(&log, &[], 40); // shorter than the last entry
        assert_eq!(read(&log).time_of(50), WallTime(7));
    }

    #[test]
    fn an_index_stays_small_beside_its_log_and_exact_to_a_tenth_of_a_second() {
        let second = Duration::from_secs(1);
        let blink = Duration::from_millis(10);
        for (pause, index_bytes, log_bytes, due) in [
            (None, 0, 0, true),
            (Some(blink / 2), 0, 0, false),
            (Some(blink), 4096, 0, true),
            (Some(blink), 4112, 0, false),
            (Some(second), 4112, 0, true),
            (Some(second / 10), 4112, 0, true),
            (Some(second / 11), 4112, 0, false),
            (Some(blink), 100_000, 10_000_000, true),
            (Some(blink), 110_000, 10_000_000, false),
            (Some(second), 110_000, 10_000_000, true),
        ] {
            assert_eq!(is_due(pause, index_bytes, log_bytes), due, "{pause:?} {index_bytes} {log_bytes}");
        }
    }
}
