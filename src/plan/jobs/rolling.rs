//! Replaces processes batch by batch: the new one first where both can run, with a rollback on failure.

use crate::model::{
    App, AppName, Cause, Change, Command, Declared, Failure, InstanceId, Launch, Millis, Moment, Operation, Phase,
    Progress, Reason, Rejected, Rejection, Rollback, Rollout, RolloutCommand, RolloutStatus, UpdateStrategy, Verb,
};

use super::goals::{Aim, Failed, GoalState, Goals};
use super::work::{StepEnd, discard};
use super::{ALIVE_FOR, Context, Next};
use crate::plan::rollouts::batch_size;
use crate::plan::slots::is_of_revision;

/// One rolling replacement.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Rolling {
    app: AppName,
    strategy: UpdateStrategy,
    /// A rollout: new processes must stay ready for `min_healthy_time`. A restart does not wait for that.
    is_rollout: bool,
    /// Slots that follow a restart of what they depend on, or that nobody can connect to: their processes are of the right
    /// spec.
    is_renewal: bool,
    /// What another daemon has begun: what it has replaced is evaluated first.
    is_unfinished: bool,
    /// How many slots are replaced side by side.
    size: usize,
    left: Vec<u32>,
    batch: Vec<u32>,
    /// Slots of the failed batch that were asked to change in place: what they run, or are about to, is not known here.
    failed: Vec<u32>,
    done: Vec<u32>,
    /// When the batch began; its deadline counts from here.
    began: Moment,
    stage: Stage,
    /// Set on the way back.
    why: Option<Failed>,
    /// On the way back, some slot had no process of the version before any more.
    has_started_old: bool,
    is_pause_reported: bool,
    is_rehearsed: bool,
}

#[derive(Clone, PartialEq, Debug)]
enum Stage {
    Begins,
    /// What another daemon has replaced must be ready, and stay so.
    Judging(Goals),
    Between,
    /// Nothing may be known against the new processes, before an old one is ended.
    Rehearsing(Goals),
    /// All old processes are gone before the first new one comes.
    Stopping(Goals),
    /// A new process in the place of the old one.
    InPlace(Goals),
    /// New processes beside the old ones.
    Beside(Goals),
    /// The old processes go.
    Vacating(Goals),
    /// The new ones get the name of the slot.
    TakingOver(Goals),
    /// New processes that are not to stay go; then the batch has failed, or one of its slots was stopped by a user.
    Discarding(Goals, Option<Failed>),
    /// The spec before is to be declared again.
    Reverting(Failed),
}

impl Rolling {
    pub(super) fn new(operation: &Operation, slots: &[u32], strategy: UpdateStrategy, batch: u32) -> Self {
        let is_renewal = operation.reasons.iter().any(Reason::asks_for_new_processes);
        Self {
            app: operation.app.clone(),
            strategy,
            is_rollout: matches!(operation.verb, Verb::Roll { .. }),
            is_renewal,
            is_unfinished: operation.reasons.contains(&Reason::RolloutUnfinished),
            size: usize::try_from(batch).unwrap_or(usize::MAX).max(1),
            left: slots.to_vec(),
            batch: Vec::new(),
            failed: Vec::new(),
            done: Vec::new(),
            began: Moment(0),
            stage: Stage::Begins,
            why: None,
            has_started_old: false,
            is_pause_reported: false,
            is_rehearsed: false,
        }
    }

    /// As users see it.
    pub(super) fn status(&self, context: &Context) -> RolloutStatus {
        let none = Vec::new();
        // What another daemon has replaced is replaced, though it is still evaluated.
        let (replaced, under_way) =
            if matches!(self.stage, Stage::Judging(_)) { (&self.batch, &none) } else { (&none, &self.batch) };
        RolloutStatus {
            app: context.id(&self.app),
            done: self.done.iter().chain(replaced).copied().collect(),
            left: under_way.iter().chain(&self.left).copied().collect(),
            strategy: self.strategy,
            command: if self.why.is_some() { RolloutCommand::Abort } else { self.command(context) },
        }
    }

