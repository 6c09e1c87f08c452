//! The process table: shared memory that anchor, daemon and kernel write, and that survives the death of either process.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::held::Held;
use super::layout::{Header, HeldCells, Layout, MAGIC, ROW_COUNT, VERSION};
use super::mirror::{Damage, MIRROR_HEAD, MIRROR_MISSING};
use super::row::{RecordWriter, Row, RowState};
use crate::model::Moment;
use crate::os::SharedMemory;

/// How many rows there are: instances of one daemon, at most.
pub const ROWS: u32 = 4096;
const _: () = assert!(ROWS as usize == ROW_COUNT);
/// The smallest page of any machine; the held cells begin at one and fill whole ones.
const PAGE_BYTES: usize = 4096;

/// The table; a cheap handle. The memory stays mapped for as long as the process is alive.
#[derive(Clone, Copy)]
pub struct Table {
    memory: &'static SharedMemory,
    layout: &'static Layout,
    writer: &'static RecordWriter,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.rows()).finish()
    }
}

impl Table {
    /// How much memory it maps; a limit of the size of files counts it, too.
    pub(super) const BYTES: usize = size_of::<Layout>();

    /// An empty table for this boot.
    ///
    /// # Errors
    /// Not enough memory.
    pub fn create(home_id: u64) -> io::Result<Self> {
        let table = Self::on(SharedMemory::create(c"pm-table", size_of::<Layout>(), offset_of!(Layout, held))?);
        let header = table.header();
        header.version.store(VERSION, Relaxed);
        for (cell, word) in header.boot_id.iter().zip(boot_words()) {
            cell.store(word, Relaxed);
        }
        header.home_id.store(home_id, Relaxed);
        header.oom_score.store(i32::MAX, Relaxed);
        header.anchor_born.store(crate::os::now().0, Relaxed);
        header.magic.store(MAGIC, Release);
        Ok(table)
    }

    /// The table behind an inherited descriptor. A change that a killed daemon had begun is finished.
    ///
    /// # Errors
    /// `InvalidData`: it is no table, or one of another version.
    pub fn inherit(fd: OwnedFd) -> io::Result<Self> {
        let table = Self::on(SharedMemory::inherit(fd, size_of::<Layout>())?);
        let header = table.header();
        if header.magic.load(Acquire) != MAGIC || header.version.load(Relaxed) != VERSION {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        if let Some(row) = table.writer.pending().and_then(|index| table.row(index)) {
            table.writer.apply(row);
        }
        table.rows().for_each(Row::finish_succession);
        Ok(table)
    }

    fn on(memory: SharedMemory) -> Self {
        let memory: &'static SharedMemory = Box::leak(Box::new(memory));
        // SAFETY: the mapping is page-aligned, has exactly the bytes of `Layout` or more, is never unmapped, and
        // `Layout` holds atomics only: any bytes are valid and others may write them at any time.
        let layout: &'static Layout = unsafe { memory.base().cast::<Layout>().as_ref() };
        let writer = Box::leak(Box::new(RecordWriter::new(&layout.header)));
        Self { memory, layout, writer }
    }

    /// One row; `None` behind the end.
    pub fn row(&self, index: u32) -> Option<Row> {
        let cells = self.layout.rows.get(usize::try_from(index).ok()?)?;
        Some(Row { index, cells, writer: self.writer })
    }

    /// All rows that are not free.
    pub fn rows(&self) -> impl Iterator<Item = Row> + use<> {
        let table = *self;
        (0..self.rows_used()).filter_map(move |index| table.row(index)).filter(|row| row.state() != RowState::Free)
    }

    /// Rows from this one on have never been used.
    pub(super) fn rows_used(&self) -> u32 {
        self.header().rows_used.load(Acquire).min(ROWS)
    }

    /// Takes a free row; it is idle then, with an empty record. `None` = there is none left. One thread at a time.
    pub fn claim_free_row(&self) -> Option<Row> {
        let row = (0..ROWS).filter_map(|index| self.row(index)).find(|row| row.state() == RowState::Free)?;
        self.header().rows_used.fetch_max(row.index() + 1, Release);
        row.claim().then_some(row)
    }

    /// Names this home in the cookies of processes.
    pub fn home_id(&self) -> u64 {
        self.header().home_id.load(Relaxed)
    }

    /// The boot that the table belongs to.
    pub fn boot_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        for (bytes, cell) in id.chunks_exact_mut(8).zip(&self.header().boot_id) {
            bytes.copy_from_slice(&cell.load(Relaxed).to_ne_bytes());
        }
        id
    }

