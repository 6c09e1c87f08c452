//! How often busy pipes are emptied, and how much one batch may take.

use std::time::Duration;

/// The largest batch, and the size that the pipe of a busy app is given.
pub(super) const BATCH_BYTES_MAX: usize = 1 << 20;
/// The pause after lines of apps that are not busy: one that writes line by line is served a thousand times a second.
pub(super) const PAUSE: Duration = Duration::from_millis(1);
/// Three milliseconds of 150 MB/s are not half of a large pipe.
const BUSY_PAUSE_MAX: Duration = Duration::from_millis(3);
/// Below this the kernel's timers are no longer worth setting.
const BUSY_PAUSE_MIN: Duration = Duration::from_micros(60);
/// A pipe with more than this in one batch is busy.
const BUSY_BYTES: usize = 16 << 10;
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
        Self { pause: PAUSE, batch_bytes: BATCH_BYTES_MAX, is_filling: false, is_calm: true }
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

    /// A batch was moved. Pages of a pipe are rarely filled to their ends (a write that does not fit begins a
    /// new one), so a pipe that is half full may stand still soon.
    pub(super) fn note_batch(&mut self, bytes: usize, capacity: usize) {
        self.is_filling |= bytes >= capacity / 2;
        // A short pause is kept until the rate has gone down for sure.
        let calm = if self.pause < PAUSE { capacity / 8 } else { capacity / 4 };
        self.is_calm &= bytes < calm;
    }

    /// How long a pipe that becomes busy is left alone first.
    pub(super) fn first_pause(&self) -> Duration {
        self.pause.min(PAUSE)
    }

    /// How long busy pipes are left alone after this turn.
    pub(super) fn busy_pause(&mut self) -> Duration {
        if self.is_filling {
            let shorter = self.pause / 2;
            self.pause = if shorter < BUSY_PAUSE_MIN { Duration::ZERO } else { shorter };
        } else if self.is_calm {
            self.pause = (self.pause * 2).clamp(BUSY_PAUSE_MIN, BUSY_PAUSE_MAX);
        }
        self.pause
    }
}

/// Whether a pipe with such a batch is busy from now on: it stays what it was in between.
pub(super) fn is_busy(was_busy: bool, bytes: usize, capacity: usize) -> bool {
    let many = BUSY_BYTES.min(capacity / 4);
    if was_busy { bytes >= many / 4 } else { bytes >= many }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause_after(pace: &mut Pace, turns: usize, batch: usize) -> Duration {
        (0..turns)
            .map(|_| {
                pace.begin(1);
                pace.note_batch(batch, 64 << 10);
                pace.busy_pause()
            })
            .last()
            .unwrap()
    }

    #[test]
    fn a_pipe_that_fills_is_emptied_without_pause_and_a_calm_one_rarely() {
        let mut pace = Pace::default();
        assert_eq!(pause_after(&mut pace, 10, 64 << 10), Duration::ZERO);
        assert_eq!(pause_after(&mut pace, 1, 100), BUSY_PAUSE_MIN);
        assert_eq!(pause_after(&mut pace, 10, 100), BUSY_PAUSE_MAX);
        assert_eq!(pause_after(&mut pace, 3, 24 << 10), BUSY_PAUSE_MAX); // between a quarter and a half: stay
    }

    #[test]
    fn a_pipe_becomes_busy_with_many_bytes_and_stays_so_until_few_come() {
        for (was_busy, bytes, capacity, expected) in [
            (false, 16_383, 1 << 20, false),
            (false, 16_384, 1 << 20, true),
            (true, 4096, 1 << 20, true),
            (true, 4095, 1 << 20, false),
            (true, 0, 64 << 10, false),
            (false, 2048, 8192, true), // the small pipe of a user over the limit
        ] {
            assert_eq!(is_busy(was_busy, bytes, capacity), expected, "{bytes} of {capacity}, busy: {was_busy}");
        }
    }
}
