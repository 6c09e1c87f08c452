//! One operation in progress: its goals, stage by stage.

use std::collections::VecDeque;

use crate::model::{
    App, AppName, Cause, Change, Command, InstanceId, Kind, Launch, Live, LiveInstance, Millis, Operation, Reason,
    Rollback, Rollout, UpdateStrategy, Verb,
};

use super::goals::{Aim, Failed, GoalState, Goals};
use super::replacing::Replacing;
use super::rolling::Rolling;
use super::{ALIVE_FOR, Context, Next};
use crate::plan::slots::is_of_revision;

/// How a step ended.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum StepEnd {
    Done,
    /// A task has run to its end.
    Completed,
    Failed {
        failed: Failed,
        rollback: Rollback,
    },
    Superseded,
}

impl StepEnd {
    pub(super) fn failed(failed: Failed) -> Self {
        Self::Failed { failed, rollback: Rollback::None }
    }
}

/// An operation that is being carried out.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Work {
    Stages(Stages),
    Rolling(Box<Rolling>),
    Replacing(Box<Replacing>),
}

/// One stage: what is wanted of some slots at the same time.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Stage {
    /// Nothing is known against a start in the first of these slots.
    Rehearse(Vec<u32>),
    /// The app is built, if nothing of it runs and somebody starts it: while it was down, nobody has built it.
    Build(Vec<u32>),
    /// No new process waits to take one of these slots over.
    Discard(Vec<u32>),
    /// What an older rollout has left beside slots is gone.
    DiscardAll,
    /// These slots have a process.
    Up(Vec<u32>),
    /// These slots have a new process; if not forced, only where the process is not as declared.
    New {
        slots: Vec<u32>,
        is_forced: bool,
    },
    Down(Vec<u32>),
    Gone(Vec<u32>),
    /// Every process follows the declared policies.
    Reconfigure,
    /// Every process has the app's new name.
    Rename(AppName),
    /// What others have started comes up.
    Await(Vec<u32>),
}

impl Work {
    /// What an operation consists of, if only so many processes may start at the same time.
    pub(super) fn of(operation: &Operation, start_limit: Option<u32>) -> Self {
        let app = &operation.app;
        let stages = |stages: Vec<Stage>| Self::Stages(Stages::new(app, stages));
        match &operation.verb {
            Verb::Start { slots } => {
                let size = start_limit.map_or(slots.len(), |limit| usize::try_from(limit).unwrap_or(usize::MAX)).max(1);
                let batches = slots.chunks(size).map(|batch| Stage::Up(batch.to_vec()));
                stages([Stage::Build(slots.clone()), Stage::DiscardAll].into_iter().chain(batches).collect())
            }
            Verb::Restart { slots, strategy: UpdateStrategy::Restart, batch } => {
                let size = usize::try_from(*batch).unwrap_or(usize::MAX).max(1);
                let is_forced = operation.reasons.iter().any(Reason::asks_for_new_processes);
                let batches = slots.chunks(size).map(|batch| Stage::New { slots: batch.to_vec(), is_forced });
                stages([Stage::Rehearse(slots.clone()), Stage::DiscardAll].into_iter().chain(batches).collect())
            }
            Verb::Roll { slots, strategy, batch } | Verb::Restart { slots, strategy, batch } => {
                Self::Rolling(Box::new(Rolling::new(operation, slots, *strategy, *batch)))
            }
            Verb::Scale { add, remove, .. } => {
                stages(vec![Stage::DiscardAll, Stage::Gone(remove.clone()), Stage::Up(add.clone())])
            }
            Verb::Reconfigure => stages(vec![Stage::Reconfigure]),
            Verb::Rename { from } => stages(vec![Stage::Rename(from.clone())]),
            Verb::Replace { old, slots } => Self::Replacing(Box::new(Replacing::new(old, app, slots))),
            Verb::Stop { slots } => stages(vec![Stage::Discard(slots.clone()), Stage::Down(slots.clone())]),
            Verb::Delete { slots } => stages(vec![Stage::Discard(slots.clone()), Stage::Gone(slots.clone())]),
            Verb::Keep | Verb::Hold => stages(Vec::new()),
        }
    }

    /// Goes on as far as the live state allows; `None`: it is not over.
    pub(super) fn advance(&mut self, context: &Context, next: &mut Next) -> Option<StepEnd> {
        match self {
            Self::Stages(stages) => stages.advance(context, next),
            Self::Rolling(rolling) => rolling.advance(context, next),
            Self::Replacing(replacing) => replacing.advance(context, next),
        }
    }

    /// Whether the app is being built.
    pub(super) fn builds(&self) -> bool {
        matches!(self, Self::Stages(stages) if stages.builds())
    }

