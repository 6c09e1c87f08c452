//! The store on a thread of its own: an fsync never blocks the runtime.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::ReconcileError;
use crate::anchor::{Row, Table};
use crate::model::{App, Change, Digest, Environment, with_causes};
use crate::os::Worker;
use crate::store::Store;
use crate::supervisor::Specs;

/// The way to the store. One commit at a time, in order.
#[derive(Clone, Debug)]
pub struct StoreHandle {
    store: Arc<Mutex<Store>>,
    worker: Worker,
    table: Table,
}

impl StoreHandle {
    /// Puts the store behind `worker`, which must have one thread. What the rows of `table` name is never forgotten.
    pub fn new(store: Store, worker: Worker, table: Table) -> Self {
        Self { store: Arc::new(Mutex::new(store)), worker, table }
    }

    /// Has a copy of the state made beside its file, before the first change and without anybody waiting for it. On a
    /// full disk the older copy stays, and the first change tells.
    pub fn copy_soon(&self) {
        let handle = self.clone();
        let copy = move || drop(handle.store.lock().unwrap_or_else(PoisonError::into_inner).keep_copy());
        // The queue is empty: nothing was submitted yet.
        let _ = self.worker.submit(Box::new(copy));
    }

    /// Keeps the changes durably; when this returns they survive a power cut.
    ///
    /// # Errors
    /// They could not be written; then none of them was kept.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<(), ReconcileError> {
        let (reply, result) = oneshot::channel();
        let handle = self.clone();
        let work = move || {
            let committed = handle.store.lock().unwrap_or_else(PoisonError::into_inner).commit(&changes);
            // The reconciler waits for it, unless the daemon is leaving.
            let _ = reply.send(committed);
            handle.forget_unused();
        };
        let full = |message: &str| ReconcileError::NotStored { message: message.to_owned() };
        self.worker.submit(Box::new(work)).map_err(|_| full("too many changes are waiting to be written"))?;
        let committed = result.await.map_err(|_| full("the writing thread ended"))?;
        committed.map_err(|error| full(&with_causes(&error)))
    }
}

impl StoreHandle {
    /// Specs that neither Desired nor a spawn record names make the state file long. A file that cannot be shortened
    /// stays as it is, and is tried again after the next commit.
    fn forget_unused(&self) {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if store.should_compact() {
            let records = self.table.rows().map(Row::record);
            let _ = store.compact(&records.flat_map(|record| [record.digest, record.base_digest]).collect());
        }
    }
}

impl Specs for StoreHandle {
    fn spec(&self, digest: &Digest) -> Option<Arc<App>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).spec(digest)
    }

    fn base(&self, digest: &Digest) -> Option<Arc<Environment>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).base(digest)
    }
}
