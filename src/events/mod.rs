//! Facts for observers: a bounded bus and a journal with cursors.
//!
//! In:    (subject, fact)                   Out:  numbered [`Event`]s, live and from the journal
//! Never: fsync, waiting, losing the order; an observer that lags is told how much it missed
//! Walk:  [`crate::supervisor`] and [`crate::reconciler`] → here → [`crate::api`]
//!
//! The newest thousand events are in memory. The journal (`events.jsonl`, and one older file) is written by
//! a thread of its own; what that thread cannot keep up with is missing there, and a line says how much.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, oneshot};

use crate::model::{AppName, Cause, Event, Fact, Failure, InstanceId, ProjectName, Subject, WallTime};
use crate::os;

mod journal;

use journal::Journal;

/// Events that a subscriber may lag behind before it misses some.
const BUS_EVENTS: usize = 1024;
/// Events that are kept in memory.
const RECENT_EVENTS: usize = 1000;
/// Processes of one instance that are remembered.
const TOLD_MAX: usize = 8;
/// A moment that was reckoned from another clock is the same if it is so near, in milliseconds.
const CLOCKS_DIFFER: u64 = 10;
/// Names that were given up; only a new daemon asks for them, and it reads fewer.
const FORMER_NAMES_MAX: usize = 1000;
/// One answer holds no more.
const HISTORY_EVENTS_MAX: usize = 10_000;

/// The way to tell and to listen; cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    bus: broadcast::Sender<Arc<Event>>,
    recent: Arc<Mutex<Recent>>,
    journal: Arc<Journal>,
}

/// The end of the story, and its next number.
#[derive(Debug)]
struct Recent {
    next_seq: u64,
    events: VecDeque<Arc<Event>>,
    /// What was told of the processes of each instance; of what earlier daemons told, the end only.
    told: HashMap<InstanceId, ToldProcesses>,
    /// The same of names that were given up. A later instance counts from one again, so it tells only of the very processes
    /// that had been told of: a row that was not given back, or the other process of the slot.
    former: HashMap<InstanceId, ToldProcesses>,
    /// Why each instance that was given up was given up.
    given_up: HashMap<InstanceId, Failure>,
    /// Why the processes of each instance were started: of those that live, and the newest one.
    causes: HashMap<InstanceId, Vec<ToldCause>>,
    /// Before this, `told` knows nothing.
    told_since: WallTime,
}

/// Why a process was started.
#[derive(Clone, Debug)]
struct ToldCause {
    incarnation: u32,
    cause: Cause,
    /// It has ended.
    is_over: bool,
}

/// Causes that are remembered of one instance: more than processes of it live at once.
const CAUSES_MAX: usize = 4;

/// The processes of one instance whose start and whose exit was told.
#[derive(Clone, Copy, Debug, Default)]
struct ToldProcesses {
    starts: ToldNumbers,
    /// Which processes those were, and when it was told.
    processes: [(u32, WallTime); TOLD_MAX],
    exits: ToldNumbers,
}

impl ToldProcesses {
    fn add_start(&mut self, incarnation: u32, pid: u32, at: WallTime) {
        self.starts.add(incarnation);
        self.processes.rotate_right(1);
        self.processes[0] = (pid, at);
    }

    fn change_process(&mut self, from: u32, to: u32) {
        if let Some((pid, _)) = self.processes.iter_mut().find(|(pid, _)| *pid == from) {
            *pid = to;
        }
    }

    fn has_started(&self, process: &StartedProcess) -> bool {
        let StartedProcess { incarnation, pid, started } = *process;
        let is_it = |(number, (other, at)): (&u32, &(u32, WallTime))| {
            *number == incarnation && Some(*other) == pid && at.0.saturating_add(CLOCKS_DIFFER) >= started.0
        };
        self.starts.0.iter().zip(&self.processes).any(is_it)
    }
}

/// A process that is asked about. Its number and its pid may be another one's later, but not before it was started.
#[derive(Clone, Copy, Debug)]
pub struct StartedProcess {
    /// Its number.
    pub incarnation: u32,
    /// `None` = not known.
    pub pid: Option<u32>,
    /// When it was started.
    pub started: WallTime,
}

/// The numbers of the last processes of one instance of which something was told, the newest first; 0 = none.
///
/// A slot that is about to be taken over has two processes, so the end of the older one may come after that of the newer.
#[derive(Clone, Copy, Debug, Default)]
struct ToldNumbers([u32; TOLD_MAX]);

impl ToldNumbers {
    fn add(&mut self, incarnation: u32) {
        self.0.rotate_right(1);
        self.0[0] = incarnation;
    }

