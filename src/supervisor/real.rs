//! The host that there is: anchor, kernel, log pump and bus, behind what the actor asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::channels::{AppChannels, announced_main, kept_status};
use super::cluster::{SocketUser, WorkerWord, vault_key};
use super::host::{
    Channel, Created, Entry, HookJob, Host, Record, Recovery, SpawnEnd, SpawnJob, StartedProcess, TakenOver, Watch,
    Words, token,
};
use super::outputs::{Sessions, Writer};
use super::processes::{self, Beside, HookResult, Hooks, Prints, Processes, SearchResult, SpawnResult, Spawned};
use super::world::World;
use crate::anchor::{HELD_LISTENER, HELD_NOTIFY, HELD_SOCKET_FILE, HELD_VAULT, HeldFd, Row};
use crate::logs::StreamKey;
use crate::model::{
    App, AppId, Digest, Environment, Exit, Fact, Failure, Hook, InstanceId, Launch, LeftProcess, Limits, ListenAddress,
    LogPolicy, Moment, Run, Stream, Subject, WallTime,
};
use crate::os::{self, Helper, PidFd};
use crate::rules::StartMark;

/// This machine.
#[derive(Debug)]
pub(super) struct RealHost {
    pub world: Arc<World>,
    pub processes: Processes,
    pub hooks: Hooks,
    pub channels: AppChannels,
    inherited: InheritedDescriptors,
}

/// What the anchor held for the last daemon; empty once everything is taken over.
#[derive(Debug)]
struct InheritedDescriptors {
    descriptors: BTreeMap<(u64, u32), OwnedFd>,
    sessions: Sessions,
}

impl InheritedDescriptors {
    fn of(held: Vec<HeldFd>) -> Self {
        let descriptors = held.into_iter().map(|held| ((held.key, held.kind), held.fd)).collect();
        Self { descriptors, sessions: Sessions::new(os::sessions) }
    }
}

/// What a thread has done for the actor.
#[derive(Debug)]
pub(super) struct Results {
    pub spawned: mpsc::UnboundedReceiver<SpawnResult>,
    pub hooks: mpsc::UnboundedReceiver<HookResult>,
    pub searches: mpsc::UnboundedReceiver<SearchResult>,
    pub words: mpsc::UnboundedReceiver<WorkerWord>,
}

impl RealHost {
    /// # Errors
    /// No descriptors left.
    pub fn new(world: Arc<World>, held: Vec<HeldFd>) -> io::Result<(Self, Results)> {
        // Bounded by the number of rows: every instance has at most one spawn under way.
        let (spawned_in, spawned) = mpsc::unbounded_channel();
        // Bounded likewise: an instance has at most one of each hook.
        let (hook_ended_in, hooks) = mpsc::unbounded_channel();
        // Its thread keeps what is unheard within bounds.
        let (words_in, words) = mpsc::unbounded_channel();
        world.clusters.tell(words_in);
        // One look at a time.
        let (searched_in, searches) = mpsc::unbounded_channel();
        let host = Self {
            processes: Processes::new(Arc::clone(&world), spawned_in, searched_in)?,
            hooks: Hooks::new(hook_ended_in),
            channels: AppChannels::new(Arc::clone(&world))?,
            inherited: InheritedDescriptors::of(held),
            world,
        };
        Ok((host, Results { spawned, hooks, searches, words }))
    }

    /// Takes in what a start has made, before the actor hears of it.
    pub fn take_in(&mut self, result: SpawnResult) -> SpawnEnd {
        let SpawnResult { row, incarnation, launch, outcome } = result;
        let outcome = outcome.map(|spawned| {
            let Spawned { pid, process, channels } = spawned;
            let is_open = process.is_some();
            let is_watched = self.processes.take_in(row, incarnation, process);
            self.channels.listen_to(row, incarnation, channels);
            Created { pid, is_open, is_watched }
        });
        SpawnEnd { row, incarnation, launch, outcome }
    }

    /// Starts a command in the surroundings of a process.
    pub fn start_beside(
        &self,
        job: SpawnJob,
        (command, run): (String, String),
        reply: oneshot::Sender<Result<Helper, String>>,
    ) {
        let more = Environment::new();
        Beside { job, command, more, run, prints: Prints::Back }.start(&self.world, reply);
    }

    /// Names the process of a row, and no other one ever: the boot, its number and when it was started.
    pub fn process_key(&self, row: u32) -> Option<String> {
        let entry = self.row(row)?;
        let boot = Digest::of(&os::boot_id()).number();
        Some(format!("{boot:016x}-{}-{}", entry.pid()?, entry.start_ticks()?))
    }

