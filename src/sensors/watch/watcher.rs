//! The task that watches the files of one app: changes → bursts → builds → triggers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch as channel};

use super::build::Build;
use super::pending::Pending;
use super::tree::{BurstSeen, Settled, Tree};
use super::{Orders, Tools};
use crate::model::{AppId, Cause, Declared, DesiredState, Fact, Millis, Moment, Subject};
use crate::os::{self, Worker};
use crate::rules::Bursts;

/// A change that comes so soon after the last one, and so often, may be the app's own doing.
const SOON_AFTER: Millis = Millis::seconds(3);
const CIRCLE_TIMES: u32 = 5;
/// A thread that is not free is asked again after this.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// One watched app.
struct Watcher {
    app: AppId,
    orders: channel::Receiver<Orders>,
    tools: Tools,
    delay: Millis,
    tree: Arc<Mutex<Tree>>,
    /// `None`: the files are looked at every so often.
    signal: Option<Arc<Notify>>,
    interval: Millis,
    bursts: Bursts,
    build: Option<Build>,
    pending: Pending,
    /// Ends when the reconciler keeps what it was told last.
    acted: Option<oneshot::Receiver<()>>,
    has_more_to_learn: bool,
    repeated: Repeated,
}

/// A file that changes soon after each restart.
#[derive(Default)]
struct Repeated {
    path: String,
    times: u32,
    last: Moment,
}

/// What woke the watcher.
enum Wake {
    Changes,
    BurstOver,
    Idle,
    Built(Result<(), String>),
    Acted,
    Orders,
}

/// Watches until it is aborted.
pub(super) async fn watch(mut orders: channel::Receiver<Orders>, tools: Tools) {
    let Orders { app, watched } = orders.borrow_and_update().clone();
    let delay = watched.policy.watch_delay;
    let folders = tools.folders.clone();
    let opened = on_thread(&tools.readers, move || {
        let (watched, folders) = (watched.clone(), folders.clone());
        move || Tree::open(watched, folders)
    });
    let tree = opened.await;
    let interval = tree.interval();
    let pending = Pending::of(&app, &tools.home);
    let one = Watcher {
        app,
        orders,
        tools,
        delay,
        tree: Arc::new(Mutex::new(tree)),
        signal: None,
        interval,
        bursts: Bursts::default(),
        build: None,
        pending,
        acted: None,
        has_more_to_learn: true,
        repeated: Repeated::default(),
    };
    one.run().await;
}

impl Watcher {
    async fn run(mut self) {
        self.follow_tree();
        // The files are watched by now: what changes during this build is seen.
        if let Some(cause) = self.with_pending(|pending, ()| pending.left_over(), ()).await {
            self.changed(cause).await;
        }
        loop {
            match self.wake().await {
                Wake::Changes => {
                    if let Some(seen) = self.with_tree(Tree::take_in).await {
                        self.note(&seen);
                    }
                    self.follow_tree();
                }
                Wake::BurstOver => {
                    // On a busy machine changes may have been told in time and not been taken in yet.
                    if self.signal.is_some()
                        && let Some(seen) = self.with_tree(Tree::take_in).await
                    {
                        self.note(&seen);
                        self.follow_tree();
                    }
                    if self.bursts.ends(self.delay).is_some_and(|over| over > os::now()) {
                        continue;
                    }
                    let settled = self.with_tree(Tree::settle).await;
                    self.bursts.end(os::now(), matches!(settled, Settled::Changed { .. }), self.delay);
                    if let Settled::Changed { path, others } = settled {
                        self.warn_of_circle(&path);
                        self.changed(Cause::Watch { path, others }).await;
                    }
                }
                Wake::Orders => self.follow().await,
                Wake::Idle => self.has_more_to_learn = self.with_tree(Tree::learn).await,
                Wake::Built(result) => self.built(result).await,
                Wake::Acted => {
                    self.acted = None;
                    // Of a build under way it is that build's note by now.
                    if self.build.is_none() {
                        self.with_pending(|pending, ()| pending.forget(), ()).await;
                    }
                }
            }
        }
    }

    /// Something has happened that may count.
    fn note(&mut self, seen: &BurstSeen) {
        self.bursts.note(os::now(), &seen.folder, seen.paths, seen.state, self.delay);
    }

    /// Another name or other rules. What was seen by the old ones and is not acted upon is still to be done.
    async fn follow(&mut self) {
        let Orders { app, watched } = self.orders.borrow_and_update().clone();
        let unfinished = self.build.take().map(|build| build.cause.clone());
        if app != self.app {
            let noted = self.with_pending(|pending, ()| pending.left_over(), ()).await;
            self.with_pending(|pending, ()| pending.forget(), ()).await;
            self.pending = Pending::of(&app, &self.tools.home);
            self.app = app;
            if let Some(cause) = noted {
                self.with_pending(|pending, cause| pending.note(&cause), cause).await;
            }
        }
        self.delay = watched.policy.watch_delay;
        if let Some(seen) = self.with_tree_about(Tree::follow, watched).await {
            // Rules and files may still be on their way.
            self.note(&BurstSeen { paths: u32::MAX, ..seen });
        }
        self.has_more_to_learn = true;
        // Changes may be told elsewhere from now on.
        self.follow_tree();
        // The command may be another one, and what is built is not what it began with.
        if let Some(cause) = unfinished {
            self.changed(cause).await;
        }
    }

