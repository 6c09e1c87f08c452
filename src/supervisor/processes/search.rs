//! One look at what ended instances may have left. It needs nobody while it goes on: what it has to know was taken along,
//! since to read about a process that hangs may take as long as it hangs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::{Processes, has_process, verified};
use crate::anchor::Row;
use crate::model::{LeftProcess, Millis};
use crate::os::{self, Leftover, Seen};
use crate::rules::{self, Owner, Parent, ProcessFacts, RowFacts, StartMark};
use crate::supervisor::host::SIGKILL;
use crate::supervisor::world::World;

/// Processes that are named in one fact.
pub(super) const NAMED_MAX: usize = 20;
/// How often a shutdown looks for what is left, each time for as long as that takes to die.
const LAST_LOOKS: usize = 20;

/// What one look has found, or the last ones.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Left {
    /// By row: what is to be ended.
    pub leftovers: BTreeMap<u32, Vec<Leftover>>,
    /// By row: what may be of it, and may be of others that live.
    pub unclear: BTreeMap<u32, Vec<LeftProcess>>,
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

/// What is looked for, and what is known beforehand.
#[derive(Debug)]
pub(super) struct Search {
    world: Arc<World>,
    /// Whose main processes have ended.
    pub rows: BTreeSet<u32>,
    /// Those of them of which something was left at the last look.
    had_left: Vec<u32>,
    /// Those of them with a control group.
    grouped: Vec<u32>,
    /// Every instance, and whether this daemon has held its main process.
    hosted: Vec<(u32, bool)>,
    /// All main processes.
    mains: HashSet<u32>,
    /// Who may have inherited processes of ours: an anchor has died.
    reapers: Option<BTreeSet<u32>>,
}

impl Processes {
    /// A look for these rows, to be carried out anywhere.
    pub(super) fn search_for(&self, rows: BTreeSet<u32>) -> Search {
        let filtered = |is_it: &dyn Fn(u32) -> bool| rows.iter().copied().filter(|row| is_it(*row)).collect();
        Search {
            world: Arc::clone(&self.world),
            had_left: filtered(&|row| !self.left.of(row).is_empty()),
            grouped: filtered(&|row| self.groups_of(row).is_some()),
            hosted: self.hosted.iter().map(|(row, hosted)| (*row, hosted.was_seen_alive)).collect(),
            mains: self.mains.clone(),
            reapers: self.is_lineage_broken(&rows).then(|| self.reapers()),
            rows,
        }
    }

    /// Whether these rows can have left nothing, since every living child of the anchor is a main process. Reads nothing
    /// that could hang.
    pub(super) fn is_over_at_once(&self, rows: &BTreeSet<u32>) -> bool {
        let may_be_elsewhere = |row: &u32| !self.left.of(*row).is_empty() || self.groups_of(*row).is_some();
        if self.is_lineage_broken(rows) || rows.iter().any(may_be_elsewhere) {
            return false;
        }
        let is_main = |pid: &u32| self.mains.contains(pid) || *pid == os::own_pid();
        let mut unknown = os::children_of(self.world.table.anchor_pid());
        unknown.retain(|pid| !is_main(pid));
        if unknown.is_empty() {
            return true;
        }
        // Asked after the look, as below.
        let starting = starting(&self.world);
        let is_alive = |pid: u32| os::proc_stat(pid).is_ok_and(|stat| !stat.is_zombie);
        !unknown.into_iter().filter(|pid| !starting.contains(pid)).any(is_alive)
    }

    /// The last look of a shutdown, when no instance lives any more.
    pub fn last_search(&self) -> LastSearch {
        let is_orphaned = self.world.table.is_replacement() || self.lineage.is_anchor_gone;
        let search = self.search_for(BTreeSet::new());
        LastSearch(Search { reapers: is_orphaned.then(|| self.reapers()), ..search })
    }
}

impl Search {
    /// Looks, as often as it takes.
    pub(super) fn carry_out(&self) -> Left {
        let found = self.once();
        // A process that hops from parent to parent can slip through one look; what was seen once is looked for twice.
        if self.had_left.iter().any(|row| found.of(*row).is_empty()) { self.once() } else { found }
    }

