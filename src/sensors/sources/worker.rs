//! The process of one look: started, waited for, and what it printed last.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::model::{ExecContext, Exit, Limits, Millis, SourceName, TickEnd};
use crate::os::{self, ExecPlan, Helper, Home, Output, Printed, Worker};

/// The program that this daemon is made of, whatever lies at its path by now.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// What is kept of the output of a worker: its end.
const PRINTED_BYTES_MAX: usize = 16 << 10;
/// A worker that takes longer is ended.
const WORKER_MAX: Duration = Duration::from_hours(2);

/// Runs the worker of one look to its end.
pub(super) async fn look(home: Home, threads: Worker, source: &SourceName, is_forced: bool) -> TickEnd {
    let (reply, answer) = oneshot::channel();
    let (root, name) = (home.clone(), source.clone());
    // Whoever is gone by then wants no look.
    let work = move || drop(reply.send(start_worker(&root, &name, is_forced)));
    // A queue that is full drops the work: then there is no answer.
    let _ = threads.submit(Box::new(work));
    let trouble = |words: String| TickEnd { words, exit_code: 1, is_unreachable: true, ..TickEnd::default() };
    let mut helper = match answer.await {
        Ok(Ok(helper)) => helper,
        Ok(Err(why)) => return trouble(format!("its worker cannot be started: {why}")),
        Err(_) => return trouble("its worker was not started: too many are waiting".to_owned()),
    };
    let how = match helper.end(WORKER_MAX).await {
        Ok(Some(Exit::Code(_))) => match helper.last_line().and_then(|line| serde_json::from_str(&line).ok()) {
            Some(end) => return end,
            None => "its worker ended without a word".to_owned(),
        },
        Ok(Some(exit)) => format!("its worker ended with {exit}"),
        Ok(None) => {
            format!("its worker took longer than {}", Millis(u64::try_from(WORKER_MAX.as_millis()).unwrap_or(0)))
        }
        Err(error) => format!("cannot wait for its worker: {error}"),
    };
    helper.kill().await;
    trouble(format!("{how}; what it had begun goes on with the next look"))
}

fn start_worker(home: &Home, source: &SourceName, is_forced: bool) -> Result<Helper, String> {
    let mut env = os::environment();
    // What was set for another repository (in a hook, say) is not meant for this one.
    env.retain(|name, _| !name.starts_with("GIT_"));
    env.insert("PM_HOME".to_owned(), home.root.to_string_lossy().into_owned());
    let context = ExecContext { env, cwd: home.root.clone(), identity: None, umask: 0o077, limits: Limits::default() };
    let mut words = vec!["pm".to_owned(), "source-worker".to_owned(), source.to_string()];
    words.extend(is_forced.then(|| "--force".to_owned()));
    let (printed, ends) = Printed::open(PRINTED_BYTES_MAX).map_err(|error| error.to_string())?;
    let plan = ExecPlan::new(&context, OWN_PROGRAM, &words, Output::Opened(ends)).map_err(|error| error.to_string())?;
    Helper::start(ExecPlan { dies_with_caller: true, ..plan }, Some(printed)).map_err(|error| error.to_string())
}
