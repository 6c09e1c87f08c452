//! What a system call returned, as a `Result`, and the wait for one descriptor.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The value, or what `errno` says if it is −1.
pub(super) fn checked(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

/// As [`checked`], for calls that return a count of bytes.
pub(super) fn checked_size(returned: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

/// As [`checked`], for calls made by number.
pub(super) fn checked_long(returned: libc::c_long) -> io::Result<libc::c_int> {
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(libc::c_int::try_from(returned).unwrap_or(0)) }
}

/// Repeats a call for as long as signals interrupt it.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Waits until one of these events is there or `limit` is over (`None`: no limit), and says which are. A signal ends the
/// wait with `Interrupted`.
pub(super) fn poll_one(fd: impl AsFd, events: PollFlags, limit: Option<Duration>) -> io::Result<PollFlags> {
    let mut polled = [PollFd::from_borrowed_fd(fd.as_fd(), events)];
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    poll(&mut polled, limit.as_ref())?;
    Ok(polled[0].revents())
}

/// Whether a call failed because this process or the machine has too many files open.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Whether the process at the other end of a socket, or the one that was to be the parent, is no more.
pub fn is_peer_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN | libc::ESRCH))
}

/// Whether a call that failed so may succeed a little later without anybody doing anything.
pub fn is_passing(error: &io::Error) -> bool {
    let is_short_of = matches!(
        error.raw_os_error(),
        Some(
            libc::EAGAIN
                | libc::ENOMEM
                | libc::EMFILE
                | libc::ENFILE
                | libc::ETXTBSY
                | libc::ENOSPC
                | libc::EINTR
                | libc::ETIMEDOUT
        )
    );
    is_short_of || error.kind() == io::ErrorKind::TimedOut || is_peer_gone(error)
}

/// Whether a write failed for want of room: the disk, a quota, or the limit of the size of a file (`ulimit -f`).
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_is_wrong() {
        for errno in [libc::EAGAIN, libc::ETXTBSY, libc::EMFILE, libc::EPIPE, libc::ECONNRESET, libc::ESRCH] {
            assert!(is_passing(&io::Error::from_raw_os_error(errno)), "{errno}");
        }
        assert!(is_passing(&io::Error::from(io::ErrorKind::TimedOut)), "an anchor that does not read");
        for errno in [libc::ENOENT, libc::EACCES, libc::ENOEXEC, libc::EPERM, libc::EADDRINUSE] {
            assert!(!is_passing(&io::Error::from_raw_os_error(errno)), "{errno}");
        }
    }
}
