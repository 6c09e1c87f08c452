//! Another process of the app's own tree becomes the main one: a server that replaces its own binary says so with `MAINPID=`.
//!
//! One word of the entry says first which process that will be, so that a daemon killed in between leaves the next one a note
//! of what to finish. The process that the kernel put into the entry stays known: its number is that of the app's session.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::row::{Row, RowState, WrongState, pack, unpack};
use crate::os::PidFd;

/// Start times in clock ticks take the lower bits: good for three centuries of uptime.
const TICKS_BITS: u32 = 40;
const TICKS_MAX: u64 = (1 << TICKS_BITS) - 1;

impl Row {
    /// The process that the kernel put into this entry, and when it was started, in clock ticks since boot; 0 = not known.
    /// It leads (or led) the app's session. The main process is another one after [`Self::succeed`].
    pub fn first_process(self) -> (u32, u64) {
        match unpacked(self.cells.relatives.first_process.load(Acquire)) {
            (0, _) => (self.pid().unwrap_or(0), self.start_ticks().unwrap_or(0)),
            known => known,
        }
    }

    /// The main process is another one from now on, also if the one before has just ended. `process` lives, is proven to
    /// be of this app, and was started at `start_ticks`.
    ///
    /// # Errors
    /// The entry has no process.
    pub fn succeed(self, process: &PidFd, start_ticks: u64) -> Result<(), WrongState> {
        self.expect(&[RowState::Running, RowState::Exited])?;
        let cells = self.cells;
        if cells.relatives.first_process.load(Acquire) == 0 {
            let (pid, ticks) = self.first_process();
            cells.relatives.first_process.store(packed(pid, ticks), Release);
        }
        cells.relatives.next_main.store(packed(process.pid(), start_ticks), Release);
        crate::os::killpoint("row.next_main");
        self.finish_succession();
        Ok(())
    }

    /// Does what [`Self::succeed`] has announced, or what a killed daemon had. Doing it twice does no harm.
    pub(super) fn finish_succession(self) {
        let cells = self.cells;
        let (pid, ticks) = unpacked(cells.relatives.next_main.load(Acquire));
        if pid == 0 {
            return;
        }
        if self.pid() != Some(pid) {
            // The end that stands here is that of the process before.
            self.run_again();
            cells.start_ticks.store(ticks, Release);
            cells.pid.store(pid.cast_signed(), Release);
        }
        // The anchor may have written the end of the process before while its number still stood here.
        let lives = || PidFd::open_verified(pid, ticks).is_ok_and(|process| !process.has_exited());
        if self.state() == RowState::Exited && lives() {
            self.run_again();
        }
        cells.relatives.next_main.store(0, Release);
    }

    fn run_again(self) {
        let word = self.cells.word.load(Acquire);
        let (incarnation, state) = unpack(word);
        if state == RowState::Exited {
            let running = pack(incarnation, RowState::Running);
            // Nobody else moves an entry out of this state.
            let _ = self.cells.word.compare_exchange(word, running, AcqRel, Acquire);
        }
    }

    /// A new process of the entry, put there by the kernel, is the first one.
    pub(super) fn forget_succession(self) {
        self.cells.relatives.next_main.store(0, Relaxed);
        self.cells.relatives.first_process.store(0, Relaxed);
    }
}

fn packed(pid: u32, ticks: u64) -> u64 {
    u64::from(pid) << TICKS_BITS | ticks.min(TICKS_MAX)
}

fn unpacked(word: u64) -> (u32, u64) {
    (u32::try_from(word >> TICKS_BITS).unwrap_or(0), word & TICKS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchor::Table;
    use crate::model::Exit;
    use crate::os;

    fn running_row(table: &Table, pid: i32) -> Row {
        let row = table.claim_free_row().unwrap();
        row.begin(1, os::now()).unwrap();
        row.mailbox().pid.store(pid, Release);
        row.running(99).unwrap();
        row
    }

    fn us() -> (PidFd, u64) {
        let pid = std::process::id();
        (PidFd::open(pid).unwrap(), os::proc_stat(pid).unwrap().start_ticks)
    }

    #[test]
    fn the_entry_goes_on_with_another_process_before_and_after_the_end_of_the_first() {
        let (process, ticks) = us();
        for has_ended in [false, true] {
            let table = Table::create(1).unwrap();
            let row = running_row(&table, 4711);
            assert_eq!(row.first_process(), (4711, 99));
            assert!(!has_ended || row.record_exit(3 << 8));
            row.succeed(&process, ticks).unwrap();
            assert_eq!((row.state(), row.incarnation()), (RowState::Running, 1));
            assert_eq!((row.pid(), row.start_ticks()), (Some(process.pid()), Some(ticks)));
            assert_eq!(row.first_process(), (4711, 99), "its number is that of the session");
            assert!(row.record_exit(5 << 8));
            assert_eq!(row.exit().unwrap().0, Exit::Code(5));
            assert!(row.idle(1, &row.record()).is_ok() && row.succeed(&process, ticks).is_err(), "nothing runs there");
            row.begin(2, os::now()).unwrap();
            assert_eq!(row.first_process(), (0, 0), "a new start is its own first process");
        }
    }

    #[test]
    fn what_a_killed_daemon_has_announced_the_next_one_finishes() {
        let (process, ticks) = us();
        for has_ended in [false, true] {
            let table = Table::create(1).unwrap();
            let row = running_row(&table, 4711);
            row.cells.relatives.first_process.store(packed(4711, 99), Release);
            row.cells.relatives.next_main.store(packed(process.pid(), ticks), Release);
            assert!(!has_ended || row.record_exit(0));
            let next = Table::inherit(table.fd().try_clone_to_owned().unwrap()).unwrap();
            assert_eq!(
                (row.state(), row.pid(), row.start_ticks()),
                (RowState::Running, Some(process.pid()), Some(ticks))
            );
            // It had come further: the end that stands there now is that of the new process.
            row.cells.relatives.next_main.store(packed(process.pid(), ticks + 1), Release);
            assert!(row.record_exit(0));
            next.rows().for_each(Row::finish_succession);
            assert_eq!((row.state(), row.cells.relatives.next_main.load(Acquire)), (RowState::Exited, 0));
        }
    }
}
