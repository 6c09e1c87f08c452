//! All watched processes behind one descriptor of the runtime.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::pidfd::PidFd;
use super::poller::{NO_EVENT, new_epoll, wait};
use crate::model::Millis;

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
        // SAFETY: an `OwnedFd` is a valid descriptor, and nobody closes or replaces it while the watch owns it.
        let epoll = unsafe { AsyncFd::register_with_interest(new_epoll()?, Interest::READABLE)? };
        Ok(Self { epoll })
    }

    /// Watches `process`; its end is reported once, as `token`.
    ///
    /// # Errors
    /// `EEXIST`: it is watched already. `ENOSPC`: the limit of watches is reached.
    pub fn add(&self, process: &PidFd, token: u64) -> io::Result<()> {
        let events = EventFlags::IN | EventFlags::ONESHOT;
        Ok(epoll::add(self.epoll.get_ref(), process, EventData::new_u64(token), events)?)
    }

    /// Watches for the moment at which a process that has ended is reaped, told as `token` once more: from then on
    /// [`PidFd::exit_info`] can know. Kernels before 6.9 never tell.
    ///
    /// # Errors
    /// `ENOENT`: it was not watched.
    pub fn await_reaping(&self, process: &PidFd, token: u64) -> io::Result<()> {
        // EPOLLHUP needs no asking, and EPOLLIN has been told.
        Ok(epoll::modify(self.epoll.get_ref(), process, EventData::new_u64(token), EventFlags::ONESHOT)?)
    }

    /// Ends the watch. Always before the pidfd is dropped.
    ///
    /// # Errors
    /// `ENOENT`: it was not watched.
    pub fn remove(&self, process: &PidFd) -> io::Result<()> {
        Ok(epoll::delete(self.epoll.get_ref(), process)?)
    }

    /// Waits until watched processes have ended and names their tokens. Cancel-safe.
    ///
    /// # Errors
    /// The runtime is gone.
    pub async fn next(&mut self) -> io::Result<Vec<u64>> {
        loop {
            let mut ready = self.epoll.readable().await?;
            let mut events = [NO_EVENT; EXITS_MAX];
            let count = wait(self.epoll.get_ref().as_fd(), &mut events, Some(Millis(0)))?;
            if count > 0 {
                // Not cleared: whatever did not fit in is taken by the next call.
                return Ok(events[..count].iter().map(|event| event.data.u64()).collect());
            }
            ready.clear_ready();
        }
    }
}

/// Tells which of the watched descriptors have something to read, again and again until it was read.
#[derive(Debug)]
pub struct InputWatch {
    watch: ExitWatch,
}

impl InputWatch {
    /// Watches nothing yet. Must be called inside the runtime.
    ///
    /// # Errors
    /// No descriptors left; no runtime.
    pub fn new() -> io::Result<Self> {
        Ok(Self { watch: ExitWatch::new()? })
    }

    /// Watches a descriptor; that it can be read is reported as `token`.
    ///
    /// # Errors
    /// `EEXIST`: it is watched already.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        Ok(epoll::add(self.watch.epoll.get_ref(), fd, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Watches a descriptor for more than is there already: told once per arrival, whether it was read or not.
    ///
    /// # Errors
    /// `EEXIST`: it is watched already.
    pub fn add_news(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let events = EventFlags::IN | EventFlags::ET;
        Ok(epoll::add(self.watch.epoll.get_ref(), fd, EventData::new_u64(token), events)?)
    }

    /// Ends the watch. Always before the descriptor is closed.
    ///
    /// # Errors
    /// `ENOENT`: it was not watched.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(self.watch.epoll.get_ref(), fd)?)
    }

    /// Waits until something can be read and names the tokens. Cancel-safe.
    ///
    /// # Errors
    /// The runtime is gone.
    pub async fn next(&mut self) -> io::Result<Vec<u64>> {
        self.watch.next().await
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn each_exit_is_told_once_and_a_removed_watch_is_silent() {
        let mut watch = ExitWatch::new().unwrap();
        let mut children: Vec<_> =
            (0..3).map(|_| Command::new("/bin/cat").stdin(std::process::Stdio::piped()).spawn().unwrap()).collect();
        let processes: Vec<_> = children.iter().map(|child| PidFd::open(child.id()).unwrap()).collect();
        for (process, token) in processes.iter().zip(0..) {
            watch.add(process, token).unwrap();
        }
        watch.remove(&processes[1]).unwrap();
        drop(children[1].stdin.take());
        children[1].wait().unwrap();
        drop(children[0].stdin.take());
        assert_eq!(watch.next().await.unwrap(), [0]);
        assert!(processes[0].has_exited() && !processes[2].has_exited());
        watch.await_reaping(&processes[0], 7).unwrap();
        children[0].wait().unwrap();
        if processes[0].exit_info().is_some() {
            assert_eq!(watch.next().await.unwrap(), [7]); // Linux 6.15 and later
        }
        processes[2].signal(libc::SIGKILL).unwrap();
        assert_eq!(watch.next().await.unwrap(), [2]);
        children[2].wait().unwrap();
        if let Some(exit) = processes[2].exit_info() {
            assert_eq!(exit, crate::model::Exit::Signal(libc::SIGKILL)); // Linux 6.15 and later
        }
    }
}
