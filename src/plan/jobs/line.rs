//! The operations of one app, one after the other, each once its dependencies are met.

use std::collections::{BTreeMap, VecDeque};

use crate::model::{
    AppName, Change, Condition, Fact, Failure, InstanceId, Millis, Moment, Operation, OperationReport, OperationResult,
    Progress, Rejection, Rollback, Rollout, RolloutStatus, Skip, Subject, Unready, Verb, VerbKind, WaitsFor,
    WatchPolicy,
};
use crate::rules::{self, DependencyStatus};

use super::start_place::{PLACE_MAX, StartPlace, is_starting, not_ready};
use super::work::{Stage, Stages, StepEnd, Work};
use super::{Context, Next, View};

/// A wait is shown when it lasts longer than this.
const SHOW_WAIT_AFTER: Millis = Millis(250);
/// A process that is not ready yet is mentioned when that lasts longer than this.
const SHOW_UNREADY_AFTER: Millis = Millis(1000);

/// What those who wait for an app may know of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gate {
    Closed,
    /// Its processes live, or there was nothing to do.
    Open,
    /// It failed or was skipped: whoever needs it is skipped too.
    Blocked,
}

/// The line of one app in a job.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Line {
    pub app: AppName,
    pub todo: VecDeque<Operation>,
    /// Slots that come up without this job, and that it waits for.
    pub awaited: Vec<u32>,
    /// Apps of the same job that come first.
    pub needs: Vec<AppName>,
    pub gate: Gate,
    active: Option<Active>,
    place: StartPlace,
    blocked_by: Option<Skip>,
    is_superseded: bool,
    /// When it began to wait for something, and what is shown of that.
    waits_since: Option<Moment>,
    shown: Option<WaitsFor>,
    is_wait_reported: bool,
    reported_unready: BTreeMap<InstanceId, Unready>,
    /// When looking at it again could make a difference by time alone.
    pub wake_at: Option<Moment>,
}

/// The operation that is in progress.
#[derive(Clone, PartialEq, Debug)]
struct Active {
    /// `None`: only a wait for what others have started.
    operation: Option<Operation>,
    /// Since when it could have been begun, but for an older job on the same app.
    asked: Moment,
    began: Moment,
    work: Work,
    /// It counts among the starts that are under way.
    has_place: bool,
}

/// What a line sees of the rest of its job.
pub(super) struct Around<'a> {
    /// How the other lines are.
    pub gate: &'a dyn Fn(&AppName) -> Gate,
    /// An older job still works on this app.
    pub is_behind: bool,
    /// That job is held up by a user.
    pub is_behind_pause: bool,
    /// How many processes may start at the same time.
    pub start_limit: Option<u32>,
}

