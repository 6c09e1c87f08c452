//! Resource usage of the apps, on request: nothing is measured while nobody asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{Bytes, Live, Millis, Moment, Phase};
use crate::os::{self, Worker};

/// An answer is good for this long. After that it is still given, and a new one is measured for the next who asks.
const STALE: Millis = Millis::seconds(10);
/// Nothing is measured more often: many lists in a row measure once.
const FRESH: Millis = Millis::seconds(1);
/// The same where a measurement takes several milliseconds.
const FRESH_MANY: Millis = Millis::seconds(5);
/// From how many processes on that is so.
const MANY: usize = 200;
/// Up to so many instances a measurement takes less than a millisecond: then nobody gets an older one.
const FEW: usize = 20;

/// What one tree uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Used {
    /// Memory of the whole tree.
    pub memory: Bytes,
    /// Processor time in percent of one core: since the last measurement, or since the start for the first one.
    pub cpu_percent: f32,
    /// A signal has suspended the main process.
    pub is_suspended: bool,
    cpu: Millis,
}

/// Measures trees on demand; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Usage(Arc<Mutex<Last>>);

#[derive(Clone, Debug, Default)]
struct Last {
    at: Moment,
    used: Arc<BTreeMap<u32, Used>>,
    is_being_measured: bool,
}

impl Usage {
    /// What every living tree uses, by main process. Measuring reads `/proc` (some 20 µs per process): here if nothing
    /// recent is known, else on `worker`, for the next who asks.
    pub fn of(&self, live: &Arc<Live>, worker: &Worker) -> Arc<BTreeMap<u32, Used>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = os::now().since(last.at);
        let count = live.instances.len();
        let main_pids = || live.instances.values().filter_map(|instance| main_of(&instance.phase)).map(|main| main.0);
        let has_news = count <= MANY && main_pids().any(|pid| !last.used.contains_key(&pid));
        if age >= STALE || has_news || age >= FRESH && count <= FEW {
            *last = last.followed_by(live);
        } else if age >= if count > MANY { FRESH_MANY } else { FRESH } && !last.is_being_measured {
            let (usage, live, before) = (self.clone(), Arc::clone(live), last.clone());
            let work = move || {
                let next = before.followed_by(&live);
                *usage.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
            };
            // A full queue: the next who asks tries again.
            last.is_being_measured = worker.submit(Box::new(work)).is_ok();
        }
        Arc::clone(&last.used)
    }
}

impl Last {
    fn followed_by(&self, live: &Live) -> Self {
        let now = os::now();
        let mains: BTreeMap<u32, Option<Moment>> =
            live.instances.values().filter_map(|instance| main_of(&instance.phase)).collect();
        let used = measure(&mains, self, now);
        Self { at: now, used: Arc::new(used), is_being_measured: false }
    }
}

fn measure(mains: &BTreeMap<u32, Option<Moment>>, last: &Last, now: Moment) -> BTreeMap<u32, Used> {
    let pids: Vec<u32> = mains.keys().copied().collect();
    let trees = os::trees(os::parent_pid(), &pids);
    let used = |(pid, tree): (u32, Vec<u32>)| {
        let cpu = os::cpu_of_all(&tree);
        let since = mains.get(&pid).copied().flatten().unwrap_or(now);
        // A number that was reused, or a tree that lost a branch, has used less than before: then from the start.
        let before = last.used.get(&pid).filter(|before| before.cpu <= cpu && since < last.at);
        let (spent, time) = match before {
            Some(before) => (cpu.0 - before.cpu.0, now.since(last.at)),
            None => (cpu.0, now.since(since)),
        };
        let is_suspended = os::proc_stat(pid).is_ok_and(|stat| stat.is_suspended);
        (pid, Used { memory: os::memory_of_all(&tree), cpu_percent: percent(spent, time), is_suspended, cpu })
    };
    trees.into_iter().map(used).collect()
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
fn percent(spent_ms: u64, time: Millis) -> f32 {
    if time.0 == 0 { 0.0 } else { spent_ms as f32 * 100.0 / time.0 as f32 }
}

/// The main process of an instance that lives, and since when it runs.
fn main_of(phase: &Phase) -> Option<(u32, Option<Moment>)> {
    let since = if let Phase::Running { since, .. } = phase { Some(*since) } else { None };
    phase.pid().filter(|pid| *pid != 0).map(|pid| (pid, since))
}
