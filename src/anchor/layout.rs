//! The bytes of the shared table. Frozen: daemons of other versions read and write the same memory.
//!
//! Changing the meaning of a byte needs a new [`VERSION`]; using a reserved one (zero until then) does not. A reserved
//! word of a row is not in the mirror until it gets a meaning.
//!
//! | part | offset | bytes |
//! | --- | --- | --- |
//! | [`Header`] | 0 | 4,096 |
//! | [`RowCells`] × 4,096 | 4,096 | 786,432 |
//! | [`HeldCells`] × 32,768 | 790,528 | 524,288 |
//!
//! Only pages that were written take memory: those of rows all at once when the table is made, those of held
//! descriptors one after the other as they are needed.
//!
//! Header:
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | magic |
//! | 8 | 4 | version |
//! | 12 | 4 | rows ever used: rows behind are free |
//! | 16 | 16 | boot id |
//! | 32 | 8 | home id |
//! | 40 | 4 | pid of the anchor |
//! | 44 | 4 | pid of the daemon, 0 = none |
//! | 48 | 8 | how many daemons were started |
//! | 56 | 8 | visits of kill points (test builds) |
//! | 64 | 8 | soft limit of open files for apps |
//! | 72 | 4 | score of the out-of-memory killer for apps; `i32::MAX` = the daemon's own |
//! | 76 | 4 | 1 = an anchor died before this one began: there may be processes that no row lists |
//! | 80 | 8 | when this anchor began, boot clock ms |
//! | 88 | 4 | 1 = nobody has looked for those processes yet |
//! | 92 | 4 | rows of the mirror that were damaged |
//! | 96 | 4 | what the mirror was: 0 = whole, 1 = missing, 2 = its head was damaged |
//! | 100 | 4 | held descriptors ever used: cells behind are empty |
//! | 104 | 152 | reserved |
//! | 256 | 96 | the [`Redo`] record |
//! | 352 | 3,744 | reserved |
//!
//! Row:
//!
//! | offset | bytes | field | written by |
//! | --- | --- | --- | --- |
//! | 0 | 8 | word: incarnation in the upper 32 bits, state in the lowest 8 | daemon; anchor: → Exited |
//! | 8 | 4 | pid | kernel (daemon: 0 before a spawn) |
//! | 12 | 4 | exec errno | child (daemon: 0 before a spawn) |
//! | 16 | 4 | exec stage | child (daemon: 0 before a spawn) |
//! | 20 | 4 | raw wait status of the last exit | anchor |
//! | 24 | 8 | start time of the process, clock ticks since boot; 0 = not known yet | daemon |
//! | 32 | 8 | start time, wall clock ms | daemon |
//! | 40 | 72 | the record: see [`RecordCells`] | daemon, through the [`Redo`] record |
//! | 112 | 8 | start time, boot clock ms | daemon |
//! | 120 | 8 | time of the last exit, boot clock ms; 0 = none yet | anchor |
//! | 128 | 16 | inode numbers of the pipes of its outputs; 0 = none | daemon |
//! | 144 | 16 | output that was thrown away, per output; 0 = none | daemon (`logs`) |
//! | 160 | 8 | highest number that another process of its slot has borne; 0 = none | daemon |
//! | 168 | 8 | row that the mark of its process names, plus 1; 0 = not known | daemon |
//! | 176 | 8 | the process that the kernel put here, if another one is the main process by now: pid in the upper 24 bits, start time in the lower 40; 0 = the same | daemon |
//! | 184 | 8 | the process that is about to become the main one, likewise; 0 = none; not in the mirror | daemon |
//!
//! Held descriptors, of each instance at most: standard output and error, one channel to Node, one notify socket, one
//! listening socket and its file, one vault. That is [`KINDS_PER_ROW`]; there are cells for a full table and as many kinds again
//! as a later version may add ([`CELLS_PER_ROW`]).
//!
//! | offset | bytes | field | written by |
//! | --- | --- | --- | --- |
//! | 0 | 8 | key: row, row and incarnation, or address | anchor |
//! | 8 | 4 | kind, one of `HELD_…`; 0 = empty; written last, cleared first | anchor |
//! | 12 | 4 | its number in the anchor, and in a daemon that was just started | anchor |

use std::mem::offset_of;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64};

/// `pm-table` in ASCII.
pub(super) const MAGIC: u64 = u64::from_be_bytes(*b"pm-table");
/// Of the whole layout.
pub(super) const VERSION: u32 = 4;
/// How many rows there are.
pub(super) const ROW_COUNT: usize = 4096;
/// Kinds of descriptors that one instance may need held at the same time: as many as there are `HELD_…` numbers.
pub(super) const KINDS_PER_ROW: usize = 7;
/// The same with room for one more.
const CELLS_PER_ROW: usize = 8;
/// How many descriptors can be held.
pub(super) const HELD_COUNT: usize = CELLS_PER_ROW * ROW_COUNT;