    pub(super) fn goals(&self) -> Option<&Goals> {
        match &self.stage {
            Stage::Begins | Stage::Between | Stage::Reverting(_) => None,
            Stage::Judging(goals)
            | Stage::Rehearsing(goals)
            | Stage::Stopping(goals)
            | Stage::InPlace(goals)
            | Stage::Beside(goals)
            | Stage::Vacating(goals)
            | Stage::TakingOver(goals)
            | Stage::Discarding(goals, _) => Some(goals),
        }
    }

    pub(super) fn advance(&mut self, context: &Context, next: &mut Next) -> Option<StepEnd> {
        loop {
            let Some(declared) = context.declared(&self.app) else { return Some(StepEnd::Superseded) };
            if let Some(failed) = self.interrupted(context, declared, next) {
                self.fail(failed, context, next);
                continue;
            }
            match &mut self.stage {
                Stage::Begins => self.begin(context, declared, next),
                Stage::Between => {
                    if let Some(ended) = self.next_batch(context, declared, next) {
                        return ended;
                    }
                }
                Stage::Reverting(why) => {
                    let why = why.clone();
                    if !self.roll_back(why, context, declared, next) {
                        return None;
                    }
                }
                Stage::Judging(goals)
                | Stage::Rehearsing(goals)
                | Stage::Stopping(goals)
                | Stage::InPlace(goals)
                | Stage::Beside(goals)
                | Stage::Vacating(goals)
                | Stage::TakingOver(goals)
                | Stage::Discarding(goals, _) => match goals.evaluate(context, next) {
                    GoalState::Open => return None,
                    GoalState::Superseded => return Some(StepEnd::Superseded),
                    GoalState::Failed(failed) => self.fail(failed, context, next),
                    GoalState::Reached => {
                        if let Some(end) = self.reached(context, declared, next) {
                            return Some(end);
                        }
                    }
                },
            }
        }
    }

    /// The slots that another daemon has replaced, and those that are still to be: their process is of another spec.
    fn begin(&mut self, context: &Context, declared: &Declared, next: &mut Next) {
        self.began = context.view.now;
        self.stage = Stage::Between;
        // An older step may have gone back to a spec that allows no second process.
        if self.strategy == UpdateStrategy::Rolling {
            self.strategy = declared.spec.update_strategy();
        }
        // What an older rollout has left beside slots that this one does not replace so.
        let mut left_over = context.successors(&self.app);
        left_over.retain(|slot| self.strategy != UpdateStrategy::Rolling || !self.left.contains(slot));
        if !left_over.is_empty() {
            self.stage = Stage::Discarding(discard(&self.app, &left_over, context, next), None);
        }
        if self.is_renewal {
            return;
        }
        let is_done = |slot: &u32| {
            context.live(&self.app, *slot).is_some_and(|live| {
                (self.is_unfinished || live.phase.is_alive()) && is_of_revision(live, declared, *slot)
            })
        };
        let (begun, left): (Vec<u32>, Vec<u32>) = self.left.iter().partition(|slot| is_done(slot));
        self.left = left;
        if self.is_unfinished && !begun.is_empty() {
            discard(&self.app, &begun, context, next);
            let hold = declared.spec.update.min_healthy_time.max(ALIVE_FOR);
            let id = context.id(&self.app);
            self.stage = Stage::Judging(Goals::watch(begun.iter().map(|slot| id.instance(*slot)).collect(), hold));
            self.batch = begun;
        }
    }

