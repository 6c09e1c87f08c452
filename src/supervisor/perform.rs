//! Effects of the lifecycle, done. No decision is taken here.

use std::sync::Arc;

use super::member::Member;
use super::out_of_memory::OomKills;
use super::run::Loop;
use super::spawn::{self, SpawnJob, SpawnResult};
use crate::anchor::EntryState;
use crate::lifecycle::{Effect, Input, State, Then};
use crate::logs::StreamKey;
use crate::model::{Fact, InstanceId, LeftProcess, ListenAddress, StopScope, Stream, Subject};
use crate::os;

const SIGKILL: i32 = 9;

impl Loop {
    /// Gives one input to a machine, records the new state in its row, and does what it asks for.
    pub(super) fn step(&mut self, row: u32, input: Input) {
        let Some(member) = self.roster.get_mut(row) else { return };
        let alarm = member.machine.alarm();
        let effects = member.machine.step(input, os::now());
        self.roster.touched(row, alarm);
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
        let Some((id, number)) = self.roster.get(row).map(|member| (member.id.clone(), member.machine.incarnation))
        else {
            return;
        };
        let is_successor = id.is_successor;
        let settled = id.settled();
        let other = if is_successor { settled } else { settled.successor() };
        let Some(other) = self.roster.row_of(&other) else { return };
        if let Some(member) = self.roster.get_mut(other)
            && member.machine.last_number < number
        {
            member.machine.last_number = number;
            member.row.note_number(number);
            self.unmirrored.insert(other);
        }
    }

    /// Everything that the next daemon must know stands in the row before anything is done.
    fn record(&mut self, row: u32) {
        let Some(member) = self.roster.get(row) else { return };
        let record = member.row_record();
        let is_judged = match member.machine.state {
            State::Resting(_) | State::Waiting { .. } | State::Preparing { .. } | State::Gone => true,
            // The new process may have ended before its spawning thread could tell of it: that exit is to come.
            State::Starting { .. } => member.row.incarnation() != member.machine.incarnation,
            State::Unknown | State::Running { .. } | State::Leaving { .. } | State::Stopping { .. } => false,
        };
        // An exit that was dealt with and what follows from it are one change; without an exit only the record changes.
        if !is_judged || member.row.idle(&record).is_err() {
            member.row.set_record(&record);
        }
        self.unmirrored.insert(row);
        os::killpoint("state.recorded");
    }

    fn perform(&mut self, row: u32, effect: Effect) {
        match effect {
            Effect::Spawn { incarnation } => self.spawn(row, incarnation),
            Effect::SendStopSignal => self.ask(row),
            Effect::Kill { is_first } => self.kill(row, is_first),
            Effect::Hook(hook) => self.run_hook(row, hook),
            Effect::EndHook(hook) => self.hooks.end(row, hook),
            Effect::Sweep => {
                self.sweeps.insert(row);
            }
            Effect::Emit(fact) => self.emit(row, fact),
            Effect::Forget => self.forget(row),
        }
    }

    fn spawn(&mut self, row: u32, incarnation: u32) {
        self.tell_missing_limits(row);
        let Some(member) = self.roster.get_mut(row) else { return };
        // A group that could not be removed goes on counting.
        let groups = self.world.groups_for(&member.next.spec.run.limits);
        member.oom_kills = OomKills::known(groups.map_or(0, |groups| groups.oom_kills(row)));
        let mut record = member.row_record();
        if let Some(ready) = &member.next.spec.ready {
            // Until we have seen it live, nobody else may take it for good either.
            record.saved_state = EntryState::Unready;
            record.next_start = os::now().after(ready.timeout);
        }
        let job = SpawnJob {
            row: member.row,
            record,
            id: member.id.clone(),
            incarnation,
            launch: member.next.clone(),
            logs: member.machine.policy.logs.clone(),
        };
        let (id, launch, row) = (job.id.clone(), job.launch.clone(), job.row);
        self.reset_listeners(row.index(), &id, &launch.spec.run.listen);
        let (world, results) = (Arc::clone(&self.world), self.spawned_in.clone());
        let work = Box::new(move || spawn::run(&world, job, &results));
        if self.world.spawners.submit(work).is_err() {
            let outcome = Err(spawn::queue_full(&id));
            // Through the same channel, so that it arrives after this step and not inside of it.
            let _ = self.spawned_in.send(SpawnResult { row, incarnation, launch, outcome });
        }
    }

    /// A process that finds its sockets to itself finds them as the first one did. While another copy has them, what that
    /// one has set must stay: it is set for all of them at once.
    fn reset_listeners(&self, row: u32, id: &InstanceId, addresses: &[ListenAddress]) {
        let is_other = |(other, member): (u32, &Member)| other != row && member.id.app == id.app && member.is_up();
        if !addresses.is_empty() && !self.roster.iter().any(is_other) {
            self.world.listeners.reset(addresses);
        }
    }

