//! Which instance a process belongs to, according to the kernel.
//!
//! Evidence, the strongest first: the mark in its environment, the session that the instance's main process leads or
//! led, the instance's output pipe as its own output, the session of a process that is known already; and for a child
//! of the anchor (of this home for certain) the time: nothing that lives was started by a process that is younger.
//!
//! Outside of the anchor's children (they became children of another reaper when an earlier anchor died) only evidence
//! about the process itself counts, and only for one that has lost its parent.

use std::collections::BTreeMap;

use super::StartMark;
use crate::model::{Millis, Moment};

/// How long after its announcement a process may be created: pipes, sockets and the journal are waited for.
const ANNOUNCED_BEFORE_MAX: Millis = Millis(5_000);
/// Start times come in ticks of a hundredth of a second.
const TICK: Millis = Millis(10);

/// Who the parent of a process is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parent {
    /// The anchor of now: the process comes from this home.
    Anchor,
    /// Whoever inherits the children of an anchor that dies.
    Reaper,
    /// Somebody else: the process is a part of that one's tree.
    Other,
}

/// What is known of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessFacts {
    /// Its number.
    pub pid: u32,
    /// Its parent.
    pub parent: Parent,
    /// Its session; 0 = one whose leader lives outside of this container.
    pub session: u32,
    /// When it was started, in clock ticks since boot.
    pub start_ticks: u64,
    /// The same as a moment, rounded down.
    pub started: Moment,
    /// Its mark, if it is one of this home.
    pub mark: Option<StartMark>,
    /// The inode numbers of the pipes that its outputs go to; 0 = something else.
    pub outputs: [u64; 2],
    /// It was not started by an app: a command of the daemon's own, another `pm`, a start that is not complete yet.
    pub is_foreign: bool,
}

/// What is known of an instance and its last process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowFacts {
    /// The row.
    pub row: u32,
    /// The number of the last process.
    pub incarnation: u32,
    /// When that was announced.
    pub start: Moment,
    /// The process that its start has made, living or not; 0 = none. It leads the session.
    pub pid: u32,
    /// When that was started, in clock ticks since boot; 0 = not known.
    pub start_ticks: u64,
    /// The pipes of its outputs; 0 = none.
    pub outputs: [u64; 2],
    /// The main process is alive.
    pub is_alive: bool,
    /// Its number cannot have been reused since: the daemon has seen it alive.
    pub is_pid_proven: bool,
}

/// Whose a process is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The instance in this row.
    Row(u32),
    /// Of this home, and nothing that lives can have started it.
    Nobody,
    /// Of this home; one of these rows.
    OneOf(Vec<u32>),
    /// Not provably of this home, or none of the apps'.
    Stranger,
}

/// The owner of every process, in the same order.
pub fn owners(processes: &[ProcessFacts], rows: &[RowFacts]) -> Vec<Owner> {
    let direct: Vec<Option<Owner>> = processes.iter().map(|process| direct_owner(process, rows)).collect();
    let known_sessions: BTreeMap<u32, u32> = processes
        .iter()
        .zip(&direct)
        // Out of the anchor's sight a session may be one of a user who has copied an environment.
        .filter(|(process, _)| process.parent == Parent::Anchor && process.session != 0)
        .filter_map(|(process, owner)| match owner {
            Some(Owner::Row(row)) => Some((process.session, *row)),
            _ => None,
        })
        .collect();
    let indirect = |process: &ProcessFacts| match known_sessions.get(&process.session) {
        _ if process.parent != Parent::Anchor || process.is_foreign => Owner::Stranger,
        Some(row) => Owner::Row(*row),
        None => by_time(process, rows),
    };
    processes.iter().zip(direct).map(|(process, owner)| owner.unwrap_or_else(|| indirect(process))).collect()
}

fn direct_owner(process: &ProcessFacts, rows: &[RowFacts]) -> Option<Owner> {
    if process.parent == Parent::Other {
        return Some(Owner::Stranger);
    }
    if let Some(mark) = &process.mark {
        let row = rows.iter().find(|row| is_marked_by(row, mark));
        return Some(row.map_or(Owner::Nobody, |row| Owner::Row(row.row)));
    }
    if process.is_foreign {
        return None;
    }
    let leads = |row: &&RowFacts| is_in_session(process, row);
    let speaks = |row: &&RowFacts| row.outputs.iter().any(|pipe| *pipe != 0 && process.outputs.contains(pipe));
    let row = rows.iter().find(leads).or_else(|| rows.iter().find(speaks))?;
    Some(Owner::Row(row.row))
}

/// A mark of an earlier process of the row counts, too; one of another row that had this number before a table was lost
/// does not.
fn is_marked_by(row: &RowFacts, mark: &StartMark) -> bool {
    let is_same = mark.incarnation == row.incarnation && mark.start == row.start;
    let is_earlier = mark.incarnation < row.incarnation && mark.start < row.start;
    row.row == mark.row && (mark.is_helper || is_same || is_earlier)
}

