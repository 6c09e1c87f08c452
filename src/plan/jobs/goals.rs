//! The goals of a step for several instances, and their progress: derived from the live state, never from a message.

use crate::model::{
    Command, Exit, Failure, Following, InstanceId, Launch, LiveInstance, Millis, Moment, Order, Phase, Readiness,
    WallTime,
};

use super::{Context, Next, Rehearsal};

/// How long a start may be kept from happening by what passes.
const PATIENCE: Millis = Millis::seconds(10);

/// How often an order is repeated meanwhile that could not be begun.
const REPEAT_EVERY: Millis = Millis(250);

/// What an instance is to come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Aim {
    /// A process runs, is ready, and stays so.
    Up,
    /// A task has run to its end.
    Ended,
    /// Nothing of it runs.
    Down,
    /// The instance is gone.
    Gone,
    /// It has another name, or followed new policies: whatever it does, that has happened.
    Taken,
    /// Like [`Aim::Up`], of a process that somebody else has started.
    Seen,
    /// Nothing is known against a start.
    Rehearsed,
}

/// One instance and its aim.
#[derive(Clone, PartialEq, Debug)]
struct Goal {
    instance: InstanceId,
    aim: Aim,
    /// The order that was given for it; 0 for [`Aim::Seen`].
    order: u64,
    /// What was ordered, in case that it could not be begun for something that passes.
    command: Option<Box<Command>>,
    /// When it was ordered again last.
    repeated: Option<Moment>,
    /// Restarts when it was first looked at, for [`Aim::Seen`].
    restarts: Option<u32>,
    /// The process that is ready, and since when this was known.
    ready: Option<(u32, Moment)>,
    /// Since when a start is tried again that failed for something that passes.
    waits_since: Option<Moment>,
    /// It was seen to exist.
    is_known: bool,
    is_reached: bool,
}

/// Some instances on their way, all at once.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Goals {
    each: Vec<Goal>,
    /// How long a ready process must stay so.
    hold: Millis,
}

/// How a step failed.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Failed {
    pub instance: InstanceId,
    pub failure: Option<Failure>,
    pub exit: Option<Exit>,
    /// The process that failed, if there was one: other output is of others.
    pub printer: Option<Printer>,
}

/// A process whose output is of interest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Printer {
    /// The one that was started then.
    Started(WallTime),
    /// The one before that.
    Before(WallTime),
}

/// How far the goals are.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum GoalState {
    /// Not there yet.
    Open,
    /// All are reached.
    Reached,
    /// One cannot be reached.
    Failed(Failed),
    /// Somebody else decides over one of them by now.
    Superseded,
}

impl Goals {
    /// Orders one command for each instance.
    pub(super) fn order(
        context: &Context,
        next: &mut Next,
        instances: Vec<InstanceId>,
        aim: Aim,
        hold: Millis,
        mut command: impl FnMut(&InstanceId) -> Option<Command>,
    ) -> Self {
        let mut each = Vec::with_capacity(instances.len());
        for instance in instances {
            let Some(command) = command(&instance) else { continue };
            let number = context.numbers.take();
            next.orders.push(Order { instance: instance.clone(), number, command: command.clone() });
            each.push(Goal { command: Some(Box::new(command)), ..Goal::new(instance, aim, number) });
        }
        Self { each, hold }
    }

    /// Rehearses a start before anything is ended for it.
    pub(super) fn rehearse(context: &Context, next: &mut Next, instance: InstanceId, launch: Option<Launch>) -> Self {
        Self::prepare(context, next, instance, launch, false)
    }

    /// Builds an app before its first process is started.
    pub(super) fn build(context: &Context, next: &mut Next, instance: InstanceId, launch: Option<Launch>) -> Self {
        Self::prepare(context, next, instance, launch, true)
    }

    fn prepare(
        context: &Context,
        next: &mut Next,
        instance: InstanceId,
        launch: Option<Launch>,
        is_build: bool,
    ) -> Self {
        let number = context.numbers.take();
        let each = launch.map(|launch| {
            next.rehearsals.push(Rehearsal { instance: instance.clone(), number, launch, is_build });
            Goal::new(instance, Aim::Rehearsed, number)
        });
        Self { each: each.into_iter().collect(), hold: Millis(0) }
    }