    fn row(&self, row: u32) -> Option<Row> {
        self.world.table.row(row)
    }
}

impl Host for RealHost {
    fn now(&self) -> Moment {
        os::now()
    }

    fn wall(&self) -> WallTime {
        os::wall()
    }

    fn killpoint(&self, name: &'static str) {
        os::killpoint(name);
    }

    fn tell(&self, about: Subject, fact: Fact) {
        self.world.events.emit(about, fact);
    }

    fn pass_on(&self, about: Subject, fact: Fact) {
        self.world.events.pass_on(about, fact);
    }

    fn settle_facts(&mut self) {
        self.world.settle_facts();
    }

    fn last_number(&self, id: &InstanceId) -> u32 {
        self.world.events.last_number(id)
    }

    fn entry(&self, row: u32) -> Entry {
        self.row(row).map_or_else(Entry::free, |row| Entry {
            state: row.state(),
            incarnation: row.incarnation(),
            last_number: row.last_number(),
            pid: row.pid(),
            exit: row.exit(),
            started: row.started(),
        })
    }

    fn claim(&mut self) -> Option<u32> {
        let row = self.world.table.claim_free_row()?.index();
        self.processes.enter(row);
        Some(row)
    }

    fn remember(&mut self, row: u32, record: &Record) {
        if let Some(row) = self.row(row) {
            row.set_record(record);
        }
    }

    fn note_number(&mut self, row: u32, number: u32) {
        if let Some(row) = self.row(row) {
            row.note_number(number);
        }
    }

    fn conclude(&mut self, row: u32, newest: u32, record: &Record) -> bool {
        self.row(row).is_some_and(|row| row.idle(newest, record).is_ok())
    }

    fn free(&mut self, row: u32) -> Result<(), String> {
        self.world.disconnect(row);
        self.row(row).map_or(Ok(()), |row| row.free().map_err(|error| error.to_string()))
    }

    fn mirror(&mut self, rows: BTreeSet<u32>) {
        self.world.mirror(rows);
    }

    fn spawn(&mut self, job: SpawnJob) {
        if job.launch.spec.is_cluster() {
            self.world.clusters.begin(job.row, &job.id.app);
        }
        self.processes.spawn(job);
    }

    fn spawn_failed(&mut self, row: u32) {
        self.processes.spawn_failed(row);
    }

    fn release(&mut self, row: u32) {
        self.processes.release(row);
    }

    fn signal(&mut self, row: u32, signal: i32) {
        self.processes.signal(row, signal);
    }

    fn signal_tree(&mut self, row: u32, signal: i32, has_asked_group: bool) {
        self.processes.signal_tree(row, signal, has_asked_group);
    }

    fn kill_tree(&mut self, row: u32) -> u32 {
        self.processes.kill_tree(row)
    }

    fn sweep(&mut self, rows: &BTreeSet<u32>) -> Vec<(u32, u32)> {
        self.processes.sweep(rows)
    }

    fn unclear(&self, row: u32) -> Vec<LeftProcess> {
        self.processes.unclear(row)
    }

    fn has_lost_sight(&self, row: u32) -> bool {
        self.processes.has_lost_sight(row)
    }

    fn forget(&mut self, row: u32) {
        self.processes.forget(row);
    }

    fn succeed(&mut self, row: u32, pid: u32) -> Result<u32, String> {
        processes::succeed(&mut self.processes, row, pid)
    }

    fn is_orphan(&self, row: u32) -> bool {
        self.processes.is_orphan(row)
    }

    fn orphan_exit(&mut self, row: u32, incarnation: u32) -> Option<Exit> {
        self.processes.orphan_exit(row, incarnation)
    }

    fn anchor_gone(&mut self, rows: BTreeSet<u32>) {
        self.processes.lineage.is_anchor_gone = true;
        self.processes.lineage.out_of_sight.extend(rows);
    }

    fn missing_limits(&self, limits: &Limits) -> Option<String> {
        self.world.missing_limits(limits)
    }

    fn out_of_memory(&mut self, row: u32, is_strange: bool) -> Option<Fact> {
        self.processes.out_of_memory(row, is_strange)
    }

    fn lost_children(&mut self) -> Vec<u32> {
        self.processes.lost_children()
    }

    fn run_hook(&mut self, job: HookJob) {
        self.hooks.start(&self.world, job);
    }

    fn end_hook(&mut self, row: u32, hook: Hook) {
        self.hooks.end(row, hook);
    }