    /// Why what is in progress is not waited for any longer: its time is over, or a user wants it back. A slot that a
    /// person has stopped leaves the batch.
    fn interrupted(&mut self, context: &Context, declared: &Declared, next: &mut Next) -> Option<Failed> {
        if !matches!(self.stage, Stage::Judging(_) | Stage::InPlace(_) | Stage::Beside(_) | Stage::Stopping(_)) {
            return None;
        }
        let first = context.id(&self.app).instance(*self.batch.first()?);
        if self.why.is_none() && self.command(context) == RolloutCommand::Abort {
            return Some(plain(first, Failure::Aborted));
        }
        if self.batch.iter().any(|slot| !declared.may_run(*slot)) {
            let batch = std::mem::take(&mut self.batch);
            self.stage = Stage::Discarding(discard(&self.app, &batch, context, next), None);
            self.left.splice(0..0, batch);
            return None;
        }
        let deadline = declared.spec.update.healthy_deadline?;
        let until = self.began.after(deadline);
        if context.view.now >= until {
            return Some(plain(first, Failure::NotReady { after: deadline, last: None }));
        }
        next.wake_at(until);
        None
    }

    /// Begins the next batch. The outer `None`: it is begun; the inner one: it is not its time yet.
    #[expect(clippy::option_option, reason = "begun, not yet, or over")]
    fn next_batch(&mut self, context: &Context, declared: &Declared, next: &mut Next) -> Option<Option<StepEnd>> {
        self.left.retain(|slot| declared.may_run(*slot));
        if self.left.is_empty() {
            return Some(Some(self.end(context, next)));
        }
        if self.why.is_none() {
            match self.command(context) {
                RolloutCommand::Continue => self.is_pause_reported = false,
                RolloutCommand::Pause => {
                    if !std::mem::replace(&mut self.is_pause_reported, true) {
                        next.news.push(Progress::Paused { app: self.app.clone() });
                    }
                    return Some(None);
                }
                RolloutCommand::Abort => {
                    let first = context.id(&self.app).instance(self.left[0]);
                    self.fail(plain(first, Failure::Aborted), context, next);
                    return None;
                }
            }
        }
        if !self.is_rehearsed {
            let slot = self.left[0];
            let launch = Launch::of(declared, slot, self.cause(context));
            let instance = context.id(&self.app).instance(slot);
            self.stage = Stage::Rehearsing(Goals::rehearse(context, next, instance, Some(launch)));
            return None;
        }
        let size = self.size.min(self.left.len());
        self.batch = self.left.drain(..size).collect();
        self.began = context.view.now;
        let id = context.id(&self.app);
        let settled = || self.batch.iter().map(|slot| id.instance(*slot)).collect::<Vec<_>>();
        self.stage = match self.strategy {
            UpdateStrategy::Rolling => {
                let successors = settled().into_iter().map(InstanceId::successor).collect();
                let hold = self.hold(context, &declared.spec);
                let cause = self.cause(context);
                Stage::Beside(Goals::order(context, next, successors, Aim::Up, hold, |id| {
                    let launch = Launch::of(declared, id.slot, cause.clone());
                    // A daemon that died, or an older change, may have left one of a spec that nobody wants any more.
                    let known = context.view.live.instances.get(id);
                    let is_other = known.is_some_and(|live| !is_of_revision(live, declared, id.slot));
                    Some(if is_other { Command::Restart(launch) } else { Command::Start(launch) })
                }))
            }
            UpdateStrategy::Restart => self.in_place(context, declared, next),
            UpdateStrategy::Together => {
                let cause = self.cause(context);
                Stage::Stopping(Goals::order(context, next, settled(), Aim::Down, Millis(0), |_| {
                    Some(Command::Stop(cause.clone()))
                }))
            }
        };
        None
    }

    fn in_place(&self, context: &Context, declared: &Declared, next: &mut Next) -> Stage {
        let (id, cause) = (context.id(&self.app), self.cause(context));
        let settled = self.batch.iter().map(|slot| id.instance(*slot)).collect();
        let hold = self.hold(context, &declared.spec);
        Stage::InPlace(Goals::order(context, next, settled, Aim::Up, hold, |id| {
            Some(Command::Restart(Launch::of(declared, id.slot, cause.clone())))
        }))
    }

