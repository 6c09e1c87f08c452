//! The limits that we lift for ourselves and hand back to the apps.

use std::{fs, io};

use super::errno::checked;

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
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for writing.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    let before = FileLimit { soft: limit.rlim_cur, hard: limit.rlim_max };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is valid for reading.
    checked(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(before)
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
