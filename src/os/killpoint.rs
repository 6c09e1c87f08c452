//! Named places where a test build can be made to die by SIGKILL.
//!
//! `PM_KILLPOINT=name:k` dies at the k-th time that the place `name` is reached, counted in shared memory over all
//! lives of the daemon: so a test can enumerate every place and every visit. `PM_KILLPOINT=random:p` dies at any
//! place in about p of 1,000 visits. In release builds there are no places.

use std::sync::atomic::AtomicU64;

#[cfg(not(debug_assertions))]
mod points {
    use super::AtomicU64;

    pub fn arm_killpoints(_hits: &'static AtomicU64) {}
    #[inline(always)]
    pub fn killpoint(_name: &'static str) {}
}

#[cfg(debug_assertions)]
mod points {
    use std::sync::OnceLock;
    use std::sync::atomic::Ordering;

    use super::AtomicU64;

    struct Armed {
        place: String,
        number: u64,
        hits: &'static AtomicU64,
    }

    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    pub fn arm_killpoints(hits: &'static AtomicU64) {
        ARMED.get_or_init(|| {
            let wanted = std::env::var("PM_KILLPOINT").ok()?;
            let (place, number) = wanted.split_once(':')?;
            Some(Armed { place: place.to_owned(), number: number.parse().ok()?, hits })
        });
    }

    pub fn killpoint(name: &'static str) {
        let Some(Some(armed)) = ARMED.get() else { return };
        let dies = if armed.place == "random" {
            per_mille(armed.hits.fetch_add(1, Ordering::Relaxed)) < armed.number
        } else {
            armed.place == name && armed.hits.fetch_add(1, Ordering::Relaxed) + 1 == armed.number
        };
        if dies {
            // SAFETY: passes no pointers.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
    }

    /// A number below 1,000 that looks random: visits in a row must not share a fate.
    fn per_mille(visit: u64) -> u64 {
        let seed = super::super::clock::now().0 ^ (visit << 20);
        (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32) % 1000
    }
}

/// Reads `PM_KILLPOINT`; `hits` counts the visits in memory that outlives us.
pub fn arm_killpoints(hits: &'static AtomicU64) {
    points::arm_killpoints(hits);
}

/// A place where a test can kill this process.
#[inline]
pub fn killpoint(name: &'static str) {
    points::killpoint(name);
}