    /// Watches processes that somebody else has started.
    pub(super) fn watch(instances: Vec<InstanceId>, hold: Millis) -> Self {
        Self { each: instances.into_iter().map(|instance| Goal::new(instance, Aim::Seen, 0)).collect(), hold }
    }

    /// Whether they were to run to their end.
    pub(super) fn are_ended(&self) -> bool {
        self.each.iter().any(|goal| goal.aim == Aim::Ended)
    }

    /// Whether something is looked into or built, before any process is started.
    pub(super) fn are_preparing(&self) -> bool {
        self.each.iter().any(|goal| goal.aim == Aim::Rehearsed && !goal.is_reached)
    }

    /// The instances that are not there yet.
    pub(super) fn open(&self) -> impl Iterator<Item = &InstanceId> {
        self.each.iter().filter(|goal| !goal.is_reached).map(|goal| &goal.instance)
    }

    /// Looks at all of them. A failure counts before a later command, and that before what is still open.
    pub(super) fn evaluate(&mut self, context: &Context, next: &mut Next) -> GoalState {
        let mut worst = GoalState::Reached;
        for goal in self.each.iter_mut().filter(|goal| !goal.is_reached) {
            match goal.evaluate(context, self.hold, next) {
                GoalState::Reached => goal.is_reached = true,
                failed @ GoalState::Failed(_) => return failed,
                GoalState::Superseded => worst = GoalState::Superseded,
                GoalState::Open if worst == GoalState::Reached => worst = GoalState::Open,
                GoalState::Open => {}
            }
        }
        worst
    }
}

impl Goal {
    fn new(instance: InstanceId, aim: Aim, order: u64) -> Self {
        Self {
            instance,
            aim,
            order,
            command: None,
            repeated: None,
            restarts: None,
            ready: None,
            waits_since: None,
            is_known: false,
            is_reached: false,
        }
    }

    fn evaluate(&mut self, context: &Context, hold: Millis, next: &mut Next) -> GoalState {
        let view = context.view;
        if let Some((_, failure)) = view.live.refused.get(&self.instance).filter(|(order, _)| *order == self.order) {
            if self.is_repeated(failure, context, next) {
                return GoalState::Open;
            }
            let failed =
                Failed { instance: self.instance.clone(), failure: Some(failure.clone()), exit: None, printer: None };
            return GoalState::Failed(failed);
        }
        if self.aim == Aim::Rehearsed {
            let is_done = view.live.rehearsed.get(&self.instance).is_some_and(|number| *number >= self.order);
            return if is_done { GoalState::Reached } else { GoalState::Open };
        }
        let Some(live) = view.live.instances.get(&self.instance) else { return self.absent(context) };
        self.is_known = true;
        if self.aim != Aim::Seen {
            match live.taken.order {
                taken if taken < self.order => return GoalState::Open,
                taken if taken > self.order && self.aim == Aim::Taken => return GoalState::Reached,
                taken if taken > self.order => return GoalState::Superseded,
                _ => {}
            }
        }
        match self.aim {
            Aim::Taken | Aim::Rehearsed => GoalState::Reached,
            Aim::Down if live.phase == Phase::Stopped => GoalState::Reached,
            Aim::Down | Aim::Gone => GoalState::Open,
            Aim::Ended => self.ended(live),
            Aim::Up | Aim::Seen => self.up(live, view.now, hold, next),
        }
    }

    /// What could not even be begun, for something that passes, is ordered again for a while.
    fn is_repeated(&mut self, failure: &Failure, context: &Context, next: &mut Next) -> bool {
        let now = context.view.now;
        let Some(command) = self.command.as_ref().filter(|_| failure.is_passing()) else { return false };
        let until = self.waits_since.get_or_insert(now).after(PATIENCE);
        if now >= until {
            return false;
        }
        let due = self.repeated.get_or_insert(now).after(REPEAT_EVERY);
        if now >= due {
            self.repeated = Some(now);
            self.order = context.numbers.take();
            let (instance, command) = (self.instance.clone(), (**command).clone());
            next.orders.push(Order { instance, number: self.order, command });
        } else {
            next.wake_at(due.min(until));
        }
        true
    }

