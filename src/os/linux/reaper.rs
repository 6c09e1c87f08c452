//! Reaping children and adopted orphans.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;

use rustix::process::Pid;

use super::pidfd::exit_of;
use crate::model::Exit;
use crate::os::errno::{checked, uninterrupted};

/// A child that has ended and not been reaped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dead {
    /// Its number: not reused before it is reaped.
    pub pid: u32,
    /// How it ended, as a raw wait status.
    pub status: i32,
}

/// From now on orphans below us become our children.
///
/// # Errors
/// Before Linux 3.4.
pub fn become_subreaper() -> io::Result<()> {
    // The kernel reads the number as a yes.
    Ok(rustix::process::set_child_subreaper(Some(Pid::INIT))?)
}

/// Leaves the session and terminal of our starter. A leader of a session already has its own.
pub fn leave_session() {
    // The only error says that there is nothing to do.
    let _ = rustix::process::setsid();
}

/// The name that `ps` and `killall` see; 15 bytes count.
///
/// # Errors
/// None that a caller could cause.
pub fn name_process(name: &CStr) -> io::Result<()> {
    Ok(rustix::thread::set_name(name)?)
}

/// A child that has ended, left as it is; `None` if there is none now.
///
/// # Errors
/// None that a caller could cause.
pub fn next_dead_child() -> io::Result<Option<Dead>> {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    let info = match wait(libc::P_ALL, 0, flags) {
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
        other => other?,
    };
    Ok(dead(&info))
}

/// Who ended and how, if anybody did.
fn dead(info: &libc::siginfo_t) -> Option<Dead> {
    // SAFETY: these fields are what `waitid` fills in (or left zero: no child has ended).
    let (pid, value) = unsafe { (info.si_pid(), info.si_status()) };
    let status = match info.si_code {
        libc::CLD_EXITED => (value & 0xFF) << 8,
        libc::CLD_DUMPED => value & 0x7F | 0x80,
        _killed => value & 0x7F,
    };
    u32::try_from(pid).ok().filter(|pid| *pid != 0).map(|pid| Dead { pid, status })
}

/// Lets the kernel forget a child and says how it ended; `None` if it has not ended. With `waits` it is waited for.
///
/// # Errors
/// `ECHILD`: it is no child of this process.
pub fn reap_exit(pid: u32, waits: bool) -> io::Result<Option<Exit>> {
    let flags = if waits { libc::WEXITED } else { libc::WEXITED | libc::WNOHANG };
    Ok(dead(&wait(libc::P_PID, pid, flags)?).map(|dead| exit_of(dead.status)))
}

/// Lets the kernel forget a child that has ended. One that has not is left alone.
///
/// # Errors
/// `ECHILD`: it is no child of this process.
pub fn reap(pid: u32) -> io::Result<()> {
    wait(libc::P_PID, pid, libc::WEXITED | libc::WNOHANG).map(drop)
}

/// Signals a child of this process that we have not reaped.
///
/// # Errors
/// `ESRCH`, `EPERM`.
pub fn signal_child(pid: u32, signal: i32) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: no pointers are passed; an unreaped child's number is nobody else's.
    checked(unsafe { libc::kill(pid, signal) }).map(drop)
}

fn wait(kind: libc::idtype_t, id: u32, flags: i32) -> io::Result<libc::siginfo_t> {
    // SAFETY: an all-zero `siginfo_t` is valid, and means "nothing" if the kernel fills in nothing.
    let mut info: libc::siginfo_t = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: `info` is valid for writing.
    uninterrupted(|| checked(unsafe { libc::waitid(kind, id, &raw mut info, flags) }))?;
    Ok(info)
}
