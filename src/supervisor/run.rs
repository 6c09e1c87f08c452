//! The one loop in which everything happens to instances, in one order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::hooks::{HookResult, Hooks};
use super::member::Member;
use super::roster::Roster;
use super::spawn::{self, SpawnResult};
use super::world::World;
use super::{Observation, Request, Seen};
use crate::anchor::{AnchorWord, RowState};
use crate::lifecycle::{Input, Machine, State};
use crate::logs::StreamKey;
use crate::model::{
    AppId, Command, Exit, Fact, Failure, InstanceId, Launch, LeftProcess, Moment, Order, Stream, Subject,
};
use crate::os::{self, ExitWatch, InputWatch, Leftover};

/// How often rows are looked at, whatever happens meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Things that happen in one turn, at most.
const TURN_MAX: usize = 64;

/// The supervisor's own memory. It belongs to one task; nobody else touches it.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) world: Arc<World>,
    pub(super) roster: Roster,
    pub(super) exits: ExitWatch,
    /// Sockets on which processes speak.
    pub(super) inputs: InputWatch,
    /// Processes that ended and whose status the anchor has not written yet; with a failure, if they never
    /// executed their program.
    pub(super) unharvested: BTreeMap<u32, Option<Failure>>,
    /// Rows whose process is the child of an anchor that died.
    pub(super) orphans: BTreeSet<u32>,
    /// Rows whose earlier processes ran under an anchor that died.
    pub(super) out_of_sight: BTreeSet<u32>,
    /// Orphans that ended and were not reaped yet: when their exit status is given up.
    pub(super) unreaped: BTreeMap<u32, Moment>,
    /// Rows whose trees are to be looked at, in one sweep for all.
    pub(super) sweeps: BTreeSet<u32>,
    /// Rows that have changed in this turn.
    pub(super) unmirrored: BTreeSet<u32>,
    /// What the last sweep found, by row.
    pub(super) leftovers: BTreeMap<u32, Vec<Leftover>>,
    /// What the last look could not tell whose it is, by rows that it may be of.
    pub(super) unclear: BTreeMap<u32, Vec<LeftProcess>>,
    /// Who has inherited the children of an anchor that died.
    pub(super) reapers: BTreeSet<u32>,
    pub(super) spawned_in: mpsc::UnboundedSender<SpawnResult>,
    spawned: mpsc::UnboundedReceiver<SpawnResult>,
    pub(super) hooks: Hooks,
    /// Instances that are gone, whose row a hook may still touch.
    pub(super) unfreed: BTreeMap<u32, Member>,
    hook_ends: mpsc::UnboundedReceiver<HookResult>,
    /// What the kernel's out-of-memory killer had done when it was last asked.
    pub(super) oom_kills: u64,
    /// What was said about limits that cannot be had.
    pub(super) told_limits: BTreeMap<AppId, String>,
    /// However much happens meanwhile: rows are looked at then.
    next_look: tokio::time::Instant,
    requests: mpsc::Receiver<Request>,
    anchor_gone: watch::Sender<bool>,
}

/// One thing that can happen.
enum Happening {
    Asked(Request),
    Spawned(SpawnResult),
    HookEnded(HookResult),
    Ended(Vec<u64>),
    Heard(Vec<u64>),
    Harvested,
    AnchorGone,
    AlarmRang,
    TimeToLook,
    NobodyLeft,
}

