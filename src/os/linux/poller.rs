//! epoll for a plain thread, and a waker for it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use crate::model::Millis;
use crate::os::errno::{checked, checked_size, uninterrupted};

const EVENTS_MAX: usize = 256;
/// The token of the poller's own eventfd.
const WAKE: u64 = u64::MAX;

/// Waits for several descriptors at once, and for a [`Waker`].
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
}

/// What a wait found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The tokens of readable descriptors.
    pub tokens: Vec<u64>,
    /// A [`Waker`] was used since the last wait.
    pub is_woken: bool,
}

/// Ends a wait of its [`Poller`] from another thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Poller {
    /// Watches nothing but its own wakers yet.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let wake = checked(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel has just given us this descriptor.
        let wake = unsafe { OwnedFd::from_raw_fd(wake) };
        let epoll = epoll()?;
        control(epoll.as_fd(), libc::EPOLL_CTL_ADD, wake.as_fd(), libc::EPOLLIN, WAKE)?;
        Ok(Self { epoll, wake: Arc::new(wake) })
    }

    /// Watches a descriptor for bytes to read. Told again and again for as long as there are some.
    ///
    /// # Errors
    /// `EEXIST`: it is watched already. `EPERM`: a kind of file that cannot be watched.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        control(self.epoll.as_fd(), libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN, token)
    }

    /// Ends the watch. Always before the descriptor is closed.
    ///
    /// # Errors
    /// `ENOENT`: it was not watched.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        control(self.epoll.as_fd(), libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// Waits until something is readable, a waker is used or the time is over (`None`: no limit).
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn wait(&self, timeout: Option<Millis>) -> io::Result<Ready> {
        let timeout = timeout.map_or(-1, |limit| i32::try_from(limit.0).unwrap_or(i32::MAX));
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX];
        let count = wait(self.epoll.as_raw_fd(), &mut events, timeout)?;
        let mut ready = Ready::default();
        for event in &events[..count] {
            if event.u64 == WAKE {
                ready.is_woken = true;
                let mut wakes = [0_u8; 8];
                // SAFETY: eight bytes, valid for writing. Failing means that there was nothing to take.
                unsafe { libc::read(self.wake.as_raw_fd(), wakes.as_mut_ptr().cast(), wakes.len()) };
            } else {
                ready.tokens.push(event.u64);
            }
        }
        Ok(ready)
    }

    /// The way to end a wait from elsewhere.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.wake))
    }
}

impl Waker {
    /// Ends the current wait, or the next one.
    pub fn wake(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: eight readable bytes. It fails only if the counter is full: then a wake-up is pending anyway.
        let _pending = checked_size(unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) });
    }
}

/// A new epoll.
pub(super) fn epoll() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let fd = checked(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `epoll_ctl(2)`.
pub(super) fn control(
    epoll: BorrowedFd<'_>,
    operation: i32,
    fd: BorrowedFd<'_>,
    events: i32,
    token: u64,
) -> io::Result<()> {
    let mut event = libc::epoll_event { events: events.cast_unsigned(), u64: token };
    // SAFETY: `event` is valid for the duration of the call.
    checked(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), operation, fd.as_raw_fd(), &raw mut event) }).map(drop)
}

/// `epoll_wait(2)`: how many of `events` were filled in. `timeout_ms` −1 waits without limit.
pub(super) fn wait(epoll: RawFd, events: &mut [libc::epoll_event], timeout_ms: i32) -> io::Result<usize> {
    let room = i32::try_from(events.len()).unwrap_or(i32::MAX);
    // SAFETY: `events` has `room` places, valid for writing.
    let count = uninterrupted(|| checked(unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), room, timeout_ms) }))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_wait_ends_for_bytes_and_for_wakers() {
        let poller = Poller::new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        poller.add(reader.as_fd(), 7).unwrap();
        assert_eq!(poller.wait(Some(Millis(0))).unwrap(), Ready::default());
        writer.write_all(b"x").unwrap();
        assert_eq!(poller.wait(None).unwrap(), Ready { tokens: vec![7], is_woken: false });
        poller.remove(reader.as_fd()).unwrap();
        let waker = poller.waker();
        std::thread::spawn(move || waker.wake()).join().unwrap();
        assert_eq!(poller.wait(None).unwrap(), Ready { tokens: vec![], is_woken: true });
        assert_eq!(poller.wait(Some(Millis(0))).unwrap(), Ready::default());
    }
}
