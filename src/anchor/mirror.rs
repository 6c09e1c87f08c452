//! A copy of the rows in a file, in case both anchor and daemon die.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Mutex, PoisonError};

use super::layout::{MAGIC, RecordCells, RowCells, VERSION};
use super::row::{Row, RowState, unpack};
use super::table::{ROWS, Table};
use crate::os;

/// Magic, version, boot id, home, and a check of all that; rows follow at 64, each with a check of its own. Of a damaged
/// head nothing is needed: the check of a row is good for one home, one boot and one place only.
const HEAD_BYTES: usize = 64;
const CELL_BYTES: usize = size_of::<RowCells>();
const CHECK_BYTES: usize = 8;
pub(super) const ROW_BYTES: usize = CELL_BYTES + CHECK_BYTES;

/// The table's word for a mirror that was not there.
pub(super) const MIRROR_MISSING: u32 = 1;
/// The table's word for a mirror whose head was damaged.
pub(super) const MIRROR_HEAD: u32 = 2;

/// What was wrong with a mirror.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Damage {
    /// Rows that could not be used.
    pub rows: u32,
    /// There was none.
    pub is_missing: bool,
    /// Its head; that costs nothing.
    pub is_head: bool,
}

/// The file; written by the daemon after every change of a row's state.
#[derive(Debug)]
pub struct Mirror {
    file: File,
    salt: u64,
    /// What stands in the file: the check of each row's bytes; 0 = not known. One row, one writer at a time: an older
    /// state never overwrites a newer one.
    written: Mutex<Box<[u64]>>,
}

impl Mirror {
    /// Makes the file a copy of `table`. The head comes last: until then it counts as what it was before.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(path: &Path, table: &Table) -> io::Result<Self> {
        let file = os::open_own(path, OpenOptions::new().write(true).create(true).truncate(false).mode(0o600))?;
        let mirror = Self { file, salt: salt(table), written: Mutex::new(vec![0; ROWS as usize].into()) };
        let used = table.rows_used();
        mirror.write((0..used).filter_map(|index| table.row(index)))?;
        mirror.file.set_len(offset(used))?;
        mirror.file.write_all_at(&head(table), 0)?;
        Ok(mirror)
    }

    /// Copies those of these rows that differ from what the file holds; neighbours in one go.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write(&self, rows: impl IntoIterator<Item = Row>) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_changed(&mut written, rows).inspect_err(|_| written.fill(0))
    }

    fn write_changed(&self, written: &mut [u64], rows: impl IntoIterator<Item = Row>) -> io::Result<()> {
        let (mut run, mut begin) = (Vec::new(), 0);
        for row in rows {
            let Some(known) = written.get_mut(row.index() as usize) else { continue };
            let image = image(row.cells);
            let check = check_of_row(self.salt, row.index(), &image);
            if std::mem::replace(known, check) == check {
                continue;
            }
            if offset(row.index()) != begin + run.len() as u64 {
                self.file.write_all_at(&run, begin)?;
                run.clear();
                begin = offset(row.index());
            }
            run.extend_from_slice(&image);
            run.extend_from_slice(&check.to_ne_bytes());
        }
        self.file.write_all_at(&run, begin)
    }
}

impl Table {
    /// Puts the rows of a mirror of this boot into this (new) table; returns how many. Free rows and mirrors of
    /// other boots or versions count as nothing; what is damaged is left out and noted.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn restore(&self, mirror: &Path) -> io::Result<u32> {
        let file = match File::open(mirror) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.header().mirror_was.store(MIRROR_MISSING, Release);
                return Ok(0);
            }
            opened => opened?,
        };
        let mut found = [0; HEAD_BYTES];
        let is_read = file.read_exact_at(&mut found, 0).is_ok();
        if found != head(self) {
            if is_read && check_of_head(&found) == word(&found, HEAD_BYTES / 8 - 1) {
                return Ok(0);
            }
            self.header().mirror_was.store(MIRROR_HEAD, Release);
        }
        let rows = (0..ROWS).map_while(|index| Some((self.row(index)?, read_row(&file, index)?)));
        Ok(rows.map(|(row, bytes)| u32::from(self.restore_row(row, &bytes))).sum())
    }

    fn restore_row(&self, row: Row, bytes: &[u8; ROW_BYTES]) -> bool {
        let (cells, _) = bytes.split_at(CELL_BYTES);
        if check_of_row(salt(self), row.index(), cells) != word(bytes, CELL_BYTES / 8) {
            // A hole in the file is a row that was never used.
            let is_damaged = bytes.iter().any(|byte| *byte != 0);
            self.header().damaged_rows.fetch_add(u32::from(is_damaged), Relaxed);
            return false;
        }
        let is_used = unpack(word(cells, 0)).1 != RowState::Free;
        if is_used {
            put(row.cells, cells);
            self.header().rows_used.fetch_max(row.index() + 1, Relaxed);
        }
        is_used
    }
}

