//! Creates a process as a child of the anchor; whether its program could be executed is known on return.
//!
//! The child borrows our memory (`CLONE_VM`) and suspends the calling thread (`CLONE_VFORK`) until it has executed
//! its program or given up. So between the two it may do nothing but raw system calls on memory that was prepared
//! before: no allocation, no lock, no libc function that keeps state (glibc's `setuid` would signal our threads).
//!
//! Guarantees: the kernel stores the pid into the mailbox before the child can run; a SIGKILL of this process at any
//! instant leaves either no child and no pid, or both.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::model::SpawnStage;
use crate::os::errno::checked;

use super::descriptors::copy_above;
use super::proc::parent_pid;
use super::stack::with_stack;

/// Everything that a child needs, decided and allocated before it exists.
#[derive(Debug)]
pub struct ExecPlan {
    /// What is executed: an absolute path.
    pub program: CString,
    /// Its arguments, `argv[0]` included.
    pub argv: Vec<CString>,
    /// Its environment, `NAME=value`.
    pub envp: Vec<CString>,
    /// Its working folder.
    pub cwd: CString,
    /// Who it runs as; `None` = as we do.
    pub identity: Option<Identity>,
    /// File mode mask.
    pub umask: u32,
    /// Its standard output.
    pub stdout: OwnedFd,
    /// Its standard error.
    pub stderr: OwnedFd,
    /// What it gets besides, as descriptors from 3 on.
    pub handed: Vec<OwnedFd>,
    /// The soft limit of open files that it starts with; `None` = ours.
    pub open_files_soft: Option<u64>,
}

/// User, group and supplementary groups, as numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Where the kernel and the child write, in memory that outlives this process.
#[derive(Clone, Copy, Debug)]
pub struct Mailbox<'a> {
    /// The kernel writes the pid here before the child can run.
    pub pid: &'a AtomicI32,
    /// The child writes what stopped it.
    pub errno: &'a AtomicI32,
    /// The child writes at which [`SpawnStage`] (as a number) that was.
    pub stage: &'a AtomicI32,
}

/// Who becomes the parent of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Our own parent, if it is the process with this number.
    Anchor(u32),
    /// We do: for helpers that we wait for ourselves.
    Caller,
}

/// Why there is no process, or why it ended before it executed its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot start a process: step {stage:?} failed with error {errno}")]
pub struct SpawnFailed {
    /// The step.
    pub stage: SpawnStage,
    /// What the kernel said.
    pub errno: i32,
}

/// The score of the out-of-memory killer that children get; `i32::MAX` = the one that we have.
static CHILD_OOM_SCORE: AtomicI32 = AtomicI32::new(i32::MAX);

/// From now on children start with this score of the out-of-memory killer, because our own was lowered.
pub fn set_child_oom_score(score: i32) {
    CHILD_OOM_SCORE.store(score, Ordering::Relaxed);
}

/// Starts the program of `plan`. Suspends the calling thread until it is executed: a file on a hung network
/// folder blocks here, so the caller has a thread of its own for it.
///
/// # Errors
/// The step that failed. With [`SpawnStage::Clone`] no process was created; with every other step the child existed,
/// its pid stands in the mailbox, and its exit (code 127) is reported like any other.
pub fn spawn(plan: &ExecPlan, mailbox: &Mailbox<'_>, parent: Parent) -> Result<u32, SpawnFailed> {
    let failed = |stage, error: &io::Error| SpawnFailed { stage, errno: error.raw_os_error().unwrap_or(libc::EIO) };
    let flags = match parent {
        Parent::Caller => 0,
        // Should the anchor have died, our parent is init: an app there would be nobody's.
        Parent::Anchor(pid) if pid == parent_pid() => libc::CLONE_PARENT,
        Parent::Anchor(_) => return Err(SpawnFailed { stage: SpawnStage::Clone, errno: libc::ESRCH }),
    };
    let prepared = Prepared::of(plan, mailbox).map_err(|error| failed(SpawnStage::Descriptors, &error))?;
    let blocked = BlockedSignals::new();
    let flags = flags | libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PARENT_SETTID | libc::SIGCHLD;
    let created = with_stack(|stack| {
        let argument: *const Prepared<'_> = &raw const prepared;
        // SAFETY: `stack` is the top of a mapped stack that no one else uses until the child has gone on its own;
        // `prepared` outlives the suspension; the pid goes into an atomic, which allows the kernel's plain store.
        checked(unsafe { libc::clone(run_child, stack, flags, argument.cast_mut().cast(), mailbox.pid.as_ptr()) })
    });
    drop(blocked);
    let pid = created.map_err(|error| failed(SpawnStage::Clone, &error))?;
    match mailbox.errno.load(Ordering::Acquire) {
        0 => Ok(pid.cast_unsigned()),
        errno => Err(SpawnFailed { stage: stage_of(mailbox.stage.load(Ordering::Acquire)), errno }),
    }
}

