//! Signals: to the main process, and to everything of an instance that is known.

use super::Processes;
use crate::os;
use crate::supervisor::host::{SIGCONT, SIGKILL};

impl Processes {
    /// Only the main process. It may have ended this very moment; then its exit is on its way.
    pub fn signal(&self, row: u32, signal: i32) {
        if let Some(process) = self.main(row) {
            let _ = process.signal(signal);
            // A suspended process could not act on it.
            if signal != SIGKILL {
                let _ = process.signal(SIGCONT);
            }
        }
    }

    /// Signals the main process with its group, what left the group, and what the last sweep found. Suspended ones go on,
    /// since they could not act on it otherwise.
    /// Returns how many processes were reached one by one.
    pub fn signal_tree(&self, row: u32, signal: i32, has_asked_group: bool) -> u32 {
        let mut reached = 0;
        let follow_up = (signal != SIGKILL).then_some(SIGCONT);
        let signals = || std::iter::once(signal).chain(follow_up);
        if let Some(process) = self.main(row) {
            let below = os::descendants(row, process.pid());
            let has_group = process.signal_group(signal).is_ok();
            if has_group {
                let _ = follow_up.map(|signal| process.signal_group(signal));
            } else {
                signals().for_each(|signal| drop(process.signal(signal)));
            }
            reached += 1;
            for other in below {
                if !has_group || other.group != process.pid() {
                    signals().for_each(|signal| drop(other.process.signal(signal)));
                }
                reached += 1;
            }
        }
        // What stayed in the group of a process that was asked to end has got the signal together with it.
        let pid = || self.world.table.row(row).and_then(crate::anchor::Row::pid);
        let asked_group = if has_asked_group && signal != SIGKILL { pid() } else { None };
        for leftover in self.left.of(row) {
            if asked_group != Some(leftover.group) {
                signals().for_each(|signal| drop(leftover.process.signal(signal)));
                reached += 1;
            }
        }
        reached
    }

    /// SIGKILL for all of them; how many that reached.
    pub fn kill_tree(&self, row: u32) -> u32 {
        let in_group = self.groups_of(row).map(|groups| (groups.members(row).len(), groups.kill(row)));
        let processes = self.signal_tree(row, SIGKILL, false);
        match in_group {
            Some((members, true)) => processes.max(u32::try_from(members).unwrap_or(u32::MAX)),
            _ => processes,
        }
    }
}
