//! Threads for work that may block: spawning, storing, reading files.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

/// A piece of work.
type Work = Box<dyn FnOnce() + Send>;

/// The queue is full; the work was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work queue is full")]
pub struct Full;

/// A few threads behind one bounded queue; cheap to clone. Work is begun in the order in which it came, and
/// what was taken is done even if every handle is gone; then the threads end.
#[derive(Clone, Debug)]
pub struct Worker {
    queue: SyncSender<Work>,
}

impl Worker {
    /// Starts `threads` threads called `name`, for at most `queue_max` waiting pieces of work.
    ///
    /// # Errors
    /// The kernel refuses a thread.
    pub fn start(name: &str, threads: usize, queue_max: usize) -> io::Result<Self> {
        let (queue, work) = sync_channel(queue_max);
        let work = Arc::new(Mutex::new(work));
        for _ in 0..threads.max(1) {
            let work = Arc::clone(&work);
            Builder::new().name(name.to_owned()).stack_size(256 << 10).spawn(move || run(&work))?;
        }
        Ok(Self { queue })
    }

    /// Queues a piece of work. Never waits.
    ///
    /// # Errors
    /// The queue is full.
    pub fn submit(&self, work: Box<dyn FnOnce() + Send>) -> Result<(), Full> {
        self.queue.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Full,
        })
    }
}

fn run(queue: &Mutex<Receiver<Work>>) {
    loop {
        // The lock is held while waiting: the next thread waits for the lock instead of the queue, no work is lost.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // A piece of work that panics must not take the thread, and all work behind it, along.
        let _told: Result<(), Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(work));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn work_is_done_in_order_and_a_panic_stops_nothing() {
        let worker = Worker::start("test", 1, 8).unwrap();
        let (done, results) = channel();
        worker.submit(Box::new(|| panic!("as planned"))).unwrap();
        for number in 0..3 {
            let done = done.clone();
            worker.submit(Box::new(move || done.send(number).unwrap())).unwrap();
        }
        drop((worker, done));
        assert_eq!(results.iter().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_full_queue_says_so_at_once() {
        let worker = Worker::start("test", 1, 1).unwrap();
        let (go, gate) = channel::<()>();
        let (begun, begins) = channel();
        worker
            .submit(Box::new(move || {
                begun.send(()).unwrap();
                let _ended = gate.recv();
            }))
            .unwrap();
        begins.recv().unwrap();
        worker.submit(Box::new(|| {})).unwrap();
        assert_eq!(worker.submit(Box::new(|| {})), Err(Full));
        drop(go);
    }
}
