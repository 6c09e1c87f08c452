//! A defined base for our processes and for the apps: what the caller happened to have is laid down.
//!
//! | attribute | becomes | where it cannot be undone |
//! | --- | --- | --- |
//! | nice value, scheduling policy | 0, `SCHED_OTHER` | without the right to raise a priority (not root) |
//! | I/O priority, CPU affinity, memory policy, personality | the kernel's defaults | |
//! | soft limits | those of the kernel (1,024 open files, 8 MiB of stack, no core files, else the hard limit) | |
//! | hard limits | those of process 1, if they are higher | not root |
//! | oom score | 0 | a higher one, not root |
//!
//! Nobody can undo `no_new_privs`, seccomp filters, a smaller set of capabilities, namespaces. The control group stays, too:
//! which one a process belongs to is for others to say (systemd, a container).

use std::io;
use std::mem::size_of;
use std::ptr;

use crate::os::errno::{checked, checked_long};

/// `IOPRIO_WHO_PROCESS` of `ioprio_set(2)`.
const IO_OF_PROCESS: libc::c_long = 1;
/// `MPOL_DEFAULT` of `set_mempolicy(2)`.
const MEMORY_DEFAULT: libc::c_long = 0;
const OOM_SCORE: &str = "/proc/self/oom_score_adj";

type Resource = libc::__rlimit_resource_t;

/// Soft limits of the kernel where they are not the hard ones.
const SOFT: [(Resource, libc::rlim_t); 3] =
    [(libc::RLIMIT_CORE, 0), (libc::RLIMIT_STACK, 8 << 20), (libc::RLIMIT_NOFILE, 1024)];

const RESOURCES: [Resource; 16] = [
    libc::RLIMIT_CPU,
    libc::RLIMIT_FSIZE,
    libc::RLIMIT_DATA,
    libc::RLIMIT_STACK,
    libc::RLIMIT_CORE,
    libc::RLIMIT_RSS,
    libc::RLIMIT_NPROC,
    libc::RLIMIT_NOFILE,
    libc::RLIMIT_MEMLOCK,
    libc::RLIMIT_AS,
    libc::RLIMIT_LOCKS,
    libc::RLIMIT_SIGPENDING,
    libc::RLIMIT_MSGQUEUE,
    libc::RLIMIT_NICE,
    libc::RLIMIT_RTPRIO,
    libc::RLIMIT_RTTIME,
];

/// Makes this process (of one thread) and what it will start independent of who started it, as far as the kernel lets us.
pub fn lay_down_attributes() {
    for resource in RESOURCES {
        let _not_permitted = reset_limit(resource);
    }
    // SAFETY (all of them): what is passed is readable; what is not permitted stays as it was.
    unsafe {
        let ordinary = libc::sched_param { sched_priority: 0 };
        libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const ordinary);
        libc::setpriority(libc::PRIO_PROCESS, 0, 0);
        libc::syscall(libc::SYS_ioprio_set, IO_OF_PROCESS, 0_i64, 0_i64);
        let every_cpu = [u64::MAX; 16];
        libc::syscall(libc::SYS_sched_setaffinity, 0_i64, size_of::<[u64; 16]>(), every_cpu.as_ptr());
        libc::syscall(libc::SYS_set_mempolicy, MEMORY_DEFAULT, ptr::null::<u64>(), 0_i64);
        libc::personality(0);
        libc::umask(0o077);
    }
    let _not_permitted = std::fs::write(OOM_SCORE, "0");
}

/// Ended children are to be waited for, whatever our caller thought of its own (`SIG_IGN` survives `exec`, and would let
/// the kernel throw their statuses away).
pub fn wait_for_children() {
    // SAFETY: a plain setting.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// A file that has reached its limit (`ulimit -f`) becomes an error of the write, as on a full disk, instead of our death.
pub fn survive_file_size_limit() {
    // SAFETY: a plain setting.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// How long a file may become at most, whatever we ask for.
///
/// # Errors
/// The kernel refuses.
pub fn file_size_limit() -> io::Result<u64> {
    limit_of(0, libc::RLIMIT_FSIZE).map(|limit| limit.rlim_max)
}

fn reset_limit(resource: Resource) -> io::Result<()> {
    let now = limit_of(0, resource)?;
    let highest = limit_of(1, resource).map_or(now.rlim_max, |first| first.rlim_max.max(now.rlim_max));
    let soft = SOFT.iter().find(|entry| entry.0 == resource).map_or(highest, |entry| entry.1);
    set_limit(resource, soft, highest).or_else(|_| set_limit(resource, soft, now.rlim_max))
}

fn limit_of(pid: libc::pid_t, resource: Resource) -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for writing.
    let read = unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, ptr::null::<u64>(), &raw mut limit) };
    checked_long(read).map(|_| limit)
}

fn set_limit(resource: Resource, soft: libc::rlim_t, hard: libc::rlim_t) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft.min(hard), rlim_max: hard };
    // SAFETY: `limit` is valid for reading.
    checked(unsafe { libc::setrlimit(resource, &raw const limit) }).map(drop)
}
