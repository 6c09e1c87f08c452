//! One stack per spawning thread, for children that share the daemon's memory.

use std::cell::OnceCell;
use std::ffi::c_void;
use std::{io, ptr};

/// What a child may use: it calls nothing deep.
const STACK_BYTES: usize = 64 << 10;
/// Below the stack, so that an overflow is a fault in the child and not a scribble in our memory.
const GUARD_BYTES: usize = 16 << 10;

struct Stack(*mut c_void);

impl Stack {
    fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: a new private mapping, placed by the kernel; then its lowest part is closed to access.
        unsafe {
            let base = libc::mmap(ptr::null_mut(), GUARD_BYTES + STACK_BYTES, libc::PROT_NONE, flags, -1, 0);
            if base == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let stack = Self(base);
            if libc::mprotect(base.add(GUARD_BYTES), STACK_BYTES, libc::PROT_READ | libc::PROT_WRITE) == -1 {
                return Err(io::Error::last_os_error());
            }
            Ok(stack)
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and the thread that suspends on it is ending.
        unsafe { libc::munmap(self.0, GUARD_BYTES + STACK_BYTES) };
    }
}

/// Runs `body` with the top of this thread's stack for children.
pub(super) fn with_stack<T>(body: impl FnOnce(*mut c_void) -> io::Result<T>) -> io::Result<T> {
    thread_local! {
        static STACK: OnceCell<Stack> = const { OnceCell::new() };
    }
    STACK.with(|cell| {
        if cell.get().is_none() {
            let _first = cell.set(Stack::new()?);
        }
        let stack = cell.get().ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        // SAFETY: one past the end of the mapping: where a stack begins that grows downwards.
        body(unsafe { stack.0.add(GUARD_BYTES + STACK_BYTES) })
    })
}
