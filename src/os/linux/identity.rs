//! Who this process is, and becoming another user for good. A [`Switch`] makes raw system calls only: it is also for a
//! child that borrows our memory.

use std::ffi::{c_int, c_long};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::model::{Identity, SpawnStage};
use crate::os::errno::checked;

/// `_LINUX_CAPABILITY_VERSION_3` of `capget(2)`.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;

/// User, group and supplementary groups of this process.
///
/// # Errors
/// The kernel does not say, or its user and group are not the same throughout: real, effective and saved.
pub fn own_identity() -> io::Result<Identity> {
    let (Some(uids), Some(gids)) = (own_users(), own_main_groups()) else { return Err(io::Error::last_os_error()) };
    if uids != [uids[0]; 3] || gids != [gids[0]; 3] {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "real, effective and saved user differ"));
    }
    Ok(Identity { uid: uids[0], gid: gids[0], groups: own_groups()? })
}

/// Real, effective and saved user of this thread.
fn own_users() -> Option<[u32; 3]> {
    // SAFETY: three valid pointers.
    three(|[real, effective, saved]| unsafe { libc::syscall(libc::SYS_getresuid, real, effective, saved) })
}

/// Real, effective and saved group of this thread.
fn own_main_groups() -> Option<[u32; 3]> {
    // SAFETY: three valid pointers.
    three(|[real, effective, saved]| unsafe { libc::syscall(libc::SYS_getresgid, real, effective, saved) })
}

/// What a call writes to three addresses.
fn three(call: impl FnOnce([*mut u32; 3]) -> c_long) -> Option<[u32; 3]> {
    let mut ids = [0; 3];
    let first = ids.as_mut_ptr();
    let returned = call([first, first.wrapping_add(1), first.wrapping_add(2)]);
    (returned == 0).then_some(ids)
}

fn own_groups() -> io::Result<Vec<u32>> {
    // SAFETY: a count of 0 asks for the count.
    let count = checked(unsafe { libc::getgroups(0, std::ptr::null_mut()) })?;
    let mut groups = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: there is room for `count` numbers.
    let written = checked(unsafe { libc::getgroups(count, groups.as_mut_ptr()) })?;
    groups.truncate(usize::try_from(written).unwrap_or(0));
    Ok(groups)
}

/// Whether this process may take any user and group: its effective capabilities include `CAP_SETUID` and `CAP_SETGID`. A
/// root without them, as some containers have it, may not.
pub fn may_set_ids() -> bool {
    let mut header = [CAPABILITY_VERSION, 0];
    let mut sets = [[0_u32; 3]; 2]; // effective, permitted, inheritable; the lower and the upper half
    // SAFETY: there is room for the header and the two structures of this version.
    let got = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
    let both = 1 << CAP_SETUID | 1 << CAP_SETGID;
    got == 0 && sets[0][0] & both == both
}

/// An [`Identity`] with room for what the kernel says of it afterwards.
#[derive(Debug)]
pub(super) struct Switch<'a> {
    wanted: &'a Identity,
    /// In order, each once.
    groups: Vec<u32>,
    found: Vec<AtomicU32>,
}

impl<'a> Switch<'a> {
    pub(super) fn to(wanted: &'a Identity) -> Self {
        let groups = wanted.sorted_groups();
        let found = groups.iter().map(|_| AtomicU32::new(0)).collect();
        Self { wanted, groups, found }
    }

    /// Switches this thread, then asks the kernel who it is. Allocates nothing.
    pub(super) fn perform(&self) -> Result<(), (SpawnStage, c_int)> {
        self.take()?;
        if self.has_taken() { Ok(()) } else { Err((SpawnStage::IdentityCheck, libc::EPERM)) }
    }

    /// Order matters: groups and group while we still may, the user last.
    fn take(&self) -> Result<(), (SpawnStage, c_int)> {
        let (uid, gid) = (self.wanted.uid, self.wanted.gid);
        // SAFETY: `groups` is readable for its length.
        unsafe {
            step(libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr()))?;
            step(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
            if uid != 0 {
                // What systemd or a container gave us to keep across `execve` is not for another user.
                libc::syscall(libc::SYS_prctl, libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
            }
            step(libc::syscall(libc::SYS_setresuid, uid, uid, uid))
        }
    }

    /// A call that succeeds and changes nothing (an id of −1, a kernel module, a sandbox that only says yes) would leave
    /// the program with our rights.
    fn has_taken(&self) -> bool {
        let Identity { uid, gid, .. } = self.wanted;
        own_users() == Some([*uid; 3]) && own_main_groups() == Some([*gid; 3]) && self.has_groups()
    }

    /// In a user namespace the kernel may list them in another order. As many as wanted, and each wanted one among them.
    fn has_groups(&self) -> bool {
        let count = self.found.len();
        // SAFETY: there is room for `count` numbers, in atomics that allow the kernel's plain stores.
        let are_told = unsafe {
            libc::syscall(libc::SYS_getgroups, 0, 0) == c_long::try_from(count).unwrap_or(-1)
                && libc::syscall(libc::SYS_getgroups, count, self.found.as_ptr()) >= 0
        };
        let is_found = |group: &u32| self.found.iter().any(|found| found.load(Ordering::Relaxed) == *group);
        let is_same = self.groups.iter().zip(&self.found).all(|(one, other)| *one == other.load(Ordering::Relaxed));
        are_told && (is_same || self.groups.iter().all(is_found))
    }
}

fn step(returned: c_long) -> Result<(), (SpawnStage, c_int)> {
    // SAFETY: thread-local, and the kernel's answer of the call before.
    if returned < 0 { Err((SpawnStage::Identity, unsafe { *libc::__errno_location() })) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_who_the_kernel_says() {
        let own = own_identity().unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let numbers = |name: &str| -> Vec<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().map(|word| word.parse().unwrap()).collect()
        };
        assert_eq!(numbers("Uid:"), [own.uid; 4]);
        assert_eq!(numbers("Gid:"), [own.gid; 4]);
        assert_eq!(numbers("Groups:"), own.groups);
    }
}