    fn once(&self) -> Left {
        let mut left = Left::default();
        let mut seen = self.unknown_children();
        if let Some(reapers) = &self.reapers {
            seen.extend(self.orphans(reapers));
        }
        if !seen.is_empty() {
            self.attribute(&seen, &mut left);
        }
        for row in &self.grouped {
            let members = self.world.groups().map(|groups| groups.members(*row)).unwrap_or_default();
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
    fn attribute(&self, seen: &[(Seen, Parent)], left: &mut Left) {
        let home = self.world.table.home_id();
        let facts: Vec<ProcessFacts> = seen.iter().map(|(seen, parent)| facts_of(home, seen, *parent)).collect();
        let owners = rules::owners(&facts, &self.row_facts());
        let mut roots = Vec::new();
        for ((seen, _), owner) in seen.iter().zip(owners) {
            match owner {
                Owner::Row(row) if self.rows.contains(&row) => roots.push((row, seen.stat)),
                // Ended together with whatever ends now.
                Owner::Nobody => roots.extend(self.rows.first().map(|row| (*row, seen.stat))),
                Owner::OneOf(candidates) => {
                    for row in candidates.into_iter().filter(|row| self.rows.contains(row)) {
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
        let mut known = self.mains.clone();
        known.insert(os::own_pid());
        let mut seen = os::unknown_children(self.world.table.anchor_pid(), &self.world.home.root, &known);
        if !seen.is_empty() {
            // Asked after the look: the kernel has written the number of whatever was there by then.
            let starting = starting(&self.world);
            seen.retain(|seen| !starting.contains(&seen.stat.pid));
        }
        seen.into_iter().map(|seen| (seen, Parent::Anchor)).collect()
    }

    /// What an anchor that died has left to others, as far as it carries our mark, lives in the session of one of these
    /// rows or writes into its output.
    fn orphans(&self, reapers: &BTreeSet<u32>) -> Vec<(Seen, Parent)> {
        let table = &self.world.table;
        let mut known = self.mains.clone();
        known.extend([os::own_pid(), table.anchor_pid()]);
        let prefix = StartMark::prefix(table.home_id());
        let mut orphans = os::processes_of_home(&prefix, &self.world.home.root, &known);
        // `PM_HOME` alone proves nothing: a person may have set it.
        let is_marked = |seen: &Seen| seen.mark.as_ref().is_some_and(|mark| mark.starts_with(&prefix));
        orphans.retain(|seen| is_marked(seen) && reapers.contains(&seen.stat.ppid));
        known.extend(orphans.iter().map(|seen| seen.stat.pid));
        let swept = || self.rows.iter().filter_map(|row| table.row(*row));
        let sessions: HashSet<u32> = swept().map(|row| row.first_process().0).filter(|pid| *pid != 0).collect();
        let outputs: HashSet<u64> = swept().flat_map(Row::outputs).filter(|pipe| *pipe != 0).collect();
        for reaper in reapers {
            orphans.extend(os::linked_children(*reaper, &self.world.home.root, &known, &sessions, &outputs));
        }
        // Another start may have come to its process since the look was begun.
        let starting = starting(&self.world);
        let orphans = orphans.into_iter().filter(|seen| !starting.contains(&seen.stat.pid));
        orphans.map(|seen| (seen, Parent::Reaper)).collect()
    }

    /// What lives, and these rows.
    fn row_facts(&self) -> Vec<RowFacts> {
        let hosted = self.hosted.iter().filter_map(|(row, was_seen)| Some((self.world.table.row(*row)?, *was_seen)));
        let hosted = hosted.filter(|(row, _)| self.rows.contains(&row.index()) || has_process(*row));
        let facts = |(row, is_pid_proven): (Row, bool)| {
            let (pid, start_ticks) = row.first_process();
            RowFacts {
                row: row.index(),
                incarnation: row.incarnation(),
                start: row.started().0,
                pid,
                start_ticks,
                outputs: row.outputs(),
                is_alive: !self.rows.contains(&row.index()) && has_process(row),
                is_pid_proven,
            }
        };
        hosted.map(facts).collect()
    }
}

/// For a shutdown.
#[derive(Debug)]
pub(in crate::supervisor) struct LastSearch(Search);

impl LastSearch {
    /// Ends everything that provably is of this home. Returns what it could not end.
    pub fn end_everything(&self) -> Vec<LeftProcess> {
        let search = &self.0;
        let is_hosted = |row: u32| search.hosted.iter().any(|(hosted, _)| *hosted == row);
        for _ in 0..LAST_LOOKS {
            let mut seen = search.unknown_children();
            if let Some(reapers) = &search.reapers {
                seen.extend(search.orphans(reapers));
            }
            seen.retain(|(seen, _)| !os::is_our_program(seen.stat.pid));
            let is_unlisted = |row: &Row| has_process(*row) && !is_hosted(row.index());
            let unlisted = search.world.table.rows().filter(is_unlisted);
            let unlisted = unlisted.filter_map(|row| os::proc_stat(verified(row)?.pid()).ok());
            let roots: Vec<_> = seen.iter().map(|(seen, _)| seen.stat).chain(unlisted).map(|stat| (0, stat)).collect();
            if roots.is_empty() {
                return Vec::new();
            }
            kill_all(&os::open_leftovers(&roots));
        }
        search.unknown_children().iter().map(|(seen, _)| named(seen)).take(NAMED_MAX).collect()
    }
}

/// The processes of rows, whether or not the loop knows them yet.
fn starting(world: &World) -> HashSet<u32> {
    world.table.rows().filter(|row| has_process(*row)).filter_map(Row::pid).collect()
}

fn kill_all(leftovers: &[Leftover]) {
    for leftover in leftovers {
        let _ = leftover.process.signal(SIGKILL);
    }
    for leftover in leftovers {
        leftover.process.exits_within(Millis(50));
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
        is_foreign: mark.is_none() && (seen.is_of_home || os::is_our_program(seen.stat.pid)),
        // Who bears a mark needs no other proof.
        outputs: if mark.is_none() { os::outputs_of(seen.stat.pid) } else { [0; 2] },
        mark,
    }
}