    /// The instances that it waits for.
    pub(super) fn open(&self) -> Vec<InstanceId> {
        let goals = match self {
            Self::Stages(stages) => stages.goals(),
            Self::Rolling(rolling) => rolling.goals(),
            Self::Replacing(replacing) => replacing.goals(),
        };
        goals.into_iter().flat_map(Goals::open).cloned().collect()
    }
}

/// Stages of one app, one after the other.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Stages {
    app: AppName,
    todo: VecDeque<Stage>,
    goals: Option<Goals>,
    /// The last stage was the run of a task, to its end.
    has_ended: bool,
}

impl Stages {
    pub(super) fn new(app: &AppName, stages: Vec<Stage>) -> Self {
        Self { app: app.clone(), todo: stages.into(), goals: None, has_ended: false }
    }

    pub(super) fn goals(&self) -> Option<&Goals> {
        self.goals.as_ref()
    }

    /// A rehearsal comes before stages that replace, a build before those that start.
    fn builds(&self) -> bool {
        let replaces = self.todo.iter().any(|stage| matches!(stage, Stage::New { .. }));
        !replaces && self.goals.as_ref().is_some_and(Goals::are_preparing)
    }

    pub(super) fn advance(&mut self, context: &Context, next: &mut Next) -> Option<StepEnd> {
        loop {
            if self.goals.is_none() {
                if matches!(&self.todo.front(), Some(Stage::Build(slots)) if !is_build_kept(&self.app, slots, context, next))
                {
                    return None;
                }
                let Some(stage) = self.todo.pop_front() else {
                    return Some(if self.has_ended { StepEnd::Completed } else { StepEnd::Done });
                };
                self.goals = Some(begin(&self.app, stage, context, next));
            }
            match self.goals.as_mut()?.evaluate(context, next) {
                GoalState::Open => return None,
                GoalState::Reached => {
                    self.has_ended = self.goals.take().is_some_and(|goals| goals.are_ended());
                }
                GoalState::Failed(failed) => return Some(StepEnd::failed(failed)),
                GoalState::Superseded => return Some(StepEnd::Superseded),
            }
        }
    }
}

/// Whether it is kept that the app is being built, if it is to be: a daemon that dies during the build leaves nothing that
/// may be started.
fn is_build_kept(app: &AppName, slots: &[u32], context: &Context, next: &mut Next) -> bool {
    let is_wanted = || slots.iter().any(|slot| context.launch(app, *slot).is_some());
    let Some(declared) = context.declared(app).filter(|_| context.builds_first(app) && is_wanted()) else {
        return true;
    };
    let known = context.rollout(app).cloned().unwrap_or_default();
    if known.building == Some(declared.digest) {
        return true;
    }
    let rollout = Some(Box::new(Rollout { building: Some(declared.digest), ..known }));
    next.changes.push(Change::Rollout { project: context.project.clone(), name: app.clone(), rollout });
    false
}

/// Gives the orders of a stage. Slots that a user has stopped meanwhile get no process.
pub(super) fn begin(app: &AppName, stage: Stage, context: &Context, next: &mut Next) -> Goals {
    let cause = context.cause;
    let id = context.id(app);
    let all = |slots: &[u32]| slots.iter().map(|slot| id.instance(*slot)).collect::<Vec<_>>();
    match stage {
        Stage::Rehearse(slots) => match slots.iter().find_map(|slot| Some((*slot, context.launch(app, *slot)?))) {
            Some((slot, launch)) => Goals::rehearse(context, next, id.instance(slot), Some(launch)),
            None => Goals::watch(Vec::new(), Millis(0)),
        },
        Stage::Build(slots) => match slots.iter().find_map(|slot| Some((*slot, context.launch(app, *slot)?))) {
            Some((slot, launch)) if context.builds_first(app) => {
                Goals::build(context, next, id.instance(slot), Some(launch))
            }
            _ => Goals::watch(Vec::new(), Millis(0)),
        },
        Stage::Discard(slots) => discard(app, &slots, context, next),
        Stage::DiscardAll => discard(app, &context.successors(app), context, next),
        Stage::Up(slots) => {
            let (aim, hold) = (context.aim(app), context.hold(app));
            Goals::order(context, next, all(&slots), aim, hold, |id| {
                Some(Command::Start(context.launch(app, id.slot)?))
            })
        }
        Stage::New { slots, is_forced } => {
            let (aim, hold) = (context.aim(app), context.hold(app));
            let is_wanted = |slot: &u32| is_forced || !context.is_as_declared(app, *slot);
            let slots: Vec<u32> = slots.into_iter().filter(is_wanted).collect();
            Goals::order(context, next, all(&slots), aim, hold, |id| {
                Some(Command::Restart(context.launch(app, id.slot)?))
            })
        }
        Stage::Down(slots) => {
            Goals::order(context, next, all(&slots), Aim::Down, Millis(0), |_| Some(Command::Stop(cause.clone())))
        }
        Stage::Gone(slots) => {
            Goals::order(context, next, all(&slots), Aim::Gone, Millis(0), |_| Some(Command::Delete(cause.clone())))
        }
        Stage::Reconfigure => {
            let spec = context.declared(app).map(|declared| &declared.spec);
            Goals::order(context, next, all(&context.live_slots(app)), Aim::Taken, Millis(0), |_| {
                Some(Command::Reconfigure(spec?.clone()))
            })
        }
        Stage::Rename(from) => rename(&from, app, context, next),
        Stage::Await(slots) => Goals::watch(all(&slots), context.hold(app)),
    }
}

