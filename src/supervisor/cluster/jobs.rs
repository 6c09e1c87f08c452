//! What may take its time and is done apart from the clusters' thread: a file system that hangs holds up one app's socket only.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::group::SocketOwner;
use super::refused::wanted_words;
use super::{WorkerSaid, WorkerWord};
use crate::cluster::{SocketId, WantedSocket, WorkerId};
use crate::os::{ElasticPool, Waker};

/// Jobs at a time; each may hang.
const THREADS_MAX: usize = 16;
/// Jobs that wait.
const WAITING_MAX: usize = 4096;
/// `EAGAIN`: too much is to be done.
const BUSY: i32 = 11;

/// A socket that was opened, or could not be.
#[derive(Debug)]
pub(super) struct OpenedSocket {
    pub group: u32,
    pub socket: SocketId,
    pub wanted: WantedSocket,
    /// The number of the error, as the kernel counts them.
    pub result: Result<OwnedFd, i32>,
}

/// What a job ends with.
enum JobEnd {
    Opened(OpenedSocket),
    Closed,
}

/// Threads for jobs, and what they have done.
pub(super) struct Jobs {
    pool: ElasticPool,
    waker: Waker,
    ended_in: Sender<JobEnd>,
    ended: Receiver<JobEnd>,
    /// Sockets that are being closed.
    closing: usize,
    /// Who waits until they are.
    settled: Vec<oneshot::Sender<()>>,
}

impl Jobs {
    pub(super) fn new(waker: Waker) -> Self {
        let (ended_in, ended) = channel();
        let pool = ElasticPool::new("pm-cluster-job", THREADS_MAX, WAITING_MAX);
        Self { pool, waker, ended_in, ended, closing: 0, settled: Vec::new() }
    }

    /// The next socket that was opened.
    pub(super) fn next(&mut self) -> Option<OpenedSocket> {
        loop {
            match self.ended.try_recv().ok()? {
                JobEnd::Opened(opened) => return Some(opened),
                JobEnd::Closed => {
                    self.closing = self.closing.saturating_sub(1);
                    if self.closing == 0 {
                        // Who asked may have gone away.
                        for reply in self.settled.drain(..) {
                            let _ = reply.send(());
                        }
                    }
                }
            }
        }
    }

    /// Opens a socket. `Err`: it is not even begun.
    pub(super) fn open(
        &self,
        owner: Arc<SocketOwner>,
        group: u32,
        socket: SocketId,
        wanted: WantedSocket,
    ) -> Result<(), i32> {
        let (ended, waker) = (self.ended_in.clone(), self.waker.clone());
        let work = move || {
            let result = owner.open(&wanted);
            // The service is gone only when the daemon leaves.
            let _ = ended.send(JobEnd::Opened(OpenedSocket { group, socket, wanted, result }));
            waker.wake();
        };
        self.pool.submit(Box::new(work)).map_err(|_| BUSY)
    }

    /// Closes a socket for everybody who has it, and removes its file.
    pub(super) fn close(&mut self, owner: Arc<SocketOwner>, wanted: WantedSocket, socket: OwnedFd) {
        let (ended, waker) = (self.ended_in.clone(), self.waker.clone());
        self.closing += 1;
        let work = move || {
            owner.close(&wanted, &socket);
            let _ = ended.send(JobEnd::Closed);
            waker.wake();
        };
        if self.pool.submit(Box::new(work)).is_err() {
            // Its file stays; the socket is closed with the job.
            self.closing -= 1;
        }
    }

    /// Answers when no socket is being closed.
    pub(super) fn settle(&mut self, reply: oneshot::Sender<()>) {
        if self.closing == 0 {
            let _ = reply.send(());
        } else {
            self.settled.push(reply);
        }
    }

    /// Tells why a worker does not get an address.
    pub(super) fn explain(
        &self,
        words: UnboundedSender<WorkerWord>,
        worker: WorkerId,
        incarnation: u32,
        wanted: WantedSocket,
        errno: i32,
    ) {
        let work = move || {
            let said = WorkerSaid::Refused(wanted_words(&wanted, errno));
            let _ = words.send(WorkerWord { row: worker - 1, incarnation, said });
        };
        // With too much to do it is not told; the app has its error.
        let _ = self.pool.submit(Box::new(work));
    }
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs").field("closing", &self.closing).finish_non_exhaustive()
    }
}
