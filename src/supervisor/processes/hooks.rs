//! Hooks: commands beside an instance, each on a thread for as long as it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc::UnboundedSender;

use super::failures::not_executed;
use super::spawn::hook_plan;
use crate::model::{Exit, Hook, Millis};
use crate::os::{self, ElasticPool, Mailbox, Parent, PidFd};
use crate::supervisor::host::{HookEnd, HookJob, SIGKILL};
use crate::supervisor::world::World;

/// Hooks that run at a time; more wait.
const HOOKS_MAX: usize = 64;

/// All hooks on their way.
#[derive(Debug)]
pub(in crate::supervisor) struct Hooks {
    pool: ElasticPool,
    handles: BTreeMap<(u32, Hook), Arc<HookHandle>>,
    /// How many threads work for a row; those whose hook was ended from outside, too.
    busy: BTreeMap<u32, u32>,
    ended_in: UnboundedSender<HookResult>,
}

/// How a hook ended.
#[derive(Debug)]
pub(in crate::supervisor) struct HookResult {
    row: u32,
    incarnation: u32,
    hook: Hook,
    result: Result<(), String>,
    /// `None`: it was not even begun.
    handle: Option<Arc<HookHandle>>,
}

/// Holds a hook, so that it can be killed from outside of its thread.
#[derive(Debug, Default)]
struct HookHandle {
    is_ended: AtomicBool,
    is_over: AtomicBool,
    process: OnceLock<PidFd>,
}

impl Hooks {
    pub fn new(ended_in: UnboundedSender<HookResult>) -> Self {
        let pool = ElasticPool::new("pm-hook", HOOKS_MAX, crate::anchor::ROWS as usize);
        Self { pool, handles: BTreeMap::new(), busy: BTreeMap::new(), ended_in }
    }

    pub fn start(&mut self, world: &Arc<World>, job: HookJob) {
        let key = (job.spawn.row, job.hook);
        let answer =
            HookResult { row: key.0, incarnation: job.spawn.incarnation, hook: job.hook, result: Ok(()), handle: None };
        let is_running = self.handles.get(&key).is_some_and(|handle| !handle.is_over.load(Ordering::Acquire));
        if is_running && matches!(job.hook, Hook::OnCrash | Hook::OnGiveUp) {
            let result = Err("left out, the one before still runs".to_owned());
            // Through the same channel, so that it arrives after this step and not inside of it.
            return drop(self.ended_in.send(HookResult { result, ..answer }));
        }
        self.end(key.0, key.1);
        let handle = Arc::new(HookHandle::default());
        let (world, ended_in) = (Arc::clone(world), self.ended_in.clone());
        let held = Arc::clone(&handle);
        let work = Box::new(move || {
            let result = run(&world, &job, &handle);
            handle.is_over.store(true, Ordering::Release);
            let (row, incarnation) = (job.spawn.row, job.spawn.incarnation);
            // The loop is gone only when the daemon leaves.
            let _ = ended_in.send(HookResult { row, incarnation, hook: job.hook, result, handle: Some(handle) });
        });
        if self.pool.submit(work).is_ok() {
            self.handles.insert(key, held);
            *self.busy.entry(key.0).or_default() += 1;
        } else {
            let result = Err("too many hooks are waiting".to_owned());
            let _ = self.ended_in.send(HookResult { result, ..answer });
        }
    }

    /// Whether a thread still works for a row, and may open its pipes.
    pub fn is_busy(&self, row: u32) -> bool {
        self.busy.contains_key(&row)
    }

    /// Takes the end of a hook in, and says whether anybody still wants to know how it ended.
    pub fn take_in(&mut self, ended: HookResult) -> HookEnd {
        let is_wanted = self.is_wanted(&ended);
        let HookResult { row, incarnation, hook, result, .. } = ended;
        HookEnd { row, incarnation, hook, result, is_wanted }
    }

    fn is_wanted(&mut self, ended: &HookResult) -> bool {
        let Some(handle) = &ended.handle else { return true };
        let key = (ended.row, ended.hook);
        if self.handles.get(&key).is_some_and(|known| Arc::ptr_eq(known, handle)) {
            self.handles.remove(&key);
        }
        match self.busy.get_mut(&ended.row) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.busy.remove(&ended.row)),
        }
        !handle.is_ended.load(Ordering::Acquire)
    }

    /// Kills a hook and what it has started, if it runs. How it ends is of no interest any more.
    pub fn end(&mut self, row: u32, hook: Hook) {
        if let Some(handle) = self.handles.remove(&(row, hook)) {
            handle.end();
        }
    }
}

impl Drop for Hooks {
    /// A daemon that leaves leaves no hook behind.
    fn drop(&mut self) {
        for handle in self.handles.values() {
            handle.end();
        }
    }
}

impl HookHandle {
    fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
        if let Some(process) = self.process.get().filter(|_| !self.is_over.load(Ordering::Acquire)) {
            kill_tree(process);
        }
    }
}

/// What is below is listed before it loses its parent.
fn kill_tree(process: &PidFd) {
    let below = os::descendants(0, process.pid());
    let _ = process.signal_group(SIGKILL);
    let _ = process.signal(SIGKILL);
    for other in below {
        let _ = other.process.signal(SIGKILL);
    }
}

/// Runs a hook to its end or its limit, or until it is ended from outside.
fn run(world: &World, job: &HookJob, handle: &HookHandle) -> Result<(), String> {
    if handle.is_ended.load(Ordering::Acquire) {
        return Err("was ended".to_owned());
    }
    let plan = hook_plan(world, &job.spawn, &job.command, &job.more).map_err(|failure| failure.to_string())?;
    let (pid, errno, stage) = Default::default();
    let mailbox = Mailbox { pid: &pid, errno: &errno, stage: &stage };
    let pid = match os::spawn(&plan, &mailbox, Parent::Caller) {
        Ok(pid) => pid,
        Err(error) => {
            // Where the child came to be, it has ended by now or does so at once.
            if let Ok(child) = u32::try_from(pid.load(Ordering::Acquire))
                && let Ok(process) = PidFd::open(child)
            {
                process.exits_within(Millis::seconds(1));
                let _ = os::reap_exit(child, false);
            }
            return Err(not_executed(error, &job.spawn.launch, "/bin/sh").to_string());
        }
    };
    drop(plan);
    let process = match PidFd::open(pid) {
        Ok(process) => handle.process.get_or_init(|| process),
        Err(error) => return Err(error.to_string()),
    };
    match wait(job.limit, handle, process, pid) {
        Some(exit) if exit.is_success() => Ok(()),
        Some(exit) => Err(exit.to_string()),
        None => Err(format!("took longer than {} and was killed", job.limit)),
    }
}

/// Waits until the hook has ended and was reaped; `None` = its time was over, and it was killed.
fn wait(limit: Millis, handle: &HookHandle, process: &PidFd, pid: u32) -> Option<Exit> {
    let deadline = os::now().after(limit);
    let mut is_late = false;
    loop {
        let left = deadline.since(os::now());
        is_late = is_late || left.0 == 0;
        if is_late || handle.is_ended.load(Ordering::Acquire) {
            kill_tree(process);
        }
        // Once killed it is looked at often: a fork storm may outrun the first SIGKILL.
        if process.exits_within(if is_late { Millis(10) } else { left.min(Millis::seconds(60)) }) {
            let exit = os::reap_exit(pid, false).ok().flatten().unwrap_or(Exit::Unknown);
            return (!is_late).then_some(exit);
        }
    }
}
