//! The limits that we lift for ourselves and hand back to the apps.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::{fs, io};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Limits of open files, as they were before we raised ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit {
    /// What a program starts with; apps get this one back.
    pub soft: u64,
    /// What it may raise itself to; ours from now on.
    pub hard: u64,
}

/// Raises our own limit of open files as far as it goes.
///
/// # Errors
/// The kernel refuses.
pub fn raise_file_limit() -> io::Result<FileLimit> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(FileLimit { soft: number(limit.current), hard: number(limit.maximum) })
}

/// How many files this process may have open.
pub fn file_limit() -> u64 {
    number(getrlimit(Resource::Nofile).current)
}

/// `None` stands for no limit.
fn number(limit: Option<u64>) -> u64 {
    limit.unwrap_or(libc::RLIM_INFINITY)
}

/// Gives a new descriptor back if its number is `end` or higher. A number is only given while all lower ones are in use,
/// so this keeps the last ones free for others.
///
/// # Errors
/// `EMFILE`, as if the limit were `end`.
pub fn below(descriptor: OwnedFd, end: u64) -> io::Result<OwnedFd> {
    let number = u64::try_from(descriptor.as_raw_fd()).unwrap_or(0);
    if number < end { Ok(descriptor) } else { Err(io::Error::from_raw_os_error(libc::EMFILE)) }
}

/// Makes this process one of the last that the out-of-memory killer takes, if we may; returns the score that it had,
/// for the apps. Linux only; elsewhere nothing happens.
pub fn lower_own_oom_score() -> Option<i32> {
    const PATH: &str = "/proc/self/oom_score_adj";
    const PROTECTED: i32 = -900;
    let before: i32 = fs::read_to_string(PATH).ok()?.trim().parse().ok()?;
    if before <= PROTECTED {
        return None;
    }
    fs::write(PATH, PROTECTED.to_string()).ok().map(|()| before)
}
