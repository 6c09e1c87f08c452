//! The limits that we lift for ourselves and hand back to the apps.

use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::{fs, io};

use rustix::io::fcntl_dupfd_cloexec;
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

/// Lets the kernel make its table for `count` descriptors (or as many as we may have) now. It grows by itself, but once
/// there are threads each doubling waits for a grace period of RCU, some 10 milliseconds (`expand_fdtable` in Linux'
/// `fs/file.c`). To be called before the first thread; if it fails, nothing is lost but that time.
pub fn make_room_for_descriptors(count: u64) {
    let last = count.min(file_limit()).saturating_sub(1);
    let Ok(last) = RawFd::try_from(last) else { return };
    // Closed at once: the table keeps its size.
    drop(fcntl_dupfd_cloexec(io::stderr(), last));
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

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// For how many descriptors the kernel's table has room now (`proc_pid_status(5)`).
    fn table_size() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap().trim().parse().unwrap()
    }

    #[test]
    fn room_for_descriptors_is_made_at_once_and_nothing_stays_open() {
        let count = (table_size() + 1).min(file_limit());
        make_room_for_descriptors(count);
        assert!(table_size() >= count);
        let last = RawFd::try_from(count - 1).unwrap();
        assert!(fs::read_link(format!("/proc/self/fd/{last}")).is_err(), "descriptor {last} is open");
    }
}