    async fn wake(&mut self) -> Wake {
        let Self { orders, signal, interval, bursts, build, acted, delay, has_more_to_learn, .. } = self;
        // While a build runs, what changes is collected for the next one.
        let is_judged = bursts.is_open() && build.is_none();
        let over = bursts.ends(*delay).map(|over| over.since(os::now()).duration()).unwrap_or_default();
        tokio::select! {
            biased;
            result = ended(build) => Wake::Built(result),
            () = is_acted(acted) => Wake::Acted,
            () = is_ordered(orders) => Wake::Orders,
            () = tokio::time::sleep(over), if is_judged => Wake::BurstOver,
            () = changes(signal.as_deref(), *interval) => Wake::Changes,
            () = std::future::ready(()), if *has_more_to_learn && !bursts.is_open() => Wake::Idle,
        }
    }

    /// Something holds other bytes than before.
    async fn changed(&mut self, cause: Cause) {
        // A person's stop is respected, and a build for nothing would be one.
        let Some(declared) = self.declared().filter(|declared| declared.desired_state == DesiredState::Up) else {
            return;
        };
        self.with_pending(|pending, cause| pending.note(&cause), cause.clone()).await;
        match Build::start(&self.tools.supervisor, &declared, cause.clone()) {
            Some(build) => self.build = Some(build),
            None => self.trigger(cause).await,
        }
    }

    async fn trigger(&mut self, cause: Cause) {
        self.acted = Some(self.tools.reconciler.trigger(self.app.clone(), cause).await);
    }

    /// An app that writes what it watches restarts for ever; it is not stopped from that, but told on.
    fn warn_of_circle(&mut self, path: &str) {
        let (now, seen) = (os::now(), &mut self.repeated);
        let is_again = seen.path == path && now.since(seen.last) < Millis(SOON_AFTER.0.saturating_add(self.delay.0));
        seen.times = if is_again { seen.times.saturating_add(1) } else { 1 };
        (seen.last, seen.path) = (now, path.to_owned());
        if seen.times == CIRCLE_TIMES {
            self.emit(Fact::WatchTrouble {
                message: format!(
                    "{path} has changed {CIRCLE_TIMES} times, each time soon after a restart; if the app writes it \
                     itself, `ignore_watch = [\"{path}\"]` stops the loop"
                ),
            });
        }
    }

    async fn built(&mut self, result: Result<(), String>) {
        let Some(build) = self.build.take() else { return };
        match result {
            Ok(()) => self.trigger(build.cause.clone()).await,
            Err(message) => {
                self.emit(Fact::BuildFailed { message });
                self.with_pending(|pending, ()| pending.forget(), ()).await;
            }
        }
    }

    fn declared(&self) -> Option<Declared> {
        let desired = self.tools.desired.borrow();
        let declared = desired.projects.get(&self.app.project)?.apps.get(&self.app.name)?;
        (!desired.is_shut_down).then(|| declared.clone())
    }

    /// After every look at the tree: what it has to say, and whether changes are still told.
    fn follow_tree(&mut self) {
        let troubles = {
            let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
            (self.interval, self.signal) = (tree.interval(), tree.waker());
            std::mem::take(&mut tree.troubles)
        };
        for message in troubles {
            self.emit(Fact::WatchTrouble { message });
        }
    }

    fn emit(&self, fact: Fact) {
        self.tools.events.emit(Subject::App(self.app.project.clone(), self.app.name.clone()), fact);
    }

    /// Works on the note of what is to be done, on a thread that may wait.
    async fn with_pending<A, T>(&self, work: fn(&Pending, A) -> T, about: A) -> T
    where
        A: Clone + Send + 'static,
        T: Send + 'static,
    {
        on_thread(&self.tools.readers, || {
            let (pending, about) = (self.pending.clone(), about.clone());
            move || work(&pending, about)
        })
        .await
    }

    /// Works on the tree, on a thread that may wait.
    async fn with_tree<T: Send + 'static>(&self, work: fn(&mut Tree) -> T) -> T {
        self.with_tree_about(|tree, work| work(tree), work).await
    }

    async fn with_tree_about<A, T>(&self, work: fn(&mut Tree, A) -> T, about: A) -> T
    where
        A: Clone + Send + 'static,
        T: Send + 'static,
    {
        let tree = &self.tree;
        on_thread(&self.tools.readers, || {
            let (tree, about) = (Arc::clone(tree), about.clone());
            move || work(&mut tree.lock().unwrap_or_else(PoisonError::into_inner), about)
        })
        .await
    }
}

async fn ended(build: &mut Option<Build>) -> Result<(), String> {
    match build {
        Some(build) => build.ended().await,
        None => std::future::pending().await,
    }
}

async fn is_acted(acted: &mut Option<oneshot::Receiver<()>>) {
    match acted {
        // It ends without a word.
        Some(acted) => drop(acted.await),
        None => std::future::pending().await,
    }
}

async fn is_ordered(orders: &mut channel::Receiver<Orders>) {
    if orders.changed().await.is_err() {
        // Nobody is left who could order anything: it is about to be aborted.
        std::future::pending::<()>().await;
    }
}

async fn changes(signal: Option<&Notify>, interval: Millis) {
    match signal {
        Some(signal) => signal.notified().await,
        None => tokio::time::sleep(interval.duration()).await,
    }
}

/// Has one of the threads do it, and waits; a full queue is asked again.
async fn on_thread<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(worker: &Worker, work: impl Fn() -> W) -> T {
    loop {
        let (done, result) = oneshot::channel();
        let work = work();
        let submitted = worker.submit(Box::new(move || {
            let _ = done.send(work()); // whoever asked may be gone
        }));
        match result.await {
            Ok(result) if submitted.is_ok() => return result,
            _ => tokio::time::sleep(ASK_AGAIN_AFTER).await,
        }
    }
}
