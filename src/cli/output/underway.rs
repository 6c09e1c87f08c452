//! What an operation is doing at this moment: `  ... roll web · 1 of 3 · web/1 is healthy for 1s of 3s`.

use std::fmt::Write as _;
use std::time::Duration;

use super::gate::harmless;
use super::instances::name;
use crate::model::{Millis, VerbKind, WallTime};
use crate::wire::{DescribeAnswer, DescribedApp, PhaseRow, ReadinessRow, Row};

/// Copies that are named.
const COPIES_MAX: usize = 3;

/// One that has begun and not ended.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Underway {
    pub project: String,
    pub app: String,
    pub verb: VerbKind,
    pub began: WallTime,
}

/// Since when a process is healthy.
pub(in crate::cli) type Healthy<'a> = &'a dyn Fn(&Row) -> Option<Duration>;

/// One line; without facts no more than what it is.
pub(in crate::cli) fn line(operation: &Underway, known: Option<&DescribeAnswer>, healthy: Healthy<'_>) -> String {
    let mut text = format!("  ... {} {}", operation.verb, operation.app);
    let Some(known) = known else { return text };
    let is_it = |app: &&DescribedApp| {
        let id = app.spec.id();
        id.project.as_str() == operation.project && id.name.as_str() == operation.app
    };
    let Some(app) = known.apps.iter().find(is_it) else { return text };
    let view = View { operation, app, now: known.now, healthy };
    if let Some((done, all)) = view.count() {
        let _ = write!(text, " · {done} of {all}");
    }
    let copies: Vec<String> = app.instances.iter().filter_map(|row| view.copy(row)).collect();
    for copy in copies.iter().take(COPIES_MAX) {
        text.push_str(" · ");
        text.push_str(copy);
    }
    if copies.len() > COPIES_MAX {
        let _ = write!(text, " · {} more", copies.len() - COPIES_MAX);
    }
    text
}

struct View<'a> {
    operation: &'a Underway,
    app: &'a DescribedApp,
    now: WallTime,
    healthy: Healthy<'a>,
}

impl View<'_> {
    /// How many copies of how many are through; none where that is not to be counted.
    fn count(&self) -> Option<(usize, usize)> {
        let rows = || self.app.instances.iter().filter(|row| row.slot.is_some() && !row.is_successor);
        let done = match self.operation.verb {
            VerbKind::Start | VerbKind::Wait => {
                rows().filter(|row| is_ready(row) || matches!(row.phase, PhaseRow::Done { .. })).count()
            }
            VerbKind::Roll | VerbKind::Replace | VerbKind::Restart => {
                rows().filter(|row| self.is_new(row) && is_ready(row) && self.stable_in(row).is_none()).count()
            }
            VerbKind::Stop | VerbKind::Delete => rows().filter(|row| row.pid.is_none() && !is_busy(row)).count(),
            _ => return None,
        };
        let all = rows().count();
        (all > 1).then_some((done, all))
    }

    /// What one copy waits for.
    fn copy(&self, row: &Row) -> Option<String> {
        let name = name(row);
        if let Some(hook) = &row.hook {
            return Some(format!(
                "{name} waits for its hook `{}`, {} of at most {}",
                hook.hook.as_str(),
                short(hook.runs_ms),
                short(hook.limit_ms)
            ));
        }
        match &row.phase {
            PhaseRow::Starting => Some(format!("{name} is being started")),
            PhaseRow::Stopping { deadline, .. } => Some(format!("{name}: SIGKILL in {}", self.until(*deadline))),
            PhaseRow::Backoff { until, .. } => Some(format!("{name} restarts in {}", self.until(*until))),
            PhaseRow::Running { readiness: ReadinessRow::Waiting { deadline, last }, .. } => {
                let last = last.as_deref().map(|last| format!(": {}", harmless(last))).unwrap_or_default();
                Some(format!("{name} is not ready yet{last} (fails in {})", self.until(*deadline)))
            }
            PhaseRow::Running { readiness: ReadinessRow::Failing { last, .. }, .. } => {
                Some(format!("{name} is unhealthy: {}", harmless(last)))
            }
            PhaseRow::Running { readiness: ReadinessRow::Ready, .. } => {
                let (so_far, of) = self.stable_in(row)?;
                Some(format!("{name} is healthy for {} of {}", short(so_far), short(of)))
            }
            PhaseRow::Stopped | PhaseRow::Errored { .. } | PhaseRow::Done { .. } => None,
        }
    }

    fn until(&self, at: WallTime) -> String {
        short(Millis(at.0.saturating_sub(self.now.0)))
    }

    /// Its process was started by this operation.
    fn is_new(&self, row: &Row) -> bool {
        row.started_at.is_some_and(|at| at >= self.operation.began)
    }

    /// For how long a new process has been healthy, and how long it has to be; none if it has.
    fn stable_in(&self, row: &Row) -> Option<(Millis, Millis)> {
        let is_update = matches!(self.operation.verb, VerbKind::Roll | VerbKind::Replace);
        let needed = self.app.spec.update.min_healthy_time;
        let so_far = Millis(u64::try_from((self.healthy)(row)?.as_millis()).unwrap_or(u64::MAX));
        (is_update && (self.is_new(row) || row.is_successor) && so_far < needed).then_some((so_far, needed))
    }
}

fn is_ready(row: &Row) -> bool {
    matches!(row.phase, PhaseRow::Running { readiness: ReadinessRow::Ready, .. })
}

/// A process is on its way in or out.
fn is_busy(row: &Row) -> bool {
    matches!(row.phase, PhaseRow::Starting | PhaseRow::Stopping { .. })
}

/// In whole seconds: what counts down does not jump in width.
fn short(time: Millis) -> String {
    match time.0.div_ceil(1000) {
        seconds @ ..60 => format!("{seconds}s"),
        seconds => Millis(seconds * 1000).to_string(),
    }
}
