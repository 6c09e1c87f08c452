//! The store behind a thread of its own: an fsync never holds the runtime up.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::ReconcileError;
use crate::model::{App, Change, Digest, Environment};
use crate::os::Worker;
use crate::store::Store;
use crate::supervisor::Specs;

/// The way to the store. One commit at a time, in order.
#[derive(Clone, Debug)]
pub struct Keeper {
    store: Arc<Mutex<Store>>,
    worker: Worker,
}

impl Keeper {
    /// Puts the store behind `worker`, which must have one thread.
    pub fn new(store: Store, worker: Worker) -> Self {
        Self { store: Arc::new(Mutex::new(store)), worker }
    }

    /// Keeps the changes durably; when this returns they survive a power cut.
    ///
    /// # Errors
    /// They could not be written; then none of them was kept.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<(), ReconcileError> {
        let (reply, result) = oneshot::channel();
        let store = Arc::clone(&self.store);
        let work = move || {
            let committed = store.lock().unwrap_or_else(PoisonError::into_inner).commit(&changes);
            // The reconciler waits for it, unless the daemon is leaving.
            let _ = reply.send(committed);
        };
        let full = |message: &str| ReconcileError::NotStored { message: message.to_owned() };
        self.worker.submit(Box::new(work)).map_err(|_| full("too many changes are waiting to be written"))?;
        let committed = result.await.map_err(|_| full("the writing thread ended"))?;
        committed.map_err(|error| full(&with_causes(&error)))
    }
}

impl Specs for Keeper {
    fn spec(&self, digest: &Digest) -> Option<Arc<App>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).spec(digest)
    }

    fn base(&self, digest: &Digest) -> Option<Arc<Environment>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).base(digest)
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
