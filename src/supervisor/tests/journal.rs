//! The journal of the pretended machine: what `events` keeps, and loses when the daemon is killed.

use std::collections::{BTreeMap, BTreeSet};

use super::Dice;
use crate::model::{Fact, Failure, InstanceId, Millis, Moment, Subject};
use crate::supervisor::host::StartedProcess;

/// How long the thread that writes it may need.
const WRITTEN_WITHIN: Millis = Millis(20);

/// Everything that was told, in order, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Journal {
    told: Vec<(Moment, Subject, Fact)>,
    /// So many of them somebody has waited for.
    settled: usize,
    /// So many of them a test has taken.
    taken: usize,
    index: Index,
}

/// What the next daemon can ask for.
#[derive(Debug, Default)]
pub(super) struct Index {
    told: BTreeMap<InstanceId, ToldNumbers>,
    /// Of names that were given up.
    former: BTreeMap<InstanceId, ToldNumbers>,
    given_up: BTreeMap<InstanceId, Failure>,
}

#[derive(Clone, Debug, Default)]
struct ToldNumbers {
    /// With the pid.
    starts: BTreeMap<u32, u32>,
    exits: BTreeSet<u32>,
}

impl Journal {
    pub fn tell(&mut self, now: Moment, about: Subject, fact: Fact) {
        self.index.note(&about, &fact);
        self.told.push((now, about, fact));
    }

    pub fn index(&self) -> &Index {
        &self.index
    }

    /// What was told until now will be found.
    pub fn settle(&mut self) {
        self.settled = self.told.len();
    }

    /// The daemon is gone, and the last of what it told may be with it: any tail of what nobody has waited for and what may
    /// not have been written yet. Without dice that is all of it.
    pub fn lose(&mut self, now: Moment, dice: Option<&mut Dice>) {
        let is_at_risk = |(at, ..): &(Moment, Subject, Fact)| at.after(WRITTEN_WITHIN) > now;
        let at_risk = self.told[self.settled..].iter().rev().take_while(|told| is_at_risk(told)).count();
        let rolled = dice.and_then(|dice| usize::try_from(dice.roll(at_risk as u64 + 1)).ok());
        self.told.truncate(self.told.len() - rolled.unwrap_or(at_risk));
        self.settle();
        self.taken = self.taken.min(self.told.len());
        self.index = Index::default();
        for (_, about, fact) in &self.told {
            self.index.note(about, fact);
        }
    }

    /// What was told since the last time.
    pub fn take(&mut self) -> Vec<(Subject, Fact)> {
        let fresh = &self.told[std::mem::replace(&mut self.taken, self.told.len())..];
        fresh.iter().map(|(_, about, fact)| (about.clone(), fact.clone())).collect()
    }
}

impl ToldNumbers {
    fn has_started(&self, process: &StartedProcess) -> bool {
        process.pid.is_some() && self.starts.get(&process.incarnation) == process.pid.as_ref()
    }
}

impl Index {
    pub fn was_start_told(&self, id: &InstanceId, process: &StartedProcess) -> bool {
        self.was_told(id, process, |told| told.starts.contains_key(&process.incarnation))
    }

    pub fn was_exit_told(&self, id: &InstanceId, process: &StartedProcess) -> bool {
        self.was_told(id, process, |told| told.exits.contains(&process.incarnation))
    }

    pub fn other_name(&self, id: &InstanceId, process: &StartedProcess) -> Option<InstanceId> {
        if [&self.told, &self.former].into_iter().any(|told| told.get(id).is_some_and(|told| told.has_started(process)))
        {
            return None;
        }
        self.told.iter().find(|(_, told)| told.has_started(process)).map(|(other, _)| other.clone())
    }

    pub fn last_number(&self, id: &InstanceId) -> u32 {
        self.told.get(id).and_then(|told| told.starts.keys().next_back().copied()).unwrap_or(0)
    }

    pub fn why_given_up(&self, id: &InstanceId) -> Option<Failure> {
        self.given_up.get(id).cloned()
    }

    fn was_told(&self, id: &InstanceId, process: &StartedProcess, is_told: impl Fn(&ToldNumbers) -> bool) -> bool {
        let is_its = |told: &ToldNumbers| told.has_started(process) && is_told(told);
        self.told.get(id).is_some_and(&is_told) || self.told.values().chain(self.former.values()).any(is_its)
    }

    fn note(&mut self, about: &Subject, fact: &Fact) {
        let Subject::Instance(id) = about else { return };
        match fact {
            Fact::Exited { incarnation, .. } => {
                self.told.entry(id.clone()).or_default().exits.insert(*incarnation);
            }
            Fact::Started { pid, incarnation, .. } => {
                self.told.entry(id.clone()).or_default().starts.insert(*incarnation, *pid);
                self.given_up.remove(id);
            }
            Fact::GaveUp { failure } => drop(self.given_up.insert(id.clone(), failure.clone())),
            Fact::Renamed { from } => {
                if let Some(told) = self.give_up_name(from) {
                    self.told.insert(id.clone(), told);
                }
                if let Some(failure) = self.given_up.remove(from) {
                    self.given_up.insert(id.clone(), failure);
                }
            }
            Fact::Deleted => {
                self.give_up_name(id);
                self.given_up.remove(id);
            }
            _ => {}
        }
    }

    fn give_up_name(&mut self, id: &InstanceId) -> Option<ToldNumbers> {
        let told = self.told.remove(id)?;
        self.former.insert(id.clone(), told.clone());
        Some(told)
    }
}
