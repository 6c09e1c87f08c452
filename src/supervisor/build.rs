//! A build command of an app → whether it succeeded, with the last of what it printed.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

use super::processes::exec_context;
use crate::model::{App, AppId, Environment, Exit, WatchPolicy};
use crate::os::{ExecPlan, Helper, Home, Output, Printed, Worker};

/// Builds at a time.
const BUILDS_AT_ONCE: usize = 2;
/// Threads that start them: one that hangs on a dead network folder leaves another.
const STARTERS: usize = 2;
/// What waits to be started.
const STARTS_MAX: usize = 256;
/// What is kept of the output of a build: its end.
const PRINTED_BYTES_MAX: usize = 64 << 10;
/// Lines of its output that are told when it fails.
const LINES_MAX: usize = 15;

/// Where builds are started, a few at a time; cheap to clone. Nothing is started for it before the first build.
#[derive(Clone, Debug)]
pub(super) struct Builders(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    threads: OnceLock<io::Result<Worker>>,
    turns: Semaphore,
    apps: Mutex<BTreeMap<AppId, OfApp>>,
}

/// The builds of one app: never two at the same time, since they write the same files.
#[derive(Debug, Default)]
struct OfApp {
    /// Whoever holds it builds.
    turn: Weak<tokio::sync::Mutex<()>>,
    /// The build before a start that is under way.
    before_start: Weak<SharedBuild>,
}

/// A build that several wait for. It ends with the last of them.
#[derive(Debug)]
struct SharedBuild {
    spec: Arc<App>,
    base: Arc<Environment>,
    end: watch::Receiver<Option<Result<(), BuildFailed>>>,
    work: JoinHandle<()>,
}

impl Drop for SharedBuild {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Default for Builders {
    fn default() -> Self {
        Self(Arc::new(Inner {
            threads: OnceLock::new(),
            turns: Semaphore::new(BUILDS_AT_ONCE),
            apps: Mutex::default(),
        }))
    }
}

impl Builders {
    /// The builds of an app; those of apps that build nothing any more are forgotten.
    fn of_app<T>(&self, app: AppId, take: impl FnOnce(&mut OfApp) -> T) -> T {
        let mut apps: MutexGuard<'_, _> = self.0.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = take(apps.entry(app).or_default());
        apps.retain(|_, builds| builds.turn.strong_count() > 0 || builds.before_start.strong_count() > 0);
        taken
    }

    fn turn(&self, app: AppId) -> Arc<tokio::sync::Mutex<()>> {
        self.of_app(app, |builds| {
            let turn = builds.turn.upgrade().unwrap_or_default();
            builds.turn = Arc::downgrade(&turn);
            turn
        })
    }

    /// The build before a start that is under way, if it is of the same spec and environment; else a new one.
    fn before_start(&self, home: &Home, spec: &Arc<App>, base: &Arc<Environment>) -> Arc<SharedBuild> {
        self.of_app(spec.id(), |builds| {
            let is_same = |shared: &Arc<SharedBuild>| {
                shared.end.borrow().is_none() && shared.spec == *spec && shared.base == *base
            };
            if let Some(shared) = builds.before_start.upgrade().filter(is_same) {
                return shared;
            }
            let (ended, end) = watch::channel(None);
            let build = build(self.clone(), home.clone(), Arc::clone(spec), Arc::clone(base));
            let work = tokio::spawn(async move { drop(ended.send(Some(build.await))) });
            let shared = Arc::new(SharedBuild { spec: Arc::clone(spec), base: Arc::clone(base), end, work });
            builds.before_start = Arc::downgrade(&shared);
            shared
        })
    }
}

/// Runs the build command of an app before its first process starts: whoever starts it meanwhile waits for the same build.
/// It is killed once nobody waits for it any more.
pub(super) async fn build_before_start(
    builders: Builders,
    home: Home,
    spec: Arc<App>,
    base: Arc<Environment>,
) -> Result<(), BuildFailed> {
    let shared = builders.before_start(&home, &spec, &base);
    let mut end = shared.end.clone();
    match end.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(result)) => result.clone(),
        Ok(None) | Err(_) => Err(BuildFailed { how: "the build was ended".to_owned(), last_lines: Vec::new() }),
    }
}