impl Line {
    pub(super) fn new(app: AppName) -> Self {
        Self {
            app,
            todo: VecDeque::new(),
            awaited: Vec::new(),
            needs: Vec::new(),
            gate: Gate::Closed,
            active: None,
            place: StartPlace::None,
            blocked_by: None,
            is_superseded: false,
            waits_since: None,
            shown: None,
            is_wait_reported: false,
            reported_unready: BTreeMap::new(),
            wake_at: None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.gate != Gate::Closed
    }

    /// A later command decides over the app.
    pub(super) fn supersede(&mut self) {
        self.is_superseded = true;
    }

    /// Whether one does.
    pub(super) fn is_superseded(&self) -> bool {
        self.is_superseded
    }

    /// What its start waits for, once that is shown.
    pub(super) fn waits_for(&self) -> Option<&WaitsFor> {
        self.shown.as_ref()
    }

    /// Whether it is waiting for another app, shown or not.
    pub(super) fn is_waiting(&self) -> bool {
        self.waits_since.is_some()
    }

    /// Whether it could start, if there were a place.
    pub(super) fn wants_place(&self) -> bool {
        self.place == StartPlace::Wanted
    }

    /// Since when the app is being built before its first process starts.
    pub(super) fn builds_since(&self) -> Option<Moment> {
        self.active.as_ref().filter(|active| active.work.builds()).map(|active| active.began)
    }

    /// Whether it was given one, and has not begun.
    pub(super) fn is_admitted(&self) -> bool {
        self.place == StartPlace::Given
    }

    pub(super) fn admit(&mut self) {
        self.place = StartPlace::Given;
    }

    /// How many processes its next step starts at the same time.
    pub(super) fn next_starts(&self, limit: u32) -> u32 {
        let slots = self.todo.front().map_or(&[][..], |operation| match &operation.verb {
            Verb::Start { slots } => slots,
            _ => &[],
        });
        u32::try_from(slots.len()).unwrap_or(u32::MAX).min(limit)
    }

    /// How many of its processes are starting, and when that does not count any more.
    pub(super) fn starting(&self, view: &View) -> Option<(u32, Moment)> {
        let active = self.active.as_ref().filter(|active| active.has_place)?;
        let until = active.began.after(PLACE_MAX);
        let counts = |id: &InstanceId| view.live.instances.get(id).is_none_or(is_starting);
        let count = active.work.open().iter().filter(|id| counts(id)).count();
        (view.now < until).then(|| (u32::try_from(count).unwrap_or(u32::MAX), until))
    }

    /// Its rolling replacement, if that is what is in progress.
    pub(super) fn rollout(&self, context: &Context) -> Option<RolloutStatus> {
        match &self.active.as_ref()?.work {
            Work::Rolling(rolling) => Some(rolling.status(context)),
            Work::Stages(_) | Work::Replacing(_) => None,
        }
    }

    /// Whether an operation of a newer job on the same app has to wait for this one.
    pub(super) fn holds_up_others(&self) -> bool {
        let is_stop = |operation: &Operation| matches!(operation.verb, Verb::Stop { .. });
        let active = self.active.as_ref().and_then(|active| active.operation.as_ref());
        !self.is_over() && active.into_iter().chain(&self.todo).any(|operation| !is_stop(operation))
    }

    /// Whether what comes next only takes processes down: that waits for no older job.
    fn only_stops(&self) -> bool {
        self.todo.iter().all(|operation| matches!(operation.verb, Verb::Stop { .. } | Verb::Delete { .. }))
    }

    /// Goes on as far as possible, and says what has ended by that.
    pub(super) fn advance(&mut self, context: &Context, around: &Around, next: &mut Next) -> Vec<OperationReport> {
        let mut reports = Vec::new();
        self.wake_at = None;
        let outer_wake = next.wake_at.take();
        while !self.is_over() {
            if self.is_superseded {
                self.end_superseded(context, &mut reports);
            } else if self.active.is_some() {
                let Some(report) = self.go_on(context, next) else { break };
                reports.push(report);
            } else if !self.begin(context, around, next, &mut reports) {
                break;
            }
        }
        if self.is_over() {
            (self.waits_since, self.shown, self.wake_at) = (None, None, None);
        } else {
            self.wake_at = next.wake_at;
        }
        next.wake_at = outer_wake.into_iter().chain(self.wake_at).min();
        reports
    }

    /// Begins the next operation; false: it has to wait.
    fn begin(
        &mut self,
        context: &Context,
        around: &Around,
        next: &mut Next,
        reports: &mut Vec<OperationReport>,
    ) -> bool {
        let place = std::mem::take(&mut self.place);
        if around.is_behind && !self.only_stops() {
            if around.is_behind_pause && !std::mem::replace(&mut self.is_wait_reported, true) {
                next.news.push(Progress::Paused { app: self.app.clone() });
            }
            self.place = StartPlace::Behind(match place {
                StartPlace::Behind(since) => since,
                _ => context.view.now,
            });
            return false;
        }
        let gates: Vec<Gate> = self.needs.iter().map(around.gate).collect();
        if gates.contains(&Gate::Closed) {
            self.show_dependencies(context, next);
            return false;
        }
        if gates.contains(&Gate::Blocked) && self.blocked_by.is_none() {
            self.blocked_by = Some(Skip::DependencyFailed);
        }
        let Some(operation) = self.todo.front() else {
            self.begin_wait(context, next);
            return true;
        };
        if self.blocked_by.is_none() && operation.verb.is_start() {
            match self.dependencies(context) {
                Dependencies::Met => {}
                Dependencies::Open(waits_for) => {
                    self.show(waits_for, context, next);
                    return false;
                }
                Dependencies::Never(skip) => self.blocked_by = Some(skip),
            }
        }
        (self.waits_since, self.shown) = (None, None);
        let has_place = place == StartPlace::Given;
        if self.blocked_by.is_none() && !has_place && self.needs_place(around) {
            self.place = StartPlace::Wanted;
            return false;
        }
        let Some(operation) = self.todo.pop_front() else { return true };
        if let Some(why) = &self.blocked_by {
            if matches!(operation.verb, Verb::Roll { .. }) {
                // What was told as skipped is not done a moment later.
                context.put_off(&operation.app, Rejection::Skipped { why: Box::new(why.clone()) }, next);
            }
            reports.push(report(&operation, OperationResult::Skipped { why: why.clone() }, Millis(0)));
            return true;
        }
        next.news.push(Progress::Began { app: operation.app.clone(), verb: operation.kind() });
        let work = Work::of(&operation, around.start_limit);
        let began = context.view.now;
        // What an older job has done for it was done for this one as well.
        let asked = if let StartPlace::Behind(since) = place { since } else { began };
        self.active = Some(Active { operation: Some(operation), asked, began, work, has_place });
        true
    }

    /// Whether the next step is one of those that do not all happen at the same time.
    fn needs_place(&self, around: &Around) -> bool {
        around.start_limit.is_some()
            && self.todo.front().is_some_and(|operation| matches!(operation.verb, Verb::Start { .. }))
    }

    /// All operations are through: waits for what others have started, or opens the gate.
    fn begin_wait(&mut self, context: &Context, next: &mut Next) {
        let awaited = std::mem::take(&mut self.awaited);
        if self.blocked_by.is_some() || awaited.is_empty() {
            self.gate = if self.blocked_by.is_some() { Gate::Blocked } else { Gate::Open };
            return;
        }
        next.news.push(Progress::Began { app: self.app.clone(), verb: VerbKind::Wait });
        let work = Work::Stages(Stages::new(&self.app, vec![Stage::Await(awaited)]));
        let now = context.view.now;
        self.active = Some(Active { operation: None, asked: now, began: now, work, has_place: false });
    }

    fn go_on(&mut self, context: &Context, next: &mut Next) -> Option<OperationReport> {
        let active = self.active.as_mut()?;
        let Some(end) = active.work.advance(context, next) else {
            self.show_unready(context, next);
            return None;
        };
        let Active { operation, asked, .. } = self.active.take()?;
        self.reported_unready.clear();
        if !matches!(end, StepEnd::Done | StepEnd::Completed) {
            self.blocked_by.get_or_insert(match &operation {
                Some(_) => Skip::EarlierFailed,
                None => Skip::DidNotComeUp,
            });
        }
        let printer = match &end {
            StepEnd::Failed { failed, .. } => failed.printer,
            StepEnd::Done | StepEnd::Completed | StepEnd::Superseded => None,
        };
        if let Some(operation) = &operation {
            conclude(operation, &end, context, next);
        }
        let took = context.view.now.since(asked);
        let verb = operation.as_ref().map_or(VerbKind::Wait, Operation::kind);
        let result = result_of(end);
        if let (Some(printer), OperationResult::Failed { instance, .. }) = (printer, &result) {
            next.printers.insert(instance.clone(), printer);
        }
        Some(OperationReport { app: self.app.clone(), verb, result, took })
    }

    fn end_superseded(&mut self, context: &Context, reports: &mut Vec<OperationReport>) {
        let active = self.active.take();
        let took = active.as_ref().map_or(Millis(0), |active| context.view.now.since(active.began));
        let verb = |operation: &Option<Operation>| operation.as_ref().map_or(VerbKind::Wait, Operation::kind);
        reports.extend(active.map(|active| OperationReport {
            app: self.app.clone(),
            verb: verb(&active.operation),
            result: OperationResult::Superseded,
            took,
        }));
        let rest = self.todo.drain(..);
        reports.extend(rest.map(|operation| {
            // A start that has not begun was skipped, the rest was taken over.
            let skipped = OperationResult::Skipped { why: Skip::Superseded };
            let result = if operation.verb.is_start() { skipped } else { OperationResult::Superseded };
            report(&operation, result, Millis(0))
        }));
        self.gate = Gate::Blocked;
    }

    // ---- what it waits for

    fn dependencies(&self, context: &Context) -> Dependencies {
        let Some(declared) = context.declared(&self.app) else { return Dependencies::Never(Skip::Superseded) };
        for (other, condition) in &declared.spec.depends_on {
            match status(other, *condition, context) {
                DependencyStatus::Met => {}
                DependencyStatus::NotYet(why) => {
                    let (app, condition) = (other.clone(), *condition);
                    return Dependencies::Open(WaitsFor { app, condition, why, since: context.view.now });
                }
                DependencyStatus::Never(why) => {
                    let (app, condition) = (other.clone(), *condition);
                    return Dependencies::Never(Skip::Blocked { app, condition, why });
                }
            }
        }
        Dependencies::Met
    }

    /// While others of the same job come first: what it waits for, if it is a start.
    fn show_dependencies(&mut self, context: &Context, next: &mut Next) {
        if self.todo.iter().any(|operation| operation.verb.is_start())
            && let Dependencies::Open(waits_for) = self.dependencies(context)
        {
            self.show(waits_for, context, next);
        }
    }

    fn show(&mut self, waits_for: WaitsFor, context: &Context, next: &mut Next) {
        let now = context.view.now;
        let since = *self.waits_since.get_or_insert(now);
        let visible_at = since.after(SHOW_WAIT_AFTER);
        if now < visible_at {
            return next.wake_at(visible_at);
        }
        let is_same = |known: &&WaitsFor| known.app == waits_for.app && known.condition == waits_for.condition;
        let known = self.shown.as_ref().filter(is_same);
        if known.is_some_and(|known| known.why == waits_for.why) {
            return;
        }
        let waits_for = WaitsFor { since: known.map_or(since, |known| known.since), ..waits_for };
        next.news.push(Progress::Waits { app: self.app.clone(), waits_for: waits_for.clone() });
        if !std::mem::replace(&mut self.is_wait_reported, true) {
            let WaitsFor { app, condition, why, .. } = waits_for.clone();
            let about = Subject::App(context.project.clone(), self.app.clone());
            next.facts.push((about, Fact::WaitsFor { app, condition, why }));
        }
        self.shown = Some(waits_for);
        next.has_new_waits = true;
    }

    /// Says of new processes why they do not count as up yet, each reason once.
    fn show_unready(&mut self, context: &Context, next: &mut Next) {
        let Some(active) = &self.active else { return };
        let is_of_interest = context.declared(&self.app).is_some_and(|declared| {
            declared.spec.ready.is_some() || !declared.spec.hooks.is_empty() || active.work.builds()
        });
        if !is_of_interest {
            return;
        }
        let visible_at = active.began.after(SHOW_UNREADY_AFTER);
        if context.view.now < visible_at {
            return next.wake_at(visible_at);
        }
        for instance in active.work.open() {
            let why = if active.work.builds() {
                Some(Unready::Build { limit_ms: WatchPolicy::BUILD_MAX })
            } else {
                context.view.live.instances.get(&instance).and_then(not_ready)
            };
            let Some(why) = why else { continue };
            let settled = instance.settled();
            if self.reported_unready.get(&settled) != Some(&why) {
                self.reported_unready.insert(settled.clone(), why.clone());
                next.news.push(Progress::Unready { instance: settled, why });
            }
        }
    }
}

/// How what an app depends on stands.
enum Dependencies {
    Met,
    Open(WaitsFor),
    Never(Skip),
}

fn status(other: &AppName, condition: Condition, context: &Context) -> DependencyStatus {
    let Some(project) = context.stored() else { return rules::dependency(condition, None, |_| None) };
    rules::coming(other, condition, project, &|app, slot| context.live(app, slot))
}

fn report(operation: &Operation, result: OperationResult, took: Millis) -> OperationReport {
    OperationReport { app: operation.app.clone(), verb: operation.kind(), result, took }
}

fn result_of(end: StepEnd) -> OperationResult {
    match end {
        StepEnd::Done => OperationResult::Done,
        StepEnd::Completed => OperationResult::Completed,
        StepEnd::Superseded => OperationResult::Superseded,
        StepEnd::Failed { failed, rollback } => OperationResult::Failed {
            instance: failed.instance,
            last_lines: match &failed.failure {
                Some(Failure::Build { printed, .. }) => printed.clone(),
                _ => Vec::new(),
            },
            failure: failed.failure,
            exit: failed.exit,
            rollback,
        },
    }
}

/// What has to be kept of the end of an operation, and told to those who were not there.
fn conclude(operation: &Operation, end: &StepEnd, context: &Context, next: &mut Next) {
    let StepEnd::Failed { failed, rollback } = end else {
        if matches!(end, StepEnd::Done | StepEnd::Completed) {
            forgive(operation, context, next, true);
        }
        return;
    };
    match operation.verb {
        Verb::Restart { .. } if *rollback == Rollback::None => context.reject(&operation.app, failed, next),
        Verb::Start { .. } => {
            if let Some(failure @ Failure::Build { .. }) = &failed.failure {
                // Otherwise the next wake-up would start it without a build.
                context.reject(&operation.app, failed, next);
                let about = Subject::App(context.project.clone(), operation.app.clone());
                next.facts.push((about, Fact::StartFailed { failure: failure.clone() }));
            } else {
                forgive(operation, context, next, false);
            }
        }
        Verb::Roll { .. } => {
            let about = Subject::App(context.project.clone(), operation.app.clone());
            let fact = Fact::RolloutFailed {
                instance: failed.instance.clone(),
                failure: failed.failure.clone(),
                exit: failed.exit,
                rollback: *rollback,
            };
            next.facts.push((about, fact));
        }
        _ => {}
    }
}

/// It is built, whatever becomes of its processes. If these came up, what failed before is no matter any more.
fn forgive(operation: &Operation, context: &Context, next: &mut Next, is_up: bool) {
    let is_new = matches!(operation.verb, Verb::Restart { .. } | Verb::Start { .. });
    let Some(known) = context.rollout(&operation.app).filter(|_| is_new) else { return };
    let declared = context.declared(&operation.app).map(|declared| declared.digest);
    let mut left = Rollout { building: None, ..known.clone() };
    left.rejected = left.rejected.filter(|rejected| !is_up || Some(rejected.digest) != declared);
    if left != *known {
        let rollout = Some(left).filter(|left| *left != Rollout::default()).map(Box::new);
        let (project, name) = (context.project.clone(), operation.app.clone());
        next.changes.push(Change::Rollout { project, name, rollout });
    }
}
