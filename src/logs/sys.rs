//! The kernel calls of the pump that std does not offer.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::WallTime;

/// Turns a `-1` into the error behind it.
fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Tells which of many pipes can be read.
#[derive(Debug)]
pub(super) struct Epoll(OwnedFd);

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is a new descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Self(fd))
    }

    pub(super) fn add(&self, fd: BorrowedFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, libc::EPOLLIN)
    }

    /// Always before closing: a child between clone and exec may keep the pipe open a moment longer,
    /// and a registration lives as long as the pipe does.
    pub(super) fn remove(&self, fd: BorrowedFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    fn control(&self, what: libc::c_int, fd: BorrowedFd, token: u64, events: libc::c_int) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events.cast_unsigned(), u64: token };
        // SAFETY: `event` lives through the call; both descriptors are open.
        checked(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), what, fd.as_raw_fd(), &raw mut event) })?;
        Ok(())
    }

    /// Replaces `ready` by the tokens of what can be read, at most 255 of them; none after `timeout`.
    pub(super) fn wait(&self, ready: &mut Vec<u64>, timeout: Option<Duration>) -> io::Result<()> {
        const EVENTS_MAX: u8 = 255;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX as usize];
        ready.clear();
        // `epoll_wait` counts whole milliseconds; busy pipes need less.
        if let Some(timeout) = timeout
            && !poll_within(self.0.as_raw_fd(), timeout)
        {
            return Ok(());
        }
        let ms = if timeout.is_some() { 0 } else { -1 };
        // SAFETY: the buffer holds EVENTS_MAX events and lives through the call.
        let count = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), EVENTS_MAX.into(), ms) };
        match checked(count) {
            Ok(count) => ready.extend(events[..count.cast_unsigned() as usize].iter().map(|event| event.u64)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// An eventfd: wakes a thread that waits for pipes.
#[derive(Debug)]
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is a new descriptor that nobody else owns.
        let fd = checked(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: just opened, owned by nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.0.as_fd()
    }

    /// Rings. A bell that rings already goes on ringing, so nothing can fail that matters.
    pub(super) fn ring(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight readable bytes.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    pub(super) fn silence(&self) {
        let mut count = [0u8; 8];
        // SAFETY: eight writable bytes.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }

    /// Sleeps until somebody rings, at most this long. Does not silence.
    pub(super) fn sleep(&self, at_most: Duration) {
        poll_within(self.0.as_raw_fd(), at_most);
    }
}

/// Waits until a descriptor can be read, at most this long; whether it can. An error looks like a readable one.
fn poll_within(fd: RawFd, at_most: Duration) -> bool {
    let mut fd = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let seconds = i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX);
    let time = libc::timespec { tv_sec: seconds, tv_nsec: at_most.subsec_nanos().into() };
    // SAFETY: one pollfd, a timespec and no signal mask.
    unsafe { libc::ppoll(&raw mut fd, 1, &raw const time, std::ptr::null()) != 0 }
}

/// Moves bytes from a pipe into a file inside the kernel: at `at`, or wherever a device takes them.
///
/// For a kill at any moment each byte is either still in the pipe or already in the file.
pub(super) fn splice(pipe: BorrowedFd, file: BorrowedFd, at: Option<u64>, max: usize) -> io::Result<usize> {
    let Ok(mut offset) = at.map(i64::try_from).transpose() else {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    };
    let offset = offset.as_mut().map_or(std::ptr::null_mut(), |offset| &raw mut *offset);
    let flags = libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE;
    // SAFETY: the offset is null or lives through the call; both descriptors are open.
    let moved = unsafe { libc::splice(pipe.as_raw_fd(), std::ptr::null_mut(), file.as_raw_fd(), offset, max, flags) };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}

/// Takes what is in a pipe, as much as fits; 0 if there is nothing. For the one reader of a pipe: never waits.
pub(super) fn take(pipe: BorrowedFd, buffer: &mut [u8]) -> usize {
    let size = buffer.len().min(usize::try_from(waiting_bytes(pipe)).unwrap_or(0));
    if size == 0 {
        return 0;
    }
    // SAFETY: the buffer has room for `size` bytes.
    let taken = unsafe { libc::read(pipe.as_raw_fd(), buffer.as_mut_ptr().cast(), size) };
    usize::try_from(taken).unwrap_or(0)
}

/// How many bytes wait in a pipe.
pub(super) fn waiting_bytes(pipe: BorrowedFd) -> u64 {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int.
    let result = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    if result < 0 { 0 } else { u64::try_from(count).unwrap_or(0) }
}

/// Whether nobody holds the writing end of a pipe: nothing will ever come out of it again.
pub(super) fn is_abandoned(pipe: BorrowedFd) -> bool {
    let mut fd = libc::pollfd { fd: pipe.as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: one pollfd that lives through the call.
    let count = unsafe { libc::poll(&raw mut fd, 1, 0) };
    count > 0 && fd.revents & libc::POLLHUP != 0
}

/// How many bytes a pipe holds.
pub(super) fn pipe_capacity(pipe: BorrowedFd) -> usize {
    // SAFETY: no pointers.
    usize::try_from(unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_GETPIPE_SZ) }).unwrap_or(64 << 10)
}

/// Asks for a larger pipe and tells what there is now; a user over the system's limit keeps the old size.
pub(super) fn grow_pipe(pipe: BorrowedFd, bytes: usize) -> usize {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: no pointers.
    unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
    pipe_capacity(pipe)
}

/// The time on the wall.
pub(super) fn wall_now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