    fn is_hook_busy(&self, row: u32) -> bool {
        self.hooks.is_busy(row)
    }

    fn hear(&mut self, row: u32, channel: Channel, id: &InstanceId) -> Option<Words> {
        self.channels.hear(row, channel, id)
    }

    fn acted_on(&mut self, row: u32, channel: Channel) {
        self.channels.acted_on(row, channel);
    }

    fn say(&mut self, row: u32, line: &str) -> bool {
        self.channels.say(row, line)
    }

    fn keep_status(&mut self, row: u32, incarnation: u32, status: &str) {
        self.channels.keep_status(row, incarnation, status);
    }

    fn retire(&mut self, row: u32) {
        self.world.clusters.retire(row);
    }

    fn drain(&mut self, row: u32, spec: &App) {
        self.world.clusters.drain(row, spec);
    }

    fn say_to_worker(&mut self, row: u32, line: &str) {
        self.world.clusters.say(row, line);
    }

    fn close_cluster(&mut self, app: &AppId) {
        self.world.clusters.close(&self.world.anchor, app);
    }

    fn rename_cluster(&mut self, from: &AppId, to: &AppId) {
        self.world.clusters.rename(&self.world.anchor, from, to);
    }

    fn silence(&mut self, row: u32, incarnation: u32, spec: &App) {
        if spec.is_cluster() {
            self.world.clusters.leave(row, incarnation);
        }
        self.channels.silence(row, incarnation, spec);
    }

    fn retarget(&mut self, row: u32, id: &InstanceId, logs: &LogPolicy, run: &Run) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let target = self.world.target(id, stream, logs, run);
            self.world.pump.retarget(StreamKey { row, stream }, target);
        }
    }

    fn reset_listeners(&mut self, addresses: &[ListenAddress]) {
        self.world.listeners.reset(addresses);
    }
}

impl Recovery for RealHost {
    fn rows(&self) -> Vec<u32> {
        self.world.table.rows().map(Row::index).collect()
    }

    fn record(&self, row: u32) -> Record {
        self.row(row).map(Row::record).unwrap_or_default()
    }

    fn list_unlisted(&mut self) -> (Vec<String>, Vec<u32>) {
        self.processes.list_unlisted()
    }

    fn open_main(&mut self, row: u32) -> Option<u32> {
        let process = processes::verified(self.row(row)?)?;
        let pid = process.pid();
        self.processes.open(row, process);
        Some(pid)
    }

    fn is_main_alive(&self, row: u32) -> bool {
        self.row(row).is_some_and(|row| processes::verified(row).is_some())
    }

    fn succeed_unheard(&mut self, row: u32) -> Option<(u32, u32)> {
        let entry = self.row(row)?;
        let socket = self.inherited.descriptors.get(&(token(row, entry.incarnation()), HELD_NOTIFY))?;
        announced_main(socket, |pid| Some((processes::succeed_unopened(&self.processes, entry, pid).ok()?, pid)))
    }

    fn abandon(&mut self, row: u32) -> bool {
        self.row(row).is_some_and(|row| row.abandon().is_ok())
    }

    fn exited_unseen(&mut self, row: u32) {
        if let Some(row) = self.row(row) {
            // Perhaps it was seen, at this moment.
            let _ = row.exited_unseen(Exit::Unknown);
        }
    }

    fn identity(&self, row: u32) -> Option<InstanceId> {
        let row = self.row(row)?;
        let pid = row.pid()?;
        let mark: StartMark = os::cookie_of(pid)?.parse().ok()?;
        let is_its = mark.incarnation == row.incarnation() && mark.start == row.started().0;
        if mark.home != self.world.table.home_id() || !is_its {
            return None;
        }
        processes::instance_of(pid, row.record().slot)
    }

    fn died_before_exec(&self, row: u32, launch: &Launch) -> Option<Failure> {
        processes::died_before_exec(self.row(row)?, launch)
    }

    fn take_over(&mut self, taken: &TakenOver<'_>) -> Watch {
        let TakenOver { row, incarnation, id, policy, spec } = *taken;
        let Some(entry) = self.row(row) else { return Watch::None };
        self.reconnect(entry, id, &policy.logs, &spec.run);
        let watch = self.processes.adopt(entry, incarnation, &spec.run.limits);
        let is_alive = watch != Watch::None;
        self.channels.recover(row, incarnation, (id, spec), &mut self.inherited.descriptors, is_alive);
        watch
    }

    fn know_memory(&mut self, row: u32) {
        self.processes.know_memory(row);
    }