/// The steps by their numbers in the mailbox. The numbers are part of the table's layout and never change.
const STAGES: [(i32, SpawnStage); 6] = [
    (1, SpawnStage::Clone),
    (2, SpawnStage::Session),
    (3, SpawnStage::Identity),
    (4, SpawnStage::Folder),
    (5, SpawnStage::Descriptors),
    (6, SpawnStage::Exec),
];

impl SpawnFailed {
    /// What a mailbox says that was filled under an earlier daemon; `None` if no step failed.
    pub fn of(mailbox: &Mailbox<'_>) -> Option<Self> {
        let errno = mailbox.errno.load(Ordering::Acquire);
        (errno != 0).then(|| Self { stage: stage_of(mailbox.stage.load(Ordering::Acquire)), errno })
    }
}

fn stage_of(number: i32) -> SpawnStage {
    STAGES.iter().find(|entry| entry.0 == number).map_or(SpawnStage::Exec, |entry| entry.1)
}

fn number_of(stage: SpawnStage) -> i32 {
    STAGES.iter().find(|entry| entry.1 == stage).map_or(0, |entry| entry.0)
}

/// All signals of this thread, blocked for as long as this lives: a handler of ours must not run in the child,
/// where it would work on our memory.
pub(super) struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    pub(super) fn new() -> Self {
        // SAFETY: both sets are valid for reading and writing; all-zero is a valid set.
        unsafe {
            let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            Self(before)
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set was filled by the kernel.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// The plan in the form of system call arguments.
struct Prepared<'a> {
    program: &'a CStr,
    argv: Vec<*const c_char>,
    /// `/bin/sh FILE ARGUMENTS…`, for a file without a `#!` line.
    shell_argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    cwd: &'a CStr,
    identity: Option<&'a Identity>,
    umask: u32,
    /// stdin, stdout, stderr and what is handed over: the child's descriptors 0, 1, 2, … None of them stands at a
    /// number that another one goes to.
    descriptors: Vec<OwnedFd>,
    open_files: Option<libc::rlimit>,
    oom_score: Option<String>,
    mailbox: Mailbox<'a>,
}

const SHELL: &CStr = c"/bin/sh";

impl<'a> Prepared<'a> {
    fn of(plan: &'a ExecPlan, mailbox: &Mailbox<'a>) -> io::Result<Self> {
        let stdin = OpenOptions::new().read(true).open("/dev/null")?;
        let mut shell_argv = vec![SHELL.as_ptr(), plan.program.as_ptr()];
        shell_argv.extend(plan.argv.iter().skip(1).map(|word| word.as_ptr()));
        shell_argv.push(ptr::null());
        Ok(Self {
            program: &plan.program,
            argv: pointers(&plan.argv),
            shell_argv,
            envp: pointers(&plan.envp),
            cwd: &plan.cwd,
            identity: plan.identity.as_ref(),
            umask: plan.umask,
            descriptors: descriptors(stdin.as_fd(), plan)?,
            open_files: plan.open_files_soft.map(limit_with_soft),
            oom_score: Some(CHILD_OOM_SCORE.load(Ordering::Relaxed))
                .filter(|score| *score != i32::MAX)
                .map(|score| score.to_string()),
            mailbox: *mailbox,
        })
    }
}

/// Copies that no `dup2` onto a number of the child can overwrite.
fn descriptors(stdin: BorrowedFd<'_>, plan: &ExecPlan) -> io::Result<Vec<OwnedFd>> {
    let lowest = c_int::try_from(3 + plan.handed.len()).unwrap_or(c_int::MAX);
    let standard = [stdin, plan.stdout.as_fd(), plan.stderr.as_fd()];
    standard.into_iter().chain(plan.handed.iter().map(AsFd::as_fd)).map(|fd| copy_above(fd, lowest)).collect()
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

fn limit_with_soft(soft: u64) -> libc::rlimit {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for writing.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = soft.min(limit.rlim_max);
    limit
}

/// The child's life between `clone` and `execve`. Nothing here may allocate, lock or panic.
extern "C" fn run_child(argument: *mut c_void) -> c_int {
    // SAFETY: `spawn` passes a `Prepared` that lives until we have executed or exited.
    let plan = unsafe { &*argument.cast::<Prepared<'_>>() };
    let (stage, errno) = match enter(plan) {
        Err(failure) => failure,
        Ok(()) => (SpawnStage::Exec, execute(plan)),
    };
    plan.mailbox.stage.store(number_of(stage), Ordering::Release);
    plan.mailbox.errno.store(errno, Ordering::Release);
    // SAFETY: ends this process without running anything of the parent's.
    unsafe { libc::syscall(libc::SYS_exit_group, 127) };
    127
}

/// Makes the process what the plan says, one system call after the other.
fn enter(plan: &Prepared<'_>) -> Result<(), (SpawnStage, c_int)> {
    // SAFETY (this function): raw system calls; every pointer leads into `plan`, which was complete before the
    // child existed.
    unsafe {
        step(SpawnStage::Session, libc::syscall(libc::SYS_setsid))?;
        default_signals(0);
        if let Some(score) = &plan.oom_score {
            set_own_oom_score(score); // a wish: without the right to do so the child keeps our score
        }
        if let Some(limit) = &plan.open_files {
            libc::syscall(libc::SYS_setrlimit, libc::RLIMIT_NOFILE, ptr::from_ref(limit));
        }
        libc::syscall(libc::SYS_umask, c_long::from(plan.umask));
        if let Some(identity) = plan.identity {
            become_user(identity)?;
        }
        step(SpawnStage::Folder, libc::syscall(libc::SYS_chdir, plan.cwd.as_ptr()))?;
        for (fd, target) in plan.descriptors.iter().zip(0..) {
            let copied = libc::syscall(libc::SYS_dup3, c_long::from(fd.as_raw_fd()), c_long::from(target), 0);
            step(SpawnStage::Descriptors, copied)?;
        }
        // All of ours are CLOEXEC anyway; this is for what some library has opened without.
        let first = plan.descriptors.len();
        libc::syscall(libc::SYS_close_range, first, c_long::from(c_int::MAX), c_long::from(libc::CLOSE_RANGE_CLOEXEC));
    }
    Ok(())
}

/// Order matters: groups and group while we still may, the user last.
fn become_user(identity: &Identity) -> Result<(), (SpawnStage, c_int)> {
    // SAFETY: `groups` is readable for its length.
    unsafe {
        let groups = libc::syscall(libc::SYS_setgroups, identity.groups.len(), identity.groups.as_ptr());
        step(SpawnStage::Identity, groups)?;
        step(SpawnStage::Identity, libc::syscall(libc::SYS_setresgid, identity.gid, identity.gid, identity.gid))?;
        step(SpawnStage::Identity, libc::syscall(libc::SYS_setresuid, identity.uid, identity.uid, identity.uid))
    }
}

/// Only returns if the program cannot be executed: with the reason.
fn execute(plan: &Prepared<'_>) -> c_int {
    // SAFETY: all three are null-terminated and live in `plan`.
    unsafe {
        libc::syscall(libc::SYS_execve, plan.program.as_ptr(), plan.argv.as_ptr(), plan.envp.as_ptr());
        if errno() == libc::ENOEXEC {
            // A script without `#!`: what a shell would do.
            libc::syscall(libc::SYS_execve, SHELL.as_ptr(), plan.shell_argv.as_ptr(), plan.envp.as_ptr());
        }
    }
    errno()
}

fn step(stage: SpawnStage, returned: c_long) -> Result<(), (SpawnStage, c_int)> {
    if returned < 0 { Err((stage, errno())) } else { Ok(()) }
}

fn errno() -> c_int {
    // SAFETY: thread-local; we borrow the thread of our suspended parent, which reads it next after its own call.
    unsafe { *libc::__errno_location() }
}

/// The highest signal number of the kernel.
const SIGNALS: c_long = 64;

/// The kernel's `struct sigaction` (not libc's) with every field zero: the default action.
#[repr(C)]
struct KernelSigaction {
    words: [u64; 4],
}

/// Every signal back to its default (`SIGPIPE` is ignored in Rust programs, and ignored signals survive `execve`),
/// then exactly `blocked` blocked (bit n−1 for signal n).
pub(super) fn default_signals(blocked: u64) {
    static DEFAULT: KernelSigaction = KernelSigaction { words: [0; 4] };
    // SAFETY: both structures are readable; the last argument is the size of the kernel's signal set.
    unsafe {
        for signal in 1..=SIGNALS {
            let nowhere: *mut c_void = ptr::null_mut();
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const DEFAULT, nowhere, 8);
        }
        let nowhere: *mut c_void = ptr::null_mut();
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const blocked, nowhere, 8);
    }
}

fn set_own_oom_score(score: &str) {
    // SAFETY: the path is null-terminated, the digits are readable.
    unsafe {
        let path = c"/proc/self/oom_score_adj";
        let flags = libc::O_WRONLY | libc::O_CLOEXEC;
        let fd = libc::syscall(libc::SYS_openat, c_long::from(libc::AT_FDCWD), path.as_ptr(), flags, 0);
        if fd >= 0 {
            libc::syscall(libc::SYS_write, fd, score.as_ptr(), score.len());
            libc::syscall(libc::SYS_close, fd);
        }
    }
}

#[cfg(test)]
mod tests;
