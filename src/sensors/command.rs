//! Probes with a command that runs in the app's context.

use super::probe::{ProbeSubject, timed_out};
use crate::model::{Exit, Millis};
use crate::supervisor::Supervisor;

/// Runs it once; what it started ends with it, at the time limit at the latest.
pub(super) async fn ask(
    supervisor: &Supervisor,
    subject: &ProbeSubject,
    line: String,
    limit: Millis,
) -> Result<(), String> {
    let started = supervisor.run_probe(subject.instance.clone(), subject.incarnation, line).await;
    let mut run = started.ok_or_else(|| "the process is gone".to_owned())??;
    match run.end(limit.duration()).await {
        Ok(Some(Exit::Code(0))) => Ok(()),
        Ok(Some(exit)) => Err(match run.last_line() {
            Some(line) => format!("{exit}: {line}"),
            None => exit.to_string(),
        }),
        Ok(None) => Err(timed_out(limit)),
        Err(error) => Err(format!("cannot wait for the command: {error}")),
    }
}
