//! What ended instances have left running: found, ended with them, and named where it cannot be said whose it is.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Processes, has_process, verified};
use crate::anchor::Row;
use crate::model::{LeftProcess, Millis};
use crate::os::{self, Leftover, Seen};
use crate::rules::{self, Owner, Parent, ProcessFacts, RowFacts, StartMark};
use crate::supervisor::host::SIGKILL;

/// Processes that are named in one fact.
const NAMED_MAX: usize = 20;
/// How often a shutdown looks for what is left, each time for as long as that takes to die.
const LAST_LOOKS: usize = 20;

/// What one look has found, or the last ones.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// By row: what is to be ended.
    leftovers: BTreeMap<u32, Vec<Leftover>>,
    /// By row: what may be of it, and may be of others that live.
    unclear: BTreeMap<u32, Vec<LeftProcess>>,
}

impl Left {
    /// What the last sweep has found of a row.
    pub fn of(&self, row: u32) -> &[Leftover] {
        self.leftovers.get(&row).map_or(&[], Vec::as_slice)
    }

    pub fn forget(&mut self, row: u32) {
        self.leftovers.remove(&row);
        self.unclear.remove(&row);
    }
}

impl Processes {
    /// One look at the children of the anchor for all instances that have just ended: how many processes each has left.
    pub fn sweep(&mut self, rows: &BTreeSet<u32>) -> Vec<(u32, u32)> {
        let mut found = self.look(rows);
        // A process that hops from parent to parent can slip through one look; what was seen once is looked for twice.
        let is_missing = |row| self.left.leftovers.contains_key(row) && !found.leftovers.contains_key(row);
        if rows.iter().any(is_missing) {
            found = self.look(rows);
        }
        let note = |row: &u32| {
            let leftovers = found.leftovers.remove(row).unwrap_or_default();
            let left = u32::try_from(leftovers.len()).unwrap_or(u32::MAX);
            self.note_left(*row, leftovers, found.unclear.remove(row));
            (*row, left)
        };
        rows.iter().map(note).collect()
    }

    /// What may have been left by an instance, and may be of others that live.
    pub fn unclear(&self, row: u32) -> Vec<LeftProcess> {
        self.left.unclear.get(&row).cloned().unwrap_or_default()
    }

    fn note_left(&mut self, row: u32, leftovers: Vec<Leftover>, unclear: Option<Vec<LeftProcess>>) {
        // What could not be told apart once does not become another one's because this one has a younger process now.
        let mut unclear = unclear.unwrap_or_default();
        let before = self.left.unclear.remove(&row).unwrap_or_default();
        let anchor = self.world.table.anchor_pid();
        let is_new = |process: &LeftProcess| !unclear.contains(process) && is_child_of(anchor, process);
        let kept: Vec<LeftProcess> = before.into_iter().filter(is_new).take(NAMED_MAX).collect();
        unclear.extend(kept);
        if !unclear.is_empty() {
            self.left.unclear.insert(row, unclear);
        }
        if !leftovers.is_empty() {
            self.left.leftovers.insert(row, leftovers);
            return;
        }
        self.left.leftovers.remove(&row);
        if let Some(groups) = self.groups_of(row) {
            groups.remove(row);
        }
    }

    fn look(&self, rows: &BTreeSet<u32>) -> Left {
        let mut left = Left::default();
        let mut seen = self.unknown_children();
        if self.is_lineage_broken(rows) {
            seen.extend(self.orphans(rows));
        }
        if !seen.is_empty() {
            self.attribute(&seen, rows, &mut left);
        }
        for row in rows {
            let members = self.groups_of(*row).map(|groups| groups.members(*row)).unwrap_or_default();
            if members.is_empty() {
                continue;
            }
            let found = left.leftovers.entry(*row).or_default();
            let known: HashSet<u32> = found.iter().map(|leftover| leftover.process.pid()).collect();
            found.extend(members.into_iter().filter(|member| !known.contains(&member.process.pid())));
        }
        left
    }

    /// Sorts what was seen by its owner; opens what is to be ended, with everything below it.
    fn attribute(&self, seen: &[(Seen, Parent)], rows: &BTreeSet<u32>, left: &mut Left) {
        let home = self.world.table.home_id();
        let facts: Vec<ProcessFacts> = seen.iter().map(|(seen, parent)| facts_of(home, seen, *parent)).collect();
        let owners = rules::owners(&facts, &self.row_facts(rows));
        let mut roots = Vec::new();
        for ((seen, _), owner) in seen.iter().zip(owners) {
            match owner {
                Owner::Row(row) if rows.contains(&row) => roots.push((row, seen.stat)),
                // Ended together with whatever ends now.
                Owner::Nobody => roots.extend(rows.first().map(|row| (*row, seen.stat))),
                Owner::OneOf(candidates) => {
                    for row in candidates.into_iter().filter(|row| rows.contains(row)) {
                        left.unclear.entry(row).or_default().push(named(seen));
                    }
                }
                Owner::Row(_) | Owner::Stranger => {}
            }
        }
        for leftover in os::open_leftovers(&roots) {
            left.leftovers.entry(leftover.row).or_default().push(leftover);
        }
        left.unclear.values_mut().for_each(|processes| processes.truncate(NAMED_MAX));
    }

    /// Children of the anchor that are neither the main process of an instance nor about to be one.
    pub(super) fn unknown_children(&self) -> Vec<(Seen, Parent)> {
        let mut known: HashSet<u32> = self.main_pids().collect();
        known.insert(os::own_pid());
        let mut seen = os::unknown_children(self.world.table.anchor_pid(), &self.world.home.root, &known);
        if !seen.is_empty() {
            // Asked after the look: the kernel has written the number of whatever was there by then.
            let starting: HashSet<u32> =
                self.world.table.rows().filter(|row| has_process(*row)).filter_map(Row::pid).collect();
            seen.retain(|seen| !starting.contains(&seen.stat.pid));
        }
        seen.into_iter().map(|seen| (seen, Parent::Anchor)).collect()
    }

