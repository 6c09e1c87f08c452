//! What ended instances have left running: found, ended with them, and named where it cannot be said whose it is.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::recover::verified;
use super::run::Loop;
use crate::anchor::{Row, RowState};
use crate::lifecycle::Input;
use crate::model::{InstanceId, LeftProcess, Millis, Moment};
use crate::os::{self, Leftover, Seen};
use crate::rules::{self, Owner, Parent, ProcessFacts, RowFacts, StartMark};

/// Processes that are named in one fact.
const NAMED_MAX: usize = 20;
const SIGKILL: i32 = 9;
/// How often a shutdown looks for what is left, each time for as long as that takes to die.
const LAST_LOOKS: usize = 20;

/// What one look has found.
#[derive(Debug, Default)]
struct Left {
    /// By row: what is to be ended.
    leftovers: BTreeMap<u32, Vec<Leftover>>,
    /// By row: what may be of it, and may be of others that live.
    unclear: BTreeMap<u32, Vec<LeftProcess>>,
}

impl Loop {
    /// One look at the children of the anchor for all instances that have just ended.
    pub(super) fn sweep(&mut self) {
        while !self.sweeps.is_empty() {
            let rows = std::mem::take(&mut self.sweeps);
            let mut found = self.look(&rows);
            // A process that hops from parent to parent can slip through one look; what was seen once is looked for twice.
            let is_missing = |row| self.leftovers.contains_key(row) && !found.leftovers.contains_key(row);
            if rows.iter().any(is_missing) {
                found = self.look(&rows);
            }
            for row in rows {
                let leftovers = found.leftovers.remove(&row).unwrap_or_default();
                let left = u32::try_from(leftovers.len()).unwrap_or(u32::MAX);
                self.note_left(row, leftovers, found.unclear.remove(&row));
                self.step(row, Input::Swept { left });
            }
        }
    }

    fn note_left(&mut self, row: u32, leftovers: Vec<Leftover>, unclear: Option<Vec<LeftProcess>>) {
        // What could not be told apart once does not become another one's because this one has a younger process now.
        let mut unclear = unclear.unwrap_or_default();
        let before = self.unclear.remove(&row).unwrap_or_default();
        let is_new = |process: &LeftProcess| !unclear.contains(process) && self.is_adopted(process);
        let kept: Vec<LeftProcess> = before.into_iter().filter(is_new).take(NAMED_MAX).collect();
        unclear.extend(kept);
        if !unclear.is_empty() {
            self.unclear.insert(row, unclear);
        }
        if !leftovers.is_empty() {
            self.leftovers.insert(row, leftovers);
            return;
        }
        self.leftovers.remove(&row);
        if let Some(groups) = self.groups_of(row) {
            groups.remove(row);
        }
    }

