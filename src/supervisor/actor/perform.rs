//! Effects of the lifecycle, done by the host. No decision is taken here.

use super::{Instance, InstanceActor, Registry};
use crate::lifecycle::{Effect, Input, Rest, State, Then};
use crate::model::{Environment, Fact, Hook, InstanceId, LeftProcess, ListenAddress, Phase, StopScope, Subject};
use crate::supervisor::host::{HookJob, Host, Record, SIGKILL, SpawnJob};

/// The message by which an app is asked to shut down.
const SHUTDOWN: &str = "\"shutdown\"\n";

impl<H: Host> InstanceActor<H> {
    /// Gives one input to a machine, records the new state in its row, and does what it asks for.
    pub(super) fn step(&mut self, row: u32, input: Input) {
        let now = self.host.now();
        let Some(instance) = self.registry.get_mut(row) else { return };
        let alarm = instance.machine.alarm();
        let was_preparing = matches!(instance.machine.state, State::Preparing { .. });
        let effects = instance.machine.step(input, now);
        if was_preparing && matches!(instance.machine.state, State::Resting(Rest::Errored(_)) | State::Waiting { .. }) {
            // As after any start that failed: it is as it was asked for, and nothing of it is out of date.
            instance.record = instance.next.clone();
        }
        self.registry.touched(row, alarm);
        self.follow(row, effects);
    }

    /// Records the state that a machine has moved to, then performs what it asks for.
    pub(super) fn follow(&mut self, row: u32, effects: Vec<Effect>) {
        self.record(row);
        self.share_number(row);
        for effect in effects {
            self.perform(row, effect);
        }
    }

    /// A number that a successor has borne is not given to the next process of its slot again, and the other way round.
    fn share_number(&mut self, row: u32) {
        let Some((id, number)) =
            self.registry.get(row).map(|instance| (instance.id.clone(), instance.machine.incarnation))
        else {
            return;
        };
        let is_successor = id.is_successor;
        let settled = id.settled();
        let other = if is_successor { settled } else { settled.successor() };
        let Some(other) = self.registry.row_of(&other) else { return };
        if let Some(instance) = self.registry.get_mut(other)
            && instance.machine.last_number < number
        {
            instance.machine.last_number = number;
            self.host.note_number(other, number);
            self.unmirrored.insert(other);
        }
    }

    /// Everything that the next daemon must know stands in the row before anything is done.
    fn record(&mut self, row: u32) {
        let Some(instance) = self.registry.get(row) else { return };
        let record = instance.row_record();
        let incarnation = instance.machine.incarnation;
        let judged = match instance.machine.state {
            State::Resting(_) | State::Waiting { .. } | State::Preparing { .. } | State::Gone => Some(incarnation),
            // The new process may have ended before its spawning thread could tell of it, also at this very moment: that
            // exit is to come.
            State::Starting { .. } => incarnation.checked_sub(1),
            State::Unknown
            | State::Running { .. }
            | State::Leaving { .. }
            | State::Draining { .. }
            | State::Stopping { .. } => None,
        };
        // An exit that was dealt with and what follows from it are one change; without an exit only the record changes.
        if !judged.is_some_and(|newest| self.host.conclude(row, newest, &record)) {
            self.host.remember(row, &record);
        }
        self.unmirrored.insert(row);
        self.host.killpoint("state.recorded");
    }

    fn perform(&mut self, row: u32, effect: Effect) {
        match effect {
            Effect::Spawn { incarnation } => self.spawn(row, incarnation),
            Effect::Drain => {
                if let Some(instance) = self.registry.get(row) {
                    self.host.drain(row, &instance.record.spec);
                }
            }
            Effect::SendStopSignal => self.ask(row),
            Effect::Kill { is_first } => self.kill(row, is_first),
            Effect::Hook(hook) => self.run_hook(row, hook),
            Effect::EndHook(hook) => self.host.end_hook(row, hook),
            Effect::Sweep => {
                self.sweeps.insert(row);
            }
            Effect::Emit(fact) => self.emit(row, fact),
            Effect::Forget => self.forget(row),
        }
    }

    fn spawn(&mut self, row: u32, incarnation: u32) {
        self.tell_missing_limits(row);
        let now = self.host.now();
        let Some(instance) = self.registry.get_mut(row) else { return };
        // Until we have seen it live, nobody else may take it for good either.
        self.clusters.join(instance);
        instance.ready_until = instance.next.spec.ready.as_ref().map(|ready| now.after(ready.timeout));
        if instance.ready_until.is_some() {
            self.host.remember(row, &instance.row_record());
        }
        let job = SpawnJob {
            row,
            id: instance.id.clone(),
            incarnation,
            launch: instance.next.clone(),
            logs: instance.machine.policy.logs.clone(),
        };
        if is_first_to_listen(&self.registry, row, &job.id, &job.launch.spec.run.listen) {
            self.host.reset_listeners(&job.launch.spec.run.listen);
        }
        self.host.spawn(job);
    }

