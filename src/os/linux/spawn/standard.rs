//! The descriptors that a child starts with.

use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::reserved::Reservation;
use super::{Output, step};
use crate::model::{SpawnStage, StdinMode};
use crate::os::linux::descriptors::{copy_above, open_null};
use crate::os::linux::pipe::{another_end, endless_pipe};

/// The descriptors of the child: stdin, stdout, stderr.
pub(super) enum Standard {
    /// Nothing else. The child shares our table at first, and copies the part with the reserved numbers.
    Reserved(Reservation),
    /// And what is passed on: 0, 1, 2, 3, … None of them stands at a number that another one goes to. The child has
    /// a copy of our whole table.
    Copied(Vec<OwnedFd>),
}

impl Standard {
    pub(super) fn of(stdin: StdinMode, output: &Output, handed: &[OwnedFd]) -> io::Result<Self> {
        match output {
            Output::Nowhere => {
                let nothing = open_null()?;
                Self::with(stdin, [nothing.as_fd(), nothing.as_fd()], handed)
            }
            Output::Opened([stdout, stderr]) => Self::with(stdin, [stdout.as_fd(), stderr.as_fd()], handed),
            Output::Pipes([stdout, stderr]) => {
                let ends = [another_end(stdout.as_fd())?, another_end(stderr.as_fd())?];
                Self::with(stdin, ends.each_ref().map(AsFd::as_fd), handed)
            }
        }
    }

    fn with(stdin: StdinMode, output: [BorrowedFd<'_>; 2], handed: &[OwnedFd]) -> io::Result<Self> {
        // What is reserved for standard input is the same for all.
        let can_share = stdin == StdinMode::Null && handed.is_empty();
        match Reservation::with(output).filter(|_| can_share) {
            Some(reservation) => Ok(Self::Reserved(reservation)),
            None => Self::copied(stdin, output, handed),
        }
    }

    /// Copies that no `dup2` onto a number of the child can overwrite.
    fn copied(stdin: StdinMode, output: [BorrowedFd<'_>; 2], handed: &[OwnedFd]) -> io::Result<Self> {
        let stdin = match stdin {
            StdinMode::Null => open_null()?,
            StdinMode::Pipe => endless_pipe()?,
        };
        let lowest = c_int::try_from(3 + handed.len()).unwrap_or(c_int::MAX);
        let all = [stdin.as_fd()].into_iter().chain(output).chain(handed.iter().map(AsFd::as_fd));
        Ok(Self::Copied(all.map(|fd| copy_above(fd, lowest)).collect::<io::Result<_>>()?))
    }
}

/// The standard descriptors, what is passed on, and no other: from here on, not only after `execve`, which may hang on
/// a network folder for as long as it likes. Until then the child must hold neither our lock nor our socket.
pub(super) fn arrange_descriptors(standard: &Standard) -> Result<(), (SpawnStage, c_int)> {
    match standard {
        Standard::Reserved(reservation) => {
            // Until here the table is shared with our parent: nothing may be closed in it.
            if close_from(reservation.above(), libc::CLOSE_RANGE_UNSHARE) < 0 {
                // SAFETY: no pointers are passed. Before Linux 5.9.
                is_done(unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_FILES) })?;
            }
            reservation.numbers().zip(0..).try_for_each(place)?;
        }
        Standard::Copied(fds) => fds.iter().map(AsRawFd::as_raw_fd).zip(0..).try_for_each(place)?,
    }
    let (own, end) = match standard {
        Standard::Reserved(reservation) => (3, reservation.above()),
        Standard::Copied(fds) => (c_int::try_from(fds.len()).unwrap_or(c_int::MAX), 0),
    };
    if close_from(own, 0) < 0 {
        for number in own..end {
            // SAFETY: no pointers are passed, and the table is the child's own. Before Linux 5.9; `execve` closes the rest.
            unsafe { libc::syscall(libc::SYS_close, c_long::from(number)) };
        }
    }
    Ok(())
}

fn place((number, target): (c_int, c_int)) -> Result<(), (SpawnStage, c_int)> {
    // SAFETY: no pointers are passed.
    is_done(unsafe { libc::syscall(libc::SYS_dup3, c_long::from(number), c_long::from(target), 0) })
}

fn is_done(returned: c_long) -> Result<(), (SpawnStage, c_int)> {
    step(SpawnStage::Descriptors, returned)
}

/// `close_range(2)` from `first` to the end.
fn close_from(first: c_int, flags: libc::c_uint) -> c_long {
    // SAFETY: no pointers are passed.
    unsafe { libc::syscall(libc::SYS_close_range, c_long::from(first), c_long::from(c_int::MAX), c_long::from(flags)) }
}
