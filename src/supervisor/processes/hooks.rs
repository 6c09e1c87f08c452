//! Hooks: at most one command of each kind beside an instance, ended with whatever it was for.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Semaphore, oneshot};

use super::beside::{Beside, Prints};
use crate::model::{Hook, Millis};
use crate::supervisor::host::{HookEnd, HookJob};
use crate::supervisor::world::World;

/// Hooks that run at a time; more wait.
const HOOKS_MAX: usize = 64;

/// All hooks on their way.
#[derive(Debug)]
pub(in crate::supervisor) struct Hooks {
    turns: Arc<Semaphore>,
    running: BTreeMap<(u32, Hook), Running>,
    /// How many commands may still open the pipes of a row; those that were ended from outside, too.
    busy: BTreeMap<u32, u32>,
    last_number: u64,
    ended_in: UnboundedSender<HookResult>,
}

/// The hook that is wanted; dropped, it ends.
#[derive(Debug)]
struct Running {
    number: u64,
    is_wanted: oneshot::Sender<()>,
}

/// How a hook ended.
#[derive(Debug)]
pub(in crate::supervisor) struct HookResult {
    row: u32,
    incarnation: u32,
    hook: Hook,
    result: Result<(), String>,
    /// `None`: it was not even begun.
    number: Option<u64>,
}

impl Hooks {
    pub fn new(ended_in: UnboundedSender<HookResult>) -> Self {
        let turns = Arc::new(Semaphore::new(HOOKS_MAX));
        Self { turns, running: BTreeMap::new(), busy: BTreeMap::new(), last_number: 0, ended_in }
    }

    pub fn start(&mut self, world: &Arc<World>, job: HookJob) {
        let HookJob { spawn: job, hook, command, limit, more } = job;
        let (key, incarnation) = ((job.row, hook), job.incarnation);
        let is_running = self.running.get(&key).is_some_and(|running| !running.is_wanted.is_closed());
        if is_running && matches!(hook, Hook::OnCrash | Hook::OnGiveUp) {
            let result = Err("left out, the one before still runs".to_owned());
            // Through the same channel, so that it arrives after this step and not inside of it.
            let _ = self.ended_in.send(HookResult { row: key.0, incarnation, hook, result, number: None });
            return;
        }
        self.last_number += 1;
        let number = self.last_number;
        let (is_wanted, ends) = oneshot::channel();
        // The one before ends.
        self.running.insert(key, Running { number, is_wanted });
        *self.busy.entry(key.0).or_default() += 1;
        let prints = if hook == Hook::PreStart { Prints::AheadOfTheProcess } else { Prints::IntoTheLog };
        let beside = Beside { job, command, more, run: String::new(), prints };
        let (world, turns, ended_in) = (Arc::clone(world), Arc::clone(&self.turns), self.ended_in.clone());
        tokio::spawn(async move {
            let result = run(&world, &turns, beside, limit, ends).await;
            // The loop is gone only when the daemon leaves.
            let _ = ended_in.send(HookResult { row: key.0, incarnation, hook, result, number: Some(number) });
        });
    }

    /// Whether a command still runs for a row, and may open its pipes.
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
        let Some(number) = ended.number else { return true };
        match self.busy.get_mut(&ended.row) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.busy.remove(&ended.row)),
        }
        let key = (ended.row, ended.hook);
        let is_wanted = self.running.get(&key).is_some_and(|running| running.number == number);
        if is_wanted {
            self.running.remove(&key);
        }
        is_wanted
    }

    /// Kills a hook and what it has started, if it runs. How it ends is of no interest any more.
    pub fn end(&mut self, row: u32, hook: Hook) {
        self.running.remove(&(row, hook));
    }
}

/// Runs a hook to its end or its limit, or until nobody wants it any more. It is gone then.
async fn run(
    world: &Arc<World>,
    turns: &Semaphore,
    beside: Beside,
    limit: Millis,
    mut is_over: oneshot::Receiver<()>,
) -> Result<(), String> {
    let _turn = tokio::select! {
        turn = turns.acquire() => turn,
        _ = &mut is_over => return Err("was ended".to_owned()),
    };
    let (reply, started) = oneshot::channel();
    beside.start(world, reply);
    // Also if it is not wanted any more: until then it may open pipes.
    let mut helper = started.await.unwrap_or_else(|_| Err("too many starts are waiting".to_owned()))?;
    let end = tokio::select! {
        end = helper.end(limit.duration()) => end,
        _ = &mut is_over => Ok(None),
    };
    match end {
        Ok(Some(exit)) if exit.is_success() => Ok(()),
        Ok(Some(exit)) => Err(exit.to_string()),
        Ok(None) => {
            helper.kill().await;
            Err(format!("took longer than {limit} and was killed"))
        }
        Err(error) => Err(format!("cannot wait for its end: {error}")),
    }
}
