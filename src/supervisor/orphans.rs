//! Processes whose anchor died: nobody writes into their row how they end.

use super::member::Member;
use super::run::{Loop, token};
use crate::model::{Exit, Millis};
use crate::os;

/// How long the exit status of an orphan is waited for: until whoever has inherited it reaps it.
const REAPING_MAX: Millis = Millis(1000);

impl Loop {
    /// A process whose anchor died is no child of the present one, which will never hear of its end.
    pub(super) fn is_orphan(&self, row: u32) -> bool {
        self.is_anchor_gone() || self.orphans.contains(&row)
    }

    /// Nobody writes the status of an orphan into its row. The kernel tells it, of an app that runs as another user perhaps
    /// only when the stranger who is its parent by now has reaped it; who is not reaped in time has ended in an unknown way.
    pub(super) fn orphan_ended(&mut self, row: u32) {
        let Some(member) = self.roster.get(row) else { return };
        let exit = exit_of_orphan(member);
        if exit.is_none()
            && let Some(process) = &member.process
        {
            let now = os::now();
            let until = *self.unreaped.entry(row).or_insert(now.after(REAPING_MAX));
            let token = token(row, member.machine.incarnation);
            if now < until && !process.is_reaped() && self.exits.await_reaping(process, token).is_ok() {
                return;
            }
        }
        // Reaped between the questions, perhaps.
        let exit = exit.or_else(|| exit_of_orphan(member)).unwrap_or(Exit::Unknown);
        let _ = member.row.exited_unseen(exit);
        self.exited(row, exit);
    }

    pub(super) fn give_up_on_reaping(&mut self) {
        let now = os::now();
        let due: Vec<u32> = self.unreaped.iter().filter(|(_, until)| **until <= now).map(|(row, _)| *row).collect();
        for row in due {
            self.orphan_ended(row);
        }
    }
}

/// How an orphan has ended: as long as it waits to be reaped, and (since Linux 6.15) after that.
fn exit_of_orphan(member: &Member) -> Option<Exit> {
    let process = member.process.as_ref()?;
    process.exit_info().or_else(|| os::exit_of_zombie(process.pid(), member.row.start_ticks()?))
}
