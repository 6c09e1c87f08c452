//! Signals as a readable descriptor.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::os::errno::{checked, checked_size};

/// Signals of this process that are read instead of handled.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// Blocks these signals in this thread (and those that it starts) and reads them from now on. What arrived before,
    /// while they were blocked, is not lost.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn blocking(signals: &[i32]) -> io::Result<Self> {
        // SAFETY: an all-zero set is valid; every pointer is to a live set.
        unsafe {
            let mut set: libc::sigset_t = MaybeUninit::zeroed().assume_init();
            libc::sigemptyset(&raw mut set);
            for signal in signals {
                libc::sigaddset(&raw mut set, *signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
            let fd = checked(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// The next signal that has arrived; `None` if there is none.
    pub fn take(&self) -> Option<i32> {
        // SAFETY: an all-zero structure is valid, and is as large as the read says.
        let (count, info) = unsafe {
            let mut info: libc::signalfd_siginfo = MaybeUninit::zeroed().assume_init();
            let place: *mut libc::signalfd_siginfo = &raw mut info;
            let size = size_of::<libc::signalfd_siginfo>();
            (checked_size(libc::read(self.0.as_raw_fd(), place.cast(), size)), info)
        };
        count.ok().filter(|count| *count == size_of::<libc::signalfd_siginfo>())?;
        i32::try_from(info.ssi_signo).ok()
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// SIGTERM and SIGINT, for the daemon's task.
#[derive(Debug)]
pub struct ShutdownSignals(AsyncFd<SignalFd>);

impl AsRawFd for SignalFd {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

impl ShutdownSignals {
    /// Reads them from now on. Must be called inside the runtime, before other threads are started. The anchor starts
    /// the daemon with both blocked, so that one which comes too early waits here.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new() -> io::Result<Self> {
        let signals = SignalFd::blocking(&[libc::SIGTERM, libc::SIGINT])?;
        // SAFETY: the descriptor is valid and belongs to the watch from now on.
        Ok(Self(unsafe { AsyncFd::register_with_interest(signals, Interest::READABLE)? }))
    }

    /// Waits for the next one and says which it was. Cancel-safe.
    ///
    /// # Errors
    /// The runtime is gone.
    pub async fn next(&mut self) -> io::Result<i32> {
        loop {
            let mut ready = self.0.readable().await?;
            if let Some(signal) = self.0.get_ref().take() {
                return Ok(signal);
            }
            ready.clear_ready();
        }
    }
}
