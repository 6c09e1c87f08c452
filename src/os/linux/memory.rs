//! Memory that several processes share and that no full disk can take away.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};

use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, memfd_create};

/// A shared mapping of a memory file. It stays mapped for as long as the process is alive, so that what lies in it
/// can be borrowed forever; there is one per process.
#[derive(Debug)]
pub struct SharedMemory {
    fd: OwnedFd,
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping is only handed out as a pointer; what is shared through it is the borrower's promise.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// New zeroed memory, of which the first `reserved` bytes exist at once. `name` is seen in `/proc` only.
    ///
    /// # Errors
    /// Not enough memory.
    pub fn create(name: &std::ffi::CStr, bytes: usize, reserved: usize) -> io::Result<Self> {
        let fd = memfd_create(name, MemfdFlags::CLOEXEC)?;
        File::from(fd.try_clone()?).set_len(bytes as u64)?;
        let memory = Self::map(fd, bytes)?;
        memory.reserve(0, reserved)?;
        Ok(memory)
    }

    /// Makes these bytes exist, so that a store into them can never fail for want of memory (that would be `SIGBUS`).
    ///
    /// # Errors
    /// Not enough memory.
    pub fn reserve(&self, from: usize, bytes: usize) -> io::Result<()> {
        Ok(fallocate(&self.fd, FallocateFlags::empty(), from as u64, bytes as u64)?)
    }

    /// The memory behind an inherited descriptor.
    ///
    /// # Errors
    /// The file is smaller than `bytes`, or no memory file at all.
    pub fn inherit(fd: OwnedFd, bytes: usize) -> io::Result<Self> {
        let length = File::from(fd.try_clone()?).metadata()?.len();
        if length < bytes as u64 {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        Self::map(fd, bytes)
    }

    fn map(fd: OwnedFd, bytes: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, placed by the kernel.
        let base = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // Once touched a page stays: the kernel's store of a pid must not have to wait for a fault. Best effort,
        // since ordinary users may lock little.
        // SAFETY: exactly the mapping from above.
        let _wish = unsafe { libc::mlock2(base, bytes, libc::MLOCK_ONFAULT) };
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Self { fd, base, bytes })
    }

    /// The first byte; page-aligned; valid for as long as the process is alive.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
