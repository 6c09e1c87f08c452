//! This process takes on who an app is and what it may use, before it becomes another program.

use std::ffi::c_long;
use std::io;

use super::identity::{Switch, may_set_ids, own_identity};
use super::process_limits::take_limits_on;
use crate::model::{Identity, ProcessLimits};

/// What was taken on, and what was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Limits that only root could set so.
    pub other_limits: Vec<String>,
    /// Whether the supplementary groups are others, which only root could change.
    pub has_other_groups: bool,
}

/// Takes on limits, file mode mask, user and groups. Only for a thread that executes another program next: the switch is
/// not one of the whole process.
///
/// # Errors
/// The user or group is another one, and may not be taken.
pub fn take_on(identity: &Identity, umask: u32, limits: &ProcessLimits) -> io::Result<Taken> {
    let other_limits = take_limits_on(limits)?;
    // SAFETY: passes no pointers, and cannot fail.
    unsafe { libc::syscall(libc::SYS_umask, c_long::from(umask)) };
    let own = own_identity()?;
    let is_same_user = (own.uid, own.gid) == (identity.uid, identity.gid);
    let has_other_groups = own.sorted_groups() != identity.sorted_groups();
    if is_same_user && (!has_other_groups || !may_set_ids()) {
        return Ok(Taken { other_limits, has_other_groups });
    }
    Switch::to(identity).perform().map_err(|(_, errno)| io::Error::from_raw_os_error(errno))?;
    Ok(Taken { other_limits, has_other_groups: false })
}
