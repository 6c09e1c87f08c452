//! One run of a probe by command: what it has started ends with it, wherever that put itself.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::has_process;
use crate::anchor::Row;
use crate::model::{Exit, Millis};
use crate::os::{self, Helper};
use crate::rules::StartMark;
use crate::supervisor::host::SIGKILL;
use crate::supervisor::world::World;

/// Looks for what a run has left: what is killed may have started more.
const LOOKS_MAX: usize = 8;
/// Begins what follows the mark.
const TAG: char = '~';
/// A process that is older shows its environment, if it has any.
const YOUNG_MAX: Millis = Millis(500);
/// Between two looks at one that is younger.
const YOUNG_WAIT: Millis = Millis(5);

/// Names a run, behind its mark: none of this machine bears the same at the same time.
#[derive(Debug)]
pub(in crate::supervisor) struct ProbeTag(String);

impl Drop for ProbeTag {
    fn drop(&mut self) {
        under_way().remove(&self.0);
    }
}

impl ProbeTag {
    pub fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let tag = format!("{}.{}", os::own_pid(), LAST.fetch_add(1, Ordering::Relaxed) + 1);
        under_way().insert(tag.clone());
        Self(tag)
    }

    /// What follows the mark.
    pub fn suffix(&self) -> String {
        format!("{TAG}{}", self.0)
    }
}

/// A probe's command under way. Dropped before its end, it is killed. Either way, everything that it has started ends.
#[derive(Debug)]
pub struct ProbeRun {
    /// `None`: it is over.
    helper: Option<Helper>,
    tag: ProbeTag,
    world: Arc<World>,
}

impl ProbeRun {
    pub(in crate::supervisor) fn new(helper: Helper, tag: ProbeTag, world: Arc<World>) -> Self {
        Self { helper: Some(helper), tag, world }
    }

    /// Waits for its end; `None` if that does not come within `limit`.
    ///
    /// # Errors
    /// No runtime, no descriptors left.
    pub async fn end(&mut self, limit: Duration) -> io::Result<Option<Exit>> {
        match &mut self.helper {
            Some(helper) => helper.end(limit).await,
            None => Ok(None),
        }
    }

    /// The last line that it printed.
    pub fn last_line(&self) -> Option<String> {
        self.helper.as_ref()?.last_line()
    }
}

impl Drop for ProbeRun {
    fn drop(&mut self) {
        // First of all the command with what is still below it.
        self.helper = None;
        under_way().remove(&self.tag.0);
        let world = Arc::clone(&self.world);
        // With too many starts waiting the next run finds it.
        let _ = self.world.spawners.submit(Box::new(move || end_left(&world)));
    }
}

/// Kills what has left the tree of a run that is over: by now a child of the anchor, with the mark of that run. What an earlier
/// look has missed is found, too.
fn end_left(world: &World) {
    for look in 0..LOOKS_MAX {
        let mut children = os::children_of(world.table.anchor_pid());
        let mains: Vec<u32> = world.table.rows().filter(|row| has_process(*row)).filter_map(Row::pid).collect();
        children.retain(|pid| *pid != os::own_pid() && !mains.contains(pid));
        let seen: Vec<Remainder> = children.into_iter().map(|pid| left_by(world, pid)).collect();
        let roots: Vec<_> = seen.iter().filter_map(Remainder::stat).map(|stat| (0, stat)).collect();
        for leftover in os::open_leftovers(&roots) {
            let _ = leftover.process.signal(SIGKILL);
        }
        let has_young = seen.iter().any(|left| matches!(left, Remainder::Young));
        if roots.is_empty() && !has_young {
            return;
        }
        if has_young && look + 1 < LOOKS_MAX {
            os::pause(YOUNG_WAIT);
        }
    }
}

/// What a process is that no list names.
enum Remainder {
    /// A run that is over has started it.
    Over(os::ProcStat),
    /// It may be executing its program at this very moment: it shows no environment.
    Young,
    Other,
}

impl Remainder {
    fn stat(&self) -> Option<os::ProcStat> {
        if let Self::Over(stat) = self { Some(*stat) } else { None }
    }
}

/// The start time is read last: it is that of the process with this environment.
fn left_by(world: &World, pid: u32) -> Remainder {
    let text = os::cookie_of(pid);
    let Some(stat) = os::proc_stat(pid).ok().filter(|stat| !stat.is_zombie) else { return Remainder::Other };
    let Some(text) = text else {
        let age = os::now().since(os::moment_of_ticks(stat.start_ticks));
        return if age < YOUNG_MAX { Remainder::Young } else { Remainder::Other };
    };
    let Some((_, tag)) = text.split_once(TAG) else { return Remainder::Other };
    let is_ours = text.parse::<StartMark>().is_ok_and(|mark| mark.is_helper && mark.home == world.table.home_id());
    let is_under_way = || under_way().contains(tag);
    if is_ours && !is_under_way() { Remainder::Over(stat) } else { Remainder::Other }
}

/// The runs that are not over.
fn under_way() -> MutexGuard<'static, BTreeSet<String>> {
    static RUNS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    RUNS.lock().unwrap_or_else(PoisonError::into_inner)
}
