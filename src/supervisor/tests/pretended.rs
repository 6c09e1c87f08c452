//! A machine that is not there: table, processes, anchor, threads and clock as a test wants them.
//!
//! What survives the daemon (the table, living processes, what they have said, the journal) is kept apart from what dies
//! with it (threads, watches, notices). With dice everything takes its time, and comes in any order that can be.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic;

use super::journal::Journal;
use super::mirror::Mirror;
use crate::model::{
    App, Exit, Fact, Failure, Hook, InstanceId, Launch, LeftProcess, Limits, ListenAddress, LogPolicy, Millis, Moment,
    Run, SpawnError, SpawnStage, Subject, WallTime,
};
use crate::rules::ChannelLine;
use crate::supervisor::actor::ActorEvent;
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

    // ---- who is missing in the table, as `processes/unlisted` does it

    /// Gives a living process its row back.
    fn list(&mut self, pid: u32) -> Option<u32> {
        let Process { incarnation, mark, .. } = self.processes[&pid].clone();
        let (entry, known) = self.entries[mark.row as usize];
        let has_process = matches!(entry.state, RowState::Spawning | RowState::Running);
        let is_same = has_process && entry.incarnation == incarnation && entry.started.0 == mark.start;
        let has_row = |(entry, _): &(Entry, Record)| {
            matches!(entry.state, RowState::Spawning | RowState::Running) && entry.pid == Some(pid)
        };
        if self.entries.iter().any(has_row) {
            return None;
        }
        let lives = has_process && entry.pid.is_some_and(|pid| self.processes[&pid].exit.is_none());
        let is_older = !lives && entry.incarnation <= incarnation && entry.started.0 <= mark.start;
        let is_awaited = is_same && entry.state == RowState::Spawning && entry.pid.is_none();
        let (row, record) = match entry.state {
            _ if is_awaited => (mark.row, known),
            RowState::Free => (mark.row, mark.record),
            _ if is_older => (mark.row, record_of(&known, &mark.record)),
            _ => (self.claim_free_row()?, mark.record),
        };
        let exit = self.entry(row).exit;
        let (state, started) = (RowState::Running, (mark.start, WallTime(mark.start.0)));
        let entry = Entry { state, incarnation, last_number: 0, pid: Some(pid), exit, started };
        self.entries[row as usize] = (entry, record);
        if let Some(process) = self.processes.get_mut(&pid) {
            process.row = row;
        }
        Some(row)
    }

    /// Of a process that has ended and left another: its row, if that is free; what is left ends otherwise.
    fn list_leftover(&mut self, row: u32, main: u32) -> Option<u32> {
        let Process { incarnation, mark, .. } = self.processes[&main].clone();
        let entry = self.entry(row);
        let has_process = matches!(entry.state, RowState::Spawning | RowState::Running);
        let is_same = has_process && entry.incarnation == incarnation && entry.started.0 == mark.start;
        if is_same && entry.pid.is_some() {
            return None;
        }
        if !is_same && entry.state != RowState::Free || mark.row != row {
            self.leftovers.remove(&row);
            return None;
        }
        let record = if is_same { self.entries[row as usize].1 } else { mark.record };
        // Nobody knows its pid any more, and so not under which other name its end was told.
        self.nameless.insert(main);
        let started = (mark.start, WallTime(mark.start.0));
        let exit = Some((Exit::Unknown, self.now));
        let entry = Entry { state: RowState::Exited, incarnation, last_number: 0, pid: None, exit, started };
        self.entries[row as usize] = (entry, record);
        Some(row)
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

    /// What was told since the last time.
    pub(crate) fn take_facts(&mut self) -> Vec<(Subject, Fact)> {
        self.journal.borrow_mut().take()
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

    // ---- a start, as `processes/spawn` does it

    fn announce(&mut self, row: u32) -> Option<ActorEvent> {
        let has_anchor = self.has_anchor;
        let is_early = self.dice.is_none() || self.chance(2);
        let start = self.starts.get_mut(&row)?;
        let early = match &start.behaviour.failure {
            _ if !has_anchor => Some(anchor_is_gone()),
            Some(Failure::Spawn { error }) if is_early => Some(error.clone()),
            _ => None,
        };
        if early.is_some() {
            start.failure = early;
            return self.report(row);
        }
        if start.job.incarnation > 1 {
            self.journal.borrow_mut().settle();
        }
        let (entry, _) = self.entries.get_mut(row as usize)?;
        assert_eq!(entry.state, RowState::Idle, "a start in row {row}, which is {entry:?}");
        *entry = Entry {
            state: RowState::Spawning,
            incarnation: start.job.incarnation,
            last_number: entry.last_number,
            pid: None,
            started: (self.now, WallTime(self.now.0)),
            exit: entry.exit,
        };
        self.mirror_row(row);
        let delay = self.some(3);
        self.later(delay, Due::Creates(row));
        None
    }

    /// Whether the table has an entry for one more instance.
    pub fn has_room(&self) -> bool {
        self.entries.len() < self.rows_max || self.entries.iter().any(|(entry, _)| entry.state == RowState::Free)
    }

    fn create(&mut self, row: u32) -> Option<ActorEvent> {
        assert!(self.living(row).is_none(), "a second process in row {row}: {:?}", self.starts.get(&row));
        assert!(!self.leftovers.contains_key(&row), "a start in row {row} beside what is left of the last one");
        let pid = 100 + u32::try_from(self.processes.len()).ok()?;
        let is_orphan = !self.has_anchor;
        let start = self.starts.get_mut(&row)?;
        start.pid = Some(pid);
        let SpawnJob { id, incarnation, launch, .. } = &start.job;
        let (incarnation, started) = (*incarnation, self.entries[row as usize].0.started.0);
        let record = Record {
            restart_requests: launch.restart_requests,
            digest: launch.digest,
            base_digest: launch.base_digest,
            slot: id.slot,
            is_successor: id.is_successor,
            ..Record::default()
        };
        let Behaviour { failure, ready, exit, sick, stop, .. } = start.behaviour.clone();
        let mut process = Process {
            row,
            incarnation,
            mark: Mark { row, start: started, record },
            stop,
            exit: None,
            is_reaped: false,
            is_orphan,
            failure: failure.clone(),
            said: VecDeque::new(),
        };
        self.entries[row as usize].0.pid = Some(pid);
        if let Some(Failure::Spawn { error }) = failure {
            start.failure = Some(error);
            process.exit = Some(Exit::Code(127));
            self.processes.insert(pid, process);
            let delay = self.some(4);
            if !is_orphan {
                self.later(delay, Due::Reaped(pid));
            }
            let delay = self.some(4);
            self.later(delay, Due::Reports(row));
            return None;
        }
        self.processes.insert(pid, process);
        if let Some(time) = ready {
            self.later(time, Due::Speaks(pid));
        }
        if let Some((code, time)) = exit {
            self.later(time, Due::Exits(pid, code));
        }
        if let Some(time) = sick {
            self.later(time, Due::Probed(pid));
        }
        let delay = self.some(2);
        self.later(delay, Due::Runs(row));
        None
    }

    fn run(&mut self, row: u32) {
        let (entry, _) = &mut self.entries[row as usize];
        if entry.state == RowState::Spawning {
            entry.state = RowState::Running;
        }
        let delay = self.some(5);
        self.later(delay, Due::Reports(row));
    }

    fn report(&mut self, row: u32) -> Option<ActorEvent> {
        let Start { job, pid, failure, .. } = self.starts.remove(&row)?;
        let outcome = match (failure, pid) {
            (Some(error), _) => Err(error),
            (None, Some(pid)) => {
                let is_open = self.processes.get(&pid).is_some_and(|process| !process.is_reaped);
                if is_open {
                    self.watch(pid);
                }
                Ok(Created { pid, is_open, is_watched: is_open })
            }
            (None, None) => return None,
        };
        Some(ActorEvent::Spawned(SpawnEnd { row, incarnation: job.incarnation, launch: job.launch, outcome }))
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

/// Of an earlier start only what is counted over all of them stays.
fn record_of(known: &Record, mark: &Record) -> Record {
    let Record { restarts, unstable, force_kills, next_start, stop_deadline, .. } = *known;
    Record { restarts, unstable, force_kills, next_start, stop_deadline, saved_state: EntryState::None, ..*mark }
}

fn anchor_is_gone() -> SpawnError {
    let message = "the anchor process ended; the start is retried under the next one".to_owned();
    SpawnError { stage: SpawnStage::Output, subject: String::new(), errno: 0, message, is_passing: true }
}

impl Host for Pretended {
    fn now(&self) -> Moment {
        self.now
    }

    fn wall(&self) -> WallTime {
        WallTime(self.now.0)
    }

    fn killpoint(&self, _name: &'static str) {
        self.act();
    }

    fn tell(&self, about: Subject, fact: Fact) {
        self.act();
        self.journal.borrow_mut().tell(self.now, about, fact);
    }

    fn settle_facts(&mut self) {
        self.act();
        self.meanwhile();
        self.journal.borrow_mut().settle();
    }

    fn last_number(&self, id: &InstanceId) -> u32 {
        self.journal.borrow().index().last_number(id)
    }

    fn entry(&self, row: u32) -> Entry {
        self.entries.get(row as usize).map_or_else(Entry::free, |(entry, _)| *entry)
    }

    fn claim(&mut self) -> Option<u32> {
        self.act();
        self.claim_free_row()
    }

    fn remember(&mut self, row: u32, record: &Record) {
        self.act();
        self.meanwhile();
        self.entries[row as usize].1 = *record;
    }

    fn note_number(&mut self, row: u32, number: u32) {
        self.act();
        self.meanwhile();
        let entry = &mut self.entries[row as usize].0;
        entry.last_number = entry.last_number.max(number);
    }

    fn conclude(&mut self, row: u32, newest: u32, record: &Record) -> bool {
        self.act();
        self.meanwhile();
        let (entry, known) = &mut self.entries[row as usize];
        if entry.state != RowState::Exited || entry.incarnation > newest {
            return false;
        }
        (entry.state, *known) = (RowState::Idle, *record);
        true
    }

    fn free(&mut self, row: u32) -> Result<(), String> {
        self.act();
        assert!(self.living(row).is_none(), "row {row} is given back and its process lives");
        let (entry, _) = &mut self.entries[row as usize];
        assert_eq!(entry.state, RowState::Idle, "row {row} cannot be given back");
        *entry = Entry::free();
        Ok(())
    }

    fn mirror(&mut self, rows: BTreeSet<u32>) {
        for row in rows {
            self.mirror_row(row);
        }
    }

    fn spawn(&mut self, job: SpawnJob) {
        self.act();
        self.meanwhile();
        let behaviour = (self.fate)(&job.launch.spec, job.id.slot, self.now);
        let row = job.row;
        assert!(self.living(row).is_none(), "two processes of {}", job.id);
        let before = self.starts.insert(row, Start { job, behaviour, pid: None, failure: None });
        assert!(before.is_none(), "two starts at a time in row {row}");
        let delay = Millis(1 + self.some(3).0);
        self.later(delay, Due::Announces(row));
    }

    fn spawn_failed(&mut self, _row: u32) {}

    fn release(&mut self, _row: u32) {}

    fn signal(&mut self, row: u32, signal: i32) {
        self.act();
        self.meanwhile();
        let Some(pid) = self.living(row).filter(|pid| self.watched.contains(pid)) else { return };
        let time = if signal == SIGKILL { Millis(0) } else { self.processes[&pid].stop };
        self.later(time, Due::Exits(pid, -signal));
    }

    fn signal_tree(&mut self, row: u32, signal: i32, _has_asked_group: bool) {
        self.signal(row, signal);
        if self.leftovers.contains_key(&row) {
            let time = if signal == SIGKILL { Millis(1) } else { self.some(2000) };
            self.later(time, Due::LastOneEnds(row));
        }
    }

    fn kill_tree(&mut self, row: u32) -> u32 {
        self.signal_tree(row, SIGKILL, false);
        1
    }

    fn sweep(&mut self, rows: &BTreeSet<u32>) -> Vec<(u32, u32)> {
        self.act();
        self.meanwhile();
        let mut at_once = Vec::new();
        for row in rows {
            if self.look_time.is_some() || self.chance(3) {
                let delay = self.look_time.unwrap_or_else(|| self.some(30));
                self.later(delay, Due::Swept(*row, self.entry(*row).incarnation));
            } else {
                at_once.push((*row, u32::from(self.leftovers.contains_key(row))));
            }
        }
        at_once
    }

    fn unclear(&self, _row: u32) -> Vec<LeftProcess> {
        Vec::new()
    }

    fn has_lost_sight(&self, _row: u32) -> bool {
        false
    }

    fn forget(&mut self, _row: u32) {
        self.act();
    }

    fn is_of_tree(&self, _row: u32, _pid: u32) -> bool {
        true
    }

    fn is_orphan(&self, row: u32) -> bool {
        let pid = self.entry(row).pid;
        !self.has_anchor || pid.and_then(|pid| self.processes.get(&pid)).is_some_and(|process| process.is_orphan)
    }

    fn orphan_exit(&mut self, row: u32, incarnation: u32) -> Option<Exit> {
        self.act();
        self.meanwhile();
        let pid = self.entry(row).pid?;
        let exit = self.processes[&pid].exit?;
        if self.chance(3) {
            self.later(Millis(20), Due::Ended(row, incarnation));
            return None;
        }
        let exit = if self.chance(3) { Exit::Unknown } else { exit };
        self.entries[row as usize].0.state = RowState::Exited;
        self.entries[row as usize].0.exit = Some((exit, self.now));
        if let Some(process) = self.processes.get_mut(&pid) {
            process.is_reaped = true;
        }
        Some(exit)
    }

    fn anchor_gone(&mut self, _rows: BTreeSet<u32>) {}

    fn missing_limits(&self, _limits: &Limits) -> Option<String> {
        None
    }

    fn out_of_memory(&mut self, _row: u32, _is_strange: bool) -> Option<Fact> {
        None
    }

    fn lost_children(&mut self) -> Vec<u32> {
        Vec::new()
    }

    fn run_hook(&mut self, job: HookJob) {
        self.act();
        self.meanwhile();
        let behaviour = (self.fate)(&job.spawn.launch.spec, job.spawn.id.slot, self.now);
        let limit = job.limit;
        self.last_due += 1;
        let number = self.last_due;
        let result = behaviour.hook.map(drop).ok_or_else(|| "took too long and was killed".to_owned());
        self.hooks.insert(number, (job, result, true));
        self.later(behaviour.hook.unwrap_or(limit), Due::HookEnds(number));
    }

    fn end_hook(&mut self, row: u32, hook: Hook) {
        self.act();
        self.meanwhile();
        let is_it = |job: &HookJob| job.spawn.row == row && job.hook == hook;
        let numbers: Vec<u64> = self.hooks.iter().filter(|(_, (job, ..))| is_it(job)).map(|(at, _)| *at).collect();
        for number in numbers {
            if let Some((.., is_wanted)) = self.hooks.get_mut(&number) {
                *is_wanted = false;
            }
            let delay = self.some(5);
            self.later(delay, Due::HookEnds(number));
        }
    }

    fn is_hook_busy(&self, row: u32) -> bool {
        self.hooks.values().any(|(job, ..)| job.spawn.row == row)
    }

    fn hear(&mut self, row: u32, channel: Channel, _id: &InstanceId) -> Option<Words> {
        self.act();
        self.meanwhile();
        let pid = self.entry(row).pid.filter(|pid| channel == Channel::Messages && self.watched.contains(pid))?;
        let line = self.processes.get(&pid)?.said.front()?;
        Some(Words::Lines(vec![*line]))
    }

    fn acted_on(&mut self, row: u32, _channel: Channel) {
        self.act();
        if let Some(process) = self.entry(row).pid.and_then(|pid| self.processes.get_mut(&pid)) {
            process.said.pop_front();
        }
    }

    fn say(&mut self, _row: u32, _line: &str) -> bool {
        false
    }

    fn keep_status(&mut self, _row: u32, _incarnation: u32, _status: &str) {}

    fn silence(&mut self, _row: u32, _incarnation: u32, _spec: &App) {
        self.act();
    }

    fn retarget(&mut self, _row: u32, _id: &InstanceId, _logs: &LogPolicy, _run: &Run) {}

    fn reset_listeners(&mut self, _addresses: &[ListenAddress]) {}
}

impl Recovery for Pretended {
    fn rows(&self) -> Vec<u32> {
        let used = self.entries.iter().enumerate().filter(|(_, (entry, _))| entry.state != RowState::Free);
        used.filter_map(|(row, _)| u32::try_from(row).ok()).collect()
    }

    fn record(&self, row: u32) -> Record {
        self.entries[row as usize].1
    }

    fn list_unlisted(&mut self) -> (Vec<String>, Vec<u32>) {
        let mut changed = Vec::new();
        if !std::mem::take(&mut self.is_look_due) {
            return (Vec::new(), changed);
        }
        let is_awaited = |(entry, _): &(Entry, Record)| entry.state == RowState::Spawning && entry.pid.is_none();
        for _ in 0..2 {
            let alive = self.processes.iter().filter(|(_, process)| process.exit.is_none());
            for pid in alive.map(|(pid, _)| *pid).collect::<Vec<_>>() {
                changed.extend(self.list(pid));
            }
            for (row, main) in self.leftovers.clone() {
                changed.extend(self.list_leftover(row, main));
            }
            if !self.entries.iter().any(is_awaited) {
                break;
            }
        }
        (Vec::new(), changed)
    }

    fn open_main(&mut self, row: u32) -> Option<u32> {
        let entry = &mut self.entries[row as usize].0;
        let pid = entry.pid.filter(|pid| !self.processes[pid].is_reaped)?;
        let process = &self.processes[&pid];
        // A stranger reaps at once.
        if process.is_orphan && process.exit.is_some() {
            return None;
        }
        if entry.state == RowState::Spawning {
            entry.state = RowState::Running;
        }
        Some(pid)
    }

    fn is_main_alive(&self, row: u32) -> bool {
        self.living(row).is_some()
    }

    fn abandon(&mut self, row: u32) -> bool {
        self.act();
        let entry = &mut self.entries[row as usize].0;
        if entry.pid.is_some() || entry.state != RowState::Spawning {
            return false;
        }
        (entry.state, entry.incarnation) = (RowState::Idle, entry.incarnation.saturating_sub(1));
        true
    }

    fn exited_unseen(&mut self, row: u32) {
        self.act();
        let now = self.now;
        let entry = &mut self.entries[row as usize].0;
        if matches!(entry.state, RowState::Spawning | RowState::Running) {
            (entry.state, entry.exit) = (RowState::Exited, Some((Exit::Unknown, now)));
        }
    }

    fn identity(&self, _row: u32) -> Option<InstanceId> {
        None
    }

    fn died_before_exec(&self, row: u32, _launch: &Launch) -> Option<Failure> {
        self.entry(row).pid.and_then(|pid| self.processes.get(&pid))?.failure.clone()
    }

    fn take_over(&mut self, taken: &TakenOver<'_>) -> Watch {
        self.act();
        let entry = self.entry(taken.row);
        let is_open = matches!(entry.state, RowState::Running);
        let pid = entry.pid.filter(|pid| is_open && !self.processes[pid].is_reaped);
        let Some(pid) = pid else { return Watch::None };
        self.watch(pid);
        if self.processes[&pid].exit.is_some() { Watch::Ended } else { Watch::Watched }
    }

    fn know_memory(&mut self, _row: u32) {}

    fn kept_status(&self, _row: u32, _incarnation: u32, _spec: &App) -> Option<String> {
        None
    }

    fn end_double(&mut self, row: u32, id: &InstanceId) {
        let is_same = |(other, (entry, _)): (usize, &(Entry, Record))| {
            other != row as usize && entry.state != RowState::Free && entry.pid == self.entry(row).pid
        };
        let is_listed_twice = self.entry(row).pid.is_some() && self.entries.iter().enumerate().any(is_same);
        assert!(!is_listed_twice, "the process of row {row} would be ended, as a second one of itself: {id}");
        if let Some(process) = self.living(row).and_then(|pid| self.processes.get_mut(&pid)) {
            assert!(process.is_orphan, "the process of row {row} is a second one of {id}");
            process.exit = Some(Exit::Signal(SIGKILL));
        }
        // Only a copy of the table that is out of date has two rows of one name. Which name the dropped one had in the end,
        // and so under which one its end was to be told, nobody knows.
        assert!(self.was_out_of_date, "row {row} is a second one of {id}, and the copy of the table had everything");
        self.unknowable.extend(self.entry(row).pid);
        self.leftovers.remove(&row);
        self.entries[row as usize].0 = Entry::free();
    }

    fn was_exit_emitted(&self, id: &InstanceId, process: &StartedProcess, _at: WallTime) -> bool {
        self.journal.borrow().index().was_exit_told(id, process)
    }

    fn was_start_emitted(&self, id: &InstanceId, process: &StartedProcess, _at: WallTime) -> bool {
        self.journal.borrow().index().was_start_told(id, process)
    }

    fn other_name(&self, id: &InstanceId, process: &StartedProcess) -> Option<InstanceId> {
        self.journal.borrow().index().other_name(id, process)
    }

    fn why_given_up(&self, id: &InstanceId) -> Option<Failure> {
        self.journal.borrow().index().why_given_up(id)
    }

    fn all_taken_over(&mut self, _instances: &[(u32, &InstanceId, &App)], _has_hooks: bool) {
        self.act();
    }
}
