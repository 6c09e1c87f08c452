//! The status of an instance, its causes and what happens next: computed only here.

use crate::model::{
    App, AppId, AppName, Cause, ChangedFiles, Declared, DesiredState, DueThen, Failure, HealthAction, Hook, Live,
    LiveInstance, Millis, Moment, NextStep, Phase, Project, Readiness, RestartWhen, Severity, StartWait, Status,
    StatusWord, WaitsFor, WallTime, WatchPolicy, Why,
};

use super::backoff::RESTARTS_AT_ONCE;
use super::dependency::{DependencyStatus, coming};
use super::healing::heals;

pub use project::{CopyFacts, project_state};

/// What a status is made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The project, with what it has declared.
    pub project: Option<&'a Project>,
    /// The app.
    pub declared: Option<&'a Declared>,
    /// The copy; none for an app without any.
    pub slot: Option<u32>,
    /// The copy as it is.
    pub live: Option<&'a LiveInstance>,
    /// Everything that is.
    pub all: &'a Live,
    /// What its start waits for.
    pub waits_for: Option<&'a StartWait>,
    /// The next time of its schedule.
    pub next_due: Option<WallTime>,
    /// It should be running, but was stopped by `pm shutdown`.
    pub is_shut_down: bool,
    /// Why its start could not be begun.
    pub refused: Option<&'a Failure>,
    /// Its process is suspended by a signal.
    pub is_suspended: bool,
    /// Why its process was started, where that is remembered.
    pub started: Option<&'a Cause>,
    /// The clock of moments.
    pub now: Moment,
    /// The clock of users.
    pub wall: WallTime,
    /// Files that are not as they were applied.
    pub files: &'a ChangedFiles,
}

/// How it stands.
pub fn status(facts: &Facts<'_>) -> Status {
    let word = facts.word();
    let (own, count) = facts.nearest();
    let mut because = own;
    facts.further(&mut because);
    if because.is_empty() {
        because.push(Why::Declared);
    }
    Status { word, count, severity: facts.severity(word), because, next: facts.next_and_heals(), since: facts.since() }
}

impl<'a> Facts<'a> {
    /// Nothing but running, ready and reachable: no list says more than the word.
    pub fn is_plain(&self) -> bool {
        let is_plain = |live: &LiveInstance| {
            matches!(live.phase, Phase::Running { readiness: Readiness::Ready, .. })
                && live.status_text.is_none()
                && !live.is_unreachable
                && !live.spec.is_spec_lost()
        };
        self.slot.is_some() && !self.is_suspended && self.live.is_some_and(is_plain)
    }

