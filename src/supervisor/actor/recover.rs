//! Boot: the rows that the last daemon left become instances again.

use super::claims::{Claims, Specs, known_instance, settle_double};
use super::{Instance, InstanceActor, lost};
use crate::lifecycle::{Effect, Found, SavedState};
use crate::model::{
    Cause, Exit, Fact, Failure, InstanceId, Millis, RestartWhen, SpawnError, SpawnStage, Subject, WallTime,
};
use crate::supervisor::host::{Entry, EntryState, Record, Recovery, RowState, StartedProcess, TakenOver, Watch};

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

impl<H: Recovery> InstanceActor<H> {
    /// Looks at every row. Nothing is started that should not be: each machine leaves `Unknown` by what was found,
    /// and what should exist at all is the reconciler's question right afterwards.
    pub fn recover(&mut self, specs: &dyn Specs) -> Recovered {
        let (warnings, changed) = self.host.list_unlisted();
        self.unmirrored.extend(changed);
        let mut recovered = Recovered { warnings, ..Recovered::default() };
        for message in recovered.warnings.clone() {
            self.host.tell(Subject::Daemon, Fact::Trouble { message });
        }
        let claims = Claims::of(&self.host, specs);
        claims.tell_missed_names(&self.host);
        let mut lost_rows = Vec::new();
        for row in claims.in_order(&self.host) {
            let Some(mut instance) = known_instance(&self.host, row, specs) else {
                lost_rows.push(row);
                continue;
            };
            settle_double(&self.host, &self.registry, row, &mut instance);
            if self.registry.row_of(&instance.id).is_some() {
                self.host.end_double(row, &instance.id);
                self.unmirrored.insert(row);
            } else {
                self.take_over(row, instance, specs, &mut recovered);
            }
        }
        // After the others: where two claim the same name, the one whose spec is known has it.
        let mut lost = Vec::new();
        for row in lost_rows {
            if let Some(instance) = lost::lost_instance(self, row) {
                lost.push(instance.id.clone());
                self.take_over(row, instance, specs, &mut recovered);
            }
        }
        recovered.warnings.extend(lost::warning(&lost));
        self.settle_successors();
        self.clusters.recover(&self.registry);
        let has_hooks = self.registry.iter().any(|(_, instance)| !instance.machine.policy.hooks.is_empty());
        let instances = self.registry.iter().map(|(row, instance)| (row, &instance.id, &*instance.record.spec));
        self.host.all_taken_over(&instances.collect::<Vec<_>>(), has_hooks);
        recovered
    }

    /// The last daemon died when the old process of a slot was gone and the new one did not bear its name yet.
    fn settle_successors(&mut self) {
        let successors = self.registry.iter().filter(|(_, instance)| instance.id.is_successor);
        let successors: Vec<u32> = successors.map(|(row, _)| row).collect();
        for row in successors {
            self.take_slot_over(row);
        }
    }

    fn take_over(&mut self, row: u32, mut instance: Instance, specs: &dyn Specs, recovered: &mut Recovered) {
        recovered.instances += 1;
        let incarnation = instance.machine.incarnation;
        let entry = self.host.entry(row);
        instance.last_exit = entry.exit.map(|(exit, _)| exit);
        // The journal knows numbers that no entry has any more, and the table some that were not told (seed 300536).
        instance.machine.last_number = entry.last_number.max(self.host.last_number(&instance.id.clone().settled()));
        emit_missed(&self.host, row, &instance, &entry, specs);
        let found = look_at(&mut self.host, row, &mut instance, &entry);
        if let Found::Alive { .. } = found {
            recovered.alive += 1;
            instance.status = self.host.kept_status(row, incarnation, &instance.record.spec);
        }
        // Also of a process that has ended: whoever asks when a task ran last may ask another daemon.
        if entry.pid.is_some() {
            instance.starts.note(entry.started.1);
        }
        let (policy, spec) = (&*instance.machine.policy, &*instance.record.spec);
        let watch = self.host.take_over(&TakenOver { row, incarnation, id: &instance.id, policy, spec });
        let effects = instance.machine.recover(found, self.host.now());
        if instance.machine.state.rests_since_exit() {
            instance.machine.since = entry.exit.map(|(_, at)| at);
        }
        let effects = match self.host.died_before_exec(row, &instance.next) {
            Some(failure) => as_failed_start(effects, &failure),
            None => without_told_exits(&self.host, row, &instance.id.clone().settled(), effects),
        };
        let untold_exit = effects.iter().find_map(|effect| match effect {
            Effect::Emit(Fact::Exited { exit, .. }) => Some(*exit),
            _ => None,
        });
        self.registry.insert(row, instance);
        match untold_exit {
            Some(exit) => self.tell_if_out_of_memory(row, exit),
            // What the last daemon had seen of it, it has told; what happened since is told of the next loss only.
            None if watch != Watch::Ended => self.host.know_memory(row),
            None => {}
        }
        self.follow(row, effects);
        if matches!(watch, Watch::Ended | Watch::Unwatched) {
            self.ended(row, incarnation);
        }
    }
}

