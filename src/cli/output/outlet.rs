//! An output stream that never blocks the command: text waits for its reader, the work continues.

use std::io;
use std::time::Duration;

use crate::os::{self, StandardStream};

/// Text that may wait for a reader who does not read; what comes then is left out and counted.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// A reader may take so long before the rest is left for later.
const PATIENCE: Duration = Duration::from_millis(100);

/// Standard output or standard error.
#[derive(Debug)]
pub(super) struct Outlet {
    stream: StandardStream,
    waiting: Vec<u8>,
    /// The reader took nothing the last time.
    is_stuck: bool,
    has_failed: bool,
    error: Option<io::Error>,
    left_out_bytes: usize,
}

impl Outlet {
    pub fn new(stream: StandardStream) -> Self {
        Self { stream, waiting: Vec::new(), is_stuck: false, has_failed: false, error: None, left_out_bytes: 0 }
    }

    /// Takes text in; it is written by one of the ways below.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.has_failed {
            return;
        }
        if self.waiting.len() + bytes.len() > WAITING_BYTES_MAX && self.is_stuck {
            self.left_out_bytes += bytes.len();
            return;
        }
        if self.left_out_bytes > 0 {
            let left_out = std::mem::take(&mut self.left_out_bytes);
            self.waiting.extend(format!("({left_out} bytes are left out here: nobody read them)\n").bytes());
        }
        self.waiting.extend_from_slice(bytes);
    }

    /// Whether more should wait for the reader.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_BYTES_MAX / 2
    }

    /// Writes what can be written now; a reader that reads is given a moment.
    pub fn write_now(&mut self) {
        let patience = if self.is_stuck { Duration::ZERO } else { PATIENCE };
        self.write(Some(patience));
    }

    /// Writes all of it, however long that takes.
    pub fn write_all(&mut self) {
        self.write(None);
    }

    fn write(&mut self, patience: Option<Duration>) {
        let mut at = 0;
        while at < self.waiting.len() {
            match os::write_within(self.stream, &self.waiting[at..], patience) {
                Ok(0) => break,
                Ok(written) => at += written,
                Err(error) => {
                    self.has_failed = true;
                    self.error = Some(error);
                    at = self.waiting.len();
                }
            }
        }
        self.waiting.drain(..at);
        self.is_stuck = !self.waiting.is_empty();
    }

    /// Whether nothing can be written any more.
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Why something could not be written, once; a reader that has seen enough is no reason.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.error.take().filter(|error| !os::is_reader_gone(error))
    }
}
