//! Creates a process as a child of the anchor; whether its program could be executed is known on return.
//!
//! The child borrows our memory (`CLONE_VM`) and suspends the calling thread (`CLONE_VFORK`) until it has executed
//! its program or given up. So between the two it may do nothing but raw system calls on memory that was prepared
//! before: no allocation, no lock, no libc function that keeps state (glibc's `setuid` would signal our threads).
//!
//! Guarantees: the kernel stores the pid into the mailbox before the child can run; a SIGKILL of this process at any
//! instant leaves either no child and no pid, or both.
//!
//! A child shares our descriptors at first (`CLONE_FILES`) and then copies the few of them that it needs ([`reserved`]), if
//! nothing but its outputs is passed on. Copying all of ours and closing each copy again would be most of what a start
//! costs when we hold three descriptors for each of a thousand apps.

use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use crate::model::{Limits, SpawnStage};
use crate::os::errno::checked;

use super::identity::Switch;
use super::proc::parent_pid;
use super::stack::with_stack;

mod plan;
mod rehearsal;
mod reserved;
mod standard;

pub use plan::{ExecPlan, HoldsNul, Output};
use rehearsal::may_execute;
pub use rehearsal::rehearse;
pub use reserved::{RESERVED_DESCRIPTORS, reserve_descriptors};
use standard::{Standard, arrange_descriptors};

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
#[error("cannot start a process: step {stage:?} failed: {}", io::Error::from_raw_os_error(*errno))]
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

/// The score that children get, where it is not ours.
pub(super) fn child_oom_score() -> Option<i32> {
    Some(CHILD_OOM_SCORE.load(Ordering::Relaxed)).filter(|score| *score != i32::MAX)
}

/// The soft limit of open files that children get; 0 = the one that we have.
static CHILD_OPEN_FILES: AtomicU64 = AtomicU64::new(0);

/// From now on children start with this soft limit of open files, because our own was raised.
pub fn set_child_open_files(soft: u64) {
    CHILD_OPEN_FILES.store(soft, Ordering::Relaxed);
}

/// The soft limit of open files that children get, where it is not ours.
pub(super) fn child_open_files() -> Option<u64> {
    Some(CHILD_OPEN_FILES.load(Ordering::Relaxed)).filter(|soft| *soft != 0)
}

/// Starts the program of `plan`. Suspends the calling thread until it is executed: a file on a hung network
/// folder blocks here, so the caller has a thread of its own for it.
///
/// # Errors
/// The step that failed. If a pid stands in the mailbox, the child existed, and its exit (code 127) is reported like
/// any other; else no process was created.
pub fn spawn(plan: &ExecPlan, mailbox: &Mailbox<'_>, parent: Parent) -> Result<u32, SpawnFailed> {
    create(plan, mailbox, parent, Purpose::Execute)
}

/// What a child does once it has taken all steps of the plan.
#[derive(Clone, Copy)]
enum Purpose<'a> {
    Execute,
    /// Ends itself, having asked what the kernel thinks of the program, and of a script.
    Rehearse {
        reads: Option<&'a CStr>,
    },
}

