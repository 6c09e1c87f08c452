//! An app that replaces another one, and the rollback.

use super::goals::{Failed, Goals};
use super::work::{Stage, Stages, StepEnd};
use super::{Context, Next};
use crate::model::{AppName, Change, Rollback};

/// An app in the place of another one: old stopped, new started; if that fails, the old one runs again and stays.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Replacing {
    old: AppName,
    new: AppName,
    slots: Vec<u32>,
    state: Replacement,
    stages: Stages,
}

#[derive(Clone, PartialEq, Debug)]
enum Replacement {
    Begins,
    NewIsRehearsed,
    OldStops,
    NewStarts,
    /// The old app is to be forgotten.
    OldLeaves,
    OldIsRemoved,
    /// The new one failed: the old one is to stay declared.
    OldStays(Failed, Rollback),
    OldStarts(Failed, Rollback),
}

impl Replacing {
    pub(super) fn new(old: &AppName, new: &AppName, slots: &[u32]) -> Self {
        let (old, new, slots) = (old.clone(), new.clone(), slots.to_vec());
        let stages = Stages::new(&old, Vec::new());
        Self { old, new, slots, state: Replacement::Begins, stages }
    }

    pub(super) fn goals(&self) -> Option<&Goals> {
        self.stages.goals()
    }

    pub(super) fn advance(&mut self, context: &Context, next: &mut Next) -> Option<StepEnd> {
        loop {
            let old_slots = || context.live_slots(&self.old);
            match &self.state {
                Replacement::Begins => {
                    self.stages = Stages::new(&self.new, vec![Stage::Rehearse(self.slots.clone())]);
                    self.state = Replacement::NewIsRehearsed;
                }
                Replacement::NewIsRehearsed => match self.stages.advance(context, next)? {
                    StepEnd::Done | StepEnd::Completed => {
                        self.stages = Stages::new(&self.old, vec![Stage::Down(old_slots())]);
                        self.state = Replacement::OldStops;
                    }
                    StepEnd::Failed { failed, .. } => {
                        self.state = Replacement::OldStays(failed, Rollback::NotNeeded);
                    }
                    StepEnd::Superseded => return Some(StepEnd::Superseded),
                },
                Replacement::OldStops => match self.stages.advance(context, next)? {
                    StepEnd::Done | StepEnd::Completed => {
                        self.stages = Stages::new(&self.new, vec![Stage::Up(self.slots.clone())]);
                        self.state = Replacement::NewStarts;
                    }
                    ended => return Some(ended),
                },
                Replacement::NewStarts => match self.stages.advance(context, next)? {
                    StepEnd::Done | StepEnd::Completed => self.state = Replacement::OldLeaves,
                    StepEnd::Failed { failed, .. } => self.state = Replacement::OldStays(failed, Rollback::Done),
                    StepEnd::Superseded => return Some(StepEnd::Superseded),
                },
                Replacement::OldLeaves if context.declared(&self.old).is_some() => {
                    let (project, name) = (context.project.clone(), self.old.clone());
                    next.changes.push(Change::AppRemoved { project, name });
                    return None;
                }
                Replacement::OldLeaves => {
                    self.stages = Stages::new(&self.old, vec![Stage::Gone(old_slots())]);
                    self.state = Replacement::OldIsRemoved;
                }
                Replacement::OldIsRemoved => return self.stages.advance(context, next),
                Replacement::OldStays(failed, rollback) => match context.declared(&self.old) {
                    Some(declared) if declared.is_leaving => {
                        next.changes.push(context.stays(&self.old, declared));
                        return None;
                    }
                    _ => {
                        let (failed, rollback) = (failed.clone(), *rollback);
                        self.stages = Stages::new(&self.old, vec![Stage::Up(old_slots())]);
                        self.state = Replacement::OldStarts(failed, rollback);
                    }
                },
                Replacement::OldStarts(failed, rollback) => {
                    let (failed, rollback) = (failed.clone(), *rollback);
                    let is_up = self.stages.advance(context, next)? == StepEnd::Done;
                    let rollback = if is_up { rollback } else { Rollback::Failed };
                    return Some(StepEnd::Failed { failed, rollback });
                }
            }
        }
    }
}