/// How a build failed. Secrets of the app are hidden.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuildFailed {
    /// In one line.
    pub how: String,
    /// The last lines that it printed.
    pub last_lines: Vec<String>,
}

impl fmt::Display for BuildFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.how)?;
        self.last_lines.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// Runs the build command of an app, in its context. Dropped before its end, it is killed.
pub(super) async fn build(
    builders: Builders,
    home: Home,
    spec: Arc<App>,
    base: Arc<Environment>,
) -> Result<(), BuildFailed> {
    let Some(line) = spec.watching.build.clone() else { return Ok(()) };
    let secrets = spec.secrets();
    let result = run(&builders, &home, &spec, &base, line, WatchPolicy::BUILD_MAX.duration()).await;
    let hide = |text: String| secrets.hide(&text).into_owned();
    result.map_err(|BuildFailed { how, last_lines }| BuildFailed {
        how: hide(how),
        last_lines: last_lines.into_iter().map(hide).collect(),
    })
}

async fn run(
    builders: &Builders,
    home: &Home,
    spec: &Arc<App>,
    base: &Arc<Environment>,
    line: String,
    limit: Duration,
) -> Result<(), BuildFailed> {
    let failed = |how: String| BuildFailed { how, last_lines: Vec::new() };
    let own = builders.turn(spec.id());
    let _own = own.lock().await;
    let _turn = builders.0.turns.acquire().await;
    let threads = builders.0.threads.get_or_init(|| Worker::start("pm-build", STARTERS, STARTS_MAX));
    let threads = threads.as_ref().map_err(|error| failed(format!("`{line}` cannot be started: {error}")))?;
    let (reply, started) = oneshot::channel();
    let (text, home, spec, base) = (line.clone(), home.clone(), Arc::clone(spec), Arc::clone(base));
    // Whoever is gone by then wants no build.
    let work = move || drop(reply.send(start(&spec, &base, &home, &text)));
    // A queue that is full drops the work: then there is no answer.
    let _ = threads.submit(Box::new(work));
    let mut helper = match started.await {
        Ok(started) => started.map_err(|error| failed(format!("`{line}` cannot be started: {error}")))?,
        Err(_) => return Err(failed(format!("`{line}` was not started: too many builds are waiting"))),
    };
    let how = match helper.end(limit).await {
        Ok(Some(Exit::Code(0))) => return Ok(()),
        Ok(Some(exit)) => format!("`{line}` ended with {exit}"),
        Ok(None) => format!("`{line}` took longer than {}", WatchPolicy::BUILD_MAX),
        Err(error) => format!("cannot wait for `{line}`: {error}"),
    };
    let failed = BuildFailed { how, last_lines: last_lines(helper.printed()) };
    helper.kill().await;
    Err(failed)
}

fn last_lines(printed: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(printed);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].iter().map(|line| (*line).to_owned()).collect()
}

fn start(spec: &Arc<App>, base: &Arc<Environment>, home: &Home, line: &str) -> Result<Helper, String> {
    let mut context =
        exec_context(&home.root, &spec.id().instance(0), spec, base, "").map_err(|refused| refused.to_string())?;
    // By it processes of an app are recognised; a build is none.
    context.env.remove("PM_ID");
    let (printed, ends) = Printed::open(PRINTED_BYTES_MAX).map_err(|error| error.to_string())?;
    let plan = ExecPlan::in_context(&context, line, Output::Opened(ends)).map_err(|error| error.to_string())?;
    Helper::start(plan, Some(printed)).map_err(|error| error.to_string())
}