    /// What lies too far back to know counts as told.
    fn has(&self, incarnation: u32) -> bool {
        self.0.contains(&incarnation) || self.0.iter().all(|told| *told > incarnation)
    }
}

/// Which events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Only of this project.
    pub project: Option<ProjectName>,
    /// Only of this app.
    pub app: Option<AppName>,
    /// Only after this sequence number.
    pub after: Option<u64>,
    /// At most so many, the newest.
    pub limit: usize,
}

impl EventQuery {
    fn matches(&self, event: &Event) -> bool {
        let is_after = self.after.is_none_or(|after| event.seq > after);
        let is_of_project = self.project.as_ref().is_none_or(|project| event.about.project() == Some(project));
        let is_of_app = self.app.as_ref().is_none_or(|app| event.about.app() == Some(app));
        is_after && is_of_project && is_of_app
    }
}

impl Events {
    /// Opens the journal `events.jsonl` in `folder` and continues its numbers. Never fails: what does not
    /// work is said in the second value, and the journal is tried again with every event.
    ///
    /// After a daemon that was killed the numbers continue with a gap: some that were told may not be on the
    /// disk, and no number is used twice.
    pub fn open(folder: &Path) -> (Self, Vec<String>) {
        let (journal, next_seq, tail, troubles) = Journal::open(folder);
        let (bus, _) = broadcast::channel(BUS_EVENTS);
        let told_since = tail.first().map_or(WallTime(0), |event| event.at);
        let mut recent = Recent {
            next_seq,
            events: VecDeque::new(),
            told: HashMap::new(),
            former: HashMap::new(),
            given_up: HashMap::new(),
            causes: HashMap::new(),
            told_since,
        };
        for event in &tail {
            recent.note(event);
        }
        let recent = Arc::new(Mutex::new(recent));
        (Self { bus, recent, journal: Arc::new(journal) }, troubles)
    }

    /// States a fact. Never waits for anyone, never fails.
    pub fn emit(&self, about: Subject, fact: Fact) {
        // One lock over number, memory, bus and journal: all of them see the same order.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let event = Arc::new(Event { seq: recent.next_seq, at: os::wall(), about, fact });
        recent.note(&event);
        recent.next_seq += 1;
        if recent.events.len() == RECENT_EVENTS {
            recent.events.pop_front();
        }
        recent.events.push_back(Arc::clone(&event));
        self.journal.append(Arc::clone(&event));
        let _ = self.bus.send(event); // nobody may be listening
    }

    /// Passes something on to those who follow, and to nobody else: it has no number and is not recorded.
    pub fn pass_on(&self, about: Subject, fact: Fact) {
        let _ = self.bus.send(Arc::new(Event { seq: 0, at: os::wall(), about, fact })); // nobody may be listening
    }

    /// Whether the exit of this process, which happened at `at`, was already reported, by us or by an earlier daemon.
    /// What lies too far back to know counts as reported.
    pub fn was_exit_emitted(&self, instance: &InstanceId, process: &StartedProcess, at: WallTime) -> bool {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.was_told(instance, process, at, |told| &told.exits)
    }

    /// The same for its start.
    pub fn was_start_emitted(&self, instance: &InstanceId, process: &StartedProcess, at: WallTime) -> bool {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.was_told(instance, process, at, |told| &told.starts)
    }

