//! Boot: the rows that the last daemon left become members again.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::lost;
use super::member::Member;
use super::out_of_memory::OomKills;
use super::outputs::{Sessions, Writer};
use super::run::{Loop, seed, token};
use super::spawn::died_before_exec;
use super::voices::{self, Voices};
use super::world::Specs;
use crate::anchor::{EntryState, HELD_CHANNEL, HELD_LISTENER, HELD_NOTIFY, HELD_SOCKET_FILE, HeldFd, Row, RowState};
use crate::lifecycle::{Effect, Found, Machine, SavedState, State};
use crate::model::{
    App, Cause, Environment, Exit, Fact, Failure, InstanceId, Launch, Millis, RestartWhen, SpawnError, SpawnStage,
    Subject, WallTime,
};
use crate::os::{self, PidFd};

/// What recovery found, for the event that says so.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Instances whose process lives.
    pub alive: u32,
    /// Instances in all.
    pub instances: u32,
    /// What a person should be told.
    pub warnings: Vec<String>,
}

impl Loop {
    /// Looks at every row. Nothing is started that should not be: each machine leaves `Unknown` by what was found,
    /// and what should exist at all is the reconciler's question right afterwards.
    pub(super) fn recover(&mut self, held: Vec<HeldFd>, specs: &dyn Specs) -> Recovered {
        let mut recovered = Recovered { warnings: self.list_unlisted(), ..Recovered::default() };
        for message in recovered.warnings.clone() {
            self.world.events.emit(Subject::Daemon, Fact::Trouble { message });
        }
        let mut pipes: BTreeMap<(u64, u32), OwnedFd> =
            held.into_iter().map(|held| ((held.key, held.kind), held.fd)).collect();
        let mut lost_rows = Vec::new();
        let sessions = Sessions::new(os::sessions);
        for row in self.world.table.rows() {
            match known_member(row, specs) {
                Some(member) if self.roster.row_of(&member.id).is_some() => self.end_double(&member),
                Some(member) => self.take_over(member, &mut pipes, &sessions, &mut recovered),
                None => lost_rows.push(row),
            }
        }
        // After the others: where two claim the same name, the one whose spec is known has it.
        let mut lost = Vec::new();
        for row in lost_rows {
            if let Some(member) = self.lost_member(row) {
                lost.push(member.id.clone());
                self.take_over(member, &mut pipes, &sessions, &mut recovered);
            }
        }
        recovered.warnings.extend(lost::warning(&lost));
        self.settle_successors();
        for (key, socket) in take_listeners(&mut pipes) {
            self.world.listeners.take_over(key, socket, pipes.remove(&(key, HELD_SOCKET_FILE)));
        }
        self.take_listeners_back();
        self.release_voices(&pipes);
        self.end_orphaned_hooks();
        self.sweep();
        self.mirror();
        self.roster.publish();
        recovered
    }

    /// The last daemon died when the old process of a slot was gone and the new one did not bear its name yet.
    fn settle_successors(&mut self) {
        let successors: Vec<u32> =
            self.roster.iter().filter(|(_, member)| member.id.is_successor).map(|(row, _)| row).collect();
        for row in successors {
            self.take_slot_over(row);
        }
    }

    /// What the anchor did not hold may still be found in the processes.
    fn take_listeners_back(&self) {
        for (_, member) in self.roster.iter() {
            if let Some(process) = &member.process {
                let addresses = &member.record.spec.run.listen;
                self.world.listeners.take_back(&self.world.anchor, process, &member.id.app, addresses);
            }
        }
    }

    fn take_over(
        &mut self,
        mut member: Member,
        pipes: &mut BTreeMap<(u64, u32), OwnedFd>,
        sessions: &Sessions,
        recovered: &mut Recovered,
    ) {
        recovered.instances += 1;
        let (row, incarnation) = (member.row, member.machine.incarnation);
        self.note_sight(row);
        member.last_exit = row.exit().map(|(exit, _)| exit);
        self.emit_missed(&member);
        let given_up = self.world.events.why_given_up(&member.id);
        let found = look_at(row, &mut member, given_up);
        if let Found::Alive { .. } = found {
            recovered.alive += 1;
            member.status = voices::kept_status(&self.world, row.index(), incarnation, &member.record.spec);
        }
        // Also of a process that has ended: whoever asks when a task ran last may ask another daemon.
        if row.pid().is_some() {
            member.starts.note(row.started().1);
        }
        self.reconnect(&member, pipes, sessions);
        let about = (&member.id, &*member.record.spec);
        let voices = Voices::recover(&self.world, row.index(), incarnation, about, pipes);
        let effects = member.machine.recover(found, os::now());
        if member.machine.state.rests_since_exit() {
            member.machine.since = row.exit().map(|(_, at)| at);
        }
        let effects = self.without_told_exits(&member.id.clone().settled(), effects);
        let untold_exit = effects.iter().find_map(|effect| match effect {
            Effect::Emit(Fact::Exited { exit, .. }) => Some(*exit),
            _ => None,
        });
        let process = member.process.as_ref();
        let is_watched = process.map(|process| self.exits.add(process, token(row.index(), incarnation)).is_ok());
        let has_ended = process.is_some_and(PidFd::has_exited);
        if let Some(reaper) = process.and_then(|process| foreign_parent(process.pid(), self.world.table.anchor_pid())) {
            self.orphans.insert(row.index());
            self.reapers.insert(reaper);
        }
        self.roster.insert(row.index(), member);
        if is_watched.is_some() {
            self.listen_to(row.index(), voices);
        } else if let Some(member) = self.roster.get(row.index()) {
            voices::release(&self.world, row.index(), incarnation, &member.record.spec);
        }
        if let Some(exit) = untold_exit {
            self.tell_if_out_of_memory(row.index(), exit);
        } else if !has_ended && let Some(groups) = self.groups_of(row.index()) {
            // What the last daemon had seen of it, it has told; what happened since is told of the next loss only.
            let known = OomKills::known(groups.oom_kills(row.index()));
            if let Some(member) = self.roster.get_mut(row.index()) {
                member.oom_kills = known;
            }
        }
        self.follow(row.index(), effects);
        if has_ended || is_watched == Some(false) {
            self.ended(token(row.index(), incarnation));
        }
    }

