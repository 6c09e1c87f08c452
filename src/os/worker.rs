//! Threads for work that may block: spawning, storing, reading files.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

/// Starts a thread that runs for as long as it likes.
///
/// # Errors
/// The kernel refuses a thread.
pub fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Builder::new().name(name.to_owned()).stack_size(256 << 10).spawn(work).map(drop)
}

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

/// Threads that exist only while there is work for them; cheap to clone. For work that is rare and may take long.
#[derive(Clone)]
pub struct ElasticPool(Arc<ElasticPoolShared>);

struct ElasticPoolShared {
    name: &'static str,
    threads_max: usize,
    queue_max: usize,
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    queue: VecDeque<Work>,
    threads: usize,
}

impl std::fmt::Debug for ElasticPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pool {} of {} threads", self.0.name, self.0.threads_max)
    }
}

impl ElasticPool {
    /// No thread yet; `threads_max` at a time, and `queue_max` pieces of work that wait beyond that.
    pub fn new(name: &'static str, threads_max: usize, queue_max: usize) -> Self {
        Self(Arc::new(ElasticPoolShared { name, threads_max, queue_max, state: Mutex::default() }))
    }

    /// Queues a piece of work. Never waits.
    ///
    /// # Errors
    /// The queue is full, or the kernel refuses the first thread.
    pub fn submit(&self, work: Box<dyn FnOnce() + Send>) -> Result<(), Full> {
        let mut state = self.0.state();
        if state.queue.len() >= self.0.queue_max {
            return Err(Full);
        }
        state.queue.push_back(work);
        if state.threads < self.0.threads_max {
            let pool = self.clone();
            let name = self.0.name.to_owned();
            match Builder::new().name(name).stack_size(256 << 10).spawn(move || pool.run()) {
                Ok(_) => state.threads += 1,
                Err(_) if state.threads == 0 => {
                    state.queue.pop_back();
                    return Err(Full);
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn run(&self) {
        loop {
            let next = {
                let mut state = self.0.state();
                let next = state.queue.pop_front();
                state.threads -= usize::from(next.is_none());
                next
            };
            let Some(work) = next else { return };
            let _told: Result<(), Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(work));
        }
    }
}

impl ElasticPoolShared {
    fn state(&self) -> std::sync::MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_crew_does_all_work_and_leaves_no_thread_behind() {
        let pool = ElasticPool::new("test", 2, 8);
        let (done, results) = channel();
        for number in 0..8 {
            let done = done.clone();
            while pool
                .submit(Box::new({
                    let done = done.clone();
                    move || done.send(number).unwrap()
                }))
                .is_err()
            {}
        }
        drop(done);
        let mut all: Vec<i32> = results.iter().collect();
        all.sort_unstable();
        assert_eq!(all, (0..8).collect::<Vec<_>>());
        while pool.0.state().threads > 0 {
            std::thread::yield_now();
        }
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
