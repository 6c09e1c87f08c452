//! Whose children processes are: those of an anchor that died have another parent, and nobody writes into their row how
//! they end.

use std::collections::{BTreeMap, BTreeSet};

use super::{Processes, is_started_before};
use crate::anchor::Row;
use crate::model::{Exit, Millis, Moment};
use crate::os;
use crate::supervisor::host::token;

/// How long the exit status of an orphan is waited for: until whoever has inherited it reaps it.
const REAPING_MAX: Millis = Millis(1000);

/// What is known of processes whose anchor died.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Lineage {
    pub is_anchor_gone: bool,
    /// Rows whose process is the child of an anchor that died.
    pub orphans: BTreeSet<u32>,
    /// Rows whose earlier processes ran under an anchor that died.
    pub out_of_sight: BTreeSet<u32>,
    /// Orphans that ended and were not reaped yet: when their exit status is given up.
    unreaped: BTreeMap<u32, (Moment, u32)>,
    /// Who has inherited the children of an anchor that died.
    pub reapers: BTreeSet<u32>,
}

impl Lineage {
    /// The process of a row has ended, and how is known.
    pub fn ended(&mut self, row: u32) {
        self.orphans.remove(&row);
        self.unreaped.remove(&row);
    }

    /// The row has another main process, which may be the child of another one of its app: the anchor does not hear of its
    /// end then.
    pub fn succeeded(&mut self, row: u32) {
        self.orphans.insert(row);
        self.unreaped.remove(&row);
    }

    pub fn forget(&mut self, row: u32) {
        self.out_of_sight.remove(&row);
    }

    /// When the first exit status is given up.
    pub fn next_alarm(&self) -> Option<Moment> {
        self.unreaped.values().map(|(until, _)| *until).min()
    }

    /// Rows and incarnations whose exit status is given up by now.
    pub fn due(&self, now: Moment) -> Vec<(u32, u32)> {
        let due = self.unreaped.iter().filter(|(_, (until, _))| *until <= now);
        due.map(|(row, (_, incarnation))| (*row, *incarnation)).collect()
    }
}

impl Processes {
    /// A process whose anchor died is no child of the present one, which will never hear of its end.
    pub fn is_orphan(&self, row: u32) -> bool {
        self.lineage.is_anchor_gone || self.lineage.orphans.contains(&row)
    }

    /// Nobody writes the status of an orphan into its row. The kernel tells it, of an app that runs as another user perhaps
    /// only when the stranger who is its parent by now has reaped it; who is not reaped in time has ended in an unknown way.
    pub fn orphan_exit(&mut self, row: u32, incarnation: u32) -> Option<Exit> {
        let entry = self.world.table.row(row)?;
        if self.main(row).is_some_and(|process| !process.has_exited()) {
            // That was the end of the one before.
            return None;
        }
        let exit = self.exit_of_orphan(entry);
        if exit.is_none()
            && let Some(process) = self.hosted.get(&row).and_then(|hosted| hosted.main.as_ref())
        {
            let now = os::now();
            let (until, _) = *self.lineage.unreaped.entry(row).or_insert((now.after(REAPING_MAX), incarnation));
            let token = token(row, incarnation);
            if now < until && !process.is_reaped() && self.exits.await_reaping(process, token).is_ok() {
                return None;
            }
        }
        // Reaped between the questions, perhaps.
        let exit = exit.or_else(|| self.exit_of_orphan(entry)).unwrap_or(Exit::Unknown);
        let _ = entry.exited_unseen(exit);
        Some(exit)
    }

    /// How an orphan has ended: as long as it waits to be reaped, and (since Linux 6.15) after that.
    fn exit_of_orphan(&self, row: Row) -> Option<Exit> {
        let process = self.main(row.index())?;
        process.exit_info().or_else(|| os::exit_of_zombie(process.pid(), row.start_ticks()?))
    }

    /// Who is not the anchor's child any more is another one's.
    pub(super) fn note_parent(&mut self, row: u32, pid: u32) {
        if let Some(reaper) = foreign_parent(pid, self.world.table.anchor_pid()) {
            self.lineage.orphans.insert(row);
            self.lineage.reapers.insert(reaper);
        }
    }

    /// Of a row that an earlier daemon has left. After the unclean end of an anchor its earlier processes may have run
    /// under that one; an anchor that ended as it should has left nothing.
    pub(super) fn note_sight(&mut self, row: Row) {
        let table = &self.world.table;
        let may_be_older = row.incarnation() > 1 || is_started_before(row, table.anchor_born());
        if table.is_replacement() && may_be_older {
            self.lineage.out_of_sight.insert(row.index());
        }
    }

    /// Whether something of these rows may be out of the sight of the present anchor: it was started under another one.
    pub(super) fn is_lineage_broken(&self, rows: &BTreeSet<u32>) -> bool {
        let table = &self.world.table;
        let is_older = |row: &u32| table.row(*row).is_some_and(|row| is_started_before(row, table.anchor_born()));
        self.lineage.is_anchor_gone || table.is_replacement() && rows.iter().any(is_older)
    }

    /// Whether a process of this row may live that nobody can find: when an anchor dies, whoever inherits its children has
    /// others, too.
    pub fn has_lost_sight(&self, row: u32) -> bool {
        self.lineage.out_of_sight.contains(&row) || self.is_lineage_broken(&BTreeSet::from([row]))
    }

    /// Who inherits what an anchor leaves behind.
    pub(super) fn reapers(&self) -> BTreeSet<u32> {
        let of_anchor = os::proc_stat(self.world.table.anchor_pid()).ok().map(|stat| stat.ppid);
        let mut reapers: BTreeSet<u32> = self.lineage.reapers.iter().copied().chain(of_anchor).chain([1]).collect();
        if self.lineage.is_anchor_gone {
            reapers.insert(os::parent_pid());
        }
        reapers
    }
}

/// The parent, if it is somebody else's child. One that is gone by now was reaped, and so was the anchor's.
fn foreign_parent(pid: u32, anchor: u32) -> Option<u32> {
    os::proc_stat(pid).ok().map(|stat| stat.ppid).filter(|parent| *parent != anchor)
}