    /// The other name under which the start of this very process was told, if it was not told under this one.
    pub fn other_name(&self, name: &InstanceId, process: &StartedProcess) -> Option<InstanceId> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_its = |told: &ToldProcesses| told.has_started(process);
        if [&recent.told, &recent.former].into_iter().any(|told| told.get(name).is_some_and(is_its)) {
            return None;
        }
        recent.told.iter().find(|(_, told)| is_its(told)).map(|(other, _)| other.clone())
    }

    /// The highest number that a process of this slot has borne, as far as its start was told.
    pub fn last_number(&self, instance: &InstanceId) -> u32 {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.told.get(instance).and_then(|told| told.starts.0.iter().max().copied()).unwrap_or(0)
    }

    /// Why an instance was given up, if it has not been started since; `None` if that lies too far back to know.
    pub fn why_given_up(&self, instance: &InstanceId) -> Option<Failure> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.given_up.get(instance).cloned()
    }

    /// Why the process of this number was started, without a number the newest one of the instance; `None` if that lies too
    /// far back to know.
    pub fn why_started(&self, instance: &InstanceId, incarnation: Option<u32>) -> Option<Cause> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut causes = recent.causes.get(instance)?.iter().rev();
        let found = causes.find(|told| incarnation.is_none_or(|incarnation| incarnation == told.incarnation));
        found.map(|told| told.cause.clone())
    }

    /// Everything from now on. A lagging receiver is told how many events it missed.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.bus.subscribe()
    }

    /// What happened, oldest first; at most 10,000 events. Looks into the journal (on a thread that may
    /// block) only if memory does not reach back far enough.
    pub async fn history(&self, query: EventQuery) -> Vec<Event> {
        let limit = query.limit.min(HISTORY_EVENTS_MAX);
        let (mut found, begins_at) = self.remembered(&query, limit);
        let reaches_back = query.after.is_some_and(|after| after.saturating_add(1) >= begins_at) || begins_at <= 1;
        if found.len() < limit && !reaches_back {
            self.flush().await;
            let journal = self.journal.clone();
            let missing = limit - found.len();
            let read = tokio::task::spawn_blocking(move || {
                journal.read(missing, |event| event.seq < begins_at && query.matches(event))
            });
            let mut older = read.await.unwrap_or_default();
            older.append(&mut found);
            found = older;
        }
        found
    }

    /// Resolves when everything told so far stands in the journal (or was given up): before the daemon leaves.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.journal.flush(done) {
            let _ = flushed.await;
        }
    }

    /// The same for a thread that may block: waits for it, at most for `limit`.
    pub fn settle(&self, limit: Duration) {
        self.journal.settle(limit);
    }

    /// The newest matching events in memory, and the number at which memory begins.
    fn remembered(&self, query: &EventQuery, limit: usize) -> (Vec<Event>, u64) {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = recent.events.iter().rev().filter(|event| query.matches(event));
        let mut found: Vec<Event> = newest.take(limit).map(|event| Event::clone(event)).collect();
        found.reverse();
        (found, recent.events.front().map_or(recent.next_seq, |event| event.seq))
    }
}

impl Recent {
    /// Under this name by its number, under any other one only if it was this very process.
    fn was_told(
        &self,
        instance: &InstanceId,
        process: &StartedProcess,
        at: WallTime,
        numbers: impl Fn(&ToldProcesses) -> &ToldNumbers,
    ) -> bool {
        let is_told = |told: &ToldProcesses| numbers(told).has(process.incarnation);
        let is_its = |told: &ToldProcesses| told.has_started(process) && is_told(told);
        at < self.told_since
            || self.told.get(instance).is_some_and(is_told)
            || self.told.values().chain(self.former.values()).any(is_its)
    }

    fn give_up_name(&mut self, id: &InstanceId) -> Option<ToldProcesses> {
        let told = self.told.remove(id)?;
        if self.former.len() == FORMER_NAMES_MAX {
            self.former.clear();
        }
        self.former.insert(id.clone(), told);
        Some(told)
    }

    fn note(&mut self, event: &Event) {
        match (&event.about, &event.fact) {
            (Subject::Instance(id), Fact::Exited { incarnation, .. }) => {
                self.told.entry(id.clone()).or_default().exits.add(*incarnation);
                for told in self.causes.get_mut(id).into_iter().flatten() {
                    told.is_over |= told.incarnation == *incarnation;
                }
            }
            (Subject::Instance(id), Fact::Started { pid, incarnation, cause, .. }) => {
                self.told.entry(id.clone()).or_default().add_start(*incarnation, *pid, event.at);
                let causes = self.causes.entry(id.clone()).or_default();
                causes.retain(|told| !told.is_over && told.incarnation != *incarnation);
                if causes.len() == CAUSES_MAX {
                    causes.remove(0);
                }
                causes.push(ToldCause { incarnation: *incarnation, cause: cause.clone(), is_over: false });
                self.given_up.remove(id);
            }
            // The same start, which another process goes on with.
            (Subject::Instance(id), Fact::MainProcessChanged { pid, previous }) => {
                self.told.entry(id.clone()).or_default().change_process(*previous, *pid);
            }
            (Subject::Instance(id), Fact::GaveUp { failure }) => {
                self.given_up.insert(id.clone(), failure.clone());
            }
            // The process is the same under its new name.
            (Subject::Instance(id), Fact::Renamed { from }) => {
                if let Some(told) = self.give_up_name(from) {
                    self.told.insert(id.clone(), told);
                }
                if let Some(failure) = self.given_up.remove(from) {
                    self.given_up.insert(id.clone(), failure);
                }
                if let Some(cause) = self.causes.remove(from) {
                    self.causes.insert(id.clone(), cause);
                }
            }
            // A later instance of that name counts from one again.
            (Subject::Instance(id), Fact::Deleted) => {
                self.give_up_name(id);
                self.given_up.remove(id);
                self.causes.remove(id);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