    /// The parent of every app.
    pub fn anchor_pid(&self) -> u32 {
        u32::try_from(self.header().anchor_pid.load(Acquire)).unwrap_or(0)
    }

    /// When the present anchor began. What was started before is no child of it.
    pub fn anchor_born(&self) -> Moment {
        Moment(self.header().anchor_born.load(Acquire))
    }

    /// Whether an anchor died before the present one began.
    pub fn is_replacement(&self) -> bool {
        self.header().is_replacement.load(Acquire) != 0
    }

    /// Whether there may be processes of this home that no row lists, and no daemon has looked for them yet.
    pub fn is_look_due(&self) -> bool {
        self.header().is_look_due.load(Acquire) != 0
    }

    /// They have been looked for.
    pub fn looked(&self) {
        self.header().is_look_due.store(0, Release);
    }

    /// What was wrong with the mirror that this table was restored from.
    pub fn damage(&self) -> Damage {
        let (rows, was) = (self.header().damaged_rows.load(Acquire), self.header().mirror_was.load(Acquire));
        Damage { rows, is_missing: was == MIRROR_MISSING, is_head: was == MIRROR_HEAD }
    }

    /// A row that was taken by its number counts as used.
    pub fn used(&self, row: Row) {
        self.header().rows_used.fetch_max(row.index() + 1, Release);
    }

    /// How many daemons the anchor has started, this one included.
    pub fn daemon_starts(&self) -> u64 {
        self.header().daemon_starts.load(Acquire)
    }

    /// The soft limit of open files that apps start with; `None` = the daemon's own.
    pub fn open_files_soft(&self) -> Option<u64> {
        Some(self.header().open_files_soft.load(Acquire)).filter(|soft| *soft != 0)
    }

    /// The score of the out-of-memory killer that apps start with; `None` = the daemon's own.
    pub fn oom_score(&self) -> Option<i32> {
        Some(self.header().oom_score.load(Acquire)).filter(|score| *score != i32::MAX)
    }

    /// Visits of kill points, over all daemons.
    pub fn killpoint_hits(&self) -> &'static AtomicU64 {
        &self.layout.header.killpoint_hits
    }

    /// Everything that the anchor holds.
    pub fn held(&self) -> impl Iterator<Item = Held> + use<> {
        // Not further: to look at a page is to have it.
        self.layout.held.iter().take(self.held_used()).filter_map(HeldCells::get)
    }

    /// Cells from this one on have never been used.
    pub(super) fn held_used(&self) -> usize {
        usize::try_from(self.header().held_used.load(Acquire)).unwrap_or(usize::MAX)
    }

    /// Anchor only: makes sure that the memory of the cell behind the last used one exists, and counts it as used.
    pub(super) fn use_next_held(&self) -> io::Result<()> {
        let used = self.held_used();
        let cells = self.layout.held.get(used).ok_or(io::ErrorKind::StorageFull)?;
        let offset = used * size_of_val(cells);
        if offset.is_multiple_of(PAGE_BYTES) {
            self.memory.reserve(offset_of!(Layout, held) + offset, PAGE_BYTES)?;
        }
        self.header().held_used.fetch_add(1, Release);
        Ok(())
    }

    /// The descriptor of the memory, for a child to inherit.
    pub fn fd(&self) -> BorrowedFd<'static> {
        self.memory.as_fd()
    }

    pub(super) fn header(&self) -> &'static Header {
        &self.layout.header
    }

    pub(super) fn held_cells(&self) -> &'static [HeldCells] {
        &self.layout.held
    }
}

fn boot_words() -> [u64; 2] {
    let id = u128::from_ne_bytes(crate::os::boot_id()).to_ne_bytes();
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
    [word(&id[..8]), word(&id[8..])]
}
