//! Disk space behind the end of a file.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use crate::os::errno::checked;

/// Reserves the space of `bytes` from `at` on; the length of the file stays. What is reserved already stays so.
///
/// # Errors
/// As `fallocate(2)`: `ENOSPC`, `EDQUOT`, `EFBIG`; `EOPNOTSUPP` where the file system cannot.
pub fn reserve_space(file: &File, at: u64, bytes: u64) -> io::Result<()> {
    let number = |value: u64| libc::off_t::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG));
    // SAFETY: no pointers.
    checked(unsafe { libc::fallocate(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, number(at)?, number(bytes)?) })
        .map(drop)
}
