//! The pipes that come out of apps, by row; several threads may ask for the same ones.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::os;

/// Standard output and standard error.
pub(super) type Pipes = [Arc<OwnedFd>; 2];

/// The pipes by rows.
#[derive(Debug)]
pub struct Outputs {
    /// New pipes get lower descriptors than this: the last ones are for others.
    descriptors_end: u64,
    rows: Mutex<BTreeMap<u32, Entry>>,
    made: Condvar,
}

#[derive(Debug)]
enum Entry {
    /// A thread is about to put them here.
    Coming,
    There(Pipes),
}

impl Outputs {
    /// None yet; new ones get descriptors below `descriptors_end`.
    pub fn below(descriptors_end: u64) -> Self {
        Self { descriptors_end, rows: Mutex::default(), made: Condvar::new() }
    }

    pub(super) fn make(&self) -> io::Result<Arc<OwnedFd>> {
        os::below(os::output_pipe()?, self.descriptors_end).map(Arc::new)
    }

    /// The pipes of a row. `None`: they are for the caller to make, and to [`Self::put`]; everybody else waits.
    pub(super) fn get_or_claim(&self, row: u32) -> Option<Pipes> {
        let mut rows = self.lock();
        loop {
            match rows.get(&row) {
                Some(Entry::There(pipes)) => return Some(pipes.clone()),
                Some(Entry::Coming) => rows = self.made.wait(rows).unwrap_or_else(PoisonError::into_inner),
                None => {
                    rows.insert(row, Entry::Coming);
                    return None;
                }
            }
        }
    }

    /// `None`: they could not be made, and the next one may try.
    pub(super) fn put(&self, row: u32, pipes: Option<Pipes>) {
        let mut rows = self.lock();
        match pipes {
            Some(pipes) => rows.insert(row, Entry::There(pipes)),
            None => rows.remove(&row),
        };
        self.made.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Entry>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