    /// The policy's signal: to the process and, if its scope is the tree, to everything below it.
    fn ask(&mut self, row: u32) {
        let Some(member) = self.roster.get(row) else { return };
        let stop = &member.machine.policy.stop;
        let signal = stop.kill_signal;
        if stop.shutdown_with_message && member.process.is_some() && member.voices.say("\"shutdown\"\n") {
            return;
        }
        match member.machine.policy.stop.stop_scope {
            StopScope::Tree => {
                self.signal_tree(row, signal);
            }
            StopScope::Process => {
                match &member.process {
                    // It may have ended this very moment; then its exit is on its way.
                    Some(process) => drop(process.signal(signal)),
                    None => drop(self.signal_tree(row, SIGKILL)),
                }
            }
        }
    }

    fn kill(&mut self, row: u32, is_first: bool) {
        let groups = self.groups_of(row);
        let in_group = groups.map(|groups| (groups.members(row).len(), groups.kill(row)));
        let mut processes = self.signal_tree(row, SIGKILL);
        if let Some((members, true)) = in_group {
            processes = processes.max(u32::try_from(members).unwrap_or(u32::MAX));
        }
        // Told once: what cannot die is tried again and again, and must not fill the journal.
        if is_first {
            self.emit(row, Fact::ForceKilled { processes });
        }
    }

    /// Signals the main process with its group, what left the group, and what the last sweep found.
    /// Returns how many processes were reached one by one.
    fn signal_tree(&mut self, row: u32, signal: i32) -> u32 {
        let mut reached = 0;
        if let Some(process) = self.roster.get(row).and_then(|member| member.process.as_ref()) {
            let below = os::descendants(row, process.pid());
            let has_group = process.signal_group(signal).is_ok();
            if !has_group {
                let _ = process.signal(signal);
            }
            reached += 1;
            for other in below {
                if !has_group || other.group != process.pid() {
                    let _ = other.process.signal(signal);
                }
                reached += 1;
            }
        }
        // What stayed in the group of a process that was asked to end has got the signal together with it.
        let asked_group = self.asked_group(row).filter(|_| signal != SIGKILL);
        for leftover in self.leftovers.get(&row).into_iter().flatten() {
            if asked_group != Some(leftover.group) {
                let _ = leftover.process.signal(signal);
                reached += 1;
            }
        }
        reached
    }

    /// The group of a main process that was signalled, and not one that ended by itself.
    fn asked_group(&self, row: u32) -> Option<u32> {
        let member = self.roster.get(row)?;
        let ended_by_itself = matches!(member.machine.state, State::Stopping { then: Then::Evaluate { .. }, .. });
        if ended_by_itself { None } else { member.row.pid() }
    }

    /// Control groups, if the last process of a row was put into one.
    pub(super) fn groups_of(&self, row: u32) -> Option<&os::Groups> {
        self.world.groups_for(&self.roster.get(row)?.record.spec.run.limits)
    }

    /// Said once for every app, and again when it is something else.
    fn tell_missing_limits(&mut self, row: u32) {
        let Some(member) = self.roster.get(row) else { return };
        let Some(message) = self.world.missing_limits(&member.next.spec.run.limits) else { return };
        if self.told_limits.get(&member.id.app) != Some(&message) {
            self.told_limits.insert(member.id.app.clone(), message.clone());
            self.emit(row, Fact::LimitsUnavailable { message });
        }
    }

    pub(super) fn emit(&self, row: u32, fact: Fact) {
        let Some(member) = self.roster.get(row) else { return };
        let fact = match fact {
            // Only the last look knows.
            Fact::Stopped { .. } => Fact::Stopped {
                left: self.unclear.get(&row).cloned().unwrap_or_default(),
                is_unsure: self.has_lost_sight(row),
            },
            fact => fact,
        };
        if let (Fact::Deleted, Some(left)) = (&fact, self.unclear.get(&row)) {
            let message = format!("left alone, since it may be of another app that runs: {}", LeftProcess::list(left));
            self.world.events.emit(Subject::Instance(member.id.clone().settled()), Fact::Trouble { message });
        }
        // While a slot has two processes, the end of one is not the end of the slot.
        if fact != Fact::Deleted || self.roster.is_alone(&member.id) {
            self.world.events.emit(Subject::Instance(member.id.clone().settled()), fact);
        }
    }

    fn forget(&mut self, row: u32) {
        self.leftovers.remove(&row);
        self.unclear.remove(&row);
        self.out_of_sight.remove(&row);
        let Some(member) = self.roster.remove(row) else { return };
        if self.hooks.is_busy(row) {
            // It may open the pipes of this row at any moment: nobody else may have the row so long.
            self.unfreed.insert(row, member);
        } else {
            self.free(&member);
        }
    }

    /// Gives the row of an instance back that is gone.
    pub(super) fn free(&mut self, member: &Member) {
        let row = member.row.index();
        self.world.disconnect(row);
        if let Err(error) = member.row.free() {
            let message = format!("cannot give back the row of {}: {error}", member.id);
            self.world.events.emit(Subject::Daemon, Fact::Trouble { message });
        }
        self.unmirrored.insert(row);
    }

    /// New log settings reach the pump at once; it ignores instances without pipes.
    pub(super) fn retarget(&self, row: u32) {
        let Some(member) = self.roster.get(row) else { return };
        for stream in [Stream::Stdout, Stream::Stderr] {
            let run = &member.record.spec.run;
            let target = self.world.target(&member.id, stream, &member.machine.policy.logs, run);
            self.world.pump.retarget(StreamKey { row, stream }, target);
        }
    }
}