/// What became of the process of a row while no daemon looked.
fn look_at<H: Recovery>(host: &mut H, row: u32, instance: &mut Instance, entry: &Entry) -> Found {
    let record = host.record(row);
    let since = entry.started.0;
    let stop_deadline = (record.saved_state == EntryState::StopAsked).then_some(record.stop_deadline);
    let ended = |exit| Found::Ended { exit, since, was_asked: stop_deadline.is_some() };
    match entry.state {
        RowState::Free | RowState::Idle => Found::Nothing(saved_state(host, row, instance, entry)),
        RowState::Exited if succeeded(host, row, instance) => {
            let ready_deadline = (record.saved_state == EntryState::Unready).then_some(record.next_start);
            Found::Alive { since, stop_deadline, ready_deadline }
        }
        RowState::Exited => ended(entry.exit.map_or(Exit::Unknown, |(exit, _)| exit)),
        RowState::Spawning if entry.pid.is_none() && !was_told(host, instance, entry) && host.abandon(row) => {
            Found::NeverSpawned
        }
        RowState::Spawning | RowState::Running => {
            instance.process = host.open_main(row);
            if instance.process.is_some() {
                let ready_deadline = (record.saved_state == EntryState::Unready).then_some(record.next_start);
                return Found::Alive { since, stop_deadline, ready_deadline };
            }
            // Neither our anchor nor we saw it end.
            host.exited_unseen(row);
            ended(host.entry(row).exit.map_or(Exit::Unknown, |(exit, _)| exit))
        }
    }
}

/// Whether another process of the app goes on as the main one of a row whose process has ended, as that one said to the last
/// daemon. One that was being ended ends as a whole.
fn succeeded<H: Recovery>(host: &mut H, row: u32, instance: &mut Instance) -> bool {
    if host.record(row).saved_state == EntryState::StopAsked || instance.machine.is_worker {
        return false;
    }
    let Some((previous, pid)) = host.succeed_unheard(row) else { return false };
    instance.process = host.open_main(row);
    host.tell(Subject::Instance(instance.id.clone().settled()), Fact::MainProcessChanged { pid, previous });
    instance.process.is_some()
}

/// A process that was told of came to be, also if the row is from before that.
fn was_told<H: Recovery>(host: &H, instance: &Instance, entry: &Entry) -> bool {
    host.was_start_emitted(&instance.id.clone().settled(), &entry.process(), host.wall())
}

/// What the last daemon did and could not tell any more, as far as the row still knows it: the end of the process
/// before this one, then the start of this one.
fn emit_missed<H: Recovery>(host: &H, row: u32, instance: &Instance, entry: &Entry, specs: &dyn Specs) {
    if host.died_before_exec(row, &instance.next).is_some() {
        return;
    }
    tell_missed_exit(host, row, instance, entry, specs);
    if entry.state != RowState::Idle || entry.exit.is_some() && entry.pid.is_some() {
        tell_missed_start(host, instance, entry, entry.started.1);
    }
}

fn tell_missed_start<H: Recovery>(host: &H, instance: &Instance, entry: &Entry, at: WallTime) {
    // It never came to be, or it ended together with whatever knew its number.
    let Some(pid) = entry.pid else { return };
    let (id, incarnation) = (instance.id.clone().settled(), instance.machine.incarnation);
    if incarnation > 0 && !host.was_start_emitted(&id, &entry.process(), at) {
        host.tell(
            Subject::Instance(id),
            Fact::Started { pid, incarnation, restarts: instance.machine.restarts, cause: Cause::Policy },
        );
    }
}

