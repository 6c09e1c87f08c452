//! One pipe and the file that its bytes go to, and how long it waits while the file cannot be written.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::lines::LINE_BYTES_MAX;
use super::{LogTarget, StreamKey, sys};
use crate::model::{OnLogFull, WallTime};

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long a process waits for a full disk before its output is dropped.
    pub(super) drop_after: Duration,
    /// The first pause before a failed write is tried again; doubles up to `retry_max`.
    pub(super) retry_first: Duration,
    /// The longest such pause.
    pub(super) retry_max: Duration,
    /// While output is being dropped, how often that is reported.
    pub(super) tell_every: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            drop_after: Duration::from_secs(30),
            retry_first: Duration::from_millis(100),
            // With a line that comes now and then this is less than a second.
            retry_max: Duration::from_millis(500),
            tell_every: Duration::from_mins(1),
        }
    }
}

/// A stream and how far it got.
pub(super) struct Flow {
    pub(super) key: StreamKey,
    pub(super) pipe: Arc<OwnedFd>,
    pub(super) target: LogTarget,
    /// How much the pipe holds.
    pub(super) capacity: usize,
    /// Bytes taken out of the pipe so far.
    pub(super) moved: u64,
    /// Detached: closed when so many bytes were taken out.
    pub(super) ends_at: Option<u64>,
    /// So much comes that the pipe is looked at by the clock, see [`super::worker`].
    pub(super) is_busy: bool,
    /// The pipe wakes the thread.
    pub(super) is_heard: bool,
    /// The pipe was not asked to grow yet.
    pub(super) may_grow: bool,
    /// Behind so many bytes another process begins.
    pub(super) border: Option<Border>,
    /// The file cannot be written now.
    pub(super) blockage: Option<Blockage>,
    /// Output was thrown away, and nothing has been written since.
    pub(super) gap: Option<Gap>,
    /// Where the gap is on record for the next daemon.
    record: Option<&'static AtomicU64>,
    complained: Option<Instant>,
}

impl Flow {
    /// `record`: holds the gap that an earlier daemon has left, and is kept up to date from now on.
    pub(super) fn new(
        key: StreamKey,
        pipe: Arc<OwnedFd>,
        target: LogTarget,
        record: Option<&'static AtomicU64>,
    ) -> Self {
        let capacity = sys::pipe_capacity(pipe.as_fd());
        Self {
            key,
            pipe,
            target,
            capacity,
            moved: 0,
            ends_at: None,
            is_busy: false,
            is_heard: true,
            may_grow: true,
            border: None,
            blockage: None,
            gap: record.and_then(|record| Gap::from_record(record.load(Ordering::Acquire))),
            record,
            complained: None,
        }
    }

