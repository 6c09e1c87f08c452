//! One process, held by a descriptor: a signal sent through it can never hit another process.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::PollFlags;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::model::{Exit, Millis};
use crate::os::errno::{checked, checked_long, poll_one};

use super::proc::{pids, proc_stat};

const PIDFD_SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// `struct pidfd_info` of `linux/pidfd.h`, first version.
#[repr(C)]
#[derive(Default)]
struct PidFdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// `_IOWR(0xFF, 11, struct pidfd_info)`: the size of the structure is part of the number.
const PIDFD_GET_INFO: libc::c_ulong = (3 << 30) | ((size_of::<PidFdInfo>() as libc::c_ulong) << 16) | (0xFF << 8) | 0xB;
const _: () = assert!(size_of::<PidFdInfo>() == 64);

/// A process and its number. The number may be reused after the process was reaped; the descriptor never.
#[derive(Debug)]
pub struct PidFd {
    fd: OwnedFd,
    pid: u32,
}

impl PidFd {
    /// Opens whatever process has this number now. Sure to be the right one only while the caller knows that
    /// it has not been reaped; everybody else uses [`Self::open_verified`].
    ///
    /// # Errors
    /// `ESRCH`: there is none. `EMFILE`, `ENFILE`.
    pub fn open(pid: u32) -> io::Result<Self> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(no_such_process)?;
        Ok(Self { fd: pidfd_open(number, PidfdFlags::empty())?, pid })
    }

    /// Opens the process with this number if it was started at `start_ticks` (clock ticks since boot).
    ///
    /// # Errors
    /// `ESRCH`: there is none, or it is another one.
    pub fn open_verified(pid: u32, start_ticks: u64) -> io::Result<Self> {
        let opened = Self::open(pid)?;
        // Read after opening: if the number had been reused before, the start time tells.
        if proc_stat(pid)?.start_ticks == start_ticks { Ok(opened) } else { Err(no_such_process()) }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal to the process.
    ///
    /// # Errors
    /// `ESRCH`: it was reaped already. `EPERM`.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        self.send(signal, 0)
    }

    /// Sends a signal to every member of the process group that this process leads or led.
    ///
    /// # Errors
    /// `ESRCH`: the group is empty. `EPERM`.
    pub fn signal_group(&self, signal: i32) -> io::Result<()> {
        match self.send(signal, PIDFD_SIGNAL_PROCESS_GROUP) {
            // Before Linux 6.9 there is no such flag.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.signal_members(signal),
            done => done,
        }
    }

    /// Whether the process has ended (reaped or not).
    pub fn has_exited(&self) -> bool {
        self.exits_within(Millis(0))
    }

    /// Suspends this thread until the process has ended, for at most `time`; a signal may end the wait early.
    pub fn exits_within(&self, time: Millis) -> bool {
        self.poll(time).intersects(PollFlags::IN | PollFlags::HUP)
    }

    /// Whether the process has ended and was reaped. Kernels before 6.9 do not tell.
    pub fn is_reaped(&self) -> bool {
        self.poll(Millis(0)).contains(PollFlags::HUP)
    }

    /// How it ended, from the kernel's memory: only after it was reaped by whoever is its parent, and only
    /// since Linux 6.15.
    pub fn exit_info(&self) -> Option<Exit> {
        let mut info = PidFdInfo { mask: PIDFD_INFO_EXIT, ..PidFdInfo::default() };
        // SAFETY: `info` is as large as the request says and valid for writing.
        checked(unsafe { libc::ioctl(self.fd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) }).ok()?;
        (info.mask & PIDFD_INFO_EXIT != 0).then(|| exit_of(info.exit_code))
    }

    /// A copy of a descriptor of this process, `pidfd_getfd(2)`.
    ///
    /// # Errors
    /// `EBADF`: it has none of that number. `EPERM`: we may not look into it. `ENOSYS`: Linux before 5.6.
    pub fn copy_descriptor(&self, number: RawFd) -> io::Result<OwnedFd> {
        Ok(pidfd_getfd(&self.fd, number, PidfdGetfdFlags::empty())?)
    }

    /// A second descriptor of the same process.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()?, pid: self.pid })
    }

    fn poll(&self, time: Millis) -> PollFlags {
        poll_one(&self.fd, PollFlags::IN, Some(time.duration())).unwrap_or(PollFlags::empty())
    }

    fn send(&self, signal: i32, flags: libc::c_uint) -> io::Result<()> {
        let info: *const libc::siginfo_t = std::ptr::null();
        // SAFETY: a null `siginfo` is allowed and means "as kill(2) would".
        let returned = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.fd.as_raw_fd(), signal, info, flags) };
        checked_long(returned).map(drop)
    }

    /// The group, member by member, each one held by its own pidfd while it is looked at. Only while the
    /// leader has not been reaped: afterwards a group number proves nothing on such a kernel.
    fn signal_members(&self, signal: i32) -> io::Result<()> {
        self.send(0, 0)?;
        let mut reached = false;
        for pid in pids() {
            let Ok(member) = Self::open(pid) else { continue };
            if proc_stat(pid).is_ok_and(|stat| stat.pgrp == self.pid && !stat.is_zombie) {
                reached |= member.signal(signal).is_ok();
            }
        }
        if reached { Ok(()) } else { Err(no_such_process()) }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A wait status that no process can have: how it ended is not known.
pub const UNKNOWN_STATUS: i32 = -1;

/// The meaning of a raw wait status.
pub fn exit_of(status: i32) -> Exit {
    if libc::WIFEXITED(status) {
        Exit::Code(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Unknown
    }
}

fn no_such_process() -> io::Error {
    io::Error::from_raw_os_error(libc::ESRCH)
}
