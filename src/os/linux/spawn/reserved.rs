//! Low numbers for the descriptors of a child, so that it can keep them and drop all others in one call.
//!
//! A child shares our table of descriptors at first (`CLONE_FILES`), and then takes a copy of its lowest part only
//! (`close_range(2)` with `CLOSE_RANGE_UNSHARE`). What it is to keep must stand there, also if we die in between.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::os::errno::checked;
use crate::os::linux::descriptors::open_null;

/// How many numbers [`reserve_descriptors`] wants: for so many spawns at a time, and one for `/dev/null`. A spawn that finds no
/// reservation copies all descriptors, which only takes longer.
pub const RESERVED_DESCRIPTORS: RawFd = 1 + 2 * CHILDREN_MAX;
const CHILDREN_MAX: RawFd = 8;

static ROOM: OnceLock<Room> = OnceLock::new();

struct Room {
    free: Mutex<Vec<[OwnedFd; 2]>>,
    /// `/dev/null`.
    nothing: OwnedFd,
    /// Every reserved number is lower.
    above: RawFd,
}

/// Two numbers, for standard output and standard error of one child.
pub(super) struct Reservation {
    numbers: Option<[OwnedFd; 2]>,
    room: &'static Room,
}

/// From now on children get what stands at these numbers (open descriptors with low numbers; what is open there is
/// closed). Only the first call counts.
///
/// # Errors
/// There is no `/dev/null`.
pub fn reserve_descriptors(numbers: impl IntoIterator<Item = OwnedFd>) -> io::Result<()> {
    if !can_leave_descriptors_behind() {
        return Ok(());
    }
    let mut numbers = numbers.into_iter();
    let Some(nothing) = numbers.next() else { return Ok(()) };
    put(open_null()?.as_fd(), &nothing)?;
    let mut above = nothing.as_raw_fd() + 1;
    let mut free = Vec::new();
    while let (Some(one), Some(other)) = (numbers.next(), numbers.next()) {
        above = above.max(one.as_raw_fd() + 1).max(other.as_raw_fd() + 1);
        put(nothing.as_fd(), &one)?;
        put(nothing.as_fd(), &other)?;
        free.push([one, other]);
    }
    let _taken_before = ROOM.set(Room { free: Mutex::new(free), nothing, above });
    Ok(())
}

/// Whether a child may drop what it does not need. Some sandboxes refuse every call that they do not know, and the way
/// around it (`unshare(2)`) as well; before Linux 5.9 only the call is missing.
fn can_leave_descriptors_behind() -> bool {
    // SAFETY: no pointers are passed, and no descriptor has such a number.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, libc::c_uint::MAX, libc::c_uint::MAX, 0) };
    closed == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS)
}

impl Reservation {
    /// A reservation that holds these two; `None` if there is none.
    pub(super) fn with(output: [BorrowedFd<'_>; 2]) -> Option<Self> {
        let room = ROOM.get()?;
        let numbers = room.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        let reservation = Self { numbers: Some(numbers), room };
        reservation.fill(output).ok()?;
        Some(reservation)
    }

    /// The numbers of standard input (`/dev/null`), output and error, as they are to become 0, 1 and 2.
    pub(super) fn numbers(&self) -> impl Iterator<Item = RawFd> {
        let outputs = self.numbers.iter().flatten();
        std::iter::once(&self.room.nothing).chain(outputs).map(AsRawFd::as_raw_fd)
    }

    /// The first number of which a child needs nothing.
    pub(super) fn above(&self) -> RawFd {
        self.room.above
    }

    fn fill(&self, output: [BorrowedFd<'_>; 2]) -> io::Result<()> {
        self.numbers.iter().flatten().zip(output).try_for_each(|(number, fd)| put(fd, number))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let nothing = self.room.nothing.as_fd();
        // What cannot be emptied is overwritten by the next one.
        let _ = self.fill([nothing, nothing]);
        self.room.free.lock().unwrap_or_else(PoisonError::into_inner).extend(self.numbers.take());
    }
}

/// Puts a copy of `fd` in the place of what `number` is now. It does not survive `exec`.
fn put(fd: BorrowedFd<'_>, number: &OwnedFd) -> io::Result<()> {
    // SAFETY: no pointers are passed; the number stays open, and stays ours.
    checked(unsafe { libc::dup3(fd.as_raw_fd(), number.as_raw_fd(), libc::O_CLOEXEC) }).map(drop)
}
