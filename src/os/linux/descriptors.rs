//! Descriptors under fixed numbers, for the hand-over from the anchor to the daemon.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

use crate::os::errno::{checked, checked_long};

/// Puts a copy of `fd` under this number (closing what was there); it stays open across `exec`.
///
/// # Errors
/// The number is beyond the limit.
pub fn place(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    if fd.as_raw_fd() == number {
        return keep_across_exec(fd);
    }
    // SAFETY: no pointers are passed. Whoever owned the number gave it up: the anchor owns its numbers by agreement.
    checked(unsafe { libc::dup2(fd.as_raw_fd(), number) }).map(drop)
}

/// Takes a descriptor that was inherited under this number.
///
/// # Errors
/// `EBADF`: there is none.
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    checked(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it is open, and by the agreement between anchor and daemon nothing else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Makes a descriptor survive `exec`.
///
/// # Errors
/// None that a caller could cause.
pub fn keep_across_exec(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(fcntl_setfd(fd, FdFlags::empty())?)
}

/// Makes no descriptor from `first` on survive `exec`.
///
/// # Errors
/// `ENOSYS`: before Linux 5.11.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    let flags = libc::c_long::from(libc::CLOSE_RANGE_CLOEXEC);
    let last = libc::c_long::from(libc::c_int::MAX);
    // SAFETY: no pointers are passed.
    checked_long(unsafe { libc::syscall(libc::SYS_close_range, libc::c_long::from(first), last, flags) }).map(drop)
}

/// A copy with a number of at least `lowest`; it does not survive `exec`.
///
/// # Errors
/// No descriptors left.
pub fn copy_above(fd: BorrowedFd<'_>, lowest: RawFd) -> io::Result<OwnedFd> {
    Ok(fcntl_dupfd_cloexec(fd, lowest)?)
}

/// Takes an inherited descriptor and moves it to a number of at least `lowest`. Standard streams stay open.
///
/// # Errors
/// `EBADF`: there is none.
pub fn move_above(number: RawFd, lowest: RawFd) -> io::Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        // SAFETY: standard streams are open in every process that comes here.
        return copy_above(unsafe { BorrowedFd::borrow_raw(number) }, lowest);
    }
    copy_above(adopt(number)?.as_fd(), lowest)
}

/// `/dev/null`, for reading and writing.
///
/// # Errors
/// There is none: a broken container.
pub fn open_null() -> io::Result<OwnedFd> {
    Ok(OpenOptions::new().read(true).write(true).open("/dev/null")?.into())
}
