//! A machine that is not there: table, processes, anchor, threads and clock as a test wants them.
//!
//! What survives the daemon (the table, living processes, what they have said, the journal) is kept apart from what dies
//! with it (threads, watches, notices). With dice everything takes its time, and comes in any order that can be.

mod host;
mod recovery;
mod start;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic;

use super::journal::Journal;
use super::mirror::Mirror;
use crate::model::{
    App, AppId, Exit, Fact, Failure, Hook, InstanceId, Launch, LeftProcess, Limits, ListenAddress, LogPolicy, Millis,
    Moment, Run, SpawnError, SpawnStage, Subject, WallTime,
};
use crate::rules::ChannelLine;
use crate::supervisor::actor::ActorEvent;
use crate::supervisor::cluster::{WorkerSaid, WorkerWord};
use crate::supervisor::host::{
    Channel, Created, Entry, EntryState, HookEnd, HookJob, Host, Record, Recovery, RowState, SIGKILL, SpawnEnd,
    SpawnJob, StartedProcess, SweepEnd, TakenOver, Watch, Words,
};

/// What the daemon was doing when it was killed.
pub(crate) struct Killed;

/// What happens at most so soon may have happened when the actor goes on.
const MEANWHILE_MAX: Millis = Millis(10);

/// How often a process that is not well is asked how it is.
const PROBE_EVERY: Millis = Millis(40);

/// What the processes of a spec do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Behaviour {
    /// They cannot be executed, at this moment.
    pub failure: Option<Failure>,
    /// How soon they say that they are ready.
    pub ready: Option<Millis>,
    /// How and how soon they end by themselves.
    pub exit: Option<(i32, Millis)>,
    /// How soon the answers to their health probes are bad.
    pub sick: Option<Millis>,
    /// How long they take to end when they are asked.
    pub stop: Millis,
    /// How long their hooks take; `None`: until they are killed.
    pub hook: Option<Millis>,
}

/// What a process of this spec and slot does that is started now.
pub(crate) type Fate = fn(&App, u32, Moment) -> Behaviour;

/// A small generator: the same seed, the same numbers.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What will happen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Due {
    // threads of the daemon, by row
    Announces(u32),
    Creates(u32),
    Runs(u32),
    Reports(u32),
    HookEnds(u64),
    // what wakes the daemon
    Ended(u32, u32),
    Heard(u32),
    Harvested,
    AnchorGone,
    // processes, by pid
    Speaks(u32),
    Exits(u32, i32),
    Reaped(u32),
    Probed(u32),
    LastOneEnds(u32),
    // a look, by row and process
    Swept(u32, u32),
    // a worker has ended its connections, by row and process
    Drained(u32, u32),
}

impl Due {
    /// Whether it needs no turn of the daemon: threads, the anchor and processes go on while the actor is at work.
    fn is_beside(&self) -> bool {
        matches!(
            self,
            Self::Announces(_) | Self::Creates(_) | Self::Runs(_) | Self::Speaks(_) | Self::Exits(..) | Self::Reaped(_)
        )
    }

    /// Whether it is gone when the daemon is.
    fn is_of_daemon(&self) -> bool {
        !matches!(self, Self::Speaks(_) | Self::Exits(..) | Self::Reaped(_) | Self::Probed(_) | Self::LastOneEnds(_))
    }
}

/// What a process says of its start, as `PM_ID` does.
#[derive(Clone, Copy, Debug)]
struct Mark {
    row: u32,
    start: Moment,
    /// What it tells of the instance.
    record: Record,
}

/// One process that was created, also long after its end.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub row: u32,
    pub incarnation: u32,
    mark: Mark,
    stop: Millis,
    pub exit: Option<Exit>,
    is_reaped: bool,
    /// Its parent is not the present anchor.
    is_orphan: bool,
    /// Why it never executed its program.
    pub failure: Option<Failure>,
    said: VecDeque<ChannelLine>,
}

