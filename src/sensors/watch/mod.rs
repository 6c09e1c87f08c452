//! Changed files: one watcher per app that wants one, following Desired.
//!
//! ```text
//! Desired ─► one task per app ──► tree: told (by the kernel, over one descriptor) or looked (at every so often)
//!                │                   │ changed paths, without those that `rules` leaves out
//!                │◄── burst over ────┘
//!                ├─ same bytes as before: nothing
//!                ├─ else it is noted for the next watcher, until it is done
//!                ├─ `build` fails: an event, what runs is kept
//!                └─► reconciler: one trigger with the file that caused it
//! ```
//!
//! A watcher lives for as long as its app is watched, under whichever name and by whichever rules: what it has seen and
//! not acted upon is kept when an apply changes them.

mod build;
mod git;
mod known;
mod looked;
mod pending;
mod shared;
#[cfg(test)]
mod tests;
mod told;
mod touched;
mod tree;
mod walk;
mod watcher;
mod ways;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::SensorDeps;
use crate::events::Events;
use crate::model::{AppId, Declared, Desired, DesiredState, Fact, Subject};
use crate::os::{Home, Worker};
use crate::reconciler::Reconciler;
use crate::rules::OwnFiles;
use crate::supervisor::Supervisor;
use git::GitUser;
use pending::Pending;
use shared::SharedFolders;
use tree::Watched;

/// Threads that walk and read: one that hangs on a dead network folder leaves another.
const READERS: usize = 2;
/// Looks that may wait; every watched app has one at most.
const READS_MAX: usize = 4096;

/// What a watcher works with.
#[derive(Clone, Debug)]
struct Tools {
    reconciler: Reconciler,
    desired: watch::Receiver<Arc<Desired>>,
    events: Events,
    home: Home,
    readers: Worker,
    folders: SharedFolders,
    supervisor: Supervisor,
}

impl Tools {
    /// Of an app that is stopped or gone nothing is left to be done.
    fn forget(&self, app: &AppId) {
        let pending = Pending::of(app, &self.home);
        // Full only if thousands of looks wait: then it may be built once more than needed.
        let _ = self.readers.submit(Box::new(move || pending.forget()));
    }
}

/// What a watcher is to do: for which app, and what it watches.
#[derive(Clone, Debug, PartialEq)]
struct Orders {
    app: AppId,
    watched: Watched,
}

/// A running watcher.
struct Running {
    orders: watch::Sender<Orders>,
    task: AbortHandle,
}

impl Running {
    fn start(orders: Orders, tools: Tools) -> Self {
        let (sender, receiver) = watch::channel(orders);
        let task = tokio::spawn(watcher::watch(receiver, tools));
        Self { orders: sender, task: task.abort_handle() }
    }

    /// What is watched as it should be is not touched: an apply that changes nothing here costs nothing.
    fn follow(&self, app: &AppId, watched: &Watched) {
        let is_other = |orders: &Orders| orders.app != *app || orders.watched != *watched;
        self.orders.send_if_modified(|orders| {
            let is_other = is_other(orders);
            if is_other {
                *orders = Orders { app: app.clone(), watched: watched.clone() };
            }
            is_other
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Keeps exactly the watchers running that Desired asks for, for as long as the daemon lives.
pub(super) async fn run(deps: SensorDeps) {
    let mut desired = deps.reconciler.desired_changes();
    let mut tools: Option<Tools> = None;
    let mut running: BTreeMap<AppId, Running> = BTreeMap::new();
    loop {
        let now = Arc::clone(&desired.borrow_and_update());
        let wanted = wanted(&now, &deps.home);
        for app in wanted.keys().filter(|app| !running.contains_key(app)).cloned().collect::<Vec<_>>() {
            let old = former(&now, &app, |old| running.contains_key(old) && !wanted.contains_key(old));
            if let Some(one) = old.and_then(|old| running.remove(&old)) {
                running.insert(app, one);
            }
        }
        if let Some(tools) = &tools {
            running.keys().filter(|app| !wanted.contains_key(app)).for_each(|app| tools.forget(app));
        }
        running.retain(|app, _| wanted.contains_key(app));
        if !wanted.is_empty() && tools.is_none() {
            tools = start_threads(&deps);
        }
        for (app, watched) in wanted {
            match (running.get(&app), &tools) {
                (Some(running), _) => running.follow(&app, &watched),
                (None, Some(tools)) => {
                    let started = Running::start(Orders { app: app.clone(), watched }, tools.clone());
                    running.insert(app, started);
                }
                (None, None) => {}
            }
        }
        if desired.changed().await.is_err() {
            return;
        }
    }
}

/// Only once there is something to watch: a daemon without it has no threads for it.
fn start_threads(deps: &SensorDeps) -> Option<Tools> {
    match Worker::start("pm-watch", READERS, READS_MAX) {
        Ok(readers) => {
            let folders = SharedFolders::new(Some(readers.clone()));
            tokio::spawn(folders.clone().run());
            Some(Tools {
                reconciler: deps.reconciler.clone(),
                desired: deps.reconciler.desired_changes(),
                events: deps.events.clone(),
                home: deps.home.clone(),
                readers,
                folders,
                supervisor: deps.supervisor.clone(),
            })
        }
        Err(error) => {
            let message = format!("no files are watched: cannot start a thread: {error}");
            deps.events.emit(Subject::Daemon, Fact::Trouble { message });
            None
        }
    }
}

/// The name that an app had until now.
fn former(desired: &Desired, app: &AppId, is_meant: impl Fn(&AppId) -> bool) -> Option<AppId> {
    let declared = desired.projects.get(&app.project)?.apps.get(&app.name)?;
    declared.spec.moved_from.iter().find(|old| is_meant(old)).cloned()
}

/// What should be watched. An app that is stopped has nothing that could be restarted.
fn wanted(desired: &Desired, home: &Home) -> BTreeMap<AppId, Watched> {
    let all = || desired.projects.values().flat_map(|project| project.apps.values());
    let is_watched = |declared: &&Declared| {
        declared.desired_state == DesiredState::Up && declared.spec.watching.watch.is_some() && !desired.is_shut_down
    };
    if !all().any(|declared| is_watched(&declared)) {
        return BTreeMap::new();
    }
    let folders: Vec<PathBuf> = vec![home.root.clone(), home.run.clone()];
    let mut own = OwnFiles::in_folders(folders);
    for declared in all() {
        own.add_logs(&declared.spec.logs);
    }
    let own = Arc::new(own);
    let watched = |declared: &Declared| {
        let (mut policy, cwd) = (declared.spec.watching.clone(), declared.spec.run.cwd.clone());
        policy.build = None; // read when it is needed: another command is no reason to walk again
        let git = GitUser::of(&declared.base);
        (declared.spec.id(), Watched { policy, cwd, own: Arc::clone(&own), git })
    };
    all().filter(is_watched).map(watched).collect()
}
