//! The way to the pump: commands for the thread that moves bytes from pipes to files.

use std::io;
use std::os::fd::OwnedFd;

use tokio::sync::{oneshot, watch};

use super::{LogTarget, Notice, StreamKey};

/// The way to the thread that writes all logs; cheap to clone. It ends when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Pump {
    grown: watch::Receiver<u64>,
}

impl Pump {
    /// Starts the thread. `notices` is called on it and must not wait.
    ///
    /// # Errors
    /// The kernel refuses a thread, an epoll or an eventfd.
    pub fn start(notices: impl Fn(Notice) + Send + 'static) -> io::Result<Self> {
        let _ = notices;
        unimplemented!()
    }

    /// Moves what comes out of `fifo` (open for reading and writing, so that it never ends) to the target.
    /// A stream that bore the same key is drained and closed.
    pub fn attach(&self, _key: StreamKey, _fifo: OwnedFd, _target: LogTarget) {
        unimplemented!()
    }

    /// Moves everything from now on to another file, or by other rules. An unknown key is ignored.
    pub fn retarget(&self, _key: StreamKey, _target: LogTarget) {
        unimplemented!()
    }

    /// Moves what is in the pipe now, then closes it.
    pub fn detach(&self, _key: StreamKey) {
        unimplemented!()
    }

    /// Resolves when everything that is in these pipes now stands in the files (or was dropped by policy).
    /// On a full disk that can take for ever: wait with a deadline.
    pub fn drain(&self, _keys: Vec<StreamKey>) -> oneshot::Receiver<()> {
        unimplemented!()
    }

    /// Ticks when any file grew.
    pub fn advanced(&self) -> watch::Receiver<u64> {
        self.grown.clone()
    }

    /// Ends the thread after the batch in hand and resolves when it is gone. What is in the pipes stays there.
    pub fn shutdown(&self) -> oneshot::Receiver<()> {
        unimplemented!()
    }
}
