//! The two clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::{Millis, Moment, WallTime};

/// The clock of every timer: it is never set back and runs on in suspend.
pub fn now() -> Moment {
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing; the call cannot fail with a clock that exists.
    unsafe { libc::clock_gettime(CLOCK, &raw mut time) };
    Moment(time.tv_sec.unsigned_abs() * 1000 + time.tv_nsec.unsigned_abs() / 1_000_000)
}

/// The clock on the wall. A clock before 1970 reads as 1970.
pub fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Suspends this thread. For waits that nothing can end earlier.
pub fn pause(length: Millis) {
    std::thread::sleep(length.duration());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_timers_never_goes_back() {
        let first = now();
        assert!(first.0 > 0 && now() >= first);
        assert!(wall().0 > 1_600_000_000_000);
    }
}
