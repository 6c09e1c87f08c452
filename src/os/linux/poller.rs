//! epoll for a plain thread, and a waker for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use crate::model::Millis;
use crate::os::errno::uninterrupted;

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
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let epoll = new_epoll()?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        Ok(Self { epoll, wake: Arc::new(wake) })
    }

    /// Watches a descriptor for bytes to read. Told again and again for as long as there are some.
    ///
    /// # Errors
    /// `EEXIST`: it is watched already. `EPERM`: a kind of file that cannot be watched.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?)
    }

    /// Watches a descriptor for news: told once for what is there, then once per arrival, whether it was read or not.
    ///
    /// # Errors
    /// `EEXIST`: it is watched already.
    pub fn add_news(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), flags)?)
    }

    /// Of a descriptor that is watched for news: whether that it has room to write again is news, too.
    ///
    /// # Errors
    /// `ENOENT`: it is not watched.
    pub fn tell_room(&self, fd: BorrowedFd<'_>, token: u64, is_told: bool) -> io::Result<()> {
        let news = epoll::EventFlags::IN | epoll::EventFlags::ET;
        let flags = if is_told { news | epoll::EventFlags::OUT } else { news };
        Ok(epoll::modify(&self.epoll, fd, epoll::EventData::new_u64(token), flags)?)
    }

    /// Ends the watch. Always before the descriptor is closed.
    ///
    /// # Errors
    /// `ENOENT`: it was not watched.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Waits until something is readable, a waker is used or the time is over (`None`: no limit).
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn wait(&self, timeout: Option<Millis>) -> io::Result<Ready> {
        let mut events = [NO_EVENT; EVENTS_MAX];
        let count = wait(self.epoll.as_fd(), &mut events, timeout)?;
        let mut ready = Ready::default();
        for event in &events[..count] {
            if event.data.u64() == WAKE {
                ready.is_woken = true;
                // Failing means that there was nothing to take.
                let _ = rustix::io::read(&self.wake, &mut [0; 8]);
            } else {
                ready.tokens.push(event.data.u64());
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
        // It fails only if the counter is full: then a wake-up is pending anyway.
        let _pending = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

/// A new epoll.
pub(super) fn new_epoll() -> io::Result<OwnedFd> {
    Ok(epoll::create(epoll::CreateFlags::CLOEXEC)?)
}

/// A place for an event.
pub(super) const NO_EVENT: epoll::Event =
    epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) };

/// `epoll_wait(2)`: how many of `events` were filled in.
pub(super) fn wait(epoll: BorrowedFd<'_>, events: &mut [epoll::Event], limit: Option<Millis>) -> io::Result<usize> {
    let limit = limit.and_then(|limit| Timespec::try_from(limit.duration()).ok());
    uninterrupted(|| Ok(epoll::wait(epoll, &mut *events, limit.as_ref())?))
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
