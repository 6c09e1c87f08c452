//! One row of the table: an instance and, at most, one process.
//!
//! | from | to | by |
//! | --- | --- | --- |
//! | Free | Idle | [`super::Table::claim_free_row`] |
//! | Idle | Spawning | [`Row::begin`] |
//! | Spawning | Running | [`Row::running`] |
//! | Spawning | Idle | [`Row::abandon`]: no process came to be |
//! | Spawning, Running | Exited | the anchor; [`Row::exited_unseen`] if there was no anchor |
//! | Exited | Idle | [`Row::idle`] |
//! | Exited | Running | [`Row::succeed`]: another process of its tree goes on |
//! | Idle | Free | [`Row::free`] |
//! | any without a living process | Running, Exited | [`Row::restore`]: found after the death of an anchor |
//!
//! Every other move is refused. Incarnation and state share one word, so both change at once.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::layout::{Header, RecordCells, RowCells};
use crate::model::{Digest, Exit, Moment, WallTime};
use crate::os::{self, Mailbox};

/// What a row is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowState {
    /// No instance; may be claimed.
    Free,
    /// An instance without a process.
    Idle,
    /// A process is being created; it exists if there is a pid.
    Spawning,
    /// A process exists and has not been reaped.
    Running,
    /// The process has ended, its status is known, and the daemon has not dealt with it yet.
    Exited,
}

/// A move that the table above does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("row {row} of the process table is in state {found:?}")]
pub struct WrongState {
    /// Which row.
    pub row: u32,
    /// What it is.
    pub found: RowState,
}

/// What a daemon has to remember about an instance, for the next daemon. Changes as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// The restart counter that the process was started under.
    pub restart_requests: u64,
    /// The spec that it was started with.
    pub digest: Digest,
    /// The base environment that it was started with.
    pub base_digest: Digest,
    /// Its slot among the copies of the app.
    pub slot: u32,
    /// It is about to take the slot over from the one that has it.
    pub is_successor: bool,
    /// Restarts that were not requested.
    pub restarts: u32,
    /// Unstable starts in a row.
    pub unstable: u32,
    /// Processes that had to be killed; the table counts to 65,535.
    pub force_kills: u32,
    /// What is to become of it.
    pub saved_state: EntryState,
    /// When it is started again (saved state `Backoff`).
    pub next_start: Moment,
    /// When SIGKILL follows (saved state `StopAsked`).
    pub stop_deadline: Moment,
}

/// What a new daemon has to know from the lifecycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u32)]
pub enum EntryState {
    /// Nothing special.
    #[default]
    None = 0,
    /// Started again at `next_start`.
    Backoff = 1,
    /// Given up.
    Errored = 2,
    /// Completed, according to its policy.
    Done = 3,
    /// Stopped by a user.
    Stopped = 4,
    /// The living process was asked to end.
    StopAsked = 5,
    /// The live process is not ready yet; it has failed at `next_start`.
    Unready = 6,
}

/// A process that the table did not list, as far as it can be known from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RestoredProcess {
    /// Its number in its row.
    pub incarnation: u32,
    /// When its start was announced.
    pub start: Moment,
    /// Its pid; 0 = it has ended.
    pub pid: u32,
    /// When it was started, in clock ticks since boot; 0 = not known.
    pub start_ticks: u64,
    /// The row that its mark names.
    pub marked_row: u32,
    /// The pipes of its outputs; 0 = none.
    pub outputs: [u64; 2],
    /// What is remembered about its instance.
    pub record: Record,
}

/// One row; a cheap handle.
#[derive(Clone, Copy)]
pub struct Row {
    pub(super) index: u32,
    pub(super) cells: &'static RowCells,
    pub(super) writer: &'static RecordWriter,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "row {} incarnation {} {:?} pid {:?}", self.index, self.incarnation(), self.state(), self.pid())
    }
}

impl Row {
    /// Its number; stable for as long as the row is not free.
    pub fn index(self) -> u32 {
        self.index
    }

    /// What it is used for.
    pub fn state(self) -> RowState {
        unpack(self.cells.word.load(Acquire)).1
    }

    /// The number of its current or last process; 0 = it has had none.
    pub fn incarnation(self) -> u32 {
        unpack(self.cells.word.load(Acquire)).0
    }

    /// Its process. While the state is Spawning or Running this pid has not been reaped.
    pub fn pid(self) -> Option<u32> {
        u32::try_from(self.cells.pid.load(Acquire)).ok().filter(|pid| *pid != 0)
    }

