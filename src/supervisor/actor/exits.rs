//! Processes that came to be, that did not, and that have ended → inputs of their lifecycles, each once.

use super::{Instance, InstanceActor};
use crate::lifecycle::{Input, State};
use crate::model::{Exit, Fact, Failure, Subject};
use crate::supervisor::host::{Channel, HookEnd, Host, RowState, SIGKILL, SpawnEnd};

/// Looks in a row after which an anchor that does not record an exit counts as stuck.
const STUCK_LOOKS: u32 = 3;

impl<H: Host> InstanceActor<H> {
    pub(super) fn spawned(&mut self, end: SpawnEnd) {
        let SpawnEnd { row, incarnation, launch, outcome } = end;
        let entry = self.host.entry(row);
        let Some(instance) = self.registry.get_mut(row) else { return };
        match outcome {
            Ok(created) => {
                let policy = &instance.machine.policy;
                let is_renamed = launch.spec.name != instance.id.app.name;
                let is_outdated = launch.spec.logs != policy.logs || is_renamed;
                if !is_renamed {
                    instance.record = launch;
                }
                // Before its first instruction: what it prints is younger.
                instance.starts.note(entry.started.1);
                instance.process = created.is_open.then_some(created.pid);
                if is_outdated {
                    // Perhaps since the spawn was begun: the pump did not know its pipes yet.
                    self.retarget(row);
                }
                self.step(row, Input::Spawned { pid: created.pid });
                if !created.is_watched {
                    self.ended(row, incarnation);
                }
            }
            // The child came to be; its row is free for the next one only when the anchor has reaped it.
            Err(error) if entry.state == RowState::Spawning => {
                self.unharvested.insert(row, Some(Failure::Spawn { error }));
                self.harvest();
            }
            Err(error) => self.spawn_failed(row, Failure::Spawn { error }),
        }
    }

    fn spawn_failed(&mut self, row: u32, failure: Failure) {
        if let Some(instance) = self.registry.get_mut(row) {
            // It is as it was asked for, and failed: nothing of it is out of date.
            instance.record = instance.next.clone();
            self.host.spawn_failed(row);
        }
        self.step(row, Input::SpawnFailed { failure });
    }

    pub(super) fn ended(&mut self, row: u32, incarnation: u32) {
        let is_it = |instance: &Instance| instance.machine.incarnation == incarnation;
        if !self.registry.get(row).is_some_and(is_it) {
            return;
        }
        let entry = self.host.entry(row);
        match entry.state {
            RowState::Exited => self.exited(row, entry.exit.map_or(Exit::Unknown, |(exit, _)| exit)),
            RowState::Spawning | RowState::Running if self.host.is_orphan(row) => {
                if let Some(exit) = self.host.orphan_exit(row, incarnation) {
                    self.exited(row, exit);
                }
            }
            RowState::Spawning | RowState::Running => {
                self.unharvested.insert(row, None);
            }
            RowState::Free | RowState::Idle => {}
        }
    }

    pub(super) fn harvest(&mut self) {
        for (row, failure) in std::mem::take(&mut self.unharvested) {
            let Some(instance) = self.registry.get(row) else { continue };
            match failure {
                None => self.ended(row, instance.machine.incarnation),
                Some(failure) if self.host.entry(row).state == RowState::Exited => self.spawn_failed(row, failure),
                Some(failure) => {
                    self.unharvested.insert(row, Some(failure));
                }
            }
        }
    }

    /// Wake-ups are hints, the table is the truth: an exit that nobody was woken for is found here.
    pub(super) fn look_at_rows(&mut self) {
        for row in self.host.lost_children() {
            self.emit(row, Fact::OutOfMemory { is_certain: true, is_child: true });
        }
        let is_over = |(row, instance): &(u32, &Instance)| {
            instance.process.is_some() && self.host.entry(*row).state == RowState::Exited
        };
        let over = self.registry.iter().filter(is_over);
        let over: Vec<(u32, u32)> = over.map(|(row, instance)| (row, instance.machine.incarnation)).collect();
        for (row, incarnation) in over {
            self.ended(row, incarnation);
        }
        self.harvest();
        tell_if_anchor_is_stuck(self);
    }

    fn exited(&mut self, row: u32, exit: Exit) {
        self.unharvested.remove(&row);
        let process = self.registry.get(row).and_then(|instance| instance.process);
        // It may have said who goes on as the main process.
        self.heard(row, Channel::Notify);
        let Some(instance) = self.registry.get_mut(row).filter(|instance| instance.process == process) else { return };
        instance.process = None;
        instance.last_exit = Some(exit);
        let incarnation = instance.machine.incarnation;
        self.host.release(row);
        self.hear_last_words(row);
        self.tell_if_out_of_memory(row, exit);
        self.host.killpoint("exit.known");
        self.step(row, Input::Exited { incarnation, exit });
    }

    /// Tells what the kernel's killer did to the tree of a process that has ended.
    pub(super) fn tell_if_out_of_memory(&mut self, row: u32, exit: Exit) {
        let Some(instance) = self.registry.get(row) else { return };
        let is_ours = matches!(instance.machine.state, State::Stopping { is_killed: true, .. });
        let is_strange = exit == Exit::Signal(SIGKILL) && !is_ours;
        if let Some(fact) = self.host.out_of_memory(row, is_strange) {
            self.emit(row, fact);
        }
    }

    pub(super) fn hook_ended(&mut self, end: HookEnd) {
        let HookEnd { row, incarnation, hook, result, is_wanted } = end;
        if !self.host.is_hook_busy(row)
            && let Some(id) = self.unfreed.remove(&row)
        {
            self.leaving.insert(row, id);
            return;
        }
        if is_wanted && self.registry.get(row).is_some() {
            self.step(row, Input::HookEnded { incarnation, hook, result });
        }
    }

    pub(super) fn anchor_gone(&mut self) {
        self.host.anchor_gone(self.registry.iter().map(|(row, _)| row).collect());
        let message = "the anchor process ended; a new one takes over, and the apps keep running".to_owned();
        self.host.tell(Subject::Daemon, Fact::Trouble { message });
        self.harvest();
    }
}

/// The anchor writes how a process has ended at once. One that does not (somebody has suspended it, or it hangs) holds up
/// whatever follows from that: restarts, runs of timed tasks, stops. Told once for each time that this happens.
fn tell_if_anchor_is_stuck<H: Host>(actor: &mut InstanceActor<H>) {
    if actor.unharvested.is_empty() {
        actor.unharvested_looks = 0;
        return;
    }
    actor.unharvested_looks = actor.unharvested_looks.saturating_add(1);
    if actor.unharvested_looks == STUCK_LOOKS {
        let count = actor.unharvested.len();
        let message = format!(
            "the anchor does not record that processes have ended ({count} by now), which holds up what follows: restarts, \
             scheduled runs, stops; if it is suspended, `kill -CONT` its process (`pm daemon status` shows it)"
        );
        actor.host.tell(Subject::Daemon, Fact::Trouble { message });
    }
}