    /// Lets the output of an instance flow again. Whether it has any is not a question of its policy: that of the process
    /// may have been another one.
    fn reconnect(&self, member: &Member, held: &mut BTreeMap<(u64, u32), OwnedFd>, sessions: &Sessions) {
        let (logs, run) = (&member.machine.policy.logs, &member.record.spec.run);
        let writer = Writer { row: member.row, id: &member.id, logs, run };
        let main = member.process.as_ref().map(PidFd::pid);
        if let Err(error) = self.world.reconnect(&writer, held, main, sessions) {
            let message = format!(
                "the output of {} cannot be found again ({error}): it is lost, and the app waits when its pipe is full; \
                 restart it",
                member.id
            );
            self.world.events.emit(Subject::Instance(member.id.clone()), Fact::Trouble { message });
        }
    }

    /// Nobody is left who could speak there.
    fn release_voices(&self, held: &BTreeMap<(u64, u32), OwnedFd>) {
        for (key, kind) in held.keys().filter(|(_, kind)| [HELD_NOTIFY, HELD_CHANNEL].contains(kind)) {
            let _ = self.world.anchor.drop_held(*key, *kind);
        }
    }

    /// What the last daemon did and could not tell any more, as far as the row still knows it: the end of the process
    /// before this one, then the start of this one.
    fn emit_missed(&self, member: &Member) {
        if died_before_exec(member.row, &member.next).is_some() {
            return;
        }
        self.tell_missed_exit(member);
        if member.row.state() != RowState::Idle || member.row.exit().is_some() {
            let pid = member.row.pid().unwrap_or(0);
            self.tell_missed_start(member, member.machine.incarnation, pid, member.row.started().1);
        }
    }

    fn tell_missed_start(&self, member: &Member, incarnation: u32, pid: u32, at: WallTime) {
        let never_was = pid == 0 && member.row.state() == RowState::Spawning;
        if incarnation > 0
            && !never_was
            && !self.world.events.was_start_emitted(&member.id.clone().settled(), incarnation, at)
        {
            let fact = Fact::Started { pid, incarnation, restarts: member.machine.restarts, cause: Cause::Policy };
            self.world.events.emit(Subject::Instance(member.id.clone().settled()), fact);
        }
    }

    /// The last daemon acted on an exit and died before the journal had it.
    fn tell_missed_exit(&self, member: &Member) {
        let Some((exit, at)) = member.row.exit() else { return };
        let incarnation = match member.row.state() {
            RowState::Idle => member.machine.incarnation,
            RowState::Spawning | RowState::Running => member.machine.incarnation.wrapping_sub(1),
            RowState::Exited | RowState::Free => return,
        };
        let at_wall = WallTime(os::wall().0.saturating_sub(os::now().since(at).0));
        if incarnation > 0 && !self.world.events.was_exit_emitted(&member.id.clone().settled(), incarnation, at_wall) {
            // The start of a process that was followed by another one is no longer in the row.
            let is_last = member.row.state() == RowState::Idle;
            self.tell_missed_start(
                member,
                incarnation,
                if is_last { member.row.pid().unwrap_or(0) } else { 0 },
                at_wall,
            );
            let uptime = if is_last { at.since(member.row.started().0) } else { Millis(0) };
            let fact = Fact::Exited { exit, incarnation, uptime, is_asked: false };
            self.world.events.emit(Subject::Instance(member.id.clone().settled()), fact);
        }
    }

