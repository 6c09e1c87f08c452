//! Hooks: commands beside an instance, each on a thread for as long as it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc::UnboundedSender;

use super::run::Loop;
use super::spawn::{SpawnJob, hook_plan, not_executed};
use super::world::World;
use crate::lifecycle::Input;
use crate::model::{Environment, Exit, Hook, Millis, Phase};
use crate::os::{self, ElasticPool, Mailbox, Parent, PidFd};

/// Hooks that run at a time; more wait.
const HOOKS_MAX: usize = 64;
const SIGKILL: i32 = 9;

/// All hooks on their way.
#[derive(Debug)]
pub(super) struct Hooks {
    pool: ElasticPool,
    leashes: BTreeMap<(u32, Hook), Arc<Leash>>,
    /// How many threads work for a row; those whose hook was ended from outside, too.
    busy: BTreeMap<u32, u32>,
    ended_in: UnboundedSender<HookResult>,
}

/// How a hook ended.
#[derive(Debug)]
pub(super) struct HookResult {
    pub row: u32,
    pub incarnation: u32,
    pub hook: Hook,
    pub result: Result<(), String>,
    /// `None`: it was not even begun.
    leash: Option<Arc<Leash>>,
}

/// Holds a hook, so that it can be killed from outside of its thread.
#[derive(Debug, Default)]
struct Leash {
    is_ended: AtomicBool,
    is_over: AtomicBool,
    process: OnceLock<PidFd>,
}

/// What a thread needs to run one.
struct HookJob {
    spawn: SpawnJob,
    hook: Hook,
    command: String,
    limit: Millis,
    more: Environment,
}

impl Hooks {
    pub fn new(ended_in: UnboundedSender<HookResult>) -> Self {
        let pool = ElasticPool::new("pm-hook", HOOKS_MAX, crate::anchor::ROWS as usize);
        Self { pool, leashes: BTreeMap::new(), busy: BTreeMap::new(), ended_in }
    }

    fn start(&mut self, world: &Arc<World>, job: HookJob) {
        let key = (job.spawn.row.index(), job.hook);
        let answer =
            HookResult { row: key.0, incarnation: job.spawn.incarnation, hook: job.hook, result: Ok(()), leash: None };
        let is_running = self.leashes.get(&key).is_some_and(|leash| !leash.is_over.load(Ordering::Acquire));
        if is_running && matches!(job.hook, Hook::OnCrash | Hook::OnGiveUp) {
            let result = Err("left out, the one before still runs".to_owned());
            // Through the same channel, so that it arrives after this step and not inside of it.
            return drop(self.ended_in.send(HookResult { result, ..answer }));
        }
        self.end(key.0, key.1);
        let leash = Arc::new(Leash::default());
        let (world, ended_in) = (Arc::clone(world), self.ended_in.clone());
        let held = Arc::clone(&leash);
        let work = Box::new(move || {
            let result = run(&world, &job, &leash);
            leash.is_over.store(true, Ordering::Release);
            let (row, incarnation) = (job.spawn.row.index(), job.spawn.incarnation);
            // The loop is gone only when the daemon leaves.
            let _ = ended_in.send(HookResult { row, incarnation, hook: job.hook, result, leash: Some(leash) });
        });
        if self.pool.submit(work).is_ok() {
            self.leashes.insert(key, held);
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

    /// Takes the end of a hook in; whether anybody still wants to know how it ended.
    fn take_in(&mut self, ended: &HookResult) -> bool {
        let Some(leash) = &ended.leash else { return true };
        let key = (ended.row, ended.hook);
        if self.leashes.get(&key).is_some_and(|known| Arc::ptr_eq(known, leash)) {
            self.leashes.remove(&key);
        }
        match self.busy.get_mut(&ended.row) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.busy.remove(&ended.row)),
        }
        !leash.is_ended.load(Ordering::Acquire)
    }

    /// Kills a hook and what it has started, if it runs. How it ends is of no interest any more.
    pub fn end(&mut self, row: u32, hook: Hook) {
        if let Some(leash) = self.leashes.remove(&(row, hook)) {
            leash.end();
        }
    }
}