fn create(plan: &ExecPlan, mailbox: &Mailbox<'_>, parent: Parent, purpose: Purpose<'_>) -> Result<u32, SpawnFailed> {
    let failed = |stage, error: &io::Error| SpawnFailed { stage, errno: error.raw_os_error().unwrap_or(libc::EIO) };
    let flags = match parent {
        Parent::Caller => 0,
        // Should the anchor have died, our parent is init: an app there would be nobody's.
        Parent::Anchor(pid) if pid == parent_pid() => libc::CLONE_PARENT,
        Parent::Anchor(_) => return Err(SpawnFailed { stage: SpawnStage::Clone, errno: libc::ESRCH }),
    };
    let prepared = Prepared::of(plan, mailbox, purpose).map_err(|error| failed(SpawnStage::Descriptors, &error))?;
    let blocked = BlockedSignals::new();
    let flags = match prepared.standard {
        Standard::Copied(_) => flags,
        Standard::Reserved(_) => flags | libc::CLONE_FILES,
    };
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
const STAGES: [(i32, SpawnStage); 8] = [
    (1, SpawnStage::Clone),
    (2, SpawnStage::Session),
    (3, SpawnStage::Identity),
    (4, SpawnStage::Folder),
    (5, SpawnStage::Descriptors),
    (6, SpawnStage::Exec),
    (7, SpawnStage::Limits),
    (8, SpawnStage::IdentityCheck),
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
    switch: Option<Switch<'a>>,
    umask: u32,
    standard: Standard,
    open_files: Option<libc::rlimit>,
    oom_score: Option<String>,
    /// `LISTEN_PID=` and its digits, which the child fills in; `envp` points here.
    own_pid: Option<Box<UnsafeCell<[u8; OWN_PID_BYTES]>>>,
    limits: PreparedLimits,
    group: Option<&'a CStr>,
    dies_with_caller: bool,
    purpose: Purpose<'a>,
    mailbox: Mailbox<'a>,
}

/// `LISTEN_PID=`, ten digits and the end.
const OWN_PID_BYTES: usize = OWN_PID.len() + 11;
const OWN_PID: &[u8] = b"LISTEN_PID=";

const SHELL: &CStr = c"/bin/sh";

impl<'a> Prepared<'a> {
    fn of(plan: &'a ExecPlan, mailbox: &Mailbox<'a>, purpose: Purpose<'a>) -> io::Result<Self> {
        let mut shell_argv = vec![SHELL.as_ptr(), plan.program.as_ptr()];
        shell_argv.extend(plan.argv.iter().skip(1).map(|word| word.as_ptr()));
        shell_argv.push(ptr::null());
        let own_pid = plan.is_told_its_pid.then(|| Box::new(UnsafeCell::new([0; OWN_PID_BYTES])));
        let mut envp = pointers(&plan.envp);
        if let Some(own_pid) = &own_pid {
            envp.insert(0, own_pid.get().cast());
        }
        Ok(Self {
            program: &plan.program,
            argv: pointers(&plan.argv),
            shell_argv,
            envp,
            cwd: &plan.cwd,
            switch: plan.identity.as_ref().map(Switch::to),
            umask: plan.umask,
            standard: Standard::of(plan.stdin, &plan.output, &plan.handed)?,
            open_files: child_open_files().map(limit_with_soft),
            oom_score: child_oom_score().map(|score| score.to_string()),
            own_pid,
            limits: PreparedLimits::of(&plan.limits),
            group: plan.group.as_deref(),
            dies_with_caller: plan.dies_with_caller,
            purpose,
            mailbox: *mailbox,
        })
    }
}

/// The limits of a plan; unlike the wishes above, each of them must be granted.
struct PreparedLimits {
    rlimits: [Option<(c_int, libc::rlimit)>; 2],
    nice: Option<i32>,
    oom_score: Option<String>,
}

impl PreparedLimits {
    #[expect(clippy::cast_possible_wrap, reason = "the numbers of resources are small; libc gives them another type")]
    fn of(limits: &Limits) -> Self {
        let both = |value: u64| libc::rlimit { rlim_cur: value, rlim_max: value };
        Self {
            rlimits: [
                limits.nofile.map(|value| (libc::RLIMIT_NOFILE as c_int, both(value))),
                limits.nproc.map(|value| (libc::RLIMIT_NPROC as c_int, both(value))),
            ],
            nice: limits.nice,
            oom_score: limits.oom_score_adj.map(|score| score.to_string()),
        }
    }
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
        Ok(()) => match plan.purpose {
            Purpose::Execute => (SpawnStage::Exec, execute(plan)),
            Purpose::Rehearse { reads } => (SpawnStage::Exec, may_execute(plan, reads)),
        },
    };
    plan.mailbox.stage.store(number_of(stage), Ordering::Release);
    plan.mailbox.errno.store(errno, Ordering::Release);
    // SAFETY: ends this process without running anything of the parent's.
    unsafe { libc::syscall(libc::SYS_exit_group, 127) };
    127
}

