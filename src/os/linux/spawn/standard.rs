//! The descriptors that a child starts with.

use std::ffi::{CStr, c_int, c_long};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use super::{Output, step};
use crate::model::SpawnStage;
use crate::os::linux::descriptors::copy_above;

/// The descriptors of the child: stdin, stdout, stderr.
pub(super) enum Standard<'a> {
    /// And what is handed over: 0, 1, 2, 3, … None of them stands at a number that another one goes to.
    Copied(Vec<OwnedFd>),
    OpenedByChild([(&'a CStr, c_int); 3]),
}

const NOTHING: &CStr = c"/dev/null";

impl<'a> Standard<'a> {
    pub(super) fn of(output: &'a Output, handed: &[OwnedFd]) -> io::Result<Self> {
        let open = |path: &CStr| {
            let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
            OpenOptions::new().read(true).write(true).open(path).map(OwnedFd::from)
        };
        match output {
            Output::Opened([stdout, stderr]) => Self::copied([stdout.as_fd(), stderr.as_fd()], handed),
            Output::Paths([stdout, stderr]) if handed.is_empty() => Ok(Self::OpenedByChild([
                (NOTHING, libc::O_RDONLY),
                (stdout.as_c_str(), libc::O_RDWR),
                (stderr.as_c_str(), libc::O_RDWR),
            ])),
            // An empty table could not be filled from ours.
            Output::Paths([stdout, stderr]) => {
                let (stdout, stderr) = (open(stdout)?, open(stderr)?);
                Self::copied([stdout.as_fd(), stderr.as_fd()], handed)
            }
        }
    }

    /// Copies that no `dup2` onto a number of the child can overwrite.
    fn copied(output: [BorrowedFd<'_>; 2], handed: &[OwnedFd]) -> io::Result<Self> {
        let stdin = OpenOptions::new().read(true).open("/dev/null")?;
        let lowest = c_int::try_from(3 + handed.len()).unwrap_or(c_int::MAX);
        let all = [stdin.as_fd()].into_iter().chain(output).chain(handed.iter().map(AsFd::as_fd));
        Ok(Self::Copied(all.map(|fd| copy_above(fd, lowest)).collect::<io::Result<_>>()?))
    }
}

/// The standard descriptors, what is handed over, and no other.
pub(super) fn arrange_descriptors(standard: &Standard<'_>) -> Result<(), (SpawnStage, c_int)> {
    let is_done = |returned| step(SpawnStage::Descriptors, returned);
    // SAFETY: raw system calls; every path is null-terminated and was complete before the child existed.
    unsafe {
        match standard {
            Standard::Copied(fds) => {
                for (fd, target) in fds.iter().zip(0..) {
                    is_done(libc::syscall(libc::SYS_dup3, c_long::from(fd.as_raw_fd()), c_long::from(target), 0))?;
                }
                // All of ours are CLOEXEC anyway; this is for what some library has opened without.
                close_from(c_int::try_from(fds.len()).unwrap_or(c_int::MAX), libc::CLOSE_RANGE_CLOEXEC);
            }
            Standard::OpenedByChild(files) => {
                // Until here the table is shared with our parent: nothing may be closed in it.
                if close_from(0, libc::CLOSE_RANGE_UNSHARE) < 0 {
                    is_done(libc::syscall(libc::SYS_unshare, libc::CLONE_FILES))?; // before Linux 5.9
                    for number in 0..3 {
                        libc::syscall(libc::SYS_close, c_long::from(number));
                    }
                }
                for (path, flags) in files {
                    // The lowest number that is free: 0, 1, 2.
                    is_done(libc::syscall(libc::SYS_openat, c_long::from(libc::AT_FDCWD), path.as_ptr(), *flags, 0))?;
                }
            }
        }
    }
    Ok(())
}

/// `close_range(2)` from `first` to the end.
fn close_from(first: c_int, flags: libc::c_uint) -> c_long {
    // SAFETY: no pointers are passed.
    unsafe { libc::syscall(libc::SYS_close_range, c_long::from(first), c_long::from(c_int::MAX), c_long::from(flags)) }
}
