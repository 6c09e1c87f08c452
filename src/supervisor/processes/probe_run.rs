//! One run of a probe by command: what it has started ends with it, wherever that put itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::has_process;
use crate::anchor::Row;
use crate::model::Exit;
use crate::os::{self, Helper};
use crate::rules::StartMark;
use crate::supervisor::host::SIGKILL;
use crate::supervisor::world::World;

/// The variable that tells the run which a process was started by.
const PROBE_VARIABLE: &str = "PM_PROBE";
/// Looks for what a run has left: what is killed may have started more.
const LOOKS_MAX: usize = 4;

/// Names a run: none of this machine bears the same at the same time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::supervisor) struct ProbeTag(String);

impl ProbeTag {
    pub fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(format!("{}.{}", os::own_pid(), LAST.fetch_add(1, Ordering::Relaxed) + 1))
    }

    /// For the environment of the command.
    pub fn variable(&self) -> (String, String) {
        (PROBE_VARIABLE.to_owned(), self.0.clone())
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
        let (tag, world) = (self.tag.clone(), Arc::clone(&self.world));
        // With too many starts waiting it ends with the app.
        let _ = self.world.spawners.submit(Box::new(move || end_left(&world, &tag)));
    }
}

/// Kills what has left the tree of a run: by now a child of the anchor, with the mark and the number of that run.
fn end_left(world: &World, tag: &ProbeTag) {
    for _ in 0..LOOKS_MAX {
        let mut children = os::children_of(world.table.anchor_pid());
        let mains: Vec<u32> = world.table.rows().filter(|row| has_process(*row)).filter_map(Row::pid).collect();
        children.retain(|pid| *pid != os::own_pid() && !mains.contains(pid));
        let roots: Vec<_> =
            children.into_iter().filter_map(|pid| left_by(world, tag, pid)).map(|stat| (0, stat)).collect();
        if roots.is_empty() {
            return;
        }
        for leftover in os::open_leftovers(&roots) {
            let _ = leftover.process.signal(SIGKILL);
        }
    }
}

/// A living process, if that run has started it. Looked at last: the start time is that of the process with this environment.
fn left_by(world: &World, tag: &ProbeTag, pid: u32) -> Option<os::ProcStat> {
    let [mark, number] = os::variables_of(pid, ["PM_ID", PROBE_VARIABLE]);
    let mark: StartMark = mark?.parse().ok()?;
    let is_its = mark.is_helper && mark.home == world.table.home_id() && number? == tag.0;
    os::proc_stat(pid).ok().filter(|stat| is_its && !stat.is_zombie)
}
