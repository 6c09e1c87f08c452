//! When each source is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::handle::{ASKS_MAX, LookWish, SourceTicks};
use super::worker;
use crate::model::{Desired, Millis, Moment, SourceName, SourceSpec, SourceTick, TickEnd, WallTime};
use crate::os::{self, Home, Worker};
use crate::reconciler::Reconciler;
use crate::rules;

/// Looks at a time.
const WORKERS_MAX: usize = 4;
/// Between two looks that calls of a webhook, or a window that opens, ask for.
const CALLED_PAUSE: Millis = Millis::seconds(1);

/// A source as it is followed.
struct Followed {
    spec: SourceSpec,
    /// Nothing new is fetched, and nothing is under way.
    rests: bool,
    due: Option<Moment>,
    is_forced: bool,
    /// When the last look began.
    looked: Option<Moment>,
    worker: Option<AbortHandle>,
    /// Looks in a row that found nobody.
    failures: u32,
}

struct Schedule {
    followed: BTreeMap<SourceName, Followed>,
    ticks: watch::Sender<Arc<SourceTicks>>,
    /// Nothing is started for it before the first source.
    starter: Option<Worker>,
    home: Home,
    ended: mpsc::Sender<(SourceName, TickEnd)>,
}

/// Lives as long as the reconciler.
pub(super) async fn run(
    reconciler: Reconciler,
    home: Home,
    mut asks: mpsc::Receiver<(SourceName, LookWish)>,
    ticks: watch::Sender<Arc<SourceTicks>>,
) {
    let mut desired = reconciler.desired_changes();
    let (ended, mut ends) = mpsc::channel(ASKS_MAX);
    let mut schedule = Schedule { followed: BTreeMap::new(), ticks, starter: None, home, ended };
    loop {
        schedule.follow(&desired.borrow_and_update(), os::now());
        schedule.begin(os::now());
        let patience = schedule.patience(os::now());
        tokio::select! {
            changed = desired.changed() => if changed.is_err() { return },
            ask = asks.recv() => if let Some((source, wish)) = ask {
                schedule.ask(&source, wish, os::now());
            },
            Some((source, end)) = ends.recv() => schedule.end(&source, end, os::now()),
            () = tokio::time::sleep(patience.unwrap_or_default()), if patience.is_some() => {}
        }
    }
}

impl Schedule {
    /// Takes over what is declared: what is new or other is due at once, what is gone is looked at no longer.
    fn follow(&mut self, desired: &Desired, now: Moment) {
        let mut before = std::mem::take(&mut self.followed);
        if !desired.is_shut_down {
            for (name, source) in &desired.sources {
                let rests = source.is_suspended && source.record.under_way.is_none();
                let followed = match before.remove(name) {
                    Some(mut known) if known.spec == source.spec => {
                        if known.rests && !rests {
                            known.due = Some(now);
                        }
                        Followed { rests, ..known }
                    }
                    other => {
                        if let Some(worker) = other.and_then(|other| other.worker) {
                            worker.abort();
                        }
                        let spec = source.spec.clone();
                        Followed {
                            spec,
                            rests,
                            due: Some(now),
                            is_forced: false,
                            looked: None,
                            worker: None,
                            failures: 0,
                        }
                    }
                };
                self.followed.insert(name.clone(), followed);
            }
        }
        for worker in before.into_values().filter_map(|followed| followed.worker) {
            worker.abort();
        }
        let is_gone = |name: &SourceName| !self.followed.contains_key(name);
        if self.ticks.borrow().keys().any(is_gone) {
            self.ticks.send_modify(|ticks| Arc::make_mut(ticks).retain(|name, _| self.followed.contains_key(name)));
        }
    }

    fn ask(&mut self, source: &SourceName, wish: LookWish, now: Moment) {
        let Some(followed) = self.followed.get_mut(source) else { return };
        let due = match (wish, followed.looked) {
            (LookWish::Called, Some(looked)) => now.max(looked.after(CALLED_PAUSE)),
            _ => now,
        };
        followed.due = Some(followed.due.map_or(due, |known| known.min(due)));
        followed.is_forced |= wish == LookWish::Forced;
    }

    /// Begins every look that is due.
    fn begin(&mut self, now: Moment) {
        let is_due = |followed: &Followed| {
            followed.worker.is_none() && !followed.rests && followed.due.is_some_and(|due| due <= now)
        };
        let running = self.followed.values().filter(|followed| followed.worker.is_some()).count();
        let due: BTreeSet<SourceName> = self
            .followed
            .iter()
            .filter(|(_, followed)| is_due(followed))
            .map(|(name, _)| name.clone())
            .take(WORKERS_MAX.saturating_sub(running))
            .collect();
        for name in due {
            let Some(starter) = self.starter() else { return };
            let (home, ended) = (self.home.clone(), self.ended.clone());
            let Some(followed) = self.followed.get_mut(&name) else { continue };
            let is_forced = std::mem::take(&mut followed.is_forced);
            (followed.due, followed.looked) = (None, Some(now));
            let source = name.clone();
            let task = tokio::spawn(async move {
                let end = worker::look(home, starter, &source, is_forced).await;
                // Without the task the daemon leaves.
                let _ = ended.send((source, end)).await;
            });
            followed.worker = Some(task.abort_handle());
            self.note(&name, |tick| {
                let now = os::wall();
                let number = if tick.number == 0 { now.0 } else { tick.number + 1 };
                (tick.number, tick.began, tick.is_running, tick.next) = (number, Some(now), true, None);
            });
        }
    }

    fn starter(&mut self) -> Option<Worker> {
        if self.starter.is_none() {
            // Tried again with the next look.
            self.starter = Worker::start("pm-source", 1, ASKS_MAX).ok();
        }
        self.starter.clone()
    }

    fn end(&mut self, source: &SourceName, end: TickEnd, now: Moment) {
        let Some(followed) = self.followed.get_mut(source) else { return };
        followed.worker = None;
        followed.failures = if end.is_unreachable { followed.failures.saturating_add(1) } else { 0 };
        let mut wait = rules::after_tick(followed.spec.interval, followed.failures);
        if let Some(at) = end.again_at {
            wait = wait.min(Millis(at.0.saturating_sub(os::wall().0)).max(CALLED_PAUSE));
        }
        let due = *followed.due.get_or_insert(now.after(wait));
        let next = WallTime(os::wall().0.saturating_add(due.since(now).0));
        self.note(source, |tick| {
            (tick.is_running, tick.stage, tick.end, tick.next) = (false, None, end, Some(next));
        });
    }

    fn note(&self, source: &SourceName, change: impl FnOnce(&mut SourceTick)) {
        self.ticks.send_modify(|ticks| change(Arc::make_mut(ticks).entry(source.clone()).or_default()));
    }

    /// How long nothing is due; `None`: nothing ever is.
    fn patience(&self, now: Moment) -> Option<Duration> {
        let waiting = self.followed.values().filter(|followed| followed.worker.is_none() && !followed.rests);
        let until = waiting.filter_map(|followed| followed.due).min()?;
        // All places may be taken: then the end of a look wakes us.
        Some(until.since(now).max(Millis(50)).duration())
    }
}