    /// What an anchor that died has left to others, as far as it carries our mark, lives in the session of one of these
    /// rows or writes into its output.
    fn orphans(&self, rows: &BTreeSet<u32>) -> Vec<(Seen, Parent)> {
        let table = &self.world.table;
        let reapers = self.reapers();
        let mut known: HashSet<u32> = self.main_pids().collect();
        known.extend([os::own_pid(), table.anchor_pid()]);
        let prefix = StartMark::prefix(table.home_id());
        let mut orphans = os::processes_of_home(&prefix, &self.world.home.root);
        // `PM_HOME` alone proves nothing: a person may have set it.
        let is_marked = |seen: &Seen| seen.mark.as_ref().is_some_and(|mark| mark.starts_with(&prefix));
        orphans.retain(|seen| is_marked(seen) && reapers.contains(&seen.stat.ppid) && !known.contains(&seen.stat.pid));
        known.extend(orphans.iter().map(|seen| seen.stat.pid));
        let swept = || rows.iter().filter_map(|row| table.row(*row));
        let sessions: HashSet<u32> = swept().filter_map(Row::pid).collect();
        let outputs: HashSet<u64> = swept().flat_map(Row::outputs).filter(|pipe| *pipe != 0).collect();
        for reaper in reapers {
            orphans.extend(os::linked_children(reaper, &self.world.home.root, &known, &sessions, &outputs));
        }
        orphans.into_iter().map(|seen| (seen, Parent::Reaper)).collect()
    }

    /// What lives, and these.
    fn row_facts(&self, rows: &BTreeSet<u32>) -> Vec<RowFacts> {
        let hosted = self.hosted.iter().filter_map(|(row, hosted)| Some((self.world.table.row(*row)?, hosted)));
        let hosted = hosted.filter(|(row, _)| rows.contains(&row.index()) || has_process(*row));
        let facts = |(row, hosted): (Row, &super::Hosted)| RowFacts {
            row: row.index(),
            incarnation: row.incarnation(),
            start: row.started().0,
            pid: row.pid().unwrap_or(0),
            start_ticks: row.start_ticks().unwrap_or(0),
            outputs: row.outputs(),
            is_alive: !rows.contains(&row.index()) && has_process(row),
            is_pid_proven: hosted.was_seen_alive,
        };
        hosted.map(facts).collect()
    }

    fn main_pids(&self) -> impl Iterator<Item = u32> {
        self.hosted.values().filter_map(|hosted| hosted.main.as_ref()).map(os::PidFd::pid)
    }

    /// Hooks that the last daemon was running when it died: whatever they were for is asked for again.
    pub fn end_orphaned_hooks(&self) {
        let (children, home) = (self.unknown_children(), self.world.table.home_id());
        let hooks = children
            .iter()
            .filter(|(seen, parent)| facts_of(home, seen, *parent).mark.is_some_and(|mark| mark.is_helper));
        let roots: Vec<_> = hooks.map(|(seen, _)| (0, seen.stat)).collect();
        for orphan in os::open_leftovers(&roots) {
            let _ = orphan.process.signal(SIGKILL);
        }
    }

    /// For a shutdown, when no instance lives any more: ends everything that provably is of this home. Returns what it
    /// could not end.
    pub fn end_everything(&self) -> Vec<LeftProcess> {
        let none = BTreeSet::new();
        for _ in 0..LAST_LOOKS {
            let mut seen = self.unknown_children();
            if self.world.table.is_replacement() || self.lineage.is_anchor_gone {
                seen.extend(self.orphans(&none));
            }
            seen.retain(|(seen, _)| !seen.is_our_program);
            let is_unlisted = |row: &Row| has_process(*row) && !self.hosted.contains_key(&row.index());
            let unlisted = self.world.table.rows().filter(is_unlisted);
            let unlisted = unlisted.filter_map(|row| os::proc_stat(verified(row)?.pid()).ok());
            let roots: Vec<_> = seen.iter().map(|(seen, _)| seen.stat).chain(unlisted).map(|stat| (0, stat)).collect();
            if roots.is_empty() {
                return Vec::new();
            }
            let leftovers = os::open_leftovers(&roots);
            for leftover in &leftovers {
                let _ = leftover.process.signal(SIGKILL);
            }
            for leftover in &leftovers {
                leftover.process.exits_within(Millis(50));
            }
        }
        self.unknown_children().iter().map(|(seen, _)| named(seen)).take(NAMED_MAX).collect()
    }
}

fn named(seen: &Seen) -> LeftProcess {
    LeftProcess { pid: seen.stat.pid, name: os::process_name(seen.stat.pid) }
}

/// `home`: whose marks count.
pub(super) fn facts_of(home: u64, seen: &Seen, parent: Parent) -> ProcessFacts {
    let mark = seen.mark.as_ref().and_then(|mark| mark.parse().ok());
    let mark = mark.filter(|mark: &StartMark| mark.home == home);
    ProcessFacts {
        pid: seen.stat.pid,
        parent,
        session: seen.stat.session,
        start_ticks: seen.stat.start_ticks,
        started: os::moment_of_ticks(seen.stat.start_ticks),
        is_foreign: mark.is_none() && (seen.is_of_home || seen.is_our_program),
        mark,
        outputs: seen.outputs,
    }
}

fn is_child_of(anchor: u32, process: &LeftProcess) -> bool {
    os::proc_stat(process.pid).is_ok_and(|stat| stat.ppid == anchor && !stat.is_zombie)
}
