//! File access with the rights of another user, for one thread and one piece of work.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::model::Identity;
use crate::os::errno::checked_long;
use crate::os::this_process::user_id;

/// `_LINUX_CAPABILITY_VERSION_3`
const CAPABILITY_VERSION: u32 = 0x2008_0522;
/// Capabilities that lift the permissions of files: chown, `dac_override`, `dac_read_search`, fowner, fsetid,
/// `linux_immutable`, mknod.
const FILE_CAPABILITIES: u32 = 0b11111 | 1 << 9 | 1 << 27;
/// Two words per set: `mac_override` is the 33rd.
const FILE_CAPABILITIES_HIGH: u32 = 1;

/// What capget(2) fills: effective, permitted and inheritable set, the lower 32 bits of each first.
type CapabilitySets = [u32; 6];

/// This thread accesses files as another user until this is dropped. Other threads do not notice.
///
/// The kernel looks at the file system ids (setfsuid(2)) only when files are accessed: whom the process may signal and
/// who may signal it stay the same.
#[derive(Debug)]
pub(in crate::os) struct FileRights {
    own_ids: (u32, u32),
    own_groups: Vec<libc::gid_t>,
    own_capabilities: CapabilitySets,
    /// Another thread must not give back what this one has taken.
    _stays_on_its_thread: std::marker::PhantomData<*const ()>,
}

impl FileRights {
    /// Takes on the rights of `identity`, and no others.
    ///
    /// # Errors
    /// `PermissionDenied`: this process may not become another user.
    pub(in crate::os) fn of(identity: &Identity) -> io::Result<Self> {
        let rights = Self::in_the_name_of(identity)?;
        // The kernel has done this itself, unless a security bit forbids it or we are not root.
        let mut without = capabilities()?;
        without[0] &= !FILE_CAPABILITIES;
        without[3] &= !FILE_CAPABILITIES_HIGH;
        set_capabilities(&without)?;
        Ok(rights)
    }

    /// Keeps its own rights, but what it makes belongs to `identity`.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(in crate::os) fn to_make_for(identity: &Identity) -> io::Result<Self> {
        let rights = Self::in_the_name_of(identity)?;
        set_capabilities(&rights.own_capabilities)?;
        Ok(rights)
    }

    fn in_the_name_of(identity: &Identity) -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let own_ids = unsafe { (libc::geteuid(), libc::getegid()) };
        let rights = Self {
            own_ids,
            own_groups: groups()?,
            own_capabilities: capabilities()?,
            _stays_on_its_thread: std::marker::PhantomData,
        };
        set_groups(&identity.groups)?; // on an error `rights` gives everything back
        set_file_ids(identity.uid, identity.gid)?;
        Ok(rights)
    }
}

/// Folders of another user, and that user; unset: what we make is ours.
static FOREIGN_FOLDERS: OnceLock<(Vec<PathBuf>, Identity)> = OnceLock::new();

/// From now on what this process makes below these folders belongs to `owner` (user and group). The first call counts.
pub(in crate::os) fn make_files_for(owner: (u32, u32), folders: Vec<PathBuf>) {
    let _ = FOREIGN_FOLDERS.set((folders, of_numbers(owner)));
}

/// Whom a file at this path is to belong to, if not to us.
pub(super) fn owner_at(path: &Path) -> Option<&'static Identity> {
    let (folders, owner) = FOREIGN_FOLDERS.get()?;
    folders.iter().any(|folder| path.starts_with(folder)).then_some(owner)
}

/// What is made at this path while the result lives belongs to the owner of the folder from its first moment on.
///
/// # Errors
/// This process may not make files for others.
pub(in crate::os) fn rights_to_make(path: &Path) -> io::Result<Option<FileRights>> {
    owner_at(path).map(FileRights::to_make_for).transpose()
}

/// The same for a user and a group, wherever it is.
///
/// # Errors
/// As [`rights_to_make`].
pub(in crate::os) fn rights_to_make_for(owner: (u32, u32)) -> io::Result<Option<FileRights>> {
    (owner.0 != user_id()).then(|| FileRights::to_make_for(&of_numbers(owner))).transpose()
}

/// Opens a file in this way; one that is made in the home of another user is that user's.
///
/// # Errors
/// As `open(2)`.
pub fn open_own(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let _rights = rights_to_make(path)?;
    options.open(path)
}

fn of_numbers((uid, gid): (u32, u32)) -> Identity {
    Identity { uid, gid, groups: vec![gid] }
}

impl Drop for FileRights {
    fn drop(&mut self) {
        // The process's own ids and what it had a moment ago are always allowed; a supplementary group less is no danger.
        let _ = set_file_ids(self.own_ids.0, self.own_ids.1);
        let _ = set_capabilities(&self.own_capabilities);
        let _ = set_groups(&self.own_groups);
    }
}

fn groups() -> io::Result<Vec<libc::gid_t>> {
    // SAFETY: with a size of 0 nothing is written.
    let count = checked_long(unsafe { libc::syscall(libc::SYS_getgroups, 0, std::ptr::null_mut::<libc::gid_t>()) })?;
    let mut groups = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: `groups` has room for `count` numbers.
    let count = checked_long(unsafe { libc::syscall(libc::SYS_getgroups, count, groups.as_mut_ptr()) })?;
    groups.truncate(usize::try_from(count).unwrap_or(0));
    Ok(groups)
}

/// By number: the function of the C library would change every thread.
fn set_groups(groups: &[libc::gid_t]) -> io::Result<()> {
    // SAFETY: `groups` is readable for its length.
    checked_long(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// setfsuid(2) does not say whether it worked; asked with an invalid id it names the present one.
fn set_file_ids(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    let present = unsafe {
        libc::setfsgid(gid);
        libc::setfsuid(uid);
        (libc::setfsuid(u32::MAX).cast_unsigned(), libc::setfsgid(u32::MAX).cast_unsigned())
    };
    if present == (uid, gid) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EPERM)) }
}

fn capabilities() -> io::Result<CapabilitySets> {
    let (mut header, mut sets) = ([CAPABILITY_VERSION, 0], CapabilitySets::default());
    // SAFETY: version 3 reads two words and writes six.
    checked_long(unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) })?;
    Ok(sets)
}

fn set_capabilities(sets: &CapabilitySets) -> io::Result<()> {
    let mut header = [CAPABILITY_VERSION, 0];
    // SAFETY: version 3 reads two words and then six.
    checked_long(unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()) }).map(drop)
}