/// Takes the steps of the plan in the child, one system call after the other.
fn enter(plan: &Prepared<'_>) -> Result<(), (SpawnStage, c_int)> {
    // SAFETY (this function): raw system calls; every pointer leads into `plan`, which was complete before the
    // child existed.
    unsafe {
        if let Some(own_pid) = &plan.own_pid {
            write_own_pid(own_pid, libc::syscall(libc::SYS_getpid));
        }
        step(SpawnStage::Session, libc::syscall(libc::SYS_setsid))?;
        arrange_descriptors(&plan.standard)?;
        default_signals(0);
        if let Some(score) = &plan.oom_score {
            let _wish = set_own_oom_score(score); // without the right to do so the child keeps our score
        }
        if let Some(file) = plan.group {
            step(SpawnStage::Limits, write_word(file, "0"))?; // 0 = the writer
        }
        limit(&plan.limits, plan.open_files.as_ref())?;
        libc::syscall(libc::SYS_umask, c_long::from(plan.umask));
        if let Some(switch) = &plan.switch {
            switch.perform()?;
        }
        if plan.dies_with_caller {
            // Only now: the kernel forgets it when the user changes.
            libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            // What leaves its session and its parent still stands below it, and ends with it.
            libc::syscall(libc::SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        }
        step(SpawnStage::Folder, libc::syscall(libc::SYS_chdir, plan.cwd.as_ptr()))
    }
}

/// Writes `LISTEN_PID=` and the number, in memory that nobody else looks at while we run.
fn write_own_pid(into: &UnsafeCell<[u8; OWN_PID_BYTES]>, pid: c_long) {
    // SAFETY: the thread that made it is suspended, and no reference into it exists.
    let bytes = unsafe { &mut *into.get() };
    let mut digits = [0_u8; 10];
    let mut rest = pid.unsigned_abs();
    let mut first = digits.len();
    while first > 0 && (rest > 0 || first == digits.len()) {
        first -= 1;
        digits[first] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    let text = OWN_PID.iter().chain(digits.iter().skip(first)).chain(&[0]);
    for (byte, value) in bytes.iter_mut().zip(text) {
        *byte = *value;
    }
}

/// While we still may: raising a limit or a priority needs the rights that another user does not have. What is written into
/// files comes first: afterwards perhaps none can be opened.
fn limit(limits: &PreparedLimits, open_files: Option<&libc::rlimit>) -> Result<(), (SpawnStage, c_int)> {
    if let Some(score) = &limits.oom_score {
        step(SpawnStage::Limits, set_own_oom_score(score))?;
    }
    if let Some(limit) = open_files {
        // SAFETY: `limit` is readable.
        unsafe { libc::syscall(libc::SYS_setrlimit, libc::RLIMIT_NOFILE, ptr::from_ref(limit)) };
    }
    for (resource, value) in limits.rlimits.iter().flatten() {
        // SAFETY: `value` is readable.
        let set = unsafe { libc::syscall(libc::SYS_setrlimit, c_long::from(*resource), ptr::from_ref(value)) };
        step(SpawnStage::Limits, set)?;
    }
    if let Some(nice) = limits.nice {
        // SAFETY: passes no pointers.
        let set = unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, c_long::from(nice)) };
        step(SpawnStage::Limits, set)?;
    }
    Ok(())
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

fn set_own_oom_score(score: &str) -> c_long {
    write_word(c"/proc/self/oom_score_adj", score)
}

fn write_word(path: &CStr, word: &str) -> c_long {
    // SAFETY: the path is null-terminated, the word is readable.
    unsafe {
        let flags = libc::O_WRONLY | libc::O_CLOEXEC;
        let fd = libc::syscall(libc::SYS_openat, c_long::from(libc::AT_FDCWD), path.as_ptr(), flags, 0);
        if fd < 0 {
            return fd;
        }
        // Not closed: `close` would overwrite `errno`, and `execve` closes it.
        libc::syscall(libc::SYS_write, fd, word.as_ptr(), word.len())
    }
}

#[cfg(test)]
mod tests;