/// A start under way.
#[derive(Debug)]
struct Start {
    job: SpawnJob,
    behaviour: Behaviour,
    pid: Option<u32>,
    failure: Option<SpawnError>,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Pretended {
    pub now: Moment,
    fate: Fate,
    /// Without: everything happens at once and in order.
    pub dice: Option<Dice>,
    /// The daemon is killed before the host has done so many more things; 0 = not at all.
    pub kill_in: Cell<u64>,
    entries: Vec<(Entry, Record)>,
    pub(super) mirror: Mirror,
    /// An anchor has died, and nobody has looked yet who is missing in the table.
    is_look_due: bool,
    /// The table was made of a copy that was not what it should have been.
    was_out_of_date: bool,
    /// Processes that had ended, and of which no copy of the table knows. What was not told of them nobody can tell.
    pub unknowable: BTreeSet<u32>,
    /// Processes that have their row back because of what they had left, when they had ended.
    pub nameless: BTreeSet<u32>,
    /// How long every look at what is left takes; `None`: as the dice want it.
    pub look_time: Option<Millis>,
    /// Whatever a daemon has told in its last moment is lost with it, also without dice.
    pub is_forgetful: bool,
    /// More there are not.
    pub rows_max: usize,
    pub processes: BTreeMap<u32, Process>,
    /// What processes have left, by row.
    pub leftovers: BTreeMap<u32, u32>,
    journal: RefCell<Journal>,
    pub has_anchor: bool,
    starts: BTreeMap<u32, Start>,
    /// With how they end, and whether anybody waits for that.
    hooks: BTreeMap<u64, (HookJob, Result<(), String>, bool)>,
    watched: BTreeSet<u32>,
    /// What was only passed on, in order.
    pub passed_on: RefCell<Vec<(Subject, Fact)>>,
    /// Apps whose shared sockets were closed, in order.
    pub closed_clusters: Vec<AppId>,
    /// Bad answers to health probes, by row and process.
    pub bad_answers: Vec<(u32, u32)>,
    due: BTreeSet<(Moment, u64, Due)>,
    last_due: u64,
    /// What the daemon hears of in its next turn.
    unheard: VecDeque<ActorEvent>,
}

impl Pretended {
    pub(crate) fn new(fate: Fate) -> Self {
        Self {
            now: Moment(1000),
            fate,
            dice: None,
            kill_in: Cell::new(0),
            entries: Vec::new(),
            mirror: Mirror::default(),
            is_look_due: false,
            was_out_of_date: false,
            unknowable: BTreeSet::new(),
            nameless: BTreeSet::new(),
            look_time: None,
            is_forgetful: false,
            rows_max: usize::MAX,
            processes: BTreeMap::new(),
            leftovers: BTreeMap::new(),
            journal: RefCell::default(),
            has_anchor: true,
            starts: BTreeMap::new(),
            hooks: BTreeMap::new(),
            watched: BTreeSet::new(),
            passed_on: RefCell::default(),
            closed_clusters: Vec::new(),
            bad_answers: Vec::new(),
            due: BTreeSet::new(),
            last_due: 0,
            unheard: VecDeque::new(),
        }
    }

    // ---- what the world does

