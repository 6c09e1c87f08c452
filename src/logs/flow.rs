//! One pipe on its way into a file, and how patient it is while the file cannot be written.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{LogTarget, StreamKey, sys};
use crate::model::OnLogFull;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long a process waits for a full disk before its output is dropped.
    pub(super) drop_after: Duration,
    /// The first pause before a failed write is tried again; doubles up to `retry_max`.
    pub(super) retry_first: Duration,
    /// The longest such pause.
    pub(super) retry_max: Duration,
    /// While output is being dropped, how often that is told.
    pub(super) tell_every: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            drop_after: Duration::from_secs(30),
            retry_first: Duration::from_millis(100),
            retry_max: Duration::from_secs(1),
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
    /// The file cannot be written now.
    pub(super) blockage: Option<Blockage>,
    complained: Option<Instant>,
}

impl Flow {
    pub(super) fn new(key: StreamKey, pipe: Arc<OwnedFd>, target: LogTarget) -> Self {
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
            blockage: None,
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

    /// Whether the pipe should wake the thread: not by the clock's turn as well, and not for bytes that can go nowhere.
    pub(super) fn should_be_heard(&self) -> bool {
        !self.is_busy && self.blockage.as_ref().is_none_or(|blockage| blockage.is_dropping)
    }

    /// Whether people should hear (again) that the file cannot be written.
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

/// A time in which the file cannot be written.
///
/// | | the pipe | the process | the file |
/// | --- | --- | --- | --- |
/// | waiting | keeps everything, is not listened to | blocks when the pipe is full | tried at `try_at` |
/// | dropping | is emptied into nothing, counted | never blocks | tried at the first batch after `try_at` |
#[derive(Debug)]
pub(super) struct Blockage {
    since: Instant,
    /// When the file is tried again.
    pub(super) try_at: Instant,
    pause: Duration,
    /// Output is being thrown away.
    pub(super) is_dropping: bool,
    /// Thrown away and not told yet.
    pub(super) dropped_bytes: u64,
    told: Instant,
}

impl Blockage {
    pub(super) fn begin(now: Instant, patience: Patience) -> Self {
        let pause = patience.retry_first;
        Self { since: now, try_at: now + pause, pause, is_dropping: false, dropped_bytes: 0, told: now }
    }

    /// The file was tried once more, in vain.
    pub(super) fn failed_again(&mut self, now: Instant, on_full: OnLogFull, patience: Patience) {
        self.pause = (self.pause * 2).min(patience.retry_max);
        self.try_at = now + self.pause;
        // Retargeting may have turned `drop` into `block`: then what comes from now on waits.
        self.is_dropping = on_full == OnLogFull::Drop && now.duration_since(self.since) >= patience.drop_after;
    }

    /// The count of dropped bytes, now and then.
    pub(super) fn due_count(&mut self, now: Instant, patience: Patience) -> Option<u64> {
        if self.dropped_bytes == 0 || now.duration_since(self.told) < patience.tell_every {
            return None;
        }
        self.told = now;
        Some(std::mem::take(&mut self.dropped_bytes))
    }
}
