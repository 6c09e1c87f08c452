//! All instances: found by row and by name, with their alarms, and published as `Live`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

use super::Changed;
use super::member::Member;
use crate::model::{Failure, InstanceId, Live, LiveInstance, Moment};

/// Owns every member. A row of the process table is an instance's number for as long as it exists.
#[derive(Debug)]
pub(super) struct Roster {
    /// Boxed: the places of a tree that grows at its end stay half empty.
    members: BTreeMap<u32, Box<Member>>,
    rows: BTreeMap<InstanceId, u32>,
    alarms: BTreeSet<(Moment, u32)>,
    /// What has changed since [`Self::take_changed`].
    dirty: BTreeSet<InstanceId>,
    /// Orders for instances that could not be made.
    refused: BTreeMap<InstanceId, (u64, Failure)>,
    /// What is, if somebody has asked since the last change.
    live: Option<Arc<Live>>,
    /// Whether something has changed that the counter does not tell yet. Not the same as `live` being gone: whoever asks
    /// in the middle of a turn has it built again, and everybody else still has to hear of the change.
    is_untold: bool,
    revision: watch::Sender<u64>,
}

impl Roster {
    /// An empty roster, and the counter that ticks when it changes.
    pub fn new() -> (Self, watch::Receiver<u64>) {
        let (revision, changes) = watch::channel(0);
        let empty = Self {
            members: BTreeMap::new(),
            rows: BTreeMap::new(),
            alarms: BTreeSet::new(),
            dirty: BTreeSet::new(),
            refused: BTreeMap::new(),
            live: None,
            is_untold: false,
            revision,
        };
        (empty, changes)
    }

    /// Takes a member in.
    pub fn insert(&mut self, row: u32, member: Member) {
        self.refused.remove(&member.id);
        self.rows.insert(member.id.clone(), row);
        self.members.insert(row, Box::new(member));
        self.touched(row, None);
    }

    /// Forgets the member of a row.
    pub fn remove(&mut self, row: u32) -> Option<Member> {
        let member = self.members.remove(&row)?;
        self.rows.remove(&member.id);
        self.dirty.insert(member.id.clone());
        self.touched(row, member.machine.alarm());
        Some(*member)
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

    /// The member in a row.
    pub fn get(&self, row: u32) -> Option<&Member> {
        self.members.get(&row).map(Box::as_ref)
    }

    /// The member in a row, to work with. Say [`Self::touched`] afterwards if its machine moved.
    pub fn get_mut(&mut self, row: u32) -> Option<&mut Member> {
        self.members.get_mut(&row).map(Box::as_mut)
    }

    /// All rows with their members.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Member)> {
        self.members.iter().map(|(row, member)| (*row, &**member))
    }

    /// Gives the member of a row another name.
    pub fn rename(&mut self, row: u32, id: InstanceId) {
        if let Some(member) = self.members.get_mut(&row) {
            self.rows.remove(&member.id);
            self.rows.insert(id.clone(), row);
            self.dirty.insert(std::mem::replace(&mut member.id, id));
            self.changed(row);
        }
    }

    /// The member of `row` changed; `alarm` is the one it had before.
    pub fn touched(&mut self, row: u32, alarm: Option<Moment>) {
        let now = self.members.get(&row).and_then(|member| member.machine.alarm());
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
        if let Some(member) = self.members.get(&row) {
            self.dirty.insert(member.id.clone());
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
            let live = self.rows.get(&id).and_then(|row| self.members.get(row)).map(|member| member.live());
            (id, live)
        };
        Changed { instances: dirty.into_iter().map(now).collect(), refused: self.refused.clone() }
    }

    /// When the next member wants to be woken.
    pub fn next_alarm(&self) -> Option<Moment> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Members whose alarm has come.
    pub fn due(&self, now: Moment) -> Vec<u32> {
        self.alarms.iter().take_while(|(at, _)| *at <= now).map(|(_, row)| *row).collect()
    }

    /// Ticks the counter if anything changed since the last time.
    pub fn publish(&mut self) {
        if std::mem::take(&mut self.is_untold) {
            self.revision.send_modify(|revision| *revision += 1);
        }
    }

    /// What is of these instances.
    pub fn look(&self, instances: Vec<InstanceId>) -> Vec<(InstanceId, LiveInstance)> {
        let members = instances.into_iter().filter_map(|id| Some((self.members.get(self.rows.get(&id)?)?, id)));
        members.map(|(member, id)| (id, member.live())).collect()
    }

    /// What is, built once per change.
    pub fn live(&mut self) -> Arc<Live> {
        let members = &self.members;
        let build = || {
            let instances = members.values().map(|member| (member.id.clone(), member.live())).collect();
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
        let (mut roster, mut changes) = Roster::new();
        let mut is_told = |roster: &mut Roster| {
            roster.publish();
            let is_told = changes.has_changed().unwrap();
            changes.borrow_and_update();
            is_told
        };
        roster.changed(0);
        let seen = roster.live();
        assert!(is_told(&mut roster), "somebody who looked in the same turn hides it from nobody");
        assert!(!is_told(&mut roster), "nothing is new");
        assert!(Arc::ptr_eq(&seen, &roster.live()));
        roster.changed(0);
        assert!(is_told(&mut roster));
        assert!(!is_told(&mut roster), "it is not told again because nobody has looked yet");
    }
}
