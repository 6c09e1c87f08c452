//! All instances: found by row and by name, with their alarms, and published as `Live`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Instance;
use crate::model::{App, Failure, InstanceId, Live, LiveInstance, Moment};
use crate::supervisor::Changed;

/// Owns every instance. A row of the process table is an instance's number for as long as it exists.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Registry {
    /// Boxed: the places of a tree that grows at its end stay half empty.
    instances: BTreeMap<u32, Box<Instance>>,
    rows: BTreeMap<InstanceId, u32>,
    alarms: BTreeSet<(Moment, u32)>,
    /// What has changed since [`Self::take_changed`].
    dirty: BTreeSet<InstanceId>,
    /// Orders for instances that could not be made.
    refused: BTreeMap<InstanceId, (u64, Failure)>,
    /// What is, if somebody has asked since the last change.
    live: Option<Arc<Live>>,
    /// Whether something has changed that observers were not told of yet. Not the same as `live` being gone: whoever asks
    /// in the middle of a turn has it built again, and everybody else still has to hear of the change.
    is_untold: bool,
}

impl Registry {
    /// Takes an instance in.
    pub fn insert(&mut self, row: u32, instance: Instance) {
        self.refused.remove(&instance.id);
        self.rows.insert(instance.id.clone(), row);
        self.instances.insert(row, Box::new(instance));
        self.touched(row, None);
    }

    /// Forgets the instance of a row.
    pub fn remove(&mut self, row: u32) -> Option<Instance> {
        let instance = self.instances.remove(&row)?;
        self.rows.remove(&instance.id);
        self.dirty.insert(instance.id.clone());
        self.touched(row, instance.machine.alarm());
        Some(*instance)
    }

    /// The row of an instance.
    pub fn row_of(&self, id: &InstanceId) -> Option<u32> {
        self.rows.get(id).copied()
    }

    /// Whether nobody else bears or is about to bear the same slot.
    pub fn is_alone(&self, id: &InstanceId) -> bool {
        let settled = id.clone().settled();
        let other = if id.is_successor { settled } else { settled.successor() };
        !self.rows.contains_key(&other)
    }

    /// The instance in a row.
    pub fn get(&self, row: u32) -> Option<&Instance> {
        self.instances.get(&row).map(Box::as_ref)
    }

    /// The instance of that name, if its process is this one.
    pub fn process(&self, id: &InstanceId, incarnation: u32) -> Option<(u32, &Instance)> {
        let row = self.row_of(id)?;
        let instance = self.get(row).filter(|instance| instance.machine.incarnation == incarnation)?;
        Some((row, instance))
    }

    /// The instance in a row, to work with. Say [`Self::touched`] afterwards if its machine moved.
    pub fn get_mut(&mut self, row: u32) -> Option<&mut Instance> {
        self.instances.get_mut(&row).map(Box::as_mut)
    }

    /// All rows with their instances.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Instance)> {
        self.instances.iter().map(|(row, instance)| (*row, &**instance))
    }

    /// Gives the instance of a row another name.
    pub fn rename(&mut self, row: u32, id: InstanceId) {
        if let Some(instance) = self.instances.get_mut(&row) {
            self.rows.remove(&instance.id);
            self.rows.insert(id.clone(), row);
            self.dirty.insert(std::mem::replace(&mut instance.id, id));
            self.changed(row);
        }
    }

    /// The instance of `row` changed; `alarm` is the one it had before.
    pub fn touched(&mut self, row: u32, alarm: Option<Moment>) {
        let now = self.instances.get(&row).and_then(|instance| instance.machine.alarm());
        if alarm != now
            && let Some(old) = alarm
        {
            self.alarms.remove(&(old, row));
        }
        if let Some(new) = now {
            self.alarms.insert((new, row));
        }
        self.changed(row);
    }

    /// Something changed in this row that observers see, and no alarm with it.
    pub fn changed(&mut self, row: u32) {
        if let Some(instance) = self.instances.get(&row) {
            self.dirty.insert(instance.id.clone());
        }
        self.live = None;
        self.is_untold = true;
    }

    /// An instance that an order is for cannot be made.
    pub fn refuse(&mut self, id: InstanceId, order: u64, failure: Failure) {
        self.dirty.insert(id.clone());
        self.refused.insert(id, (order, failure));
        self.live = None;
        self.is_untold = true;
    }

    /// What has changed since the last time.
    pub fn take_changed(&mut self) -> Changed {
        let dirty = std::mem::take(&mut self.dirty);
        let now = |id: InstanceId| {
            let live = self.rows.get(&id).and_then(|row| self.instances.get(row)).map(|instance| instance.live());
            (id, live)
        };
        Changed { instances: dirty.into_iter().map(now).collect(), refused: self.refused.clone() }
    }

    /// When the next instance wants to be woken.
    pub fn next_alarm(&self) -> Option<Moment> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Instances whose alarm has come.
    pub fn due(&self, now: Moment) -> Vec<u32> {
        self.alarms.iter().take_while(|(at, _)| *at <= now).map(|(_, row)| *row).collect()
    }

    /// Whether anything has changed since the last time.
    pub fn take_untold(&mut self) -> bool {
        std::mem::take(&mut self.is_untold)
    }

    /// What is of these instances.
    pub fn look(&self, instances: Vec<InstanceId>) -> Vec<(InstanceId, LiveInstance)> {
        let instances = instances.into_iter().filter_map(|id| Some((self.instances.get(self.rows.get(&id)?)?, id)));
        instances.map(|(instance, id)| (id, instance.live())).collect()
    }

    /// What is of the instances whose app is wanted, by the spec that they were started with or the one that they follow now.
    pub fn look_at_apps(&self, is_wanted: fn(&App) -> bool) -> BTreeMap<InstanceId, LiveInstance> {
        let wanted =
            self.instances.values().filter(|one| is_wanted(&one.machine.policy) || is_wanted(&one.record.spec));
        wanted.map(|instance| (instance.id.clone(), instance.live())).collect()
    }

    /// What is, built once per change.
    pub fn live(&mut self) -> Arc<Live> {
        let instances = &self.instances;
        let build = || {
            let instances = instances.values().map(|instance| (instance.id.clone(), instance.live())).collect();
            Arc::new(Live { instances, ..Live::default() })
        };
        Arc::clone(self.live.get_or_insert_with(build))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_whoever_looks_first() {
        let mut registry = Registry::default();
        registry.changed(0);
        let seen = registry.live();
        assert!(registry.take_untold(), "somebody who looked in the same turn hides it from nobody");
        assert!(!registry.take_untold(), "nothing is new");
        assert!(Arc::ptr_eq(&seen, &registry.live()));
        registry.changed(0);
        assert!(registry.take_untold());
        assert!(!registry.take_untold(), "it is not told again because nobody has looked yet");
    }
}