    /// The last daemon told of an exit and died before it acted on it: it is acted on now, and not told twice.
    fn without_told_exits(&self, id: &InstanceId, effects: Vec<Effect>) -> Vec<Effect> {
        let is_told = |effect: &Effect| match effect {
            Effect::Emit(Fact::Exited { incarnation, .. }) => {
                self.world.events.was_exit_emitted(id, *incarnation, os::wall())
            }
            _ => false,
        };
        effects.into_iter().filter(|effect| !is_told(effect)).collect()
    }
}

/// The listening sockets among what the anchor held.
fn take_listeners(held: &mut BTreeMap<(u64, u32), OwnedFd>) -> Vec<(u64, OwnedFd)> {
    let keys: Vec<_> = held.keys().filter(|(_, kind)| *kind == HELD_LISTENER).copied().collect();
    keys.into_iter().filter_map(|key| Some((key.0, held.remove(&key)?))).collect()
}

/// The instance that a row names, with the spec that its process was really started with.
fn known_member(row: Row, specs: &dyn Specs) -> Option<Member> {
    let record = row.record();
    Some(member_of(row, specs.spec(&record.digest)?, specs.base(&record.base_digest)?))
}

/// The instance of a row, as far as the row and its spec say.
pub(super) fn member_of(row: Row, spec: Arc<App>, base: Arc<Environment>) -> Member {
    let record = row.record();
    let id = InstanceId { app: spec.id(), slot: record.slot, is_successor: record.is_successor };
    let machine = Machine {
        state: State::Unknown,
        incarnation: row.incarnation(),
        last_number: row.last_number(),
        restarts: record.restarts,
        unstable: record.unstable,
        force_kills: record.force_kills,
        is_successor: record.is_successor,
        ..Machine::new(Arc::clone(&spec), seed(&id))
    };
    let launch = Launch {
        spec,
        digest: record.digest,
        base,
        base_digest: record.base_digest,
        restart_requests: record.restart_requests,
        cause: Cause::Boot,
    };
    Member::new(id, row, machine, launch)
}

/// What became of the process of a row while no daemon looked.
fn look_at(row: Row, member: &mut Member, given_up: Option<Failure>) -> Found {
    let record = row.record();
    let since = row.started().0;
    let stop_deadline = (record.saved_state == EntryState::StopAsked).then_some(record.stop_deadline);
    let ended = || Found::Ended {
        exit: row.exit().map_or(Exit::Unknown, |(exit, _)| exit),
        since,
        was_asked: stop_deadline.is_some(),
    };
    match row.state() {
        RowState::Free | RowState::Idle => Found::Nothing(saved_state(row, member, given_up)),
        RowState::Exited => ended(),
        RowState::Spawning if row.pid().is_none() && row.abandon().is_ok() => Found::NeverSpawned,
        RowState::Spawning | RowState::Running => {
            member.process = verified(row);
            member.was_seen_alive = member.process.is_some();
            if member.process.is_some() {
                let ready_deadline = (record.saved_state == EntryState::Unready).then_some(record.next_start);
                return Found::Alive { since, stop_deadline, ready_deadline };
            }
            // Neither our anchor nor we saw it end.
            let _ = row.exited_unseen(Exit::Unknown);
            ended()
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

/// The parent, if it is somebody else's child. One that is gone by now was reaped, and so was the anchor's.
fn foreign_parent(pid: u32, anchor: u32) -> Option<u32> {
    os::proc_stat(pid).ok().map(|stat| stat.ppid).filter(|parent| *parent != anchor)
}

/// What the last daemon had decided about an instance without a process. `given_up`: what it told of that.
fn saved_state(row: Row, member: &Member, given_up: Option<Failure>) -> SavedState {
    let record = row.record();
    let exit = row.exit().map_or(Exit::Unknown, |(exit, _)| exit);
    match record.saved_state {
        EntryState::None | EntryState::Stopped | EntryState::StopAsked | EntryState::Unready => SavedState::Down,
        EntryState::Backoff => SavedState::Waiting { until: record.next_start },
        EntryState::Done => SavedState::Done(exit),
        EntryState::Errored => SavedState::Errored(given_up.unwrap_or_else(|| failure(row, member, exit))),
    }
}

/// Why an instance was given up, as far as its row still knows it.
fn failure(row: Row, member: &Member, exit: Exit) -> Failure {
    let (starts, policy) = (row.record().unstable, &member.machine.policy.restart);
    if let Some(failure) = died_before_exec(row, &member.next) {
        return failure;
    }
    if policy.restart == RestartWhen::Never {
        return Failure::Exited { exit };
    }
    if policy.max_restarts.is_some_and(|limit| starts >= limit) && starts > 0 {
        return Failure::TooManyRestarts { starts, exit, trouble: None };
    }
    // It was refused before there was a process that could have said why.
    let subject = member.next.spec.run.script.clone().unwrap_or_else(|| "its command".to_owned());
    let message = "it could not be started, and why is no longer known".to_owned();
    Failure::Spawn { error: SpawnError { stage: SpawnStage::Exec, subject, errno: 0, message, is_passing: false } }
}
