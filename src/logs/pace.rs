//! How long to pause between turns, and how much one batch may take.

use std::time::Duration;

/// The largest batch, and the size that a pipe which fills is given.
pub(super) const BATCH_BYTES_MAX: usize = 1 << 20;
const PAUSE_MAX: Duration = Duration::from_millis(1);
/// Below this the kernel's timers are no longer worth setting.
const PAUSE_MIN: Duration = Duration::from_micros(60);
/// With more busy pipes than this, batches are smaller: 2,000 floods still get their turn within a second.
const MANY_FLOWS: usize = 64;

/// Adapts to the fastest pipe. A fixed pause of 1 ms would hold a 64 KiB pipe down to 60 MB/s.
#[derive(Debug)]
pub(super) struct Pace {
    pause: Duration,
    batch_bytes: usize,
    is_filling: bool,
    is_calm: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { pause: PAUSE_MAX, batch_bytes: BATCH_BYTES_MAX, is_filling: false, is_calm: true }
    }
}

impl Pace {
    /// A turn begins, with so many pipes to serve.
    pub(super) fn begin(&mut self, flows: usize) {
        self.batch_bytes = if flows > MANY_FLOWS { BATCH_BYTES_MAX / 4 } else { BATCH_BYTES_MAX };
        self.is_filling = false;
        self.is_calm = true;
    }

    pub(super) fn batch_bytes(&self) -> usize {
        self.batch_bytes
    }

    /// A batch was moved; answers whether its pipe was about to be full. Pages of a pipe are rarely filled
    /// to their ends (a write that does not fit begins a new one), so half full counts.
    pub(super) fn note_batch(&mut self, bytes: usize, capacity: usize) -> bool {
        let is_filling = bytes >= capacity / 2;
        self.is_filling |= is_filling;
        self.is_calm &= bytes < capacity / 8;
        is_filling
    }

    /// How long to pause after this turn.
    pub(super) fn pause(&mut self) -> Duration {
        if self.is_filling {
            let shorter = self.pause / 2;
            self.pause = if shorter < PAUSE_MIN { Duration::ZERO } else { shorter };
        } else if self.is_calm {
            self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        }
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause_after(pace: &mut Pace, turns: usize, batch: usize) -> Duration {
        (0..turns)
            .map(|_| {
                pace.begin(1);
                pace.note_batch(batch, 64 << 10);
                pace.pause()
            })
            .last()
            .unwrap()
    }

    #[test]
    fn a_pipe_that_fills_is_emptied_without_pause_and_a_calm_one_rarely() {
        let mut pace = Pace::default();
        assert_eq!(pause_after(&mut pace, 1, 100), PAUSE_MAX);
        assert_eq!(pause_after(&mut pace, 10, 64 << 10), Duration::ZERO);
        assert_eq!(pause_after(&mut pace, 1, 100), PAUSE_MIN);
        assert_eq!(pause_after(&mut pace, 10, 100), PAUSE_MAX);
        assert_eq!(pause_after(&mut pace, 3, 16 << 10), PAUSE_MAX); // a quarter full: stay
    }
}