impl Loop {
    pub fn new(
        world: Arc<World>,
        roster: Roster,
        requests: mpsc::Receiver<Request>,
        anchor_gone: watch::Sender<bool>,
    ) -> std::io::Result<Self> {
        // Bounded by the number of rows: every instance has at most one spawn under way.
        let (spawned_in, spawned) = mpsc::unbounded_channel();
        // Bounded likewise: an instance has at most one of each hook.
        let (hook_ended_in, hook_ends) = mpsc::unbounded_channel();
        Ok(Self {
            world,
            roster,
            exits: ExitWatch::new()?,
            inputs: InputWatch::new()?,
            unharvested: BTreeMap::new(),
            orphans: BTreeSet::new(),
            out_of_sight: BTreeSet::new(),
            unreaped: BTreeMap::new(),
            sweeps: BTreeSet::new(),
            unmirrored: BTreeSet::new(),
            leftovers: BTreeMap::new(),
            unclear: BTreeMap::new(),
            reapers: BTreeSet::new(),
            spawned_in,
            spawned,
            hooks: Hooks::new(hook_ended_in),
            unfreed: BTreeMap::new(),
            hook_ends,
            oom_kills: os::oom_kills(),
            told_limits: BTreeMap::new(),
            next_look: tokio::time::Instant::now() + LOOK_EVERY,
            requests,
            anchor_gone,
        })
    }

    /// Runs until every handle of the supervisor is gone.
    pub async fn run(mut self) {
        loop {
            match self.next().await {
                Happening::NobodyLeft => return,
                first => self.happened(first),
            }
            for _ in 1..TURN_MAX {
                let Some(another) = self.waiting() else { break };
                self.happened(another);
            }
            self.sweep();
            self.mirror();
            self.roster.publish();
        }
    }

    fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::Asked(request) => self.asked(request),
            Happening::Spawned(result) => self.spawned(result),
            Happening::HookEnded(result) => self.hook_ended(result),
            Happening::Ended(tokens) => tokens.into_iter().for_each(|token| self.ended(token)),
            Happening::Heard(tokens) => tokens.into_iter().for_each(|token| self.heard(token)),
            Happening::Harvested => self.harvest(),
            Happening::AnchorGone => self.anchor_gone(),
            Happening::AlarmRang => {
                for row in self.roster.due(os::now()) {
                    self.step(row, Input::Alarm);
                }
                self.give_up_on_reaping();
            }
            Happening::TimeToLook => self.look_at_rows(),
            Happening::NobodyLeft => {}
        }
    }

    /// What has happened already, of the two things that come in bursts: it needs no waiting, and shares the end of
    /// the turn with others.
    fn waiting(&mut self) -> Option<Happening> {
        let spawned = self.spawned.try_recv().ok().map(Happening::Spawned);
        spawned.or_else(|| self.requests.try_recv().ok().map(Happening::Asked))
    }

    /// Copies the rows that this turn has changed to the file that is read when both processes died.
    pub(super) fn mirror(&mut self) {
        if !self.unmirrored.is_empty() {
            self.world.mirror(std::mem::take(&mut self.unmirrored));
        }
    }

    async fn next(&mut self) -> Happening {
        let is_anchor_gone = *self.anchor_gone.borrow();
        let alarms = self.roster.next_alarm().into_iter().chain(self.unreaped.values().copied());
        let alarm = alarms.min().map(|at| at.since(os::now()).duration());
        tokio::select! {
            request = self.requests.recv() => request.map_or(Happening::NobodyLeft, Happening::Asked),
            Some(result) = self.spawned.recv() => Happening::Spawned(result),
            Some(result) = self.hook_ends.recv() => Happening::HookEnded(result),
            tokens = self.exits.next() => Happening::Ended(tokens.unwrap_or_default()),
            tokens = self.inputs.next() => Happening::Heard(tokens.unwrap_or_default()),
            word = self.world.anchor.next(), if !is_anchor_gone => match word {
                // What it refuses to hold is output, and that flows without being held as long as one of us lives.
                Ok(AnchorWord::Exited | AnchorWord::Refused { .. }) => Happening::Harvested,
                Ok(AnchorWord::Gone) | Err(_) => Happening::AnchorGone,
            },
            () = tokio::time::sleep_until(self.next_look) => Happening::TimeToLook,
            () = tokio::time::sleep(alarm.unwrap_or(Duration::MAX)), if alarm.is_some() => Happening::AlarmRang,
        }
    }

    fn asked(&mut self, request: Request) {
        match request {
            Request::Orders(orders) => orders.into_iter().for_each(|order| self.order(order)),
            Request::Changed(reply) => drop(reply.send(self.roster.take_changed())),
            Request::Drain(instance, reply) => {
                if let Some(row) = self.roster.row_of(&instance) {
                    let keys = [Stream::Stdout, Stream::Stderr].map(|stream| StreamKey { row, stream });
                    let _ = reply.send(self.world.pump.drain(keys.to_vec()));
                }
            }
            Request::Lifetime(instance, start, is_before, reply) => {
                let member = self.roster.row_of(&instance).and_then(|row| self.roster.get(row));
                let _ = reply.send(member.and_then(|member| member.starts.lifetime(start, is_before)));
            }
            Request::KeepListeners(wanted) => self.world.listeners.keep_only(&self.world.anchor, &wanted),
            Request::Observed(observation) => self.observed(observation),
            Request::Beside(instance, incarnation, command, reply) => {
                self.run_beside(&instance, incarnation, command, reply);
            }
            Request::LastBeat(instance, incarnation, reply) => {
                let member = self.roster.row_of(&instance).and_then(|row| self.roster.get(row));
                let beat =
                    member.filter(|member| member.machine.incarnation == incarnation).and_then(|member| member.beat);
                let _ = reply.send(beat);
            }
            // Who asked and went away does not want to know.
            Request::Live(reply) => drop(reply.send(self.roster.live())),
            Request::LeftBy(instances, reply) => drop(reply.send(self.left_by(&instances))),
            Request::EndEverything(reply) => drop(reply.send(self.end_everything())),
            Request::Look(instances, reply) => drop(reply.send(self.roster.look(instances))),
        }
    }

    fn observed(&mut self, observation: Observation) {
        let Observation { instance, incarnation, seen } = observation;
        let Some(row) = self.roster.row_of(&instance) else { return };
        let input = match seen {
            Seen::Probed(result) => Input::Probed { incarnation, result },
            Seen::OverMemory { used, limit } => Input::OverMemory { incarnation, used, limit },
        };
        self.step(row, input);
    }

    fn order(&mut self, order: Order) {
        let Order { instance, number, command } = order;
        let row = match (self.roster.row_of(&instance), &command) {
            (Some(row), _) => row,
            (None, Command::Start(launch) | Command::Restart(launch)) => {
                let Some(row) = self.enter(&instance, launch) else {
                    let failure = spawn::no_row(&instance);
                    return self.roster.refuse(instance, number, failure);
                };
                row
            }
            (None, Command::Rename(old, _)) => match self.roster.row_of(old) {
                Some(row) => row,
                None => return,
            },
            // It is as asked.
            (None, Command::Stop(_) | Command::Delete(_) | Command::Reconfigure(_) | Command::TakeOver) => return,
        };
        match self.roster.get_mut(row) {
            Some(member) if member.taken.order < number => member.take(number),
            // A late or repeated one.
            _ => return,
        }
        self.carry_out(row, instance, command);
        self.roster.changed(row);
    }

    fn carry_out(&mut self, row: u32, instance: InstanceId, command: Command) {
        match command {
            Command::Start(launch) => {
                let cause = launch.cause.clone();
                self.launch(row, launch, false);
                self.step(row, Input::Start(cause));
            }
            Command::Restart(launch) => {
                let cause = launch.cause.clone();
                self.launch(row, launch, true);
                self.step(row, Input::Restart(cause));
            }
            Command::Stop(cause) => self.step(row, Input::Stop(cause)),
            Command::Delete(cause) => self.step(row, Input::Delete(cause)),
            Command::Reconfigure(spec) => {
                if let Some(member) = self.roster.get_mut(row) {
                    member.machine.policy = spec;
                    self.retarget(row);
                }
            }
            Command::Rename(old, launch) => self.rename(row, old, instance, launch),
            Command::TakeOver => self.take_slot_over(row),
        }
    }

    /// A new instance takes a free row.
    fn enter(&mut self, id: &InstanceId, launch: &Launch) -> Option<u32> {
        let row = self.world.table.claim_free_row()?;
        let mut machine = Machine::new(Arc::clone(&launch.spec), seed(id));
        machine.is_successor = id.is_successor;
        if id.is_successor {
            // The processes of a slot are counted in one row of numbers.
            let settled = self.roster.row_of(&id.clone().settled()).and_then(|row| self.roster.get(row));
            let number = |member: &Member| member.machine.incarnation.max(member.machine.last_number);
            machine.incarnation = settled.map_or(0, number);
        }
        self.roster.insert(row.index(), Member::new(id.clone(), row, machine, launch.clone()));
        Some(row.index())
    }

    /// Notes what the next process is started with. A living process that is kept keeps its spawn record too.
    fn launch(&mut self, row: u32, launch: Launch, is_new_process: bool) {
        let Some(member) = self.roster.get_mut(row) else { return };
        member.machine.policy = Arc::clone(&launch.spec);
        // One that is being ended makes room for what is asked for now.
        let is_kept = member.process.is_some() && matches!(member.machine.state, State::Running { .. });
        if is_new_process || !is_kept {
            member.next = launch;
        }
        self.retarget(row);
    }

    fn rename(&mut self, row: u32, old: InstanceId, new: InstanceId, launch: Launch) {
        self.roster.rename(row, new.clone());
        if let Some(member) = self.roster.get_mut(row) {
            member.machine.policy = Arc::clone(&launch.spec);
            // What nobody knows of a process does not become known by its new name.
            if !member.record.spec.is_spec_lost() {
                member.record = launch.clone();
            }
            member.next = launch;
            member.row.set_record(&member.row_record());
            self.unmirrored.insert(row);
        }
        self.retarget(row);
        self.world.events.emit(Subject::Instance(new), Fact::Renamed { from: old });
    }

    /// A successor becomes the instance of its slot, unless that one still exists.
    pub(super) fn take_slot_over(&mut self, row: u32) {
        let Some(settled) = self.roster.get(row).map(|member| member.id.clone().settled()) else { return };
        if self.roster.row_of(&settled).is_some() {
            return;
        }
        self.roster.rename(row, settled);
        if let Some(member) = self.roster.get_mut(row) {
            member.machine.is_successor = false;
            member.row.set_record(&member.row_record());
            self.unmirrored.insert(row);
        }
    }

    fn spawned(&mut self, result: SpawnResult) {
        let SpawnResult { row, incarnation, launch, outcome } = result;
        let (entry, row) = (row, row.index());
        let Some(member) = self.roster.get_mut(row) else { return };
        match outcome {
            Ok(spawned) => {
                let policy = &member.machine.policy;
                let is_outdated = launch.spec.logs != policy.logs || launch.spec.name != member.id.app.name;
                member.record = launch;
                // Before its first instruction: what it prints is younger.
                member.starts.note(member.row.started().1);
                member.process = spawned.process;
                member.was_seen_alive = member.process.is_some();
                let is_watched = match &member.process {
                    Some(process) => self.exits.add(process, token(row, incarnation)).is_ok(),
                    None => false,
                };
                member.user_id = spawned.user_id;
                if is_outdated {
                    // Perhaps since the spawn was begun: the pump did not know its pipes yet.
                    self.retarget(row);
                }
                self.listen_to(row, spawned.voices);
                self.step(row, Input::Spawned { pid: spawned.pid });
                if !is_watched {
                    self.ended(token(row, incarnation));
                }
            }
            // The child came to be; its row is free for the next one only when the anchor has reaped it.
            Err(error) if entry.state() == RowState::Spawning => {
                self.unharvested.insert(row, Some(Failure::Spawn { error }));
                self.harvest();
            }
            Err(error) => self.spawn_failed(row, Failure::Spawn { error }),
        }
    }

    fn spawn_failed(&mut self, row: u32, failure: Failure) {
        if let Some(member) = self.roster.get_mut(row) {
            // It is as it was asked for, and failed: nothing of it is out of date.
            member.record = member.next.clone();
            if let Some(groups) = self.world.groups_for(&member.next.spec.run.limits) {
                groups.remove(row);
            }
        }
        self.step(row, Input::SpawnFailed { failure });
    }

    /// A process ended. Its status stands in the row as soon as the anchor has reaped it.
    pub(super) fn ended(&mut self, token: u64) {
        let (row, incarnation) = row_and_incarnation(token);
        let Some(member) = self.roster.get(row).filter(|member| member.machine.incarnation == incarnation) else {
            return;
        };
        match member.row.state() {
            RowState::Exited => self.exited(row, member.row.exit().map_or(Exit::Unknown, |(exit, _)| exit)),
            RowState::Spawning | RowState::Running if self.is_orphan(row) => self.orphan_ended(row),
            RowState::Spawning | RowState::Running => {
                self.unharvested.insert(row, None);
            }
            RowState::Free | RowState::Idle => {}
        }
    }

    fn harvest(&mut self) {
        for (row, failure) in std::mem::take(&mut self.unharvested) {
            let Some(member) = self.roster.get(row) else { continue };
            match failure {
                None => self.ended(token(row, member.machine.incarnation)),
                Some(failure) if member.row.state() == RowState::Exited => self.spawn_failed(row, failure),
                Some(failure) => {
                    self.unharvested.insert(row, Some(failure));
                }
            }
        }
    }

    /// Wake-ups are hints, the table is the truth: an exit that nobody was woken for is found here.
    fn look_at_rows(&mut self) {
        self.next_look = tokio::time::Instant::now() + LOOK_EVERY;
        self.oom_kills = os::oom_kills();
        self.tell_lost_children();
        let is_over = |member: &Member| member.row.state() == RowState::Exited && member.process.is_some();
        let over = self.roster.iter().filter(|(_, member)| is_over(member));
        let tokens: Vec<u64> = over.map(|(row, member)| token(row, member.machine.incarnation)).collect();
        for token in tokens {
            self.ended(token);
        }
        self.harvest();
    }

    pub(super) fn exited(&mut self, row: u32, exit: Exit) {
        self.unharvested.remove(&row);
        self.orphans.remove(&row);
        self.unreaped.remove(&row);
        let Some(member) = self.roster.get_mut(row) else { return };
        if let Some(process) = member.process.take() {
            // Before the pidfd is closed: a child between clone and exec may still hold a copy of it.
            let _ = self.exits.remove(&process);
        }
        member.last_exit = Some(exit);
        let incarnation = member.machine.incarnation;
        self.listen_no_more(row);
        self.tell_if_out_of_memory(row, exit);
        os::killpoint("exit.known");
        self.step(row, Input::Exited { incarnation, exit });
    }

    pub(super) fn is_anchor_gone(&self) -> bool {
        *self.anchor_gone.borrow()
    }

    fn anchor_gone(&mut self) {
        self.anchor_gone.send_replace(true);
        self.out_of_sight.extend(self.roster.iter().map(|(row, _)| row));
        let message = "the anchor process is gone; a new one takes over, apps are not touched".to_owned();
        self.world.events.emit(Subject::Daemon, Fact::Trouble { message });
        self.harvest();
    }
}

/// Names a process to the exit watch: row and incarnation.
pub(super) fn token(row: u32, incarnation: u32) -> u64 {
    u64::from(row) << 32 | u64::from(incarnation)
}

fn row_and_incarnation(token: u64) -> (u32, u32) {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the word")]
    (((token >> 32) as u32), (token as u32))
}

/// The same instance always spreads its waits alike; different ones do not.
pub(super) fn seed(id: &InstanceId) -> u64 {
    let digest = crate::model::Digest::of(id.to_string().as_bytes());
    digest.0.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}