/// The last daemon acted on an exit and died before the journal had it.
fn tell_missed_exit<H: Recovery>(host: &H, row: u32, instance: &Instance, entry: &Entry, specs: &dyn Specs) {
    let Some((exit, at)) = entry.exit else { return };
    let incarnation = match entry.state {
        RowState::Idle => instance.machine.incarnation,
        RowState::Spawning | RowState::Running => instance.machine.incarnation.wrapping_sub(1),
        RowState::Exited | RowState::Free => return,
    };
    let id = instance.id.clone().settled();
    let at_wall = WallTime(host.wall().0.saturating_sub(host.now().since(at).0));
    // Both processes of a slot that is being taken over are counted in one row of numbers.
    let is_other = |other: u32| {
        let other = known_instance(host, other, specs).filter(|_| other != row);
        other.is_some_and(|other| other.machine.incarnation == incarnation && other.id.settled() == id)
    };
    // A start that was announced and never came to be has taken the pid of the one before with it.
    let is_last = entry.state == RowState::Idle && entry.pid.is_some();
    // The process before that one bore a lower number, and perhaps not the next one: a start that failed or that was
    // called off bears one, too. What is known to have been started and not to have ended is it.
    let process = StartedProcess { incarnation, pid: entry.pid.filter(|_| is_last), started: entry.started.1 };
    let was_it = is_last || host.was_start_emitted(&id, &process, at_wall);
    let is_told = || host.was_exit_emitted(&id, &process, at_wall);
    if incarnation > 0 && was_it && !is_told() && !host.rows().into_iter().any(is_other) {
        let uptime = if is_last { at.since(entry.started.0) } else { Millis(0) };
        if is_last {
            tell_missed_start(host, instance, entry, at_wall);
        }
        host.tell(Subject::Instance(id), Fact::Exited { exit, incarnation, uptime, is_asked: false });
    }
}

/// What never executed its program was not started, and so did not end.
fn as_failed_start(mut effects: Vec<Effect>, failure: &Failure) -> Vec<Effect> {
    for effect in &mut effects {
        if let Effect::Emit(fact @ Fact::Exited { .. }) = effect {
            *fact = Fact::StartFailed { failure: failure.clone() };
        }
    }
    effects
}

/// The last daemon told of an exit and died before it acted on it: it is acted on now, and not told twice.
fn without_told_exits<H: Recovery>(host: &H, row: u32, id: &InstanceId, effects: Vec<Effect>) -> Vec<Effect> {
    let process = host.entry(row).process();
    let is_told = |effect: &Effect| match effect {
        Effect::Emit(Fact::Exited { .. }) => host.was_exit_emitted(id, &process, host.wall()),
        _ => false,
    };
    effects.into_iter().filter(|effect| !is_told(effect)).collect()
}

/// What the last daemon had decided about an instance without a process.
fn saved_state<H: Recovery>(host: &H, row: u32, instance: &Instance, entry: &Entry) -> SavedState {
    let record = host.record(row);
    let exit = entry.exit.map_or(Exit::Unknown, |(exit, _)| exit);
    match record.saved_state {
        EntryState::None | EntryState::Stopped | EntryState::StopAsked | EntryState::Unready => SavedState::Down,
        EntryState::Backoff => SavedState::Waiting { until: record.next_start },
        EntryState::Done => SavedState::Done(exit),
        EntryState::Errored => {
            let told = host.why_given_up(&instance.id);
            SavedState::Errored(told.unwrap_or_else(|| failure(host, row, &record, instance, exit)))
        }
    }
}

/// Why an instance was given up, as far as its row still knows it.
fn failure<H: Recovery>(host: &H, row: u32, record: &Record, instance: &Instance, exit: Exit) -> Failure {
    let (starts, policy) = (record.unstable, &instance.machine.policy.restart);
    if let Some(failure) = host.died_before_exec(row, &instance.next) {
        return failure;
    }
    if policy.restart == RestartWhen::Never {
        return Failure::Exited { exit };
    }
    if policy.max_restarts.is_some_and(|limit| starts >= limit) && starts > 0 {
        return Failure::TooManyRestarts { starts, exit, trouble: None };
    }
    // It was refused before there was a process that could have said why.
    let subject = instance.next.spec.run.script.clone().unwrap_or_else(|| "its command".to_owned());
    let message = "the reason is no longer known, because the daemon ended; `pm restart` tries it again".to_owned();
    Failure::Spawn { error: SpawnError { stage: SpawnStage::Exec, subject, errno: 0, message, is_passing: false } }
}
