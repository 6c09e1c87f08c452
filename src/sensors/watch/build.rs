//! A build command → whether what runs may be replaced.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::model::{AppId, Cause, Declared, Exit, Millis, Secrets};
use crate::os::{ExecPlan, Helper, Home, Output, Printed, Worker};
use crate::supervisor::exec_context;

/// A build that takes longer has failed.
const BUILD_MAX: Millis = Millis::seconds(15 * 60);
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

/// Where builds are started, a few at a time.
#[derive(Clone, Debug)]
pub(super) struct Builders {
    threads: Worker,
    turns: Arc<Semaphore>,
}

impl Builders {
    /// # Errors
    /// The kernel refuses a thread.
    pub(super) fn new() -> std::io::Result<Self> {
        let threads = Worker::start("pm-build", STARTERS, STARTS_MAX)?;
        Ok(Self { threads, turns: Arc::new(Semaphore::new(BUILDS_AT_ONCE)) })
    }
}

/// A build under way. Dropping it kills the command.
#[derive(Debug)]
pub(super) struct Build {
    /// What it is for.
    pub cause: Cause,
    /// What its output may repeat.
    secrets: Secrets,
    work: JoinHandle<Result<(), String>>,
}

impl Build {
    /// Starts it in the app's context.
    pub(super) fn start(builders: &Builders, home: &Home, declared: &Declared, cause: Cause) -> Option<Self> {
        let line = declared.spec.watching.build.clone()?;
        let secrets = declared.spec.secrets();
        let work = run(builders.clone(), declared.clone(), home.clone(), line, BUILD_MAX.duration());
        Some(Self { cause, secrets, work: tokio::spawn(work) })
    }

    /// Waits for its end: `Ok` if it succeeded, else how it ended, with the last of what it printed. Cancel-safe.
    pub(super) async fn ended(&mut self) -> Result<(), String> {
        let result = (&mut self.work).await.unwrap_or_else(|error| Err(error.to_string()));
        result.map_err(|message| self.secrets.hide(&message).into_owned())
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn run(builders: Builders, declared: Declared, home: Home, line: String, limit: Duration) -> Result<(), String> {
    let _turn = builders.turns.acquire().await;
    let (reply, started) = oneshot::channel();
    let text = line.clone();
    // Whoever is gone by then wants no build.
    let work = move || drop(reply.send(start(&declared, &home, &text)));
    // A queue that is full drops the work: then there is no answer.
    let _ = builders.threads.submit(Box::new(work));
    let mut helper = match started.await {
        Ok(started) => started.map_err(|error| format!("`{line}` cannot be started: {error}"))?,
        Err(_) => return Err(format!("`{line}` was not started: too many builds are waiting")),
    };
    let how = match helper.end(limit).await {
        Ok(Some(Exit::Code(0))) => return Ok(()),
        Ok(Some(exit)) => format!("`{line}` ended with {exit}"),
        Ok(None) => format!("`{line}` took longer than {BUILD_MAX}"),
        Err(error) => format!("cannot wait for `{line}`: {error}"),
    };
    let message = with_last_lines(&how, helper.printed());
    helper.kill().await;
    Err(message)
}

fn with_last_lines(how: &str, printed: &[u8]) -> String {
    let text = String::from_utf8_lossy(printed);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES_MAX)..];
    std::iter::once(how).chain(last.iter().copied()).collect::<Vec<_>>().join("\n  ")
}

fn start(declared: &Declared, home: &Home, line: &str) -> Result<Helper, String> {
    let instance = AppId::new(declared.spec.project.clone(), declared.spec.name.clone()).instance(0);
    let mut context = exec_context(&home.root, &instance, &declared.spec, &declared.base, "")
        .map_err(|refused| refused.to_string())?;
    // By it processes of an app are recognised; a build is none.
    context.env.remove("PM_ID");
    let (printed, ends) = Printed::open(PRINTED_BYTES_MAX).map_err(|error| error.to_string())?;
    let plan = ExecPlan::in_context(&context, line, Output::Opened(ends)).map_err(|error| error.to_string())?;
    Helper::start(plan, Some(printed)).map_err(|error| error.to_string())
}
