//! After the death of an anchor: processes of this home that the restored table does not list get their row back.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::search::facts_of;
use super::{Processes, has_process, verified};
use crate::anchor::{Damage, EntryState, Record, RestoredProcess, Row, RowState, Table};
use crate::events::Events;
use crate::model::{AppId, Exit, Fact, InstanceId, LeftProcess, Millis, Subject};
use crate::os::{self, PidFd, Seen};
use crate::rules::{self, FoundStart, Parent, ProcessFacts, StartMark};
use crate::supervisor::host::SIGKILL;

/// How long processes that were killed are waited for.
const KILL_WAIT: Millis = Millis(1000);
/// How often starts that are under way are looked at until one of them counts as hanging: on a busy machine, each may wait
/// for a processor.
const EXECUTION_LOOKS: usize = 250;
/// How long is waited before each of these.
const EXECUTION_WAIT: Millis = Millis(1);
/// Looks for the process of a row that was about to get one: it may be executing its program at this very moment.
const LOOKS_MAX: usize = 2;

/// What one look through the processes of the machine has shown.
struct Sighting {
    /// The main processes that the table names and that live: their marks name their rows.
    listed: HashSet<u32>,
    /// Others with a mark of this home.
    seen: Vec<Seen>,
    /// What follows for each of them.
    facts: Vec<ProcessFacts>,
}

impl Processes {
    /// One look through the processes of the machine, if this is the first daemon after a death. Returns what a person
    /// should be told, and the rows that have changed.
    pub fn list_unlisted(&mut self) -> (Vec<String>, Vec<u32>) {
        let table = self.world.table;
        let mut changed = Vec::new();
        if !table.is_look_due() {
            return (Vec::new(), changed);
        }
        let mut listed = 0;
        for _ in 0..LOOKS_MAX {
            let look = self.look_around();
            for start in self.starts(&look.facts, &look.listed) {
                listed += u32::from(self.list(&start, &look, &mut changed));
            }
            if !table.rows().any(is_awaited) {
                break;
            }
        }
        table.looked();
        (lost_table(table.damage(), listed), changed)
    }

    /// Everything of this home, with whoever was still in charge of it or half started out of the way.
    fn look_around(&mut self) -> Sighting {
        let home = self.world.table.home_id();
        let prefix = StartMark::prefix(home);
        let is_marked = |seen: &Seen| seen.mark.as_ref().is_some_and(|mark| mark.starts_with(&prefix));
        let (listed, mut parents) = self.listed();
        let all = os::processes_of_home(&prefix, &self.world.home.root, &listed);
        let (seen, unmarked): (Vec<Seen>, Vec<Seen>) = all.into_iter().partition(is_marked);
        end_half_started(&unmarked);
        let mut facts: Vec<ProcessFacts> = seen.iter().map(|seen| facts_of(home, seen, Parent::Other)).collect();
        parents.extend(self.starts(&facts, &listed).iter().filter_map(|start| Some(seen[start.main?].stat.ppid)));
        for parent in parents {
            if !os::is_our_program(parent) {
                self.lineage.reapers.insert(parent);
            } else if parent != self.world.table.anchor_pid() {
                end_other_anchor(parent);
            }
        }
        let reapers = self.reapers();
        for (facts, seen) in facts.iter_mut().zip(&seen) {
            let is_reaped = |parent| reapers.contains(&parent);
            // Read again, if it may just have lost its parent.
            if is_reaped(seen.stat.ppid) || os::proc_stat(seen.stat.pid).is_ok_and(|stat| is_reaped(stat.ppid)) {
                facts.parent = Parent::Reaper;
            }
        }
        Sighting { listed, seen, facts }
    }

    /// The main processes that the table names and that live, and their parents. They are not asked for their mark, which
    /// would take longer than the rest of the look: it names their row.
    fn listed(&self) -> (HashSet<u32>, BTreeSet<u32>) {
        let rows = self.world.table.rows().filter(|row| has_process(*row) && row.is_marked());
        let named: HashMap<u32, u64> = rows.filter_map(|row| Some((row.pid()?, row.start_ticks()?))).collect();
        let mut living = os::living(&named.keys().copied().collect::<Vec<u32>>());
        living.retain(|stat| named.get(&stat.pid) == Some(&stat.start_ticks));
        (living.iter().map(|stat| stat.pid).collect(), living.iter().map(|stat| stat.ppid).collect())
    }