/// First page.
#[repr(C)]
pub(super) struct Header {
    pub magic: AtomicU64,
    pub version: AtomicU32,
    pub rows_used: AtomicU32,
    pub boot_id: [AtomicU64; 2],
    pub home_id: AtomicU64,
    pub anchor_pid: AtomicI32,
    pub daemon_pid: AtomicI32,
    pub daemon_starts: AtomicU64,
    pub killpoint_hits: AtomicU64,
    pub open_files_soft: AtomicU64,
    pub oom_score: AtomicI32,
    pub is_replacement: AtomicU32,
    pub anchor_born: AtomicU64,
    pub is_look_due: AtomicU32,
    pub damaged_rows: AtomicU32,
    pub mirror_was: AtomicU32,
    pub held_used: AtomicU32,
    _reserved_a: [AtomicU64; 19],
    pub redo: Redo,
    _reserved_b: [AtomicU64; 468],
}

/// A change of several fields of one row, written here in full before the row is touched: a daemon that is killed
/// in between leaves the next one a note of what to finish.
#[repr(C)]
pub(super) struct Redo {
    /// 0 = none pending; else the row + 1.
    pub row: AtomicU64,
    /// The word that the row has before; only then it is changed.
    pub word_from: AtomicU64,
    /// The word that it gets.
    pub word_to: AtomicU64,
    pub record: RecordCells,
}

/// What the daemon knows about an instance; 9 words that change together.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 40 | 8 | restart_requests |
/// | 48 | 16 | digest of the spec |
/// | 64 | 16 | digest of the base environment |
/// | 80 | 4 | slot; highest bit: a successor that is to take it over |
/// | 84 | 4 | restarts |
/// | 88 | 4 | unstable starts in a row |
/// | 92 | 4 | saved_state |
/// | 96 | 8 | next start, boot clock ms |
/// | 104 | 8 | deadline of a stop, boot clock ms |
#[repr(C)]
#[derive(Default)]
pub(super) struct RecordCells(pub [AtomicU64; 9]);

/// One instance.
#[repr(C)]
pub(super) struct RowCells {
    pub word: AtomicU64,
    pub pid: AtomicI32,
    pub exec_errno: AtomicI32,
    pub exec_stage: AtomicI32,
    pub exit_status: AtomicI32,
    pub start_ticks: AtomicU64,
    pub started_wall: AtomicU64,
    pub record: RecordCells,
    pub started_boot: AtomicU64,
    pub exited_boot: AtomicU64,
    pub outputs: [AtomicU64; 2],
    pub dropped: [AtomicU64; 2],
    pub relatives: RelativeCells,
}

/// What is known of other processes than the main one.
#[repr(C)]
pub(super) struct RelativeCells {
    pub last_number: AtomicU64,
    pub marked_row: AtomicU64,
    pub first_process: AtomicU64,
    pub next_main: AtomicU64,
}

/// One held descriptor. `kind` 0 = empty; written last, cleared first.
#[repr(C)]
pub(super) struct HeldCells {
    pub key: AtomicU64,
    pub kind: AtomicU32,
    pub fd: AtomicI32,
}

/// All of it.
#[repr(C)]
pub(super) struct Layout {
    pub header: Header,
    pub rows: [RowCells; ROW_COUNT],
    pub held: [HeldCells; HELD_COUNT],
}

const _: () = {
    assert!(CELLS_PER_ROW >= KINDS_PER_ROW);
    assert!(HELD_COUNT < u16::MAX as usize); // places of the anchor's index
    assert!(size_of::<Header>() == 4096 && size_of::<RowCells>() == 192 && size_of::<HeldCells>() == 16);
    assert!(size_of::<RowCells>().is_multiple_of(64)); // whole cache lines
    assert!(size_of::<Layout>() == 4096 + 4096 * 192 + 32_768 * 16);
    assert!(offset_of!(Header, version) == 8 && offset_of!(Header, rows_used) == 12);
    assert!(offset_of!(Header, boot_id) == 16 && offset_of!(Header, home_id) == 32);
    assert!(offset_of!(Header, daemon_starts) == 48 && offset_of!(Header, killpoint_hits) == 56);
    assert!(offset_of!(Header, oom_score) == 72 && offset_of!(Header, anchor_born) == 80);
    assert!(offset_of!(Header, mirror_was) == 96 && offset_of!(Header, held_used) == 100);
    assert!(offset_of!(Header, redo) == 256 && size_of::<Redo>() == 96 && offset_of!(Header, _reserved_b) == 352);
    assert!(offset_of!(RowCells, pid) == 8 && offset_of!(RowCells, exit_status) == 20);
    assert!(offset_of!(RowCells, record) == 40 && size_of::<RecordCells>() == 72);
    assert!(offset_of!(RowCells, started_boot) == 112 && offset_of!(RowCells, exited_boot) == 120);
    assert!(offset_of!(RowCells, outputs) == 128 && offset_of!(RowCells, dropped) == 144);
    assert!(offset_of!(RowCells, relatives) == 160 && offset_of!(RelativeCells, marked_row) == 8);
    assert!(offset_of!(RelativeCells, first_process) == 16 && offset_of!(RelativeCells, next_main) == 24);
    assert!(offset_of!(HeldCells, kind) == 8 && offset_of!(HeldCells, fd) == 12);
    assert!(offset_of!(Layout, rows) == 4096 && offset_of!(Layout, held) == 790_528);
    assert!(offset_of!(Layout, held).is_multiple_of(4096)); // its pages come by themselves
};
