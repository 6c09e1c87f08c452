//! Orders → instances that are made, started, ended or renamed.

use std::sync::Arc;

use super::instance::seed;
use super::{Instance, InstanceActor};
use crate::lifecycle::{Input, Machine, State};
use crate::model::{Command, Fact, Failure, InstanceId, Launch, Order, SpawnError, SpawnStage, Subject, masked};
use crate::supervisor::host::Host;

impl<H: Host> InstanceActor<H> {
    pub(super) fn order(&mut self, order: Order) {
        let Order { instance, number, command } = order;
        let is_late = number <= self.newest_order;
        self.newest_order = self.newest_order.max(number);
        let row = match (self.registry.row_of(&instance), &command) {
            (Some(row), _) => row,
            // Whether that is late is known by the one that bears the old name.
            (None, Command::Rename(old, _)) => match self.registry.row_of(old) {
                Some(row) => row,
                None => return,
            },
            // What it made is deleted by now.
            (None, _) if is_late => return,
            (None, Command::Start(launch) | Command::Restart(launch)) => {
                let Some(row) = self.enter(&instance, launch) else {
                    let failure = no_row(&instance);
                    return self.registry.refuse(instance, number, failure);
                };
                row
            }
            // It is as asked.
            (None, Command::Stop(_) | Command::Delete(_) | Command::Reconfigure(_) | Command::TakeOver) => return,
        };
        match self.registry.get_mut(row) {
            Some(known) if known.taken.order < number => known.take(number),
            // A late or repeated one.
            _ => return,
        }
        self.carry_out(row, instance, command);
        self.registry.changed(row);
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
                if let Some(instance) = self.registry.get_mut(row) {
                    instance.machine.policy = spec;
                    self.retarget(row);
                }
            }
            Command::Rename(old, launch) => self.rename(row, old, instance, launch),
            Command::TakeOver => self.take_slot_over(row),
        }
    }

    /// A new instance takes a free row.
    fn enter(&mut self, id: &InstanceId, launch: &Launch) -> Option<u32> {
        self.give_rows_back();
        let row = self.host.claim()?;
        let mut machine = Machine::new(Arc::clone(&launch.spec), seed(id));
        machine.is_successor = id.is_successor;
        // An earlier row of this name may be lost, with the numbers that its processes have borne.
        machine.last_number = self.host.last_number(&id.clone().settled());
        if machine.last_number > 0 {
            self.host.note_number(row, machine.last_number);
        }
        if id.is_successor {
            // The processes of a slot are counted in one row of numbers.
            let settled = self.registry.row_of(&id.clone().settled()).and_then(|row| self.registry.get(row));
            let number = |other: &Instance| other.machine.incarnation.max(other.machine.last_number);
            machine.incarnation = settled.map_or(0, number);
            // The next daemon may find the other process of the slot gone, or about to be started with the number it had.
            self.host.note_number(row, machine.incarnation);
        }
        self.registry.insert(row, Instance::new(id.clone(), machine, launch.clone()));
        Some(row)
    }

    /// Notes what the next process is started with. A living process that is kept keeps its spawn record too.
    fn launch(&mut self, row: u32, launch: Launch, is_new_process: bool) {
        let Some(instance) = self.registry.get_mut(row) else { return };
        instance.machine.policy = Arc::clone(&launch.spec);
        // One that is being ended makes room for what is asked for now.
        let is_kept = instance.process.is_some() && matches!(instance.machine.state, State::Running { .. });
        if is_new_process || !is_kept {
            instance.next = launch;
        }
        self.retarget(row);
    }

    fn rename(&mut self, row: u32, old: InstanceId, new: InstanceId, launch: Launch) {
        self.give_rows_back();
        let bears_it = self.registry.row_of(&new) == Some(row);
        self.clusters.rename(&old.app, &new.app, &mut self.host);
        self.registry.rename(row, new.clone());
        if let Some(instance) = self.registry.get_mut(row) {
            instance.machine.policy = Arc::clone(&launch.spec);
            // What nobody knows of a process does not become known by its new name.
            if !instance.record.spec.is_spec_lost() {
                instance.record = launch.clone();
            }
            instance.next = launch;
            self.host.remember(row, &instance.row_record());
            self.unmirrored.insert(row);
        }
        self.retarget(row);
        if !bears_it {
            self.host.tell(Subject::Instance(new), Fact::Renamed { from: old });
        }
    }

    /// A successor becomes the instance of its slot, unless that one still exists.
    pub(super) fn take_slot_over(&mut self, row: u32) {
        let Some(settled) = self.registry.get(row).map(|instance| instance.id.clone().settled()) else { return };
        if self.registry.row_of(&settled).is_some() {
            return;
        }
        self.give_rows_back();
        self.registry.rename(row, settled);
        if let Some(instance) = self.registry.get_mut(row) {
            instance.machine.is_successor = false;
            self.host.remember(row, &instance.row_record());
            self.unmirrored.insert(row);
        }
    }

    /// New log settings reach the pump at once; it ignores instances without pipes.
    pub(super) fn retarget(&mut self, row: u32) {
        let Some(instance) = self.registry.get(row) else { return };
        self.host.retarget(row, &instance.id, &instance.machine.policy.logs, &instance.record.spec.run);
    }
}

/// A table without a free row: some other instance may leave one at any moment.
fn no_row(id: &InstanceId) -> Failure {
    let subject = masked(&id.to_string()).into_owned();
    let message = "the process table is full; delete apps or scale them down".to_owned();
    Failure::Spawn { error: SpawnError { stage: SpawnStage::TableEntry, subject, errno: 0, message, is_passing: true } }
}