/// `None` behind the end. A row that was cut off is damaged.
fn read_row(file: &File, index: u32) -> Option<[u8; ROW_BYTES]> {
    let mut bytes = [0; ROW_BYTES];
    let length = file.read_at(&mut bytes, offset(index)).ok().filter(|length| *length > 0)?;
    bytes[length..].fill(0xFF);
    Some(bytes)
}

/// FNV-1a: every change of one byte changes it for certain.
fn check(seed: u64, bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    bytes.iter().fold(seed, |check, byte| (check ^ u64::from(*byte)).wrapping_mul(PRIME))
}

const CHECK_SEED: u64 = 0xCBF2_9CE4_8422_2325;

/// Which home, which boot, which layout: what stands in a head.
fn salt(table: &Table) -> u64 {
    check(CHECK_SEED, &head(table))
}

fn check_of_head(head: &[u8; HEAD_BYTES]) -> u64 {
    check(CHECK_SEED, &head[..HEAD_BYTES - CHECK_BYTES])
}

/// Never 0.
fn check_of_row(salt: u64, row: u32, cells: &[u8]) -> u64 {
    check(check(salt, &row.to_ne_bytes()), cells).max(1)
}

fn offset(row: u32) -> u64 {
    (HEAD_BYTES + ROW_BYTES * row as usize) as u64
}

fn head(table: &Table) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&MAGIC.to_ne_bytes());
    head[8..12].copy_from_slice(&VERSION.to_ne_bytes());
    head[16..32].copy_from_slice(&table.boot_id());
    head[32..40].copy_from_slice(&table.home_id().to_ne_bytes());
    let check = check_of_head(&head);
    head[HEAD_BYTES - CHECK_BYTES..].copy_from_slice(&check.to_ne_bytes());
    head
}

/// The row as words, in the order of the layout; without what was thrown away of its output, which changes too often.
fn image(cells: &RowCells) -> [u8; CELL_BYTES] {
    let pair = |low: i32, high: i32| u64::from(low.cast_unsigned()) | u64::from(high.cast_unsigned()) << 32;
    let mut words = [0; CELL_BYTES / 8];
    words[0] = cells.word.load(Acquire);
    words[1] = pair(cells.pid.load(Acquire), cells.exec_errno.load(Acquire));
    words[2] = pair(cells.exec_stage.load(Acquire), cells.exit_status.load(Acquire));
    words[3] = cells.start_ticks.load(Acquire);
    words[4] = cells.started_wall.load(Acquire);
    let RecordCells(record) = &cells.record;
    for (word, cell) in words[5..14].iter_mut().zip(record) {
        *word = cell.load(Acquire);
    }
    words[14] = cells.started_boot.load(Acquire);
    words[15] = cells.exited_boot.load(Acquire);
    for (word, cell) in words[16..18].iter_mut().zip(&cells.outputs) {
        *word = cell.load(Acquire);
    }
    words[20] = cells.relatives.last_number.load(Acquire);
    words[21] = cells.relatives.marked_row.load(Acquire);
    words[22] = cells.relatives.first_process.load(Acquire);
    let mut bytes = [0; CELL_BYTES];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

fn put(cells: &RowCells, bytes: &[u8]) {
    let half = |index: usize, shift: u32| {
        u32::try_from(word(bytes, index) >> shift & u64::from(u32::MAX)).unwrap_or(0).cast_signed()
    };
    cells.pid.store(half(1, 0), Relaxed);
    cells.exec_errno.store(half(1, 32), Relaxed);
    cells.exec_stage.store(half(2, 0), Relaxed);
    cells.exit_status.store(half(2, 32), Relaxed);
    cells.start_ticks.store(word(bytes, 3), Relaxed);
    cells.started_wall.store(word(bytes, 4), Relaxed);
    for (index, cell) in (5..14).zip(&cells.record.0) {
        cell.store(word(bytes, index), Relaxed);
    }
    cells.started_boot.store(word(bytes, 14), Relaxed);
    cells.exited_boot.store(word(bytes, 15), Relaxed);
    for (index, cell) in (16..).zip(&cells.outputs) {
        cell.store(word(bytes, index), Relaxed);
    }
    cells.relatives.last_number.store(word(bytes, 20), Relaxed);
    cells.relatives.marked_row.store(word(bytes, 21), Relaxed);
    cells.relatives.first_process.store(word(bytes, 22), Relaxed);
    cells.word.store(word(bytes, 0), Relaxed);
}

fn word(bytes: &[u8], index: usize) -> u64 {
    bytes.get(index * 8..index * 8 + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_ne_bytes)
}