    fn kept_status(&self, row: u32, incarnation: u32, spec: &App) -> Option<String> {
        kept_status(&self.world, row, incarnation, spec)
    }

    fn end_double(&mut self, row: u32, id: &InstanceId) {
        if let Some(row) = self.row(row) {
            processes::end_double(&self.world.events, row, id);
        }
    }

    fn was_exit_emitted(&self, id: &InstanceId, process: &StartedProcess, at: WallTime) -> bool {
        self.world.events.was_exit_emitted(id, process, at)
    }

    fn was_start_emitted(&self, id: &InstanceId, process: &StartedProcess, at: WallTime) -> bool {
        self.world.events.was_start_emitted(id, process, at)
    }

    fn other_name(&self, id: &InstanceId, process: &StartedProcess) -> Option<InstanceId> {
        self.world.events.other_name(id, process)
    }

    fn why_given_up(&self, id: &InstanceId) -> Option<Failure> {
        self.world.events.why_given_up(id)
    }

    fn all_taken_over(&mut self, instances: &[(u32, &InstanceId, &App)], has_hooks: bool) {
        let listeners = &self.world.listeners;
        let InheritedDescriptors { descriptors: mut held, .. } =
            std::mem::replace(&mut self.inherited, InheritedDescriptors::of(Vec::new()));
        for (key, socket) in take_listeners(&mut held) {
            listeners.take_over(key, socket, held.remove(&(key, HELD_SOCKET_FILE)));
        }
        // What the anchor did not hold may still be found in the processes.
        for (row, id, spec) in instances {
            if let Some(process) = self.processes.main(*row) {
                listeners.take_back(&self.world.anchor, process, &id.app, &spec.run.listen);
            }
        }
        self.take_clusters_over(instances, &mut held);
        self.channels.drop_rest(&held);
        if has_hooks {
            self.processes.end_orphaned_hooks();
        }
    }
}

impl RealHost {
    /// Takes up the channels and sockets of workers that live, and of apps whose workers are about to be started again.
    fn take_clusters_over(&self, instances: &[(u32, &InstanceId, &App)], held: &mut BTreeMap<(u64, u32), OwnedFd>) {
        let mut apps = BTreeMap::new();
        for (row, id, spec) in instances.iter().filter(|(_, _, spec)| spec.is_cluster()) {
            let (_, living) = apps.entry(&id.app).or_insert((*spec, Vec::new()));
            if let (Some(process), Some(entry)) = (self.processes.main(*row), self.row(*row)) {
                living.push((*row, entry.incarnation(), process));
            }
        }
        for (app, (spec, living)) in apps {
            let vault = held.remove(&(vault_key(app), HELD_VAULT));
            let user = match os::account(spec.run.user.as_deref(), spec.run.group.as_deref()) {
                Ok(account) => account.and_then(|account| account.identity).map_or(SocketUser::Own, SocketUser::Other),
                // Not with our own rights, in any case.
                Err(_) => SocketUser::Unknown,
            };
            let inherited = self.world.listeners.copies(&spec.run.listen);
            let taken =
                self.world.clusters.take_over(&self.world.anchor, (app, spec), vault, &living, (user, inherited));
            if let Err(error) = taken {
                let message =
                    format!("the sockets that workers of {app} share cannot be taken over: {error}; restart it");
                self.world.events.emit(Subject::Daemon, Fact::Trouble { message });
            }
        }
    }

    /// Lets the output of an instance flow again. Whether it has any is not a question of its policy: that of the process
    /// may have been another one.
    fn reconnect(&mut self, row: Row, id: &InstanceId, logs: &LogPolicy, run: &Run) {
        let writer = Writer { row, id, logs, run };
        let main = self.processes.main(row.index()).map(PidFd::pid);
        let InheritedDescriptors { descriptors, sessions } = &mut self.inherited;
        if let Err(error) = self.world.reconnect(&writer, descriptors, main, sessions) {
            let message = format!(
                "the output of {id} cannot be found again ({error}): it is lost, and the app waits when its pipe is full; \
                 restart it"
            );
            self.world.events.emit(Subject::Instance(id.clone()), Fact::Trouble { message });
        }
    }
}

/// The listening sockets among what the anchor held.
fn take_listeners(held: &mut BTreeMap<(u64, u32), OwnedFd>) -> Vec<(u64, OwnedFd)> {
    let keys: Vec<_> = held.keys().filter(|(_, kind)| *kind == HELD_LISTENER).copied().collect();
    keys.into_iter().filter_map(|key| Some((key.0, held.remove(&key)?))).collect()
}
