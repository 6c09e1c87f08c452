//! Git sources: when each is looked at, and the worker that does it.
//!
//! A look is a process of its own (`pm source-worker NAME`): it asks the repository, and deploys as a client of this daemon. It
//! dies with the daemon; the next one looks at every source at once, and whatever was under way goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use super::SensorDeps;
use crate::model::{
    Desired, ExecContext, Exit, Limits, Millis, Moment, SourceName, SourceSpec, SourceTick, TickEnd, WallTime,
};
use crate::os::{self, ExecPlan, Helper, Home, Output, Printed, Worker};
use crate::rules;

/// The program that this daemon is made of, whatever lies at its path by now.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// What is kept of the output of a worker: its end.
const PRINTED_BYTES_MAX: usize = 16 << 10;
/// A worker that takes longer is ended.
const WORKER_MAX: Duration = Duration::from_hours(2);
/// Requests to look that may wait.
const ASKS_MAX: usize = 64;
/// Looks at a time.
const WORKERS_MAX: usize = 4;
/// Longest text of what a worker does.
const STAGE_BYTES_MAX: usize = 200;

/// The last look at every source.
pub type SourceTicks = BTreeMap<SourceName, SourceTick>;

/// The way to the looks; cheap to clone.
#[derive(Clone, Debug)]
pub struct Sources {
    asks: mpsc::Sender<(SourceName, bool)>,
    ticks: watch::Sender<Arc<SourceTicks>>,
}

impl Sources {
    /// Has a source looked at as soon as nobody looks at it. `is_forced`: its newest commit is deployed whatever is known of it.
    pub async fn look_now(&self, source: SourceName, is_forced: bool) {
        // A task that is gone leaves with the daemon.
        let _ = self.asks.send((source, is_forced)).await;
    }

    /// What its worker does now, for users.
    pub fn say_stage(&self, source: &SourceName, stage: String) {
        let mut stage = stage;
        stage.truncate(stage.floor_char_boundary(STAGE_BYTES_MAX));
        self.ticks.send_if_modified(|ticks| {
            let Some(tick) = Arc::make_mut(ticks).get_mut(source).filter(|tick| tick.is_running) else { return false };
            tick.stage = Some(stage);
            true
        });
    }

    /// The last look at every source.
    pub fn ticks(&self) -> Arc<SourceTicks> {
        Arc::clone(&self.ticks.borrow())
    }
}

/// Starts the task.
pub(super) fn start(deps: SensorDeps) -> Sources {
    let (asks, inbox) = mpsc::channel(ASKS_MAX);
    let sources = Sources { asks, ticks: watch::Sender::default() };
    tokio::spawn(run(deps, inbox, sources.ticks.clone()));
    sources
}

/// A source as it is followed.
struct Followed {
    spec: SourceSpec,
    /// Nothing new is fetched, and nothing is under way.
    rests: bool,
    due: Option<Moment>,
    is_forced: bool,
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

async fn run(deps: SensorDeps, mut asks: mpsc::Receiver<(SourceName, bool)>, ticks: watch::Sender<Arc<SourceTicks>>) {
    let mut desired = deps.reconciler.desired_changes();
    let (ended, mut ends) = mpsc::channel(ASKS_MAX);
    let mut schedule = Schedule { followed: BTreeMap::new(), ticks, starter: None, home: deps.home.clone(), ended };
    loop {
        schedule.follow(&desired.borrow_and_update(), os::now());
        schedule.begin(os::now());
        let patience = schedule.patience(os::now());
        tokio::select! {
            changed = desired.changed() => if changed.is_err() { return },
            ask = asks.recv() => if let Some((source, is_forced)) = ask {
                schedule.ask(&source, is_forced, os::now());
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
                        Followed { spec, rests, due: Some(now), is_forced: false, worker: None, failures: 0 }
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

    fn ask(&mut self, source: &SourceName, is_forced: bool, now: Moment) {
        if let Some(followed) = self.followed.get_mut(source) {
            followed.due = Some(now);
            followed.is_forced |= is_forced;
        }
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
            followed.due = None;
            let source = name.clone();
            let task = tokio::spawn(async move {
                let end = look(home, starter, &source, is_forced).await;
                // Without the task the daemon leaves.
                let _ = ended.send((source, end)).await;
            });
            followed.worker = Some(task.abort_handle());
            self.note(&name, |tick| {
                (tick.number, tick.began, tick.is_running, tick.next) = (tick.number + 1, Some(os::wall()), true, None);
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
        let wait = rules::after_tick(followed.spec.interval, followed.failures);
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

/// Runs the worker of one look to its end.
async fn look(home: Home, threads: Worker, source: &SourceName, is_forced: bool) -> TickEnd {
    let (reply, answer) = oneshot::channel();
    let (root, name) = (home.clone(), source.clone());
    // Whoever is gone by then wants no look.
    let work = move || drop(reply.send(start_worker(&root, &name, is_forced)));
    // A queue that is full drops the work: then there is no answer.
    let _ = threads.submit(Box::new(work));
    let trouble = |words: String| TickEnd { words, hint: None, exit_code: 1, is_unreachable: true };
    let mut helper = match answer.await {
        Ok(Ok(helper)) => helper,
        Ok(Err(why)) => return trouble(format!("its worker cannot be started: {why}")),
        Err(_) => return trouble("its worker was not started: too many are waiting".to_owned()),
    };
    let how = match helper.end(WORKER_MAX).await {
        Ok(Some(Exit::Code(_))) => match helper.last_line().and_then(|line| serde_json::from_str(&line).ok()) {
            Some(end) => return end,
            None => "its worker ended without a word".to_owned(),
        },
        Ok(Some(exit)) => format!("its worker ended with {exit}"),
        Ok(None) => {
            format!("its worker took longer than {}", Millis(u64::try_from(WORKER_MAX.as_millis()).unwrap_or(0)))
        }
        Err(error) => format!("cannot wait for its worker: {error}"),
    };
    helper.kill().await;
    trouble(format!("{how}; what it had begun goes on with the next look"))
}

fn start_worker(home: &Home, source: &SourceName, is_forced: bool) -> Result<Helper, String> {
    let mut env = os::environment();
    // What was set for another repository (in a hook, say) is not meant for this one.
    env.retain(|name, _| !name.starts_with("GIT_"));
    env.insert("PM_HOME".to_owned(), home.root.to_string_lossy().into_owned());
    let context = ExecContext { env, cwd: home.root.clone(), identity: None, umask: 0o077, limits: Limits::default() };
    let mut words = vec!["pm".to_owned(), "source-worker".to_owned(), source.to_string()];
    words.extend(is_forced.then(|| "--force".to_owned()));
    let (printed, ends) = Printed::open(PRINTED_BYTES_MAX).map_err(|error| error.to_string())?;
    let plan = ExecPlan::new(&context, OWN_PROGRAM, &words, Output::Opened(ends)).map_err(|error| error.to_string())?;
    Helper::start(ExecPlan { dies_with_caller: true, ..plan }, Some(printed)).map_err(|error| error.to_string())
}
