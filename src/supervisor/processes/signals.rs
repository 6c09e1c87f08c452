//! Signals: to the main process, and to everything of an instance that is known.

use std::collections::HashSet;

use super::Processes;
use crate::os::{self, PidFd};
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
    pub fn signal_tree(&mut self, row: u32, signal: i32, has_asked_group: bool) -> u32 {
        let follow_up = (signal != SIGKILL).then_some(SIGCONT);
        let signals = || std::iter::once(signal).chain(follow_up);
        let former = former_main(self, row);
        let mut reached = HashSet::new();
        let mut group = None;
        for process in former.iter().chain(self.main(row)) {
            let below = os::descendants(row, process.pid());
            // A successor does not lead the group that it is in.
            let is_leader = group.is_none() && process.signal_group(signal).is_ok();
            if is_leader {
                let _ = follow_up.map(|signal| process.signal_group(signal));
                group = Some(process.pid());
            }
            let is_in_group = is_leader || group.is_some() && group_of(process) == group;
            if reached.insert(process.pid()) && !is_in_group {
                signals().for_each(|signal| drop(process.signal(signal)));
            }
            for other in below {
                if reached.insert(other.process.pid()) && group != Some(other.group) {
                    signals().for_each(|signal| drop(other.process.signal(signal)));
                }
            }
        }
        // What stayed in the group of a process that was asked to end has got the signal together with it.
        let asked_group = if has_asked_group && signal != SIGKILL { asked_group(self, row) } else { None };
        let mut count = reached.len();
        for leftover in self.left.of(row) {
            if asked_group != Some(leftover.group) {
                signals().for_each(|signal| drop(leftover.process.signal(signal)));
                count += 1;
            }
        }
        if let Some(hosted) = self.hosted.get_mut(&row) {
            hosted.asked_group = group.or(hosted.asked_group);
        }
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// SIGKILL for all of them; how many that reached.
    pub fn kill_tree(&mut self, row: u32) -> u32 {
        let in_group = self.groups_of(row).map(|groups| (groups.members(row).len(), groups.kill(row)));
        let processes = self.signal_tree(row, SIGKILL, false);
        match in_group {
            Some((members, true)) => processes.max(u32::try_from(members).unwrap_or(u32::MAX)),
            _ => processes,
        }
    }
}

fn group_of(process: &PidFd) -> Option<u32> {
    os::proc_stat(process.pid()).ok().map(|stat| stat.pgrp)
}

/// The process that the main one has succeeded (`MAINPID=`), while it lives.
fn former_main(processes: &Processes, row: u32) -> Option<PidFd> {
    let (first, ticks) = processes.world.table.row(row)?.first_process();
    let is_former = processes.main(row).is_some_and(|main| main.pid() != first);
    if is_former { PidFd::open_verified(first, ticks).ok() } else { None }
}

/// The group that was signalled when the instance was asked to end. What an earlier daemon did is known by the entry.
fn asked_group(processes: &Processes, row: u32) -> Option<u32> {
    let entry = processes.world.table.row(row)?;
    let known = processes.hosted.get(&row).and_then(|hosted| hosted.asked_group);
    known.or_else(|| entry.pid().filter(|pid| *pid == entry.first_process().0))
}
