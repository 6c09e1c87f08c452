//! The anchor's own child: started again and again, from memory that was prepared once.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::os::errno::checked;

use super::spawn::{BlockedSignals, default_signals};
use super::stack::with_stack;

/// A program that is to run whenever its predecessor has ended. It inherits every descriptor that is not
/// close-on-exec, under its number.
#[derive(Debug)]
pub struct DaemonLauncher {
    program: CString,
    words: (Vec<CString>, Vec<CString>),
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
}

/// What runs if the program is not there: our own, even if its file has been deleted.
const OWN_PROGRAM: &CStr = c"/proc/self/exe";

struct Start<'a> {
    launcher: &'a DaemonLauncher,
    socket: c_int,
    socket_number: c_int,
    errno: AtomicI32,
}

impl DaemonLauncher {
    /// Prepares everything; starting allocates nothing.
    pub fn new(program: CString, argv: Vec<CString>, envp: Vec<CString>) -> Self {
        let pointers =
            |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>();
        // The pointers are to the texts' own memory, which does not move with the vectors that hold them.
        let (argv_pointers, envp_pointers) = (pointers(&argv), pointers(&envp));
        Self { program, words: (argv, envp), argv: argv_pointers, envp: envp_pointers }
    }

    /// Starts it in a session of its own, with `socket` under `socket_number`; returns its pid. SIGTERM and SIGINT are
    /// blocked in it until it asks for them, so that one which comes early is not lost.
    ///
    /// # Errors
    /// Neither the program nor our own can be executed; no process slots, no memory.
    pub fn start(&self, socket: BorrowedFd<'_>, socket_number: c_int) -> io::Result<u32> {
        debug_assert!(!self.words.0.is_empty(), "a program has a name");
        let start = Start { launcher: self, socket: socket.as_raw_fd(), socket_number, errno: AtomicI32::new(0) };
        let blocked = BlockedSignals::new();
        let pid = with_stack(|stack| {
            let argument: *const Start<'_> = &raw const start;
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            // SAFETY: as in `spawn`: the stack is ours alone, and `start` outlives the suspension.
            checked(unsafe { libc::clone(run_launched, stack, flags, argument.cast_mut().cast()) })
        })?;
        drop(blocked);
        match start.errno.load(Ordering::Acquire) {
            0 => Ok(pid.cast_unsigned()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// The child's life until it executes. Nothing here may allocate, lock or panic.
extern "C" fn run_launched(argument: *mut c_void) -> c_int {
    // SAFETY: `start` passes a `Start` that lives until we have executed or exited; the calls are raw.
    unsafe {
        let start = &*argument.cast::<Start<'_>>();
        let launcher = start.launcher;
        libc::syscall(libc::SYS_setsid);
        default_signals(1 << (libc::SIGTERM - 1) | 1 << (libc::SIGINT - 1));
        // If it already has the number, only the flag is cleared.
        let placed = if start.socket == start.socket_number {
            libc::syscall(libc::SYS_fcntl, c_long::from(start.socket), libc::F_SETFD, 0)
        } else {
            libc::syscall(libc::SYS_dup3, c_long::from(start.socket), c_long::from(start.socket_number), 0)
        };
        if placed >= 0 {
            let (argv, envp) = (launcher.argv.as_ptr(), launcher.envp.as_ptr());
            libc::syscall(libc::SYS_execve, launcher.program.as_ptr(), argv, envp);
            libc::syscall(libc::SYS_execve, OWN_PROGRAM.as_ptr(), argv, envp);
        }
        start.errno.store(*libc::__errno_location(), Ordering::Release);
        libc::syscall(libc::SYS_exit_group, 127);
    }
    127
}