/// Whether it lives in the session that the main process of a row leads or led.
fn is_in_session(process: &ProcessFacts, row: &RowFacts) -> bool {
    let is_proven = process.parent == Parent::Anchor || row.is_pid_proven && process.start_ticks >= row.start_ticks;
    row.pid != 0 && process.session == row.pid && is_proven
}

fn by_time(process: &ProcessFacts, rows: &[RowFacts]) -> Owner {
    let can_be = |row: &&RowFacts| row.pid != 0 && row.start_ticks <= process.start_ticks;
    let (alive, ended): (Vec<&RowFacts>, Vec<&RowFacts>) = rows.iter().filter(can_be).partition(|row| row.is_alive);
    match (alive.as_slice(), ended.as_slice()) {
        ([], _) => Owner::Nobody,
        ([only], []) => Owner::Row(only.row),
        _ => Owner::OneOf(alive.iter().chain(&ended).map(|row| row.row).collect()),
    }
}

/// One start, of which processes were found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundStart {
    /// Its mark, as the main process or the first one that was found bears it.
    pub mark: StartMark,
    /// Which of the processes is the main one, if that lives.
    pub main: Option<usize>,
    /// All of them.
    pub members: Vec<usize>,
}

/// The starts that processes with marks come from. Those of commands beside an app are starts of their own.
///
/// The main process leads its session and came to be right after the announcement; what it has started since bears the
/// same mark and is younger.
pub fn starts(processes: &[ProcessFacts]) -> Vec<FoundStart> {
    let mut starts: Vec<FoundStart> = Vec::new();
    let mut known: BTreeMap<(u32, u32, Moment, bool), usize> = BTreeMap::new();
    let mut in_order: Vec<usize> = (0..processes.len()).collect();
    in_order.sort_by_key(|index| (processes[*index].start_ticks, processes[*index].pid));
    for index in in_order {
        let process = &processes[index];
        let Some(mark) = process.mark else { continue };
        let main = Some(index).filter(|_| is_main(process, &mark));
        let at = *known.entry((mark.row, mark.incarnation, mark.start, mark.is_helper)).or_insert(starts.len());
        match starts.get_mut(at) {
            Some(start) => {
                start.main = start.main.or(main);
                start.members.push(index);
            }
            None => starts.push(FoundStart { mark, main, members: vec![index] }),
        }
    }
    starts
}

