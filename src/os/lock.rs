//! A file lock that ends with the process that holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::linux::open_own;

/// An exclusive lock on a file; released when the last copy of the descriptor is closed, by whatever death.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes the lock; `None` if somebody else holds it. The file is made if it is not there, and never removed.
    ///
    /// # Errors
    /// The file cannot be made or opened.
    pub fn try_exclusive(path: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        let file = open_own(path, options.read(true).write(true).create(true).truncate(false).mode(0o600))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Lock> for OwnedFd {
    fn from(lock: Lock) -> Self {
        lock.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_the_lock() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let first = Lock::try_exclusive(&path).unwrap();
        assert!(first.is_some());
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop(first);
        assert!(Lock::try_exclusive(&path).unwrap().is_some());
    }
}
