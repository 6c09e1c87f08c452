//! The kernel calls of the pump that std does not offer.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size};

use crate::model::WallTime;

/// Most events that are requested at once.
const EVENTS_MAX: usize = 255;

/// Tells which of many pipes can be read.
#[derive(Debug)]
pub(super) struct Epoll(OwnedFd);

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    pub(super) fn add(&self, fd: BorrowedFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.0, fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?)
    }

    /// Always before closing: a child between clone and exec may keep the pipe open a moment longer,
    /// and a registration lives as long as the pipe does.
    pub(super) fn remove(&self, fd: BorrowedFd) -> io::Result<()> {
        Ok(epoll::delete(&self.0, fd)?)
    }

    /// Replaces `ready` by the tokens of what can be read, at most 255 of them; none after `timeout`.
    pub(super) fn wait(&self, ready: &mut Vec<u64>, timeout: Option<Duration>) -> io::Result<()> {
        let mut events = [const { std::mem::MaybeUninit::uninit() }; EVENTS_MAX];
        ready.clear();
        // `epoll_wait` counts whole milliseconds; busy pipes need less.
        if let Some(timeout) = timeout
            && !poll_within(self.0.as_fd(), timeout)
        {
            return Ok(());
        }
        let at_once = Timespec::default();
        match epoll::wait(&self.0, &mut events, timeout.map(|_| &at_once)) {
            Ok((events, _)) => ready.extend(events.iter().map(|event| event.data.u64())),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// An eventfd: wakes a thread that waits for pipes.
#[derive(Debug)]
pub(super) struct PumpWaker(OwnedFd);

impl PumpWaker {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Wakes the thread. Waking it twice is the same as once, so no error matters.
    pub(super) fn wake(&self) {
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    pub(super) fn reset(&self) {
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }

    /// Sleeps until somebody rings, at most this long. Does not reset.
    pub(super) fn sleep(&self, at_most: Duration) {
        poll_within(self.0.as_fd(), at_most);
    }
}

/// Waits until a descriptor can be read, at most this long; whether it can. An error looks like a readable one.
fn poll_within(fd: BorrowedFd, at_most: Duration) -> bool {
    let time = Timespec::try_from(at_most).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
    poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&time)) != Ok(0)
}

/// Moves bytes from a pipe into a file inside the kernel: at `at`, or wherever a device takes them.
///
/// For a kill at any moment each byte is either still in the pipe or already in the file.
pub(super) fn splice(pipe: BorrowedFd, file: BorrowedFd, mut at: Option<u64>, max: usize) -> io::Result<usize> {
    if at.is_some_and(|at| i64::try_from(at).is_err()) {
        return Err(Errno::FBIG.into());
    }
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    Ok(rustix::pipe::splice(pipe, None, file, at.as_mut(), max, flags)?)
}

/// Takes what is in a pipe, as much as fits; 0 if there is nothing. For the one reader of a pipe: never waits.
pub(super) fn take(pipe: BorrowedFd, buffer: &mut [u8]) -> usize {
    let size = buffer.len().min(usize::try_from(waiting_bytes(pipe)).unwrap_or(0));
    if size == 0 { 0 } else { rustix::io::read(pipe, &mut buffer[..size]).unwrap_or(0) }
}

/// How many bytes wait in a pipe.
pub(super) fn waiting_bytes(pipe: BorrowedFd) -> u64 {
    rustix::io::ioctl_fionread(pipe).unwrap_or(0)
}

/// Whether nobody holds the writing end of a pipe: nothing will ever come out of it again.
pub(super) fn is_abandoned(pipe: BorrowedFd) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(pipe, PollFlags::empty())];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|count| count > 0) && fds[0].revents().contains(PollFlags::HUP)
}

/// How many bytes a pipe holds.
pub(super) fn pipe_capacity(pipe: BorrowedFd) -> usize {
    fcntl_getpipe_size(pipe).unwrap_or(64 << 10)
}

/// Requests a larger pipe and returns its size; a user over the system's limit keeps the old size.
pub(super) fn grow_pipe(pipe: BorrowedFd, bytes: usize) -> usize {
    let _ = fcntl_setpipe_size(pipe, bytes);
    pipe_capacity(pipe)
}

/// The time on the wall.
pub(super) fn wall_now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