    /// When the next thing happens.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        if !self.unheard.is_empty() {
            return Some(self.now);
        }
        self.due.first().map(|(at, ..)| *at)
    }

    /// The next thing happens; what the daemon hears of it. `None` may also be: nothing that it would hear.
    pub(super) fn happen(&mut self) -> Option<ActorEvent> {
        if let Some(event) = self.unheard.pop_front() {
            return Some(event);
        }
        let (at, _, due) = self.due.pop_first()?;
        self.now = self.now.max(at);
        self.come_about(&due)
    }

    /// The actor is at work, and does not have the machine to itself.
    fn meanwhile(&mut self) {
        while self.chance(3) {
            let soon = self.now.after(MEANWHILE_MAX);
            let is_it = |(at, _, due): &&(Moment, u64, Due)| *at <= soon && due.is_beside();
            let Some(next) = self.due.iter().find(is_it).cloned() else { return };
            self.due.remove(&next);
            let event = self.come_about(&next.2);
            self.unheard.extend(event);
        }
    }

    fn come_about(&mut self, due: &Due) -> Option<ActorEvent> {
        match *due {
            Due::Announces(row) => return self.announce(row),
            Due::Creates(row) => return self.create(row),
            Due::Runs(row) => self.run(row),
            Due::Reports(row) => return self.report(row),
            Due::HookEnds(number) => return self.end_of_hook(number),
            Due::Ended(row, incarnation) => return Some(ActorEvent::Ended { row, incarnation }),
            Due::Heard(row) => return Some(ActorEvent::Heard { row, channel: Channel::Messages }),
            Due::Harvested => return Some(ActorEvent::Harvested),
            Due::AnchorGone => return Some(ActorEvent::AnchorGone),
            Due::Speaks(pid) => return self.speak(pid),
            Due::Exits(pid, code) => return self.exit(pid, code),
            Due::Reaped(pid) => return self.reap(pid),
            Due::Probed(pid) => self.probe(pid),
            Due::LastOneEnds(row) => drop(self.leftovers.remove(&row)),
            Due::Swept(row, incarnation) => {
                let left = u32::from(self.leftovers.contains_key(&row));
                return Some(ActorEvent::Swept(SweepEnd { row, incarnation, left }));
            }
            Due::Drained(row, incarnation) => {
                return Some(ActorEvent::WorkerSaid(WorkerWord { row, incarnation, said: WorkerSaid::Left }));
            }
        }
        None
    }

    /// Threads, watches and notices of the daemon are gone. With `is_begun`, starts have come as far as to be announced.
    pub(crate) fn daemon_died(&mut self, is_begun: bool) {
        self.kill_in.set(0);
        if is_begun {
            let rows: Vec<u32> = self.starts.keys().copied().collect();
            for row in rows {
                if self.entry(row).state == RowState::Idle {
                    self.announce(row);
                }
            }
        }
        if self.dice.is_some() || self.is_forgetful {
            self.journal.borrow_mut().lose(self.now, self.dice.as_mut());
        }
        self.starts.clear();
        self.hooks.clear();
        self.watched.clear();
        self.unheard.clear();
        self.due.retain(|(_, _, due)| !due.is_of_daemon());
    }

    /// Its children go to somebody else; nobody writes how they end.
    pub(crate) fn kill_anchor(&mut self) {
        self.has_anchor = false;
        for process in self.processes.values_mut() {
            process.is_orphan |= !process.is_reaped;
        }
        self.due.retain(|(_, _, due)| !matches!(due, Due::Reaped(_)));
        let delay = self.some(20);
        self.later(delay, Due::AnchorGone);
    }

    /// The next daemon begins, under a new anchor if need be.
    pub(super) fn begin(&mut self) {
        if !self.has_anchor {
            let (entries, is_complete) = self.mirror.restore(self.entries.len(), self.dice.as_mut());
            self.entries = entries;
            self.was_out_of_date |= !is_complete;
            (self.has_anchor, self.is_look_due) = (true, true);
            let entries = &self.entries;
            let is_known = |(pid, process): &(&u32, &Process)| {
                let is_it = |(entry, _): &(Entry, Record)| {
                    entry.state != RowState::Free
                        && entry.pid == Some(**pid)
                        && entry.incarnation == process.incarnation
                };
                process.exit.is_none() || entries.iter().any(is_it)
            };
            let unknown = self.processes.iter().filter(|process| !is_known(process)).map(|(pid, _)| *pid);
            self.unknowable.extend(unknown);
        }
        self.mirror.create(&self.entries);
    }

    fn mirror_row(&mut self, row: u32) {
        self.mirror.write(row as usize, self.entries[row as usize]);
    }

    fn claim_free_row(&mut self) -> Option<u32> {
        let free = self.entries.iter().position(|(entry, _)| entry.state == RowState::Free);
        let row = free.unwrap_or(self.entries.len());
        if row >= self.rows_max {
            return None;
        }
        if free.is_none() {
            self.entries.push((Entry::free(), Record::default()));
        }
        self.entries[row] = (Entry { state: RowState::Idle, ..Entry::free() }, Record::default());
        u32::try_from(row).ok()
    }

    /// The process of an instance ends by itself.
    pub(crate) fn crash(&mut self, pid: u32, code: i32) {
        self.later(Millis(0), Due::Exits(pid, code));
    }

    /// The living process of a row; that it was not reaped yet is no life.
    pub(crate) fn living(&self, row: u32) -> Option<u32> {
        let is_it = |process: &Process| process.row == row && process.exit.is_none();
        self.processes.iter().find(|(_, process)| is_it(process)).map(|(pid, _)| *pid)
    }

    fn later(&mut self, time: Millis, due: Due) {
        self.last_due += 1;
        self.due.insert((self.now.after(time), self.last_due, due));
    }

    /// A while, as the dice want it.
    fn some(&mut self, max: u64) -> Millis {
        Millis(self.dice.as_mut().map_or(0, |dice| dice.roll(max + 1)))
    }

    fn chance(&mut self, sides: u64) -> bool {
        self.dice.as_mut().is_some_and(|dice| dice.roll(sides) == 0)
    }

    // ---- processes

    fn watch(&mut self, pid: u32) {
        self.watched.insert(pid);
        let Some(process) = self.processes.get(&pid) else { return };
        let (row, incarnation, has_ended) = (process.row, process.incarnation, process.exit.is_some());
        if !process.said.is_empty() {
            self.later(Millis(0), Due::Heard(row));
        }
        if has_ended {
            self.later(Millis(0), Due::Ended(row, incarnation));
        }
    }

    fn speak(&mut self, pid: u32) -> Option<ActorEvent> {
        let process = self.processes.get_mut(&pid).filter(|process| process.exit.is_none())?;
        process.said.push_back(ChannelLine::Ready);
        let row = process.row;
        if !self.watched.contains(&pid) {
            return None;
        }
        if self.dice.is_none() {
            return Some(ActorEvent::Heard { row, channel: Channel::Messages });
        }
        let delay = self.some(10);
        self.later(delay, Due::Heard(row));
        None
    }

    /// The sensors see that it is not well.
    fn probe(&mut self, pid: u32) {
        if let Some(process) = self.processes.get(&pid).filter(|process| process.exit.is_none()) {
            self.bad_answers.push((process.row, process.incarnation));
            self.later(PROBE_EVERY, Due::Probed(pid));
        }
    }

    fn exit(&mut self, pid: u32, code: i32) -> Option<ActorEvent> {
        let process = self.processes.get_mut(&pid).filter(|process| process.exit.is_none())?;
        process.exit = Some(if code < 0 { Exit::Signal(-code) } else { Exit::Code(code) });
        let (row, incarnation, is_orphan) = (process.row, process.incarnation, process.is_orphan);
        if self.chance(8) {
            self.leftovers.insert(row, pid);
        }
        if self.dice.is_none() {
            if !is_orphan {
                self.reap(pid);
            }
            return self.watched.contains(&pid).then_some(ActorEvent::Ended { row, incarnation });
        }
        let delay = self.some(6);
        if !is_orphan {
            self.later(delay, Due::Reaped(pid));
        }
        let delay = self.some(6);
        // A wake-up may be lost: the table is looked at now and then.
        if self.watched.contains(&pid) && (is_orphan || !self.chance(20)) {
            self.later(delay, Due::Ended(row, incarnation));
        }
        None
    }

    /// The anchor's part.
    fn reap(&mut self, pid: u32) -> Option<ActorEvent> {
        let process = self.processes.get_mut(&pid)?;
        process.is_reaped = true;
        let (entry, _) = &mut self.entries[process.row as usize];
        if entry.pid == Some(pid) && matches!(entry.state, RowState::Spawning | RowState::Running) {
            entry.state = RowState::Exited;
            entry.exit = process.exit.map(|exit| (exit, self.now));
        }
        if self.dice.is_some() {
            let delay = self.some(4);
            self.later(delay, Due::Harvested);
        }
        None
    }

    fn end_of_hook(&mut self, number: u64) -> Option<ActorEvent> {
        let (job, result, is_wanted) = self.hooks.remove(&number)?;
        let HookJob { spawn: SpawnJob { row, incarnation, .. }, hook, .. } = job;
        Some(ActorEvent::HookEnded(HookEnd { row, incarnation, hook, result, is_wanted }))
    }

    /// The daemon does something: perhaps it dies of it.
    fn act(&self) {
        if self.kill_in.get() > 0 {
            self.kill_in.set(self.kill_in.get() - 1);
            if self.kill_in.get() == 0 {
                panic::resume_unwind(Box::new(Killed));
            }
        }
    }
}
