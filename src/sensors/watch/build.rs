//! A build for changed files: whether what runs may be replaced.

use tokio::task::JoinHandle;

use crate::model::{Cause, Declared};
use crate::supervisor::{BuildFailed, Supervisor};

/// A build under way. Dropping it kills the command.
#[derive(Debug)]
pub(super) struct Build {
    /// What it is for.
    pub cause: Cause,
    work: JoinHandle<Result<(), BuildFailed>>,
}

impl Build {
    /// Starts it in the app's context; `None`: the app needs none.
    pub(super) fn start(supervisor: &Supervisor, declared: &Declared, cause: Cause) -> Option<Self> {
        declared.spec.watching.build.as_ref()?;
        let work = supervisor.build(declared.spec.clone(), declared.base.clone());
        Some(Self { cause, work: tokio::spawn(work) })
    }

    /// Waits for its end: `Ok` if it succeeded, else how it ended, with the last of what it printed. Cancel-safe.
    pub(super) async fn ended(&mut self) -> Result<(), String> {
        let result = (&mut self.work).await.map_err(|error| error.to_string())?;
        result.map_err(|failed| failed.to_string())
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        self.work.abort();
    }
}