fn is_main(process: &ProcessFacts, mark: &StartMark) -> bool {
    let since = process.started.after(TICK);
    let is_in_time = since >= mark.start && process.started <= mark.start.after(ANNOUNCED_BEFORE_MAX);
    process.pid == process.session && is_in_time && !mark.is_helper
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;

    const HOME: u64 = 7;

    fn mark(row: u32, incarnation: u32, start: u64) -> StartMark {
        StartMark {
            home: HOME,
            row,
            incarnation,
            start: Moment(start),
            slot: 0,
            is_successor: false,
            restart_requests: 0,
            digest: Digest::of(b"spec"),
            base_digest: Digest::of(b"base"),
            is_helper: false,
        }
    }

    /// An orphan that shows nothing of itself.
    fn process(pid: u32, parent: Parent, ticks: u64) -> ProcessFacts {
        ProcessFacts {
            pid,
            parent,
            session: pid,
            start_ticks: ticks,
            started: Moment(ticks * 10),
            mark: None,
            outputs: [0; 2],
            is_foreign: false,
        }
    }

    fn marked(mark: StartMark, process: ProcessFacts) -> ProcessFacts {
        ProcessFacts { mark: Some(mark), ..process }
    }

    fn of_session(session: u32, process: ProcessFacts) -> ProcessFacts {
        ProcessFacts { session, ..process }
    }

    fn speaking(pipe: u64, process: ProcessFacts) -> ProcessFacts {
        ProcessFacts { outputs: [0, pipe], ..process }
    }

    /// Row 1 ends: third process, pid 100, since tick 50. Row 2 lives: pid 200, since tick 60.
    fn rows() -> [RowFacts; 2] {
        let row = |row: u32, ticks: u64, is_alive| RowFacts {
            row,
            incarnation: 3,
            start: Moment(ticks * 10),
            pid: row * 100,
            start_ticks: ticks,
            outputs: [u64::from(row) * 1000, u64::from(row) * 1000 + 1],
            is_alive,
            is_pid_proven: true,
        };
        [row(1, 50, false), row(2, 60, true)]
    }

    #[test]
    fn the_owner_of_a_single_process() {
        use Owner::{Nobody, OneOf, Row, Stranger};
        use Parent::{Anchor, Other, Reaper};
        let foreign = |process| ProcessFacts { is_foreign: true, ..process };
        let helper = |mark| StartMark { is_helper: true, ..mark };
        let cases = [
            ("its mark", marked(mark(1, 3, 500), process(7, Anchor, 70)), Row(1)),
            ("a mark of the process before", marked(mark(1, 2, 400), process(7, Anchor, 45)), Row(1)),
            ("a mark of a row of a lost table", marked(mark(1, 3, 499), process(7, Anchor, 70)), Nobody),
            ("a mark of a row that nobody has", marked(mark(9, 1, 1), process(7, Anchor, 70)), Nobody),
            ("a mark of a helper", marked(helper(mark(2, 4, 700)), process(7, Anchor, 70)), Row(2)),
            ("the session", of_session(100, process(7, Anchor, 70)), Row(1)),
            ("the output", speaking(1001, process(7, Anchor, 70)), Row(1)),
            ("the output of what lives", speaking(2000, process(7, Anchor, 70)), Row(2)),
            ("nothing, and two can be it", process(7, Anchor, 70), OneOf(vec![2, 1])),
            ("nothing, and it is older than what lives", process(7, Anchor, 55), Nobody),
            ("nothing, and it is older than everything", process(7, Anchor, 1), Nobody),
            ("a command of our own", foreign(process(7, Anchor, 70)), Stranger),
            ("after the anchor's death: its mark", marked(mark(1, 3, 500), process(7, Reaper, 70)), Row(1)),
            ("after the anchor's death: the session", of_session(100, process(7, Reaper, 70)), Row(1)),
            ("after the anchor's death: an older one's session", of_session(100, process(7, Reaper, 49)), Stranger),
            ("after the anchor's death: the output", speaking(1000, process(7, Reaper, 70)), Row(1)),
            ("after the anchor's death: nothing", process(7, Reaper, 70), Stranger),
            ("a copied mark", marked(mark(1, 3, 500), process(7, Other, 70)), Stranger),
            ("a session, below somebody else", of_session(100, process(7, Other, 70)), Stranger),
            ("an opened output, below somebody else", speaking(1000, process(7, Other, 70)), Stranger),
        ];
        for (what, process, owner) in cases {
            assert_eq!(owners(&[process], &rows()), [owner], "{what}");
        }
    }

    #[test]
    fn a_number_that_may_have_been_reused_proves_nothing() {
        let unproven = rows().map(|row| RowFacts { is_pid_proven: false, ..row });
        let orphan = of_session(100, process(7, Parent::Reaper, 70));
        assert_eq!(owners(&[orphan], &unproven), [Owner::Stranger]);
        let ours = of_session(100, process(7, Parent::Anchor, 70));
        assert_eq!(owners(&[ours], &unproven), [Owner::Row(1)], "it is a child of the anchor");
    }

    #[test]
    fn a_session_is_known_by_one_of_its_members() {
        let known = marked(mark(1, 3, 500), of_session(77, process(78, Parent::Anchor, 70)));
        let other = of_session(77, process(79, Parent::Anchor, 71));
        assert_eq!(owners(&[other, known], &rows()), [Owner::Row(1), Owner::Row(1)]);
        let copied = ProcessFacts { parent: Parent::Reaper, ..known };
        let shell = ProcessFacts { parent: Parent::Reaper, ..other };
        assert_eq!(owners(&[shell, copied], &rows())[0], Owner::Stranger, "perhaps a person's session");
    }

    #[test]
    fn a_session_that_cannot_be_seen_is_not_one_that_is_shared() {
        let known = marked(mark(1, 3, 500), of_session(0, process(78, Parent::Anchor, 70)));
        let other = of_session(0, process(79, Parent::Anchor, 71));
        assert_ne!(owners(&[other, known], &rows())[0], Owner::Row(1));
    }

    #[test]
    fn what_only_one_can_have_started_is_its() {
        let [ending, living] = rows();
        let stray = process(7, Parent::Anchor, 70);
        assert_eq!(owners(&[stray], &[living]), [Owner::Row(2)]);
        assert_eq!(owners(&[stray], &[ending]), [Owner::Nobody]);
        assert_eq!(owners(&[stray], &[]), [Owner::Nobody]);
    }

    #[test]
    fn the_main_process_of_a_start_is_the_first_that_leads_a_session() {
        let child = of_session(10, marked(mark(1, 3, 500), process(11, Parent::Reaper, 51)));
        let daemon = marked(mark(1, 3, 500), process(12, Parent::Reaper, 52));
        let main = marked(mark(1, 3, 500), process(10, Parent::Reaper, 50));
        let found = starts(&[child, daemon, main]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].main, found[0].members.len()), (Some(2), 3));
        let late = marked(mark(1, 3, 500), process(12, Parent::Reaper, 5000));
        for (rest, expected) in [(vec![child], None), (vec![child, late], None), (vec![daemon], Some(0))] {
            assert_eq!(starts(&rest)[0].main, expected, "{rest:?}");
        }
    }

    #[test]
    fn starts_are_told_apart_and_helpers_are_no_main_processes() {
        let helper = StartMark { is_helper: true, ..mark(1, 3, 500) };
        let processes = [
            marked(mark(1, 3, 500), process(10, Parent::Reaper, 50)),
            marked(mark(1, 4, 600), process(11, Parent::Reaper, 60)),
            marked(mark(2, 3, 500), process(12, Parent::Reaper, 50)),
            marked(helper, process(13, Parent::Reaper, 50)),
            process(14, Parent::Reaper, 50),
        ];
        let mains: Vec<Option<usize>> = starts(&processes).iter().map(|start| start.main).collect();
        assert_eq!(mains, [Some(0), Some(2), None, Some(1)]);
    }
}