    pub(super) fn pipe(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// What [`Self::moved`] will be when everything that is in the pipe now was taken out.
    pub(super) fn goal(&self) -> u64 {
        self.moved + sys::waiting_bytes(self.pipe())
    }

    /// At most `max` bytes: none of them behind the border.
    pub(super) fn before_border(&self, max: usize) -> usize {
        let before = self.border.as_ref().map(|border| border.position - self.moved.min(border.position));
        before
            .and_then(|bytes| usize::try_from(bytes).ok())
            .filter(|bytes| *bytes > 0)
            .map_or(max, |bytes| bytes.min(max))
    }

    /// Whether the pipe should wake the thread: not by the clock's turn as well, and not for bytes that can go nowhere.
    pub(super) fn should_be_heard(&self) -> bool {
        !self.is_busy && self.blockage.as_ref().is_none_or(|blockage| blockage.is_dropping || blockage.is_due)
    }

    /// Discards at most `max` bytes of what is in the pipe; returns how many.
    pub(super) fn discard(&mut self, max: usize) -> u64 {
        let mut buffer = [0; 16 << 10];
        let gap = self.gap.get_or_insert_with(Gap::begin);
        if let Some(record) = self.record {
            record.store(gap.to_record(), Ordering::Release); // before the first byte is gone
        }
        let mut discarded = 0;
        while discarded < max {
            let size = buffer.len().min(max - discarded);
            let taken = sys::take(self.pipe.as_fd(), &mut buffer[..size]);
            let Some(last) = taken.checked_sub(1).and_then(|last| buffer.get(last)) else { break };
            gap.is_mid_line = *last != b'\n';
            gap.rest_bytes = 0;
            discarded += taken;
        }
        self.count_discarded(discarded as u64);
        discarded as u64
    }

    /// Throws away the rest of a line whose beginning was thrown away. Tells how many bytes that were; the line is over
    /// when [`Gap::is_mid_line`] is false: also after 64 KiB, since there may be no lines in this output.
    pub(super) fn discard_rest_of_line(&mut self) -> u64 {
        let Some(gap) = self.gap.as_mut().filter(|gap| gap.is_mid_line) else { return 0 };
        let mut discarded = 0;
        let mut byte = [0];
        // Byte by byte: what comes behind the line stays in the pipe.
        while gap.is_mid_line && sys::take(self.pipe.as_fd(), &mut byte) == 1 {
            discarded += 1;
            gap.rest_bytes += 1;
            gap.is_mid_line = byte != *b"\n" && gap.rest_bytes < LINE_BYTES_MAX;
        }
        self.count_discarded(discarded);
        discarded
    }

    fn count_discarded(&mut self, bytes: u64) {
        self.moved += bytes;
        if let Some(gap) = &mut self.gap {
            gap.untold_bytes += bytes;
        }
        self.record_gap();
    }

    /// The count of dropped bytes that were not reported yet, which counts as reported from now on.
    pub(super) fn take_untold(&mut self, now: Instant) -> u64 {
        let untold = self.gap.as_mut().map_or(0, |gap| {
            gap.told = now;
            std::mem::take(&mut gap.untold_bytes)
        });
        self.record_gap();
        untold
    }

    /// When the dropped bytes are reported, if there are any and nothing is written before.
    pub(super) fn report_at(&self, patience: Patience) -> Option<Instant> {
        let gap = self.gap.as_ref().filter(|gap| gap.untold_bytes > 0)?;
        Some(gap.told + patience.tell_every)
    }

    /// Something was written behind the gap.
    pub(super) fn end_gap(&mut self) {
        self.gap = None;
        self.record_gap();
    }

    /// The record belongs to the next user of the row from now on.
    pub(super) fn leave_record(&mut self) {
        if let Some(record) = self.record.take() {
            record.store(0, Ordering::Release);
        }
    }

    fn record_gap(&self) {
        if let Some(record) = self.record {
            record.store(self.gap.as_ref().map_or(0, Gap::to_record), Ordering::Release);
        }
    }

    /// Whether users should hear (again) that the file cannot be written.
    pub(super) fn may_complain(&mut self, now: Instant, patience: Patience) -> bool {
        let is_due = self.complained.is_none_or(|last| now.duration_since(last) >= patience.tell_every);
        if is_due {
            self.complained = Some(now);
        }
        is_due
    }

    pub(super) fn is_over(&self) -> bool {
        self.ends_at.is_some_and(|end| self.moved >= end)
    }
}

/// Where another process begins.
pub(super) struct Border {
    /// What [`Flow::moved`] is there.
    pub(super) position: u64,
    /// When it began.
    pub(super) at: WallTime,
    /// What comes before is of another process, and not of a hook of this one.
    pub(super) is_of_process: bool,
}

/// Output that was thrown away: between two lines of the log. As a number it outlives the daemon.
#[derive(Debug)]
pub(super) struct Gap {
    untold_bytes: u64,
    /// What was thrown away last did not end a line.
    pub(super) is_mid_line: bool,
    /// So much of that line's rest was thrown away.
    rest_bytes: usize,
    told: Instant,
}

impl Gap {
    fn begin() -> Self {
        Self { untold_bytes: 0, is_mid_line: false, rest_bytes: 0, told: Instant::now() }
    }

    /// The lowest bits say that there is a gap and that it ends in mid-line; the others count untold bytes.
    fn to_record(&self) -> u64 {
        (self.untold_bytes << 2) | 2 | u64::from(self.is_mid_line)
    }

    fn from_record(record: u64) -> Option<Self> {
        (record != 0).then(|| Self { untold_bytes: record >> 2, is_mid_line: record & 1 != 0, ..Self::begin() })
    }
}

/// A time in which the file cannot be written.
///
/// | | the pipe | the process | the file |
/// | --- | --- | --- | --- |
/// | waiting | keeps everything, is not listened to | blocks when the pipe is full | tried at `try_at` |
/// | dropping | is emptied into nothing, counted | never blocks | tried at `try_at` |
/// | due | was empty at `try_at` | never blocks | tried with the next byte |
#[derive(Debug)]
pub(super) struct Blockage {
    since: Instant,
    /// When the file is tried again.
    pub(super) try_at: Instant,
    /// When the pipe is looked at again by the clock; `None` = not before something comes out of it.
    pub(super) wake_at: Option<Instant>,
    pause: Duration,
    /// Output is being thrown away.
    pub(super) is_dropping: bool,
    /// It is time to try the file, and there is nothing to try it with.
    is_due: bool,
}

impl Blockage {
    pub(super) fn begin(now: Instant, patience: Patience) -> Self {
        let (pause, try_at) = (patience.retry_first, now + patience.retry_first);
        Self { since: now, try_at, wake_at: Some(try_at), pause, is_dropping: false, is_due: false }
    }

    /// The file was tried once more, in vain.
    pub(super) fn failed_again(&mut self, now: Instant, on_full: OnLogFull, patience: Patience) {
        self.pause = (self.pause * 2).min(patience.retry_max);
        self.try_again_at(now + self.pause);
        // Retargeting may have turned `drop` into `block`: then what comes from now on waits.
        self.is_dropping = on_full == OnLogFull::Drop && now.duration_since(self.since) >= patience.drop_after;
    }

    pub(super) fn try_again_at(&mut self, then: Instant) {
        self.try_at = then;
        self.wake_at = Some(then);
        self.is_due = false;
    }

    /// There was nothing to try the file with. `tell_at`: when dropped bytes are to be told nevertheless.
    pub(super) fn wait_for_bytes(&mut self, now: Instant, tell_at: Option<Instant>) {
        self.is_due = self.try_at <= now;
        if self.is_due {
            self.wake_at = tell_at;
        }
    }
}