    /// Where a spawn into this row reports to.
    pub fn mailbox(self) -> Mailbox<'static> {
        Mailbox { pid: &self.cells.pid, errno: &self.cells.exec_errno, stage: &self.cells.exec_stage }
    }

    /// When the process was started, in clock ticks since boot; `None` = not known yet.
    pub fn start_ticks(self) -> Option<u64> {
        Some(self.cells.start_ticks.load(Acquire)).filter(|ticks| *ticks != 0)
    }

    /// When the current or last process was started.
    pub fn started(self) -> (Moment, WallTime) {
        (Moment(self.cells.started_boot.load(Acquire)), WallTime(self.cells.started_wall.load(Acquire)))
    }

    /// How and when the last process ended; `None` = none has ended yet. Of the current incarnation only in state
    /// Exited (and Idle, if a process was there at all).
    pub fn exit(self) -> Option<(Exit, Moment)> {
        let at = self.cells.exited_boot.load(Acquire);
        (at != 0).then(|| (os::exit_of(self.cells.exit_status.load(Acquire)), Moment(at)))
    }

    /// The inode numbers of the pipes of standard output and standard error; 0 = none.
    pub fn outputs(self) -> [u64; 2] {
        self.cells.outputs.each_ref().map(|cell| cell.load(Acquire))
    }

    /// What was thrown away of both outputs and not reported yet, as the log writer records it; 0 = nothing.
    pub fn dropped(self) -> [&'static AtomicU64; 2] {
        let [output, errors] = &self.cells.dropped;
        [output, errors]
    }

    /// Records the pipes, by which they are found in the app's processes if nobody else holds them any more.
    pub fn set_outputs(self, inodes: [u64; 2]) {
        for (cell, inode) in self.cells.outputs.iter().zip(inodes) {
            cell.store(inode, Release);
        }
    }

    /// The highest number that another process of its slot has borne; 0 = none.
    pub fn last_number(self) -> u32 {
        u32::try_from(self.cells.relatives.last_number.load(Acquire)).unwrap_or(0)
    }

    /// Another process of its slot bears this number: the next one in this row gets a higher one.
    pub fn note_number(self, number: u32) {
        self.cells.relatives.last_number.fetch_max(u64::from(number), AcqRel);
    }

    /// Whether the mark of its process is known to name this row. That of one which was found while its row was another's
    /// does not.
    pub fn is_marked(self) -> bool {
        self.cells.relatives.marked_row.load(Acquire) == u64::from(self.index) + 1
    }

    /// What is remembered about the instance.
    pub fn record(self) -> Record {
        Record::load(&self.cells.record)
    }

    /// Changes what is remembered, all of it or (if we are killed here) nothing.
    pub fn set_record(self, record: &Record) {
        let word = self.cells.word.load(Acquire);
        self.writer.write(self, record, word, word);
    }

    /// Announces the process `incarnation`: after this a pid in the row is that of this process. With `start` it is told
    /// from all others of the row, also by the mark that it carries. What is remembered stays as it is: whoever is to
    /// know of this start has it written before.
    ///
    /// # Errors
    /// The row is not idle.
    pub fn begin(self, incarnation: u32, start: Moment) -> Result<(), WrongState> {
        self.expect(&[RowState::Idle])?;
        let cells = self.cells;
        cells.pid.store(0, Relaxed);
        os::killpoint("row.cleared");
        cells.exec_errno.store(0, Relaxed);
        cells.exec_stage.store(0, Relaxed);
        cells.start_ticks.store(0, Relaxed);
        self.forget_succession();
        cells.relatives.marked_row.store(u64::from(self.index) + 1, Relaxed);
        cells.started_boot.store(start.0, Relaxed);
        cells.started_wall.store(os::wall().0, Relaxed);
        cells.word.store(pack(incarnation, RowState::Spawning), Release);
        Ok(())
    }

    /// The process executes its program.
    ///
    /// # Errors
    /// It has ended already (the row is Exited), or was never announced.
    pub fn running(self, start_ticks: u64) -> Result<(), WrongState> {
        self.cells.start_ticks.store(start_ticks, Release);
        self.exchange(RowState::Spawning, RowState::Running)
    }

    /// Gives the row to a process that was found by its mark, whatever the row was used for before. Without a pid that
    /// process has ended, and nobody knows how.
    pub fn restore(self, found: &RestoredProcess) {
        let cells = self.cells;
        let (now, is_alive) = (os::now(), found.pid != 0);
        cells.word.store(pack(0, RowState::Idle), Relaxed);
        cells.pid.store(found.pid.cast_signed(), Relaxed);
        cells.exec_errno.store(0, Relaxed);
        cells.exec_stage.store(0, Relaxed);
        cells.start_ticks.store(found.start_ticks, Relaxed);
        cells.started_boot.store(found.start.0, Relaxed);
        cells.started_wall.store(os::wall().0.saturating_sub(now.since(found.start).0), Relaxed);
        if !is_alive {
            cells.exit_status.store(os::UNKNOWN_STATUS, Relaxed);
            cells.exited_boot.store(now.0.max(1), Relaxed);
        }
        self.forget_succession();
        cells.relatives.last_number.store(0, Relaxed);
        cells.relatives.marked_row.store(u64::from(found.marked_row) + 1, Relaxed);
        self.set_outputs(found.outputs);
        found.record.store(&cells.record);
        let state = if is_alive { RowState::Running } else { RowState::Exited };
        cells.word.store(pack(found.incarnation, state), Release);
    }

    /// The announced process was never created: the row gets the number of the previous one again.
    ///
    /// # Errors
    /// It was: there is a pid, or the row is in another state.
    pub fn abandon(self) -> Result<(), WrongState> {
        if self.pid().is_some() {
            return Err(self.wrong());
        }
        let word = self.expect(&[RowState::Spawning])?;
        let before = pack(unpack(word).0.saturating_sub(1), RowState::Idle);
        self.cells.word.compare_exchange(word, before, AcqRel, Acquire).map(drop).map_err(|_| self.wrong())
    }

    /// The process ended without an anchor to see it. `exit` is what is known otherwise.
    ///
    /// # Errors
    /// There is no process in this row.
    pub fn exited_unseen(self, exit: Exit) -> Result<(), WrongState> {
        let status = match exit {
            Exit::Code(code) => (code & 0xFF) << 8,
            Exit::Signal(signal) => signal & 0x7F,
            Exit::Unknown => os::UNKNOWN_STATUS,
        };
        if self.record_exit(status) { Ok(()) } else { Err(self.wrong()) }
    }

    /// The exit of the process `newest`, or of one before it, has been dealt with; `record` says what follows.
    ///
    /// # Errors
    /// The row is not Exited, or a later process has ended in it: one that a thread has started meanwhile, and whose exit
    /// nobody has dealt with.
    pub fn idle(self, newest: u32, record: &Record) -> Result<(), WrongState> {
        let word = self.expect(&[RowState::Exited])?;
        if unpack(word).0 > newest {
            return Err(self.wrong());
        }
        self.writer.write(self, record, word, pack(unpack(word).0, RowState::Idle));
        Ok(())
    }

    /// Gives the row back.
    ///
    /// # Errors
    /// The row is not idle.
    pub fn free(self) -> Result<(), WrongState> {
        self.expect(&[RowState::Idle])?;
        self.cells.word.store(pack(0, RowState::Free), Release);
        Ok(())
    }

    /// The anchor's part: status and time first, then the state. False if no process is expected here.
    pub(super) fn record_exit(self, status: i32) -> bool {
        loop {
            let word = self.cells.word.load(Acquire);
            let (incarnation, state) = unpack(word);
            if !matches!(state, RowState::Spawning | RowState::Running) {
                return false;
            }
            self.cells.exit_status.store(status, Relaxed);
            self.cells.exited_boot.store(os::now().0.max(1), Relaxed);
            // The daemon may be moving Spawning → Running at this moment: look again.
            let exited = pack(incarnation, RowState::Exited);
            if self.cells.word.compare_exchange(word, exited, AcqRel, Acquire).is_ok() {
                return true;
            }
        }
    }

    /// Free → Idle, with nothing left of the former tenant.
    pub(super) fn claim(self) -> bool {
        let cells = self.cells;
        if unpack(cells.word.load(Acquire)).1 != RowState::Free {
            return false;
        }
        cells.pid.store(0, Relaxed);
        cells.exec_errno.store(0, Relaxed);
        cells.exec_stage.store(0, Relaxed);
        cells.exit_status.store(0, Relaxed);
        for cell in [
            &cells.start_ticks,
            &cells.started_wall,
            &cells.started_boot,
            &cells.exited_boot,
            &cells.relatives.last_number,
            &cells.relatives.marked_row,
        ] {
            cell.store(0, Relaxed);
        }
        self.forget_succession();
        self.set_outputs([0; 2]);
        Record::default().store(&cells.record);
        cells.word.store(pack(0, RowState::Idle), Release);
        true
    }

    fn exchange(self, from: RowState, to: RowState) -> Result<(), WrongState> {
        let word = self.expect(&[from])?;
        let next = pack(unpack(word).0, to);
        self.cells.word.compare_exchange(word, next, AcqRel, Acquire).map(drop).map_err(|_| self.wrong())
    }

    pub(super) fn expect(self, states: &[RowState]) -> Result<u64, WrongState> {
        let word = self.cells.word.load(Acquire);
        if states.contains(&unpack(word).1) { Ok(word) } else { Err(self.wrong()) }
    }

    fn wrong(self) -> WrongState {
        WrongState { row: self.index, found: self.state() }
    }
}

