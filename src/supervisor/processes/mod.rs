//! Processes as the kernel knows them: started, signalled, watched, and ended with everything below them.
//!
//! What the actor names by a row has its descriptors here. Starts and commands beside an instance run on threads of
//! their own; how they end comes back as an event.

mod beside;
mod context;
mod failures;
mod hooks;
mod lineage;
mod main_pid;
mod out_of_memory;
mod probe_run;
mod rehearsal;
mod search;
mod signals;
mod socket_access;
mod spawn;
mod sweep;
mod unlisted;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::host::{SpawnJob, Watch, token};
use super::world::World;
use crate::anchor::{Row, RowState};
use crate::model::{Limits, Moment};
use crate::os::{self, ExitWatch, Groups, PidFd};

use lineage::Lineage;
use out_of_memory::OomKills;
use search::Left;
use sweep::Sweeps;

pub(super) use beside::{Beside, Prints};
pub use context::exec_context;
pub(super) use hooks::{HookResult, Hooks};
pub(super) use main_pid::{is_of_app, succeed, succeed_unopened};
pub use probe_run::ProbeRun;
pub(super) use probe_run::ProbeTag;
pub(super) use rehearsal::rehearse;
pub(super) use spawn::{SpawnResult, Spawned, died_before_exec};
pub(super) use sweep::SearchResult;
pub(super) use unlisted::{end_double, instance_of};

/// The processes of all instances.
#[derive(Debug)]
pub(super) struct Processes {
    world: Arc<World>,
    pub exits: ExitWatch,
    spawned_in: mpsc::UnboundedSender<SpawnResult>,
    /// One for each instance, also for those without a process.
    hosted: BTreeMap<u32, Hosted>,
    /// The numbers of all main processes.
    mains: HashSet<u32>,
    pub lineage: Lineage,
    left: Left,
    sweeps: Sweeps,
    /// What the kernel's out-of-memory killer had done when it was last asked.
    oom_kills: u64,
}

/// What the kernel knows of one instance.
#[derive(Debug, Default)]
struct Hosted {
    /// The main process, while it lives and is ours.
    main: Option<PidFd>,
    /// Its number cannot have been another one's since: this daemon has held it.
    was_seen_alive: bool,
    /// Its last process was put into a control group.
    is_grouped: bool,
    /// What memory has cost its tree.
    oom_kills: OomKills,
    /// The process group that was signalled when it was asked to end.
    asked_group: Option<u32>,
}

impl Processes {
    pub fn new(
        world: Arc<World>,
        spawned_in: mpsc::UnboundedSender<SpawnResult>,
        searched_in: mpsc::UnboundedSender<SearchResult>,
    ) -> io::Result<Self> {
        Ok(Self {
            world,
            exits: ExitWatch::new()?,
            spawned_in,
            hosted: BTreeMap::new(),
            mains: HashSet::new(),
            lineage: Lineage::default(),
            left: Left::default(),
            sweeps: Sweeps::new(searched_in),
            oom_kills: os::oom_kills(),
        })
    }

    /// A new instance has this row from now on.
    pub fn enter(&mut self, row: u32) {
        self.hosted.insert(row, Hosted::default());
    }

    /// The main process of a row that an earlier daemon has left.
    pub fn open(&mut self, row: u32, process: PidFd) {
        self.mains.insert(process.pid());
        self.hosted.insert(row, Hosted { main: Some(process), was_seen_alive: true, ..Hosted::default() });
    }

    /// Goes on with an instance that an earlier daemon has left: watches its process, if that lives.
    pub fn adopt(&mut self, row: Row, incarnation: u32, limits: &Limits) -> Watch {
        self.note_sight(row);
        let row = row.index();
        let is_grouped = self.world.groups_for(limits).is_some();
        let hosted = self.hosted.entry(row).or_default();
        hosted.is_grouped = is_grouped;
        let Some(process) = &hosted.main else { return Watch::None };
        let (is_watched, has_ended) = (self.exits.add(process, token(row, incarnation)).is_ok(), process.has_exited());
        let pid = process.pid();
        self.note_parent(row, pid);
        match (has_ended, is_watched) {
            (true, _) => Watch::Ended,
            (false, true) => Watch::Watched,
            (false, false) => Watch::Unwatched,
        }
    }

