//! Shutdown without a daemon that could stop the apps in order: every managed process gets SIGTERM, then SIGKILL.

use super::row::{Row, RowState};
use super::table::Table;
use crate::model::{Millis, Moment};
use crate::os::{self, PidFd};

/// How long the apps may take. What their files say about it is in a state that cannot be read.
const STOP_PATIENCE: Millis = Millis(10_000);
/// How long a kill may take.
const KILL_PATIENCE: Millis = Millis(2_000);
/// How often the remaining processes are checked: not every one is a child, whose exit would be reported.
pub(super) const LOOK_EVERY: Millis = Millis(20);

/// An end that is in progress.
#[derive(Debug)]
pub(super) struct Ending {
    kill_at: Moment,
    is_killing: bool,
}

impl Ending {
    /// Asks every app to stop.
    pub(super) fn begin(table: &Table) -> Self {
        for process in processes(table) {
            let _gone = process.signal_group(libc::SIGTERM);
        }
        Self { kill_at: os::now().after(STOP_PATIENCE), is_killing: false }
    }

    /// Continues; true when no managed process is left, or nothing can be done about the rest.
    pub(super) fn is_over(&mut self, table: &Table) -> bool {
        let now = os::now();
        if !self.is_killing && (now >= self.kill_at || processes(table).next().is_none()) {
            self.is_killing = true;
            self.kill_at = now.after(KILL_PATIENCE);
        }
        if !self.is_killing {
            return false;
        }
        for process in processes(table) {
            let _gone = process.signal_group(libc::SIGKILL);
        }
        // Whatever the apps left behind, however it daemonized, has become a child of this process.
        let children = os::children_of(os::own_pid());
        for pid in &children {
            let _gone = os::signal_child(*pid, libc::SIGKILL);
        }
        (children.is_empty() && processes(table).next().is_none()) || now >= self.kill_at
    }
}

/// The living main processes of the table, each of them provably the one that its row means.
fn processes(table: &Table) -> impl Iterator<Item = PidFd> {
    table.rows().filter_map(process_of).filter(|process| !process.has_exited())
}

fn process_of(row: Row) -> Option<PidFd> {
    let pid = row.pid().filter(|_| matches!(row.state(), RowState::Spawning | RowState::Running))?;
    match row.start_ticks() {
        Some(ticks) => PidFd::open_verified(pid, ticks).ok(),
        // Not known yet: it is ours if it is a child of this process, which has not been reaped as long as the row says so.
        None => os::proc_stat(pid).ok().filter(|stat| stat.ppid == os::own_pid()).and_then(|_| PidFd::open(pid).ok()),
    }
}