    /// The starts of what was seen. Where the main process is listed, it is none of these: a child that leads a session of
    /// its own only looks like it.
    fn starts(&self, facts: &[ProcessFacts], listed: &HashSet<u32>) -> Vec<FoundStart> {
        let is_listed = |mark: &StartMark| {
            let row = self.world.table.row(mark.row);
            row.and_then(|row| pid_of(row, mark)).is_some_and(|pid| listed.contains(&pid))
        };
        let mut starts = rules::starts(facts);
        for start in starts.iter_mut().filter(|start| is_listed(&start.mark)) {
            start.main = None;
        }
        starts
    }

    /// Puts one start into a row; true, if the table did not know anything of it.
    fn list(&self, start: &FoundStart, look: &Sighting, changed: &mut Vec<u32>) -> bool {
        let main = start.main.map(|index| &look.seen[index]);
        let row = self.world.table.row(start.mark.row);
        let is_main = |pid| main.is_some_and(|main| pid == main.stat.pid);
        // An earlier look may have given it another row than the one that it names.
        let is_listed_elsewhere = || self.world.table.rows().filter_map(|row| pid_of(row, &start.mark)).any(is_main);
        let pid = row.and_then(|row| pid_of(row, &start.mark));
        if pid.is_some_and(|pid| main.is_none() || is_main(pid)) || is_listed_elsewhere() {
            return false;
        }
        let is_awaited = row.is_some_and(|row| is_awaited(row) && row.started().0 == start.mark.start);
        let may_be_its = |row: &Row| row.state() == RowState::Free || main.is_some() && is_older(*row, &start.mark);
        match (main, row.filter(|row| is_awaited || may_be_its(row))) {
            (Some(main), row) => match row.or_else(|| self.world.table.claim_free_row()) {
                Some(row) => changed.push(restore(&self.world.table, row, start, Some(main))),
                None => end_unlisted(&self.world.events, start, look),
            },
            (None, Some(row)) if !start.mark.is_helper => changed.push(restore(&self.world.table, row, start, None)),
            (None, _) => end_unlisted(&self.world.events, start, look),
        }
        !is_awaited
    }
}

/// The row is of this start from now on: with its living process, or with one that has ended unseen and left others.
fn restore(table: &Table, row: Row, start: &FoundStart, main: Option<&Seen>) -> u32 {
    let mark = &start.mark;
    row.restore(&RestoredProcess {
        incarnation: mark.incarnation,
        start: mark.start,
        pid: main.map_or(0, |main| main.stat.pid),
        start_ticks: main.map_or(0, |main| main.stat.start_ticks),
        marked_row: mark.row,
        outputs: main.map_or([0; 2], |main| os::outputs_of(main.stat.pid)),
        record: record_of(row, mark),
    });
    table.used(row);
    row.index()
}

/// What no row can be given to any more ends.
fn end_unlisted(events: &Events, start: &FoundStart, look: &Sighting) {
    let members = start.members.iter().filter(|index| look.facts[**index].parent != Parent::Other);
    let roots: Vec<_> = members.map(|index| (0, look.seen[*index].stat)).collect();
    let leftovers = os::open_leftovers(&roots);
    if leftovers.is_empty() {
        return;
    }
    let pids = leftovers.iter().map(|leftover| leftover.process.pid());
    let ended: Vec<LeftProcess> = pids.map(|pid| LeftProcess { pid, name: os::process_name(pid) }).collect();
    let names = LeftProcess::list(&ended);
    let message = format!("ended leftover processes that belong to no running app: {names}");
    events.emit(Subject::Daemon, Fact::Trouble { message });
    for leftover in leftovers {
        let _ = leftover.process.signal(SIGKILL);
    }
}

/// Two processes say that they are the same copy of an app: the one that was found first stays.
pub(in crate::supervisor) fn end_double(events: &Events, row: Row, id: &InstanceId) {
    if let Some(process) = verified(row) {
        let pid = process.pid();
        let message = format!("ended process {pid}, because it was a second process of {id}");
        events.emit(Subject::Instance(id.clone()), Fact::Trouble { message });
        for below in os::descendants(row.index(), pid) {
            let _ = below.process.signal(SIGKILL);
        }
        let _ = process.signal(SIGKILL);
        process.exits_within(KILL_WAIT);
    }
    if row.abandon().is_err() {
        let _ = row.exited_unseen(Exit::Unknown);
        let _ = row.idle(row.incarnation(), &row.record());
    }
    let _ = row.free();
}

