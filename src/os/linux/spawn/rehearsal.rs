//! A rehearsal: a child that takes all steps of a plan, and then only checks whether it may execute the program.

use std::ffi::{CStr, c_int, c_long};
use std::sync::atomic::AtomicI32;

use super::{Mailbox, Parent, Prepared, Purpose, SpawnFailed, create, errno};
use crate::os::linux::reaper::reap_exit;
use crate::os::linux::spawn::ExecPlan;

/// What would keep the program of `plan` from being started: user, limits, folder, and whether that user may execute it,
/// and read the script that its interpreter `reads`. Blocks, as a spawn does; nothing is left of it.
///
/// # Errors
/// The step that would fail.
pub fn rehearse(plan: &ExecPlan, reads: Option<&CStr>) -> Result<(), SpawnFailed> {
    let (pid, errno, stage) = (AtomicI32::new(0), AtomicI32::new(0), AtomicI32::new(0));
    let mailbox = Mailbox { pid: &pid, errno: &errno, stage: &stage };
    let rehearsed = create(plan, &mailbox, Parent::Caller, Purpose::Rehearse { reads });
    let child = pid.load(std::sync::atomic::Ordering::Acquire);
    if child > 0 {
        let _ends_at_once = reap_exit(child.cast_unsigned(), true);
    }
    rehearsed.map(drop)
}

/// The end of a rehearsal, in the child: 0, or what the kernel says.
pub(super) fn may_execute(plan: &Prepared<'_>, reads: Option<&CStr>) -> c_int {
    if is_refused(plan.program, libc::X_OK) || reads.is_some_and(|script| is_refused(script, libc::R_OK)) {
        return errno();
    }
    0
}

fn is_refused(file: &CStr, mode: c_int) -> bool {
    let folder = c_long::from(libc::AT_FDCWD);
    // SAFETY: the path is null-terminated.
    unsafe { libc::syscall(libc::SYS_faccessat, folder, file.as_ptr(), c_long::from(mode)) < 0 }
}