    /// A stage has ended; `Some`: and with it the whole operation.
    fn reached(&mut self, context: &Context, declared: &Declared, next: &mut Next) -> Option<StepEnd> {
        let (id, cause) = (context.id(&self.app), self.cause(context));
        let settled = || self.batch.iter().map(|slot| id.instance(*slot)).collect::<Vec<_>>();
        match &self.stage {
            Stage::Rehearsing(_) => (self.is_rehearsed, self.stage) = (true, Stage::Between),
            Stage::Stopping(_) => self.stage = self.in_place(context, declared, next),
            Stage::Beside(_) => {
                self.stage = Stage::Vacating(Goals::order(context, next, settled(), Aim::Gone, Millis(0), |_| {
                    Some(Command::Delete(cause.clone()))
                }));
            }
            Stage::Vacating(_) => {
                let successors = settled().into_iter().map(InstanceId::successor).collect();
                let over = Goals::order(context, next, successors, Aim::Gone, Millis(0), |_| Some(Command::TakeOver));
                self.stage = Stage::TakingOver(over);
            }
            Stage::Judging(_) | Stage::InPlace(_) | Stage::TakingOver(_) => {
                self.done.append(&mut self.batch);
                self.stage = Stage::Between;
            }
            Stage::Discarding(_, None) => self.stage = Stage::Between,
            Stage::Discarding(_, Some(failed)) => {
                let failed = failed.clone();
                return self.resolve(failed, context, next);
            }
            Stage::Begins | Stage::Between | Stage::Reverting(_) => {}
        }
        None
    }

    /// The batch has failed: its new processes go first, if the old ones still have their slots.
    fn fail(&mut self, failed: Failed, context: &Context, next: &mut Next) {
        let slots = std::mem::take(&mut self.batch);
        let goals = match self.strategy {
            UpdateStrategy::Rolling => discard(&self.app, &slots, context, next),
            UpdateStrategy::Restart | UpdateStrategy::Together => {
                self.failed = slots;
                Goals::watch(Vec::new(), Millis(0))
            }
        };
        self.stage = Stage::Discarding(goals, Some(failed));
    }

    /// Rolls back where that is wanted and possible; otherwise this is the end.
    fn resolve(&mut self, failed: Failed, context: &Context, next: &mut Next) -> Option<StepEnd> {
        let failed = Failed { instance: failed.instance.settled(), ..failed };
        if let Some(why) = self.why.take() {
            context.reject(&self.app, &failed, next);
            return Some(StepEnd::Failed { failed: why, rollback: Rollback::Failed });
        }
        let is_wanted = failed.failure == Some(Failure::Aborted)
            || context.declared(&self.app).is_some_and(|declared| declared.spec.update.auto_revert);
        let is_possible = context.rollout(&self.app).is_some_and(|rollout| rollout.from.is_some());
        if is_wanted && is_possible {
            self.stage = Stage::Reverting(failed);
            return None;
        }
        context.reject(&self.app, &failed, next);
        Some(StepEnd::failed(failed))
    }