    fn phase(&self) -> &'a Phase {
        self.live.map_or(&Phase::Stopped, |live| &live.phase)
    }

    fn spec(&self) -> Option<&'a App> {
        self.declared.map(|declared| &*declared.spec).or_else(|| self.live.map(|live| &*live.spec))
    }

    /// A timed task whose time has not come.
    fn is_between_runs(&self) -> bool {
        let is_timed =
            |declared: &Declared| declared.spec.is_timed_task() && self.slot.is_some_and(|slot| declared.may_run(slot));
        let is_at_rest = matches!(self.phase(), Phase::Stopped | Phase::Done { .. });
        is_at_rest && !self.is_shut_down && self.declared.is_some_and(is_timed)
    }

    fn word(&self) -> StatusWord {
        if self.waits_for.is_some() || self.is_between_runs() {
            return StatusWord::Waiting;
        }
        match self.phase() {
            Phase::Stopped => StatusWord::Stopped,
            Phase::Starting | Phase::Running { readiness: Readiness::Waiting { .. }, .. } => StatusWord::Starting,
            Phase::Running { readiness: Readiness::Failing { .. }, .. } => StatusWord::Unhealthy,
            Phase::Running { readiness: Readiness::Ready, .. } => StatusWord::Running,
            Phase::Stopping { .. } => StatusWord::Stopping,
            Phase::Backoff { .. } => StatusWord::Backoff,
            Phase::Errored { .. } => StatusWord::Errored,
            Phase::Done { .. } => StatusWord::Done,
        }
    }

    fn severity(&self, word: StatusWord) -> Severity {
        let is_off = self.live.is_some_and(|live| live.is_unreachable || live.spec.is_spec_lost());
        match word {
            StatusWord::Running if is_off || self.is_suspended => Severity::Warning,
            StatusWord::Done if self.is_shut_down => Severity::Idle,
            StatusWord::Running | StatusWord::Done => Severity::Ok,
            StatusWord::Starting | StatusWord::Stopping => Severity::Pending,
            StatusWord::Waiting if self.waits_for.is_some() => Severity::Pending,
            StatusWord::Backoff => Severity::Warning,
            StatusWord::Unhealthy | StatusWord::Errored => Severity::Error,
            StatusWord::Stopped
                if matches!(self.at_rest(), Why::Blocked { .. } | Why::Rejected { .. } | Why::Refused { .. }) =>
            {
                Severity::Error
            }
            StatusWord::Waiting | StatusWord::Stopped => Severity::Idle,
        }
    }

    /// The nearest causes, and the number that belongs to the word.
    fn nearest(&self) -> (Vec<Why>, Option<u32>) {
        let mut count = None;
        let mut because = Vec::new();
        if let Some(live) = self.live {
            because.extend(live.spec.is_spec_lost().then_some(Why::SpecLost));
            because.extend(live.is_unreachable.then_some(Why::Unreachable));
        }
        because.extend(self.is_suspended.then_some(Why::Suspended));
        match self.phase() {
            Phase::Running { readiness: Readiness::Waiting { last, .. }, .. } => {
                because.push(Why::NotReady { last: last.clone() });
            }
            Phase::Running { readiness: Readiness::Failing { last, failures }, .. } => {
                count = Some(*failures);
                because.push(Why::Unhealthy { failures: *failures, last: last.clone() });
            }
            Phase::Running { .. } | Phase::Starting => {}
            // Nothing is asked of it while a hook runs before that.
            Phase::Stopping { .. } => {
                let is_before = self.live.and_then(|live| live.hook).is_some_and(|hook| hook.hook == Hook::PreStop);
                because.extend((!is_before).then_some(Why::Asked));
            }
            Phase::Backoff { attempt, delay, .. } => {
                count = Some(*attempt).filter(|attempt| *attempt > 0);
                because.extend(self.wait_before_start(*attempt, *delay));
            }
            Phase::Errored { failure } => {
                count = match failure {
                    Failure::TooManyRestarts { starts, .. } => Some(*starts),
                    _ => None,
                };
                because.push(Why::Failed { failure: failure.clone() });
            }
            Phase::Done { exit } => because.push(Why::Completed { exit: *exit }),
            Phase::Stopped => because.push(self.at_rest()),
        }
        (because, count)
    }

    /// Why a start waits so long; none where it waits for something that passes.
    fn wait_before_start(&self, starts: u32, delay_ms: Millis) -> Option<Why> {
        let policy = &self.spec()?.restart;
        let is_fixed = policy.restart_delay.0 > 0;
        if starts == 0 {
            return is_fixed.then_some(Why::FixedDelay { delay_ms });
        }
        let at_once = if is_fixed { 0 } else { RESTARTS_AT_ONCE };
        Some(Why::Unstable { starts, delay_ms, at_once, stable_ms: policy.min_uptime.max(delay_ms) })
    }

    /// The starts before this one that it has not outlived yet.
    fn unstable_before(&self, live: &LiveInstance) -> Option<Why> {
        let policy = &self.spec()?.restart;
        let has_outlived = match live.phase {
            Phase::Running { since, .. } => self.now.since(since) >= policy.min_uptime,
            _ => false,
        };
        let starts = live.counts.unstable;
        let is_told = starts > 0 && policy.restart_delay.0 == 0 && !has_outlived;
        is_told.then_some(Why::UnstableBefore { starts, at_once: RESTARTS_AT_ONCE })
    }

    /// What lies behind the nearest cause.
    fn further(&self, because: &mut Vec<Why>) {
        let phase = self.phase();
        if self.is_shut_down && !phase.is_alive() && *phase != Phase::Stopped {
            because.push(Why::ShutDown);
        }
        let Some(live) = self.live else { return };
        if let Some(hook) = live.hook {
            because.push(Why::Hook { hook: hook.hook, runs_ms: self.now.since(hook.since), limit_ms: hook.limit });
        }
        because.extend(live.status_text.clone().map(|text| Why::StatusText { text }));
        if matches!(phase, Phase::Running { .. } | Phase::Starting) {
            because.extend(self.started.cloned().map(|cause| Why::Started { cause }));
            because.extend((live.restarts > 0).then_some(Why::Restarted { restarts: live.restarts }));
            because.extend(self.unstable_before(live));
        }
        because.extend(last_end(live));
        let is_outdated = |declared: &Declared| phase.is_alive() && live.spec.run != declared.spec.run;
        because.extend(self.declared.is_some_and(is_outdated).then_some(Why::Outdated));
        if phase.is_alive() {
            because.extend(self.desired_state());
        }
    }

    /// Why nothing of it runs.
    fn at_rest(&self) -> Why {
        match self.waits_for {
            Some(StartWait::Dependency(WaitsFor { app, condition, why, since })) => {
                let waits_ms = self.now.since(*since);
                return Why::WaitsFor { app: app.clone(), condition: *condition, why: why.clone(), waits_ms };
            }
            Some(StartWait::Place { limit, is_declared }) => {
                return Why::AwaitsPlace { limit: *limit, is_declared: *is_declared };
            }
            Some(StartWait::Build { since }) => {
                return Why::Builds { runs_ms: self.now.since(*since), limit_ms: WatchPolicy::BUILD_MAX };
            }
            None => {}
        }
        if self.slot.is_none() {
            return Why::NoInstances;
        }
        if self.is_shut_down {
            return Why::ShutDown;
        }
        if let Some(why) = self.desired_state() {
            return why;
        }
        if self.is_between_runs() {
            return Why::NotDue;
        }
        if let Some(failure) = self.refused {
            return Why::Refused { failure: failure.clone() };
        }
        self.rejected().or_else(|| self.blocked()).unwrap_or(Why::NotStarted)
    }

    /// What users or files say against it.
    fn desired_state(&self) -> Option<Why> {
        let Some(declared) = self.declared else { return Some(Why::Undeclared) };
        match &declared.desired_state {
            DesiredState::Stopped { by, is_held, .. } => Some(Why::StoppedBy { by: by.clone(), is_held: *is_held }),
            DesiredState::NotStarted => Some(Why::NoAutostart),
            DesiredState::Up if declared.is_leaving => Some(Why::Leaving),
            DesiredState::Up => {
                self.slot.filter(|slot| declared.stopped_slots.contains(slot)).map(|_| Why::SlotStopped)
            }
        }
    }

    fn rejected(&self) -> Option<Why> {
        let declared = self.declared?;
        let rejected = self.project?.rollouts.get(&declared.spec.name)?.rejected.as_ref()?;
        (rejected.digest == declared.digest).then(|| Why::Rejected { why: rejected.why.clone() })
    }

    fn blocked(&self) -> Option<Why> {
        let (declared, project) = (self.declared?, self.project?);
        declared.spec.depends_on.iter().find_map(|(app, condition)| {
            let of = |app: &AppName, slot| {
                let id = AppId::new(declared.spec.project.clone(), app.clone());
                self.all.instances.get(&id.instance(slot))
            };
            match coming(app, *condition, project, &of) {
                DependencyStatus::Never(why) => Some(Why::Blocked { app: app.clone(), condition: *condition, why }),
                DependencyStatus::NotYet(why) => Some(Why::Awaits { app: app.clone(), condition: *condition, why }),
                DependencyStatus::Met => None,
            }
        })
    }

    fn since(&self) -> Option<WallTime> {
        let before = |since: Moment| Some(WallTime(self.wall.0.saturating_sub(self.now.since(since).0)));
        match self.phase() {
            Phase::Running { .. } => self.live.and_then(|live| live.started),
            Phase::Backoff { until, delay, .. } => before(Moment(until.0.saturating_sub(delay.0))),
            Phase::Stopped => match (self.waits_for, self.declared.map(|declared| &declared.desired_state)) {
                (Some(StartWait::Dependency(waits_for)), _) => before(waits_for.since),
                (Some(StartWait::Build { since }), _) => before(*since),
                (None, Some(DesiredState::Stopped { at, .. })) => Some(*at),
                _ => None,
            },
            Phase::Starting | Phase::Stopping { .. } | Phase::Errored { .. } | Phase::Done { .. } => {
                self.live.and_then(|live| live.since).and_then(before)
            }
        }
    }

    /// What happens next, and what `self_heal` does after that.
    fn next_and_heals(&self) -> Vec<NextStep> {
        let mut all = self.next();
        if let (Some(project), Some(declared), false) = (self.project, self.declared, self.is_shut_down) {
            let heals = heals(project, &declared.spec.name, self.files, self.wall);
            all.extend(heals.into_iter().map(|heal| NextStep::Heal { aim: heal.aim, when: heal.when }));
        }
        all
    }

    fn next(&self) -> Vec<NextStep> {
        let step = self.next_by_phase();
        let Some(at) = self.next_due else { return vec![step] };
        let Some(spec) = self.spec() else { return vec![step] };
        let phase = self.phase();
        let due = |then| NextStep::Due { at, then };
        if !spec.is_timed_task() {
            return vec![step, due(DueThen::Restart)];
        }
        if self.waits_for.is_some() {
            return vec![step, due(DueThen::LeftOutIfWaiting)];
        }
        if !phase.is_alive() && !matches!(phase, Phase::Backoff { .. }) {
            return vec![due(DueThen::Run)];
        }
        vec![step, due(spec.schedule.cron_overlap.into())]
    }

    fn next_by_phase(&self) -> NextStep {
        let spec = self.spec();
        let hook = self.live.and_then(|live| live.hook).map(|hook| hook.limit);
        match self.phase() {
            Phase::Running { readiness: Readiness::Waiting { deadline, .. }, .. } => {
                NextStep::ReadyWithin { within_ms: deadline.since(self.now) }
            }
            Phase::Running { readiness: Readiness::Failing { failures, .. }, .. } => {
                match spec.and_then(|spec| spec.health.as_ref()) {
                    Some(health) if health.action == HealthAction::Restart => {
                        NextStep::RestartAfterFailures { failures: health.failures.saturating_sub(*failures) }
                    }
                    _ => NextStep::OnlyReported,
                }
            }
            Phase::Running { .. } => {
                NextStep::RunsOn { restart: spec.map_or(RestartWhen::Always, |spec| spec.restart.restart) }
            }
            Phase::Starting => NextStep::Spawn { after_hook_ms: hook },
            Phase::Stopping { deadline, .. } => NextStep::Kill {
                // The process may have asked for more time.
                patience_ms: match hook {
                    Some(_) => spec.map_or(Millis(0), |spec| spec.stop.kill_timeout),
                    None => deadline.since(self.now),
                },
                after_hook_ms: hook,
            },
            Phase::Backoff { until, .. } => NextStep::StartIn { in_ms: until.since(self.now) },
            Phase::Done { .. } if self.is_shut_down => NextStep::Start,
            Phase::Errored { .. } => NextStep::TryAgain,
            Phase::Done { .. } => NextStep::RunAgain,
            Phase::Stopped => self.next_at_rest(),
        }
    }

    fn next_at_rest(&self) -> NextStep {
        match self.at_rest() {
            Why::WaitsFor { .. } | Why::AwaitsPlace { .. } | Why::Builds { .. } | Why::Awaits { .. } => {
                NextStep::StartWhenMet
            }
            Why::NoAutostart => NextStep::StartByHand,
            Why::NoInstances => NextStep::Scale,
            Why::NotStarted => NextStep::Spawn { after_hook_ms: None },
            Why::StoppedBy { is_held: true, .. } => NextStep::Unhold,
            Why::Blocked { .. } | Why::Rejected { .. } | Why::Refused { .. } => NextStep::TryAgain,
            Why::Leaving | Why::Undeclared => NextStep::Removal,
            _ => NextStep::Start,
        }
    }
}

/// Why its last process was ended, or else how it ended on its own; none where a nearer cause has said so.
fn last_end(live: &LiveInstance) -> Option<Why> {
    let is_said = match &live.phase {
        Phase::Errored { failure: Failure::TooManyRestarts { trouble: None, .. } | Failure::Exited { .. } }
        | Phase::Done { .. } => true,
        Phase::Errored { failure } => live.trouble.as_ref() == Some(failure),
        _ => false,
    };
    match (&live.trouble, live.last_exit) {
        _ if is_said => None,
        (Some(failure), _) => Some(Why::EndedFor { failure: failure.clone() }),
        (None, exit) => exit.map(|exit| Why::LastExit { exit }),
    }
}

mod project;
#[cfg(test)]
mod tests;
