//! All watched processes behind one descriptor of the runtime.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use tokio::io::unix::AsyncFd;

use super::pidfd::PidFd;
use super::poller;

/// Exits taken per wake-up; more follow at the next one.
const EXITS_MAX: usize = 256;

/// Tells which of the watched processes have ended. Belongs to the task that calls [`Self::next`].
///
/// An epoll of its own, of which the runtime sees one descriptor: a thousand processes cost the runtime
/// nothing, and each process can be *removed before its pidfd is closed*. That order matters: a child between
/// `clone` and `exec` still holds copies of our descriptors, so closing alone does not end the watch, and a ghost
/// would fire for the next process that gets the same token.
#[derive(Debug)]
pub struct ExitWatch {
    epoll: AsyncFd<OwnedFd>,
}

impl ExitWatch {
    /// Watches nothing yet. Must be called inside the runtime.
    ///
    /// # Errors
    /// No descriptors left; no runtime.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: AsyncFd::new(poller::epoll()?)? })
    }

    /// Watches `process`; its end is told once, as `token`.
    ///
    /// # Errors
    /// `EEXIST`: it is watched already. `ENOSPC`: the limit of watches is reached.
    pub fn add(&self, process: &PidFd, token: u64) -> io::Result<()> {
        let events = libc::EPOLLIN | libc::EPOLLONESHOT;
        poller::control(self.epoll.get_ref().as_fd(), libc::EPOLL_CTL_ADD, process.as_fd(), events, token)
    }

    /// Ends the watch. Always before the pidfd is dropped.
    ///
    /// # Errors
    /// `ENOENT`: it was not watched.
    pub fn remove(&self, process: &PidFd) -> io::Result<()> {
        poller::control(self.epoll.get_ref().as_fd(), libc::EPOLL_CTL_DEL, process.as_fd(), 0, 0)
    }

    /// Waits until watched processes have ended and names their tokens. Cancel-safe.
    ///
    /// # Errors
    /// The runtime is gone.
    pub async fn next(&mut self) -> io::Result<Vec<u64>> {
        loop {
            let mut ready = self.epoll.readable().await?;
            let mut events = [libc::epoll_event { events: 0, u64: 0 }; EXITS_MAX];
            let count = poller::wait(self.epoll.get_ref().as_raw_fd(), &mut events, 0)?;
            if count > 0 {
                // Not cleared: whatever did not fit in is taken by the next call.
                return Ok(events[..count].iter().map(|event| event.u64).collect());
            }
            ready.clear_ready();
        }
    }
}