    /// Declares the spec before again; once that is on disk, every slot of another spec is rolled back to it, those without a
    /// process first. False: it is not on disk yet.
    fn roll_back(&mut self, why: Failed, context: &Context, declared: &Declared, next: &mut Next) -> bool {
        let project = context.project;
        if let Some(before) = context.rollout(&self.app).and_then(|rollout| rollout.from.as_ref()) {
            let rejected = Rejected { digest: declared.digest, why: rejection(&why) };
            let rollout = Rollout { rejected: Some(rejected), ..Rollout::default() };
            let (project, name) = (project.clone(), self.app.clone());
            next.changes.push(Change::App {
                project: project.clone(),
                name: name.clone(),
                declared: Box::new(declared.at_revision(before)),
            });
            next.changes.push(Change::Rollout { project, name, rollout: Some(Box::new(rollout)) });
            return false;
        }
        let is_other = |slot: &u32| {
            context.live(&self.app, *slot).is_none_or(|live| {
                !is_of_revision(live, declared, *slot) || matches!(live.phase, Phase::Errored { .. } | Phase::Stopped)
            })
        };
        let is_wanted = |slot: &u32| self.failed.contains(slot) || is_other(slot);
        let mut left: Vec<u32> =
            (0..declared.instances()).filter(|slot| declared.may_run(*slot) && is_wanted(slot)).collect();
        let is_shut_out =
            |slot: &u32| context.live(&self.app, *slot).is_some_and(|live| live.spec.shuts_out(&declared.spec));
        let is_shut_out = self.strategy == UpdateStrategy::Together || left.iter().any(is_shut_out);
        self.strategy = if is_shut_out { UpdateStrategy::Together } else { declared.spec.update_strategy() };
        // What failed first, then what does not run, then what is healthy: the last healthy copy is never replaced by one that is not.
        let is_alive = |slot: u32| context.live(&self.app, slot).is_some_and(|live| live.phase.is_alive());
        left.sort_by_key(|slot| (*slot != why.instance.slot, is_alive(*slot)));
        self.size = usize::try_from(batch_size(&declared.spec, self.strategy)).unwrap_or(usize::MAX);
        self.is_rehearsed = false;
        self.has_started_old = !left.is_empty();
        (self.left, self.batch, self.why, self.stage) = (left, Vec::new(), Some(why), Stage::Between);
        true
    }

    /// Everything is replaced: nothing has to be kept of it any more.
    fn end(&mut self, context: &Context, next: &mut Next) -> StepEnd {
        if let Some(failed) = self.why.take() {
            let rollback = if self.has_started_old { Rollback::Done } else { Rollback::NotNeeded };
            return StepEnd::Failed { failed, rollback };
        }
        if context.rollout(&self.app).is_some() {
            let (project, name) = (context.project.clone(), self.app.clone());
            next.changes.push(Change::Rollout { project, name, rollout: None });
        }
        StepEnd::Done
    }

    fn hold(&self, context: &Context, spec: &App) -> Millis {
        let wanted = if self.is_rollout && self.why.is_none() { spec.update.min_healthy_time } else { Millis(0) };
        // In place, a rollout waits for `min_healthy_time` alone only where the app says itself that it is ready.
        if context.says_ready(&self.app) { wanted } else { wanted.max(ALIVE_FOR) }
    }

    fn command(&self, context: &Context) -> RolloutCommand {
        match context.rollout(&self.app) {
            Some(Rollout { is_aborted: true, .. }) => RolloutCommand::Abort,
            Some(Rollout { is_paused: true, .. }) => RolloutCommand::Pause,
            _ => RolloutCommand::Continue,
        }
    }

    fn cause(&self, context: &Context) -> Cause {
        if self.why.is_some() { Cause::Revert } else { context.cause.clone() }
    }
}

impl Context<'_> {
    /// Nothing automatic tries again what has failed so.
    pub(super) fn reject(&self, app: &AppName, failed: &Failed, next: &mut Next) {
        self.put_off(app, rejection(failed), next);
    }

    /// Nothing automatic rolls out what is declared, until a user applies again.
    pub(super) fn put_off(&self, app: &AppName, why: Rejection, next: &mut Next) {
        let Some(declared) = self.declared(app) else { return };
        let rejected = Some(Rejected { digest: declared.digest, why });
        let known = self.rollout(app).cloned().unwrap_or_default();
        let rollout = Rollout { rejected, is_paused: false, is_aborted: false, building: None, ..known };
        let (project, name) = (self.project.clone(), app.clone());
        next.changes.push(Change::Rollout { project, name, rollout: Some(Box::new(rollout)) });
    }
}

fn plain(instance: InstanceId, failure: Failure) -> Failed {
    Failed { instance, failure: Some(failure), exit: None, printer: None }
}

fn rejection(failed: &Failed) -> Rejection {
    Rejection::Failed { instance: failed.instance.clone(), failure: failed.failure.clone(), exit: failed.exit }
}