/// The instance that a process says it is of.
pub(in crate::supervisor) fn instance_of(pid: u32, slot: u32) -> Option<InstanceId> {
    let [project, app] = os::variables_of(pid, ["PM_PROJECT", "PM_APP"]);
    Some(AppId::new(project?.parse().ok()?, app?.parse().ok()?).instance(slot))
}

/// The process that a row has of this very start.
fn pid_of(row: Row, mark: &StartMark) -> Option<u32> {
    let is_its = row.incarnation() == mark.incarnation && row.started().0 == mark.start;
    row.pid().filter(|_| is_its && has_process(row) && !is_awaited(row))
}

/// What the row remembers of this very start; of an earlier one only what is counted over all of them.
fn record_of(row: Row, mark: &StartMark) -> Record {
    let known = if row.state() == RowState::Free { Record::default() } else { row.record() };
    if is_awaited(row) && row.started().0 == mark.start {
        return known;
    }
    Record {
        restart_requests: mark.restart_requests,
        digest: mark.digest,
        base_digest: mark.base_digest,
        slot: mark.slot,
        is_successor: mark.is_successor,
        saved_state: EntryState::None,
        ..known
    }
}

/// Claimed for a process of which nobody could write down any more what proves it: its number, or when it started.
fn is_awaited(row: Row) -> bool {
    row.state() == RowState::Spawning && (row.pid().is_none() || row.start_ticks().is_none())
}

/// Whether nothing lives in the row, and what the row knows is from before this start (or announces it).
fn is_older(row: Row, mark: &StartMark) -> bool {
    let lives = row.pid().is_some() && has_process(row) && verified(row).is_some();
    !lives && row.incarnation() <= mark.incarnation && row.started().0 <= mark.start
}

/// Starts that a dead daemon had begun go on by themselves. Those that hang before their program end: they hold what only
/// one daemon can have, and their rows get another process.
fn end_half_started(seen: &[Seen]) {
    let half_started = seen.iter().filter(|seen| seen.mark.is_none() && seen.is_half_started());
    let open = |seen: &Seen| PidFd::open_verified(seen.stat.pid, seen.stat.start_ticks).ok();
    let mut hanging: Vec<(&Seen, PidFd)> = half_started.filter_map(|seen| Some((seen, open(seen)?))).collect();
    for _ in 0..EXECUTION_LOOKS {
        if hanging.is_empty() {
            return;
        }
        os::pause(EXECUTION_WAIT);
        hanging.retain(|(seen, _)| seen.is_half_started());
    }
    for (_, process) in hanging {
        let _ = process.signal(SIGKILL);
        process.exits_within(KILL_WAIT);
    }
}

/// Its run folder was taken away from under it, and so our commands could not reach it and started us: there can be only
/// one, and it is the one that commands reach.
fn end_other_anchor(anchor: u32) {
    let daemons = os::children_of(anchor).into_iter().filter(|pid| os::is_another_daemon(*pid));
    let pids: Vec<u32> = [anchor].into_iter().chain(daemons).collect();
    let processes: Vec<PidFd> = pids.into_iter().filter_map(|pid| PidFd::open(pid).ok()).collect();
    for process in &processes {
        let _ = process.signal(SIGKILL);
    }
    for process in processes {
        process.exits_within(KILL_WAIT);
    }
}

/// What a person should be told of a table that was not what it should have been.
fn lost_table(damage: Damage, listed: u32) -> Vec<String> {
    let found = match listed {
        0 => String::new(),
        1 => "; 1 process was found by its environment and is kept".to_owned(),
        count => format!("; {count} processes were found by their environment and are kept"),
    };
    let what = match damage {
        _ if damage.rows > 0 => format!("the copy of the process table was damaged ({} entries)", damage.rows),
        _ if damage.is_head => "the copy of the process table was damaged (its header)".to_owned(),
        _ if listed == 0 => return Vec::new(),
        _ if damage.is_missing => "the copy of the process table was lost".to_owned(),
        _ => "the copy of the process table was incomplete".to_owned(),
    };
    vec![format!("{what}{found}")]
}