    /// What no longer exists was taken away, unless it has not been made yet.
    fn absent(&self, context: &Context) -> GoalState {
        let is_unnamed = |old: &InstanceId| context.view.live.instances.contains_key(old);
        match self.aim {
            // The process has its old name still.
            Aim::Taken if matches!(self.command.as_deref(), Some(Command::Rename(old, _)) if is_unnamed(old)) => {
                GoalState::Open
            }
            Aim::Down | Aim::Gone | Aim::Taken => GoalState::Reached,
            Aim::Up | Aim::Ended if !self.is_known => GoalState::Open,
            Aim::Up | Aim::Ended | Aim::Seen | Aim::Rehearsed => GoalState::Superseded,
        }
    }

    fn ended(&self, live: &LiveInstance) -> GoalState {
        match &live.phase {
            Phase::Done { .. } => GoalState::Reached,
            Phase::Errored { failure } => self.failed(live, Some(failure.clone())),
            Phase::Stopped => GoalState::Superseded,
            Phase::Stopping { .. } if is_taken_down(live) => GoalState::Superseded,
            // Its policy tries it again, until it succeeds or is given up.
            Phase::Starting | Phase::Running { .. } | Phase::Stopping { .. } | Phase::Backoff { .. } => GoalState::Open,
        }
    }

    fn up(&mut self, live: &LiveInstance, now: Moment, hold: Millis, next: &mut Next) -> GoalState {
        let restarts = match self.aim {
            Aim::Seen => *self.restarts.get_or_insert(live.restarts),
            _ => live.taken.restarts,
        };
        match &live.phase {
            Phase::Done { .. } => GoalState::Reached,
            Phase::Errored { failure } => self.failed(live, Some(failure.clone())),
            Phase::Backoff { .. } if self.may_still_start(live, now, next) => GoalState::Open,
            _ if live.restarts != restarts => self.failed(live, live.trouble.clone()),
            Phase::Backoff { .. } => self.failed(live, live.trouble.clone()),
            Phase::Stopping { .. } if live.trouble.is_some() => self.failed(live, live.trouble.clone()),
            Phase::Stopping { .. } if is_taken_down(live) => GoalState::Superseded,
            Phase::Stopped => GoalState::Superseded,
            Phase::Starting | Phase::Stopping { .. } | Phase::Running { readiness: Readiness::Waiting { .. }, .. } => {
                GoalState::Open
            }
            Phase::Running { .. } => match self.ready {
                Some((incarnation, _)) if incarnation != live.incarnation => GoalState::Superseded,
                known => {
                    let (_, since) = known.unwrap_or((live.incarnation, now));
                    self.ready = Some((live.incarnation, since));
                    let until = since.after(hold);
                    if now >= until {
                        return GoalState::Reached;
                    }
                    next.wake_at(until);
                    GoalState::Open
                }
            },
        }
    }

    /// What passes is waited for: as long as the app's rollouts may take, or a while.
    fn may_still_start(&mut self, live: &LiveInstance, now: Moment, next: &mut Next) -> bool {
        if !live.trouble.as_ref().is_some_and(Failure::is_passing) {
            return false;
        }
        let until = self.waits_since.get_or_insert(now).after(live.spec.update.healthy_deadline.unwrap_or(PATIENCE));
        next.wake_at(until);
        now < until
    }

    fn failed(&self, live: &LiveInstance, failure: Option<Failure>) -> GoalState {
        // Without a process of its own there is nothing that it could have printed.
        let has_run = !matches!(failure, Some(Failure::Spawn { .. } | Failure::Hook { .. }));
        // It may have been started again already.
        let is_next = matches!(live.phase, Phase::Running { .. });
        let printer = |start| if is_next { Printer::Before(start) } else { Printer::Started(start) };
        GoalState::Failed(Failed {
            instance: self.instance.clone(),
            exit: if failure.is_some() && !has_run { None } else { live.last_exit },
            failure,
            printer: live.started.filter(|_| has_run).map(printer),
        })
    }
}

/// Whether a user or another change ends it for good.
fn is_taken_down(live: &LiveInstance) -> bool {
    matches!(live.following, Some(Following::Rest | Following::Removal))
}
