//! What ended instances have left running: looked for, kept until it is ended, and named where it cannot be said whose it is.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::Processes;
use super::search::{Left, NAMED_MAX, facts_of};
use crate::model::LeftProcess;
use crate::os::{self, ElasticPool, Leftover};
use crate::supervisor::host::{SIGKILL, SweepEnd};

/// One for sweeps, and one for the last search of a shutdown: a sweep that hangs must not keep that waiting.
const THREADS_MAX: usize = 2;

/// Searches on their way: one at a time, and the rows that came meanwhile share the next one.
#[derive(Debug)]
pub(super) struct Sweeps {
    threads: ElasticPool,
    is_under_way: bool,
    waiting: BTreeSet<u32>,
    ended_in: UnboundedSender<SearchResult>,
}

/// What a look has found, for the rows that it was begun for.
#[derive(Debug)]
pub(in crate::supervisor) struct SearchResult {
    /// With the number of the process that had ended.
    rows: Vec<(u32, u32)>,
    left: Left,
}

impl Sweeps {
    pub fn new(ended_in: UnboundedSender<SearchResult>) -> Self {
        let threads = ElasticPool::new("pm-search", THREADS_MAX, THREADS_MAX);
        Self { threads, is_under_way: false, waiting: BTreeSet::new(), ended_in }
    }
}

impl Processes {
    /// Looks what instances that have just ended have left. Where nothing can be left that is known at once, and returned:
    /// how many processes of each row. All else is looked up elsewhere, and comes back as a [`SearchResult`].
    pub fn sweep(&mut self, rows: &BTreeSet<u32>) -> Vec<(u32, u32)> {
        if self.is_over_at_once(rows) {
            return rows.iter().map(|row| (*row, self.note_left(*row, Vec::new(), None))).collect();
        }
        if self.sweeps.is_under_way {
            self.sweeps.waiting.extend(rows);
            return Vec::new();
        }
        let search = self.search_for(rows.clone());
        let number = |row: &u32| (*row, self.world.table.row(*row).map_or(0, crate::anchor::Row::incarnation));
        let rows: Vec<(u32, u32)> = rows.iter().map(number).collect();
        let (ended_in, names) = (self.sweeps.ended_in.clone(), rows.clone());
        // The loop is gone only when the daemon leaves.
        let work = move || drop(ended_in.send(SearchResult { rows: names, left: search.carry_out() }));
        self.sweeps.is_under_way = self.sweeps.threads.submit(Box::new(work)).is_ok();
        if self.sweeps.is_under_way {
            return Vec::new();
        }
        // No thread can be had: this one takes the time.
        let rows: BTreeSet<u32> = rows.into_iter().map(|(row, _)| row).collect();
        let left = self.search_for(rows.clone()).carry_out();
        self.note_all(rows, left)
    }

    /// Takes in what a look has found, and begins the next one.
    pub fn take_in_search(&mut self, result: SearchResult) -> Vec<SweepEnd> {
        self.sweeps.is_under_way = false;
        let SearchResult { rows, left } = result;
        let known = rows.into_iter().filter(|(row, _)| self.hosted.contains_key(row));
        let numbers: BTreeMap<u32, u32> = known.collect();
        let mut ends: Vec<(u32, u32)> = self.note_all(numbers.keys().copied().collect(), left);
        let waiting = std::mem::take(&mut self.sweeps.waiting);
        if !waiting.is_empty() {
            ends.extend(self.sweep(&waiting));
        }
        let number = |row| self.world.table.row(row).map_or(0, crate::anchor::Row::incarnation);
        let ends = ends.into_iter().map(|(row, left)| SweepEnd {
            row,
            incarnation: numbers.get(&row).copied().unwrap_or_else(|| number(row)),
            left,
        });
        ends.collect()
    }

    /// Carries the last search of a shutdown out. No answer: no thread can be had.
    pub fn end_everything(&self, reply: oneshot::Sender<Vec<LeftProcess>>) {
        let search = self.last_search();
        let _ = self.sweeps.threads.submit(Box::new(move || drop(reply.send(search.end_everything()))));
    }

    /// What may have been left by an instance, and may be of others that live.
    pub fn unclear(&self, row: u32) -> Vec<LeftProcess> {
        self.left.unclear.get(&row).cloned().unwrap_or_default()
    }

    fn note_all(&mut self, rows: BTreeSet<u32>, mut found: Left) -> Vec<(u32, u32)> {
        let note = |row| {
            let leftovers = found.leftovers.remove(&row).unwrap_or_default();
            (row, self.note_left(row, leftovers, found.unclear.remove(&row)))
        };
        rows.into_iter().map(note).collect()
    }

    /// How many processes are to be ended.
    fn note_left(&mut self, row: u32, leftovers: Vec<Leftover>, unclear: Option<Vec<LeftProcess>>) -> u32 {
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
            let count = u32::try_from(leftovers.len()).unwrap_or(u32::MAX);
            self.left.leftovers.insert(row, leftovers);
            return count;
        }
        self.left.leftovers.remove(&row);
        if let Some(groups) = self.groups_of(row) {
            groups.remove(row);
        }
        0
    }

    /// Hooks that the last daemon was running when it died: whatever they were for is asked for again.
    pub fn end_orphaned_hooks(&self) {
        let (children, home) = (self.search_for(BTreeSet::new()).unknown_children(), self.world.table.home_id());
        let hooks = children
            .iter()
            .filter(|(seen, parent)| facts_of(home, seen, *parent).mark.is_some_and(|mark| mark.is_helper));
        let roots: Vec<_> = hooks.map(|(seen, _)| (0, seen.stat)).collect();
        for orphan in os::open_leftovers(&roots) {
            let _ = orphan.process.signal(SIGKILL);
        }
    }
}

fn is_child_of(anchor: u32, process: &LeftProcess) -> bool {
    os::proc_stat(process.pid).is_ok_and(|stat| stat.ppid == anchor && !stat.is_zombie)
}