/// Stands beside the slot, whose number never comes near it.
const SUCCESSOR: u32 = 1 << 31;
/// The saved state and the count of kills share a word.
const STATE_BITS: u32 = 16;
const KILLS_MAX: u32 = (1 << (32 - STATE_BITS)) - 1;

impl Record {
    fn words(&self) -> [u64; 9] {
        let [d0, d1] = halves(self.digest);
        let [b0, b1] = halves(self.base_digest);
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let slot = self.slot & !SUCCESSOR | if self.is_successor { SUCCESSOR } else { 0 };
        let kills = self.force_kills.min(KILLS_MAX) << STATE_BITS;
        let (counts, end) = (pair(slot, self.restarts), pair(self.unstable, self.saved_state as u32 | kills));
        [self.restart_requests, d0, d1, b0, b1, counts, end, self.next_start.0, self.stop_deadline.0]
    }

    pub(super) fn store(&self, cells: &RecordCells) {
        for (cell, word) in cells.0.iter().zip(self.words()) {
            cell.store(word, Release);
        }
    }

    pub(super) fn load(cells: &RecordCells) -> Self {
        let word = |index: usize| cells.0[index].load(Acquire);
        let low = |index| u32::try_from(word(index) & u64::from(u32::MAX)).unwrap_or(0);
        let high = |index| u32::try_from(word(index) >> 32).unwrap_or(0);
        Self {
            restart_requests: word(0),
            digest: joined(word(1), word(2)),
            base_digest: joined(word(3), word(4)),
            slot: low(5) & !SUCCESSOR,
            is_successor: low(5) & SUCCESSOR != 0,
            restarts: high(5),
            unstable: low(6),
            force_kills: high(6) >> STATE_BITS,
            saved_state: EntryState::of(high(6) & ((1 << STATE_BITS) - 1)),
            next_start: Moment(word(7)),
            stop_deadline: Moment(word(8)),
        }
    }
}