    /// The policy's signal: to the process and, if its scope is the tree, to everything below it.
    fn ask(&mut self, row: u32) {
        let Some(instance) = self.registry.get(row) else { return };
        let stop = &instance.machine.policy.stop;
        let has_process = instance.process.is_some();
        if instance.machine.is_worker && has_process {
            self.host.retire(row);
            if stop.shutdown_with_message {
                return self.host.say_to_worker(row, SHUTDOWN);
            }
        }
        if stop.shutdown_with_message && has_process && self.host.say(row, SHUTDOWN) {
            return;
        }
        let (signal, has_asked_group) = (stop.kill_signal, has_asked_group(instance));
        match stop.stop_scope {
            StopScope::Tree => self.host.signal_tree(row, signal, has_asked_group),
            StopScope::Process if has_process => self.host.signal(row, signal),
            StopScope::Process => self.host.signal_tree(row, SIGKILL, false),
        }
    }

    fn kill(&mut self, row: u32, is_first: bool) {
        let processes = self.host.kill_tree(row);
        // Told once: what cannot die is tried again and again, and must not fill the journal.
        if is_first {
            self.emit(row, Fact::ForceKilled { processes });
        }
    }

    /// Starts a hook of the policy that is followed now, in the context of the process that it is about.
    fn run_hook(&mut self, row: u32, hook: Hook) {
        let Some(instance) = self.registry.get(row) else { return };
        let policy = &instance.machine.policy;
        let Some(command) = policy.hooks.command(hook) else { return };
        let has_process = matches!(hook, Hook::PostReady | Hook::PreStop | Hook::OnCrash);
        let spawn = SpawnJob {
            row,
            id: instance.id.clone(),
            incarnation: instance.machine.incarnation,
            launch: if has_process { instance.record.clone() } else { instance.next.clone() },
            logs: policy.logs.clone(),
        };
        let mut more = Environment::from([("PM_HOOK".to_owned(), hook.as_str().to_owned())]);
        if let Some(exit) = instance.last_exit {
            more.insert("PM_EXIT".to_owned(), exit.to_string());
        }
        if let Phase::Errored { failure } = instance.machine.phase(None) {
            more.insert("PM_REASON".to_owned(), failure.to_string());
        }
        if let Some(pid) = instance.process {
            more.insert("PM_PID".to_owned(), pid.to_string());
        }
        let job = HookJob { command: command.to_owned(), limit: policy.hooks.limit(), hook, spawn, more };
        self.host.run_hook(job);
    }

    /// Said once for every app, and again when it is something else.
    fn tell_missing_limits(&mut self, row: u32) {
        let Some(instance) = self.registry.get(row) else { return };
        let Some(message) = self.host.missing_limits(&instance.next.spec.run.limits) else { return };
        if self.told_limits.get(&instance.id.app) != Some(&message) {
            self.told_limits.insert(instance.id.app.clone(), message.clone());
            self.emit(row, Fact::LimitsUnavailable { message });
        }
    }

    pub(super) fn emit(&self, row: u32, fact: Fact) {
        let Some(instance) = self.registry.get(row) else { return };
        let about = || Subject::Instance(instance.id.clone().settled());
        let fact = match fact {
            // Only the last look knows.
            Fact::Stopped { .. } => {
                Fact::Stopped { left: self.host.unclear(row), is_unsure: self.host.has_lost_sight(row) }
            }
            fact => fact,
        };
        if fact == Fact::Deleted {
            let left = self.host.unclear(row);
            if !left.is_empty() {
                let names = LeftProcess::list(&left);
                let message =
                    format!("left running, since it may belong to another app: {names}; `pm shutdown` ends it");
                self.host.tell(about(), Fact::Trouble { message });
            }
        }
        // While a slot has two processes, the end of one is not the end of the slot.
        if fact != Fact::Deleted || self.registry.is_alone(&instance.id) {
            self.host.tell(about(), fact);
        }
    }

    fn forget(&mut self, row: u32) {
        self.host.forget(row);
        if let Some(instance) = self.registry.remove(row) {
            self.leaving.insert(row, instance.id);
        }
    }

    /// Gives the rows of instances back that are gone: of all that went in one turn, but before anybody takes the name of
    /// one of them.
    pub(super) fn give_rows_back(&mut self) {
        if self.leaving.is_empty() {
            return;
        }
        // Only their rows know how they ended, if what was told of it does not come to the disk.
        self.host.settle_facts();
        for (row, id) in std::mem::take(&mut self.leaving) {
            if self.host.is_hook_busy(row) {
                // It may open the pipes of this row at any moment: nobody else may have the row so long. For the next
                // daemon it is of nobody: another row may bear the name by then.
                self.host.remember(row, &Record::default());
                self.unfreed.insert(row, id);
                continue;
            }
            if let Err(why) = self.host.free(row) {
                let message = format!("cannot free the entry of {id} in the process table: {why}");
                self.host.tell(Subject::Daemon, Fact::Trouble { message });
            }
            self.unmirrored.insert(row);
        }
    }
}

/// The group of a main process that was asked to end got that as a whole; one that ended by itself was never asked.
fn has_asked_group(instance: &Instance) -> bool {
    !matches!(instance.machine.state, State::Stopping { then: Then::Evaluate { .. }, .. })
}

/// A process that finds its sockets to itself finds them as the first one did. While another copy has them, what that
/// one has set must stay: it is set for all of them at once.
fn is_first_to_listen(registry: &Registry, row: u32, id: &InstanceId, addresses: &[ListenAddress]) -> bool {
    let is_other = |(other, instance): (u32, &Instance)| other != row && instance.id.app == id.app && instance.is_up();
    !addresses.is_empty() && !registry.iter().any(is_other)
}