    /// Begins a start on a thread of its own.
    pub fn spawn(&mut self, job: SpawnJob) {
        let groups = self.world.groups_for(&job.launch.spec.run.limits);
        if let Some(hosted) = self.hosted.get_mut(&job.row) {
            // A group that could not be removed goes on counting.
            hosted.oom_kills = OomKills::known(groups.map_or(0, |groups| groups.oom_kills(job.row)));
            hosted.is_grouped = groups.is_some();
        }
        let (id, launch, row, incarnation) = (job.id.clone(), job.launch.clone(), job.row, job.incarnation);
        let (world, results) = (Arc::clone(&self.world), self.spawned_in.clone());
        let work = Box::new(move || spawn::run(&world, job, &results));
        if self.world.spawners.submit(work).is_err() {
            let outcome = Err(failures::queue_full(&id));
            // Through the same channel, so that it arrives after this step and not inside of it.
            let _ = self.spawned_in.send(SpawnResult { row, incarnation, launch, outcome });
        }
    }

    /// Takes the main process of a row in, and watches it. True: its end will be told.
    pub fn take_in(&mut self, row: u32, incarnation: u32, process: Option<PidFd>) -> bool {
        let Some(hosted) = self.hosted.get_mut(&row) else { return false };
        hosted.was_seen_alive = process.is_some();
        hosted.asked_group = None;
        self.mains.extend(process.as_ref().map(PidFd::pid));
        hosted.main = process;
        hosted.main.as_ref().is_some_and(|process| self.exits.add(process, token(row, incarnation)).is_ok())
    }

    /// The main process of a row.
    pub fn main(&self, row: u32) -> Option<&PidFd> {
        self.hosted.get(&row)?.main.as_ref()
    }

    /// Lets go of a main process that has ended.
    pub fn release(&mut self, row: u32) {
        self.lineage.ended(row);
        if let Some(process) = self.hosted.get_mut(&row).and_then(|hosted| hosted.main.take()) {
            self.mains.remove(&process.pid());
            // Before the pidfd is closed: a child between clone and exec may still hold a copy of it.
            let _ = self.exits.remove(&process);
        }
    }

    /// Nothing of the instance is remembered any more.
    pub fn forget(&mut self, row: u32) {
        self.left.forget(row);
        self.lineage.forget(row);
        if let Some(process) = self.hosted.remove(&row).and_then(|hosted| hosted.main) {
            self.mains.remove(&process.pid());
        }
    }

    /// Control groups, if the last process of a row was put into one.
    fn groups_of(&self, row: u32) -> Option<&Groups> {
        if self.hosted.get(&row)?.is_grouped { self.world.groups() } else { None }
    }

    /// Removes what was made for a process that did not come to be.
    pub fn spawn_failed(&mut self, row: u32) {
        if let Some(groups) = self.groups_of(row) {
            groups.remove(row);
        }
    }
}

/// The process of a row, if it is provably the one that was started: either our anchor's child which has not been
/// reaped (else the row would be Exited), or, if the anchor died too, one with the recorded start time.
pub(super) fn verified(row: Row) -> Option<PidFd> {
    let pid = row.pid()?;
    let process = PidFd::open(pid).ok()?;
    let stat = os::proc_stat(pid).ok()?;
    let is_ours = row.start_ticks().map_or(stat.ppid == os::parent_pid(), |ticks| stat.start_ticks == ticks);
    if !is_ours || row.state() == RowState::Exited {
        return None;
    }
    // Until now it may have been announced only: the last daemon died right after the clone.
    let _ = row.running(stat.start_ticks);
    Some(process)
}

fn has_process(row: Row) -> bool {
    matches!(row.state(), RowState::Spawning | RowState::Running)
}

/// Whether a process was started in this row before that moment. A row without a process, as during a hook before the
/// start, was never in anybody's sight.
fn is_started_before(row: Row, moment: Moment) -> bool {
    (Moment(1)..moment).contains(&row.started().0)
}