/// Whether an app that a user starts is built before: it has a build command, and nothing of it runs.
pub fn builds_first(spec: &App, live: &Live) -> bool {
    let id = spec.id();
    let mut all = live.instances.range(id.instance(0)..=id.instance(u32::MAX).successor());
    spec.watching.build.is_some() && !all.any(|(_, live)| live.phase.is_alive())
}

/// Ends new processes that are not to take their slots over.
pub(super) fn discard(app: &AppName, slots: &[u32], context: &Context, next: &mut Next) -> Goals {
    let id = context.id(app);
    let successors = slots.iter().map(|slot| id.instance(*slot).successor());
    let left: Vec<_> = successors.filter(|id| context.view.live.instances.contains_key(id)).collect();
    Goals::order(context, next, left, Aim::Gone, Millis(0), |_| Some(Command::Delete(context.cause.clone())))
}

/// A process of another spec keeps that spec under its new name, until it is replaced.
fn rename(from: &AppName, to: &AppName, context: &Context, next: &mut Next) -> Goals {
    let (old, new) = (context.id(from), context.id(to));
    let instances = context.live_slots(from).into_iter().map(|slot| new.instance(slot)).collect();
    let before = context.rollout(to).and_then(|rollout| rollout.from.clone());
    let launch = |slot: u32| {
        let declared = context.declared(to)?;
        let launch = Launch::of(declared, slot, context.cause.clone());
        let live: Option<&LiveInstance> = context.view.live.instances.get(&old.instance(slot));
        Some(match &before {
            Some(before) if !live.is_some_and(|live| is_of_revision(live, declared, slot)) => {
                launch.at_revision(before)
            }
            _ => launch,
        })
    };
    Goals::order(context, next, instances, Aim::Taken, Millis(0), |id| {
        Some(Command::Rename(old.instance(id.slot), launch(id.slot)?))
    })
}

impl Context<'_> {
    /// What is wanted of a process that is started: a task that somebody waits for is waited for to its end.
    pub(super) fn aim(&self, app: &AppName) -> Aim {
        let is_task = self.declared(app).is_some_and(|declared| declared.spec.kind == Kind::Task);
        let is_waited_for = matches!(self.cause, Cause::Apply { .. } | Cause::Command { .. });
        if is_task && is_waited_for { Aim::Ended } else { Aim::Up }
    }

    /// Whether the app is built before it is started. What starts by itself (at boot, after a crash) is what was built last,
    /// unless that build never came to an end.
    fn builds_first(&self, app: &AppName) -> bool {
        let is_asked_for = matches!(self.cause, Cause::Apply { .. } | Cause::Command { .. });
        self.declared(app).is_some_and(|declared| {
            let is_unfinished = || self.rollout(app).is_some_and(|known| known.building == Some(declared.digest));
            (is_asked_for || is_unfinished()) && builds_first(&declared.spec, self.view.live)
        })
    }

    /// Whether a process is alive in a slot that was started as the app is declared now.
    fn is_as_declared(&self, app: &AppName, slot: u32) -> bool {
        let (Some(declared), Some(live)) = (self.declared(app), self.live(app, slot)) else { return false };
        live.phase.is_alive() && is_of_revision(live, declared, slot)
    }

    /// Slots beside which a new process stands.
    pub(super) fn successors(&self, app: &AppName) -> Vec<u32> {
        let id = self.id(app);
        let all = self.view.live.instances.range(id.instance(0)..=id.instance(u32::MAX).successor());
        all.filter(|(id, _)| id.is_successor).map(|(id, _)| id.slot).collect()
    }

    /// How long a new process must live to count as started: where its app does not say itself when it is ready.
    pub(super) fn hold(&self, app: &AppName) -> Millis {
        if self.says_ready(app) { Millis(0) } else { ALIVE_FOR }
    }

    /// Whether the app itself says when it is ready.
    pub(super) fn says_ready(&self, app: &AppName) -> bool {
        self.declared(app).is_some_and(|declared| declared.spec.ready.is_some())
    }

    /// What a new process in a slot is started with; `None` where nobody wants one any more.
    pub(super) fn launch(&self, app: &AppName, slot: u32) -> Option<Launch> {
        let declared = self.declared(app).filter(|declared| declared.may_run(slot))?;
        Some(Launch::of(declared, slot, self.cause.clone()))
    }
}
