//! Disk space behind the end of a file.

use std::fs::File;
use std::io;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// Reserves the space of `bytes` from `at` on; the length of the file stays. What is reserved already stays so.
///
/// # Errors
/// As `fallocate(2)`: `ENOSPC`, `EDQUOT`, `EFBIG`; `EOPNOTSUPP` where the file system cannot.
pub fn reserve_space(file: &File, at: u64, bytes: u64) -> io::Result<()> {
    if i64::try_from(at).is_err() || i64::try_from(bytes).is_err() {
        return Err(Errno::FBIG.into());
    }
    Ok(fallocate(file, FallocateFlags::KEEP_SIZE, at, bytes)?)
}
