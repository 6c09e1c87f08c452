//! Work that waits for the disk, off the runtime's thread.

use tokio::sync::oneshot;

use super::Context;
use crate::wire::{Problem, ProblemCode};

impl Context {
    /// Runs `work` on a reader thread and waits for what it gives back.
    ///
    /// # Errors
    /// Too much is waiting already, or the work failed to end.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = || Problem::new(ProblemCode::Busy, "too many readers are waiting for the disk").hint("try again");
        let (reply, answer) = oneshot::channel();
        let work = Box::new(move || {
            // A caller that went away needs no answer.
            let _ = reply.send(work());
        });
        self.reader.submit(work).map_err(|_| busy())?;
        answer.await.map_err(|_| Problem::new(ProblemCode::NotRead, "reading failed"))
    }
}
