//! Patience: the only place in the tests that sleeps, and only until something is seen.

use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(5);

/// Waits until `is_so`, or fails with `what` after `deadline`.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, mut is_so: impl FnMut() -> bool) {
    wait_for(what, deadline, || is_so().then_some(()));
}

/// Waits until `look` sees something, or fails with `what` after `deadline`.
#[track_caller]
pub fn wait_for<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < deadline, "waited {deadline:?} in vain until {what}");
        sleep(POLL);
    }
}

/// The time between two injected faults. Not a wait for anything: the fault may come at any moment.
pub fn pause_between_faults(time: Duration) {
    sleep(time);
}