impl EntryState {
    fn of(number: u32) -> Self {
        [Self::Backoff, Self::Errored, Self::Done, Self::Stopped, Self::StopAsked, Self::Unready]
            .into_iter()
            .find(|saved_state| *saved_state as u32 == number)
            .unwrap_or(Self::None)
    }
}

/// Changes records through the header's redo record. One thread at a time.
pub(super) struct RecordWriter {
    header: &'static Header,
    turn: Mutex<()>,
}

impl RecordWriter {
    pub(super) fn new(header: &'static Header) -> Self {
        Self { header, turn: Mutex::new(()) }
    }

    fn write(&self, row: Row, record: &Record, word_from: u64, word_to: u64) {
        let _turn = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let redo = &self.header.redo;
        record.store(&redo.record);
        redo.word_from.store(word_from, Relaxed);
        redo.word_to.store(word_to, Relaxed);
        redo.row.store(u64::from(row.index) + 1, Release);
        os::killpoint("table.redo");
        self.apply(row);
    }

    /// Copies what the redo record says into the row and ends it. Doing it twice does no harm.
    pub(super) fn apply(&self, row: Row) {
        let redo = &self.header.redo;
        Record::load(&redo.record).store(&row.cells.record);
        os::killpoint("table.record");
        let (from, to) = (redo.word_from.load(Acquire), redo.word_to.load(Acquire));
        if from != to {
            // Fails if it was done already before a death.
            let _again = row.cells.word.compare_exchange(from, to, AcqRel, Acquire);
        }
        redo.row.store(0, Release);
    }

    /// The row that a killed daemon was about to change.
    pub(super) fn pending(&self) -> Option<u32> {
        self.header.redo.row.load(Acquire).checked_sub(1).and_then(|row| u32::try_from(row).ok())
    }
}

const STATES: [RowState; 5] = [RowState::Free, RowState::Idle, RowState::Spawning, RowState::Running, RowState::Exited];

pub(super) fn pack(incarnation: u32, state: RowState) -> u64 {
    u64::from(incarnation) << 32 | state as u64
}

pub(super) fn unpack(word: u64) -> (u32, RowState) {
    let state = usize::try_from(word & 0xFF).ok().and_then(|index| STATES.get(index)).copied();
    (u32::try_from(word >> 32).unwrap_or(0), state.unwrap_or(RowState::Free))
}

fn halves(digest: Digest) -> [u64; 2] {
    let (first, second) = digest.0.split_at(8);
    [first, second].map(|half| half.try_into().map_or(0, u64::from_ne_bytes))
}

fn joined(first: u64, second: u64) -> Digest {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_ne_bytes());
    bytes[8..].copy_from_slice(&second.to_ne_bytes());
    Digest(bytes)
}
