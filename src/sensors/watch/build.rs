//! A build command on a thread of its own → whether what runs may be replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use crate::model::{AppId, Cause, Declared, Exit, Millis, Secrets};
use crate::os::{self, CommandEnd, CommandLine, Home, Worker};
use crate::supervisor::exec_context;

/// A build that takes longer has failed.
const BUILD_MAX: Millis = Millis::seconds(15 * 60);
/// Lines of its output that are told when it fails.
const LINES_MAX: usize = 15;

/// A build under way. Dropping it kills the command.
#[derive(Debug)]
pub(super) struct Build {
    /// What it is for.
    pub cause: Cause,
    line: String,
    /// What its output may repeat.
    secrets: Secrets,
    is_cancelled: Arc<AtomicBool>,
    end: oneshot::Receiver<Result<(CommandEnd, Vec<u8>), String>>,
}

impl Build {
    /// Starts it in the app's context.
    pub(super) fn start(builders: &Worker, home: &Home, declared: &Declared, cause: Cause) -> Option<Self> {
        let line = declared.spec.watching.build.clone()?;
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let (told, end) = oneshot::channel();
        let secrets = declared.spec.secrets();
        let build = Self { cause, line: line.clone(), secrets, is_cancelled: Arc::clone(&is_cancelled), end };
        let (declared, home) = (declared.clone(), home.clone());
        let work = move || {
            let result = command(&declared, &home, line)
                .and_then(|command| os::run_command(&command, &is_cancelled).map_err(|error| error.to_string()));
            // The app may be gone by now.
            let _ = told.send(result);
        };
        // A queue that is full drops the work: then the end says so.
        let _ = builders.submit(Box::new(work));
        Some(build)
    }

    /// Waits for its end: `Ok` if it succeeded, else how it ended, with the last of what it printed. Cancel-safe.
    pub(super) async fn ended(&mut self) -> Result<(), String> {
        let result = self.result().await;
        result.map_err(|message| self.secrets.hide(&message).into_owned())
    }

    async fn result(&mut self) -> Result<(), String> {
        let line = &self.line;
        let (end, output) = match (&mut self.end).await {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => return Err(format!("`{line}` cannot be started: {error}")),
            Err(_) => return Err(format!("`{line}` was not started: too many builds are waiting")),
        };
        let how = match end {
            CommandEnd::Ended(Exit::Code(0)) => return Ok(()),
            CommandEnd::Ended(exit) => format!("`{line}` ended with {exit}"),
            CommandEnd::TimedOut => format!("`{line}` took longer than {BUILD_MAX}"),
            CommandEnd::Cancelled => format!("`{line}` was no longer needed"),
        };
        let text = String::from_utf8_lossy(&output);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(LINES_MAX)..];
        Err(std::iter::once(how.as_str()).chain(last.iter().copied()).collect::<Vec<_>>().join("\n  "))
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }
}

fn command(declared: &Declared, home: &Home, text: String) -> Result<CommandLine, String> {
    let instance = AppId::new(declared.spec.project.clone(), declared.spec.name.clone()).instance(0);
    let mut context = exec_context(&home.root, &instance, &declared.spec, &declared.base, "")
        .map_err(|refused| refused.to_string())?;
    // By it processes of an app are recognised; a build is none.
    context.env.remove("PM_ID");
    Ok(CommandLine { text, context, timeout: BUILD_MAX })
}