    fn is_adopted(&self, process: &LeftProcess) -> bool {
        let anchor = self.world.table.anchor_pid();
        os::proc_stat(process.pid).is_ok_and(|stat| stat.ppid == anchor && !stat.is_zombie)
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
        let facts: Vec<ProcessFacts> = seen.iter().map(|(seen, parent)| self.facts_of(seen, *parent)).collect();
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
        let mut known: HashSet<u32> = self.roster.iter().filter_map(|(_, member)| member.pid()).collect();
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

    /// Whether something of these rows may be out of the sight of the present anchor: it was started under another one.
    fn is_lineage_broken(&self, rows: &BTreeSet<u32>) -> bool {
        let born = self.world.table.anchor_born();
        let is_older = |row: &u32| self.world.table.row(*row).is_some_and(|row| is_started_before(row, born));
        self.is_anchor_gone() || rows.iter().any(is_older)
    }

    /// Whether a process of this row may live that nobody can find: when an anchor dies, whoever inherits its children has
    /// others, too.
    pub(super) fn has_lost_sight(&self, row: u32) -> bool {
        self.out_of_sight.contains(&row) || self.is_lineage_broken(&BTreeSet::from([row]))
    }

    /// Of a row that an earlier daemon has left. After the unclean end of an anchor its earlier processes may have run
    /// under that one.
    pub(super) fn note_sight(&mut self, row: Row) {
        let has_earlier = row.incarnation() > 1;
        if is_started_before(row, self.world.table.anchor_born()) || has_earlier && self.world.table.is_replacement() {
            self.out_of_sight.insert(row.index());
        }
    }

    /// What an anchor that died has left to others, as far as it carries our mark, lives in the session of one of these
    /// rows or writes into its output.
    fn orphans(&self, rows: &BTreeSet<u32>) -> Vec<(Seen, Parent)> {
        let table = &self.world.table;
        let reapers = self.reapers();
        let mut known: HashSet<u32> = self.roster.iter().filter_map(|(_, member)| member.pid()).collect();
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

    /// Who inherits what an anchor leaves behind.
    pub(super) fn reapers(&self) -> BTreeSet<u32> {
        let of_anchor = os::proc_stat(self.world.table.anchor_pid()).ok().map(|stat| stat.ppid);
        let mut reapers: BTreeSet<u32> = self.reapers.iter().copied().chain(of_anchor).chain([1]).collect();
        if self.is_anchor_gone() {
            reapers.insert(os::parent_pid());
        }
        reapers
    }

    pub(super) fn facts_of(&self, seen: &Seen, parent: Parent) -> ProcessFacts {
        let mark = seen.mark.as_ref().and_then(|mark| mark.parse().ok());
        let mark = mark.filter(|mark: &StartMark| mark.home == self.world.table.home_id());
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

    /// What lives, and these.
    fn row_facts(&self, rows: &BTreeSet<u32>) -> Vec<RowFacts> {
        let members = self.roster.iter().filter(|(row, member)| rows.contains(row) || has_process(member.row));
        let facts = |(row, member): (u32, &super::member::Member)| RowFacts {
            row,
            incarnation: member.row.incarnation(),
            start: member.row.started().0,
            pid: member.row.pid().unwrap_or(0),
            start_ticks: member.row.start_ticks().unwrap_or(0),
            outputs: member.row.outputs(),
            is_alive: !rows.contains(&row) && has_process(member.row),
            is_pid_proven: member.was_seen_alive,
        };
        members.map(facts).collect()
    }

    pub(super) fn left_by(&self, instances: &[InstanceId]) -> Vec<LeftProcess> {
        let rows = instances.iter().filter_map(|id| self.roster.row_of(id));
        let mut left: Vec<LeftProcess> = rows.filter_map(|row| self.unclear.get(&row)).flatten().cloned().collect();
        left.sort_by_key(|process| process.pid);
        left.dedup();
        left
    }

    /// For a shutdown, when no instance lives any more: ends everything that provably is of this home. Returns what it
    /// could not end.
    pub(super) fn end_everything(&self) -> Vec<LeftProcess> {
        let none = BTreeSet::new();
        for _ in 0..LAST_LOOKS {
            let mut seen = self.unknown_children();
            if self.world.table.is_replacement() || self.is_anchor_gone() {
                seen.extend(self.orphans(&none));
            }
            seen.retain(|(seen, _)| !seen.is_our_program);
            let unlisted =
                self.world.table.rows().filter(|row| has_process(*row) && self.roster.get(row.index()).is_none());
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

fn has_process(row: Row) -> bool {
    matches!(row.state(), RowState::Spawning | RowState::Running)
}

fn named(seen: &Seen) -> LeftProcess {
    LeftProcess { pid: seen.stat.pid, name: os::process_name(seen.stat.pid) }
}

/// Whether a process was started in this row before that moment. A row without a process, as during a hook before the
/// start, was never in anybody's sight.
fn is_started_before(row: Row, moment: Moment) -> bool {
    (Moment(1)..moment).contains(&row.started().0)
}