impl Drop for Hooks {
    /// A daemon that leaves leaves no hook behind.
    fn drop(&mut self) {
        for leash in self.leashes.values() {
            leash.end();
        }
    }
}

impl Leash {
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
fn run(world: &World, job: &HookJob, leash: &Leash) -> Result<(), String> {
    if leash.is_ended.load(Ordering::Acquire) {
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
        Ok(process) => leash.process.get_or_init(|| process),
        Err(error) => return Err(error.to_string()),
    };
    match wait(job.limit, leash, process, pid) {
        Some(exit) if exit.is_success() => Ok(()),
        Some(exit) => Err(exit.to_string()),
        None => Err(format!("took longer than {} and was killed", job.limit)),
    }
}

/// Waits until the hook has ended and was reaped; `None` = its time was over, and it was killed.
fn wait(limit: Millis, leash: &Leash, process: &PidFd, pid: u32) -> Option<Exit> {
    let deadline = os::now().after(limit);
    let mut is_late = false;
    loop {
        let left = deadline.since(os::now());
        is_late = is_late || left.0 == 0;
        if is_late || leash.is_ended.load(Ordering::Acquire) {
            kill_tree(process);
        }
        // Once killed it is looked at often: a fork storm may outrun the first SIGKILL.
        if process.exits_within(if is_late { Millis(10) } else { left.min(Millis::seconds(60)) }) {
            let exit = os::reap_exit(pid, false).ok().flatten().unwrap_or(Exit::Unknown);
            return (!is_late).then_some(exit);
        }
    }
}

impl Loop {
    /// Starts a hook of the policy that is followed now, in the surroundings of the process that it is about.
    pub(super) fn run_hook(&mut self, row: u32, hook: Hook) {
        let Some(member) = self.roster.get(row) else { return };
        let policy = &member.machine.policy;
        let Some(command) = policy.hooks.command(hook) else { return };
        let has_process = matches!(hook, Hook::PostReady | Hook::PreStop | Hook::OnCrash);
        let spawn = SpawnJob {
            row: member.row,
            record: member.row_record(),
            id: member.id.clone(),
            incarnation: member.machine.incarnation,
            launch: if has_process { member.record.clone() } else { member.next.clone() },
            logs: policy.logs.clone(),
        };
        let mut more = Environment::from([("PM_HOOK".to_owned(), hook.as_str().to_owned())]);
        if let Some(exit) = member.last_exit {
            more.insert("PM_EXIT".to_owned(), exit.to_string());
        }
        if let Phase::Errored { failure } = member.machine.phase(None) {
            more.insert("PM_REASON".to_owned(), failure.to_string());
        }
        if let Some(pid) = member.pid() {
            more.insert("PM_PID".to_owned(), pid.to_string());
        }
        let job = HookJob { command: command.to_owned(), limit: policy.hooks.limit(), hook, spawn, more };
        self.hooks.start(&self.world, job);
    }

    pub(super) fn hook_ended(&mut self, ended: HookResult) {
        let is_wanted = self.hooks.take_in(&ended);
        let HookResult { row, incarnation, hook, result, .. } = ended;
        if !self.hooks.is_busy(row)
            && let Some(member) = self.unfreed.remove(&row)
        {
            return self.free(&member);
        }
        if is_wanted && self.roster.get(row).is_some() {
            self.step(row, Input::HookEnded { incarnation, hook, result });
        }
    }

    /// Hooks that the last daemon was running when it died: whatever they were for is asked for again.
    pub(super) fn end_orphaned_hooks(&self) {
        let has_hooks = self.roster.iter().any(|(_, member)| !member.machine.policy.hooks.is_empty());
        if !has_hooks {
            return;
        }
        let children = self.unknown_children();
        let hooks = children
            .iter()
            .filter(|(seen, parent)| self.facts_of(seen, *parent).mark.is_some_and(|mark| mark.is_helper));
        let roots: Vec<_> = hooks.map(|(seen, _)| (0, seen.stat)).collect();
        for orphan in os::open_leftovers(&roots) {
            let _ = orphan.process.signal(SIGKILL);
        }
    }
}
