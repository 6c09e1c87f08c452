//! Folders opened step by step: no link of another user leads elsewhere, and where others can change names, files are
//! accessed with the rights of the user whom they belong to.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::fchown;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, readlinkat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::path::Arg;

use super::rights::{FileRights, owner_at};
use crate::model::Identity;
use crate::os::this_process::user_id;

/// Links on one way; the kernel has the same limit.
const LINKS_MAX: u32 = 40;
/// A file that comes and goes while it is opened is tried so often.
const OPEN_TRIES: u32 = 4;

/// What [`Folder::find`] does about missing folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// `NotFound`.
    Fails,
    /// They are made, for their owner only (0700).
    IsMade,
}

/// What has a name in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Device and inode number.
    pub identity: (u64, u64),
    /// Its size.
    pub bytes: u64,
}

/// A folder that was reached without following a link of another user.
///
/// A link is followed if root, we or the owner of the files made it. From the first folder on that the owner of the
/// files (or everybody) can change, everything is done with the owner's rights: whatever stands there, by whatever
/// name, the owner could have done the same.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    found: Stat,
    /// Whom the files in it belong to, if not to us.
    owner: Option<Identity>,
    acts_as_owner: bool,
}

impl Folder {
    /// Finds the folder of an absolute path and the name that the last component has in it: links are followed as
    /// described above, the last component included. `owner`: whom the files belong to; `None` = us.
    ///
    /// # Errors
    /// `PermissionDenied` also for a link of another user. `NotFound`, `NotADirectory`, …
    pub fn find(path: &Path, owner: Option<&Identity>, missing: Missing) -> io::Result<(Self, OsString)> {
        let owner = owner.or_else(|| owner_at(path)).filter(|owner| owner.uid != user_id());
        Walk::begin(owner)?.find(path, missing)
    }

    /// Opens a file to write into it; makes it (0600, the owner's) if there is none. It is not emptied, and nothing
    /// waits: not for a reader of a FIFO, not for a terminal.
    ///
    /// # Errors
    /// `PermissionDenied` also for a file that another user could have put there. `IsADirectory`, …
    pub fn open_to_write(&self, name: &OsStr) -> io::Result<File> {
        self.open_or_make(name, OFlags::WRONLY)
    }

    /// The same for reading and appending.
    ///
    /// # Errors
    /// As [`Self::open_to_write`].
    pub fn open_to_append(&self, name: &OsStr) -> io::Result<File> {
        self.open_or_make(name, OFlags::RDWR | OFlags::APPEND)
    }

    /// Opens a regular file to read it.
    ///
    /// # Errors
    /// `NotFound` also for what cannot be read twice: a device, and with words of its own a FIFO. `IsADirectory`, …
    pub fn open_to_read(&self, name: &OsStr) -> io::Result<File> {
        let file = self.with_rights(|| open_at(self.fd.as_fd(), name, OFlags::RDONLY | SAFE_FLAGS))?;
        let found = fstat(&file)?;
        match kind_of(&found) {
            FileType::RegularFile => self.check(&found)?,
            FileType::Directory => return Err(Errno::ISDIR.into()),
            FileType::CharacterDevice => return Err(io::ErrorKind::NotFound.into()),
            _ => return Err(io::Error::new(io::ErrorKind::NotFound, "not a file, but a FIFO or a socket")),
        }
        Ok(File::from(file))
    }

    /// What has this name; a link is not followed.
    ///
    /// # Errors
    /// As `fstatat(2)`.
    pub fn look_at(&self, name: &OsStr) -> io::Result<Named> {
        let found = self.with_rights(|| Ok(statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?))?;
        let bytes = u64::try_from(found.st_size).unwrap_or(0);
        Ok(Named { identity: (found.st_dev, found.st_ino), bytes })
    }

    /// Renames within the folder.
    ///
    /// # Errors
    /// As `renameat(2)`.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        self.with_rights(|| Ok(renameat(&self.fd, from, &self.fd, to)?))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// As `unlinkat(2)`.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        self.with_rights(|| Ok(unlinkat(&self.fd, name, AtFlags::empty())?))
    }

    /// Every name in it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let path = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        let entries = self.with_rights(|| fs::read_dir(path))?;
        entries.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn open_or_make(&self, name: &OsStr, access: OFlags) -> io::Result<File> {
        let fd = self.fd.as_fd();
        for _ in 0..OPEN_TRIES {
            match self.with_rights(|| open_at(fd, name, access | SAFE_FLAGS)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => {
                    let file = opened?;
                    self.check(&fstat(&file)?)?;
                    return Ok(File::from(file));
                }
            }
            let flags = access | SAFE_FLAGS | OFlags::CREATE | OFlags::EXCL;
            match self.with_rights(|| Ok(openat(fd, name, flags, Mode::RUSR | Mode::WUSR)?)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {} // made just now: look at it
                created => {
                    let file = created?;
                    self.give_to_owner(file.as_fd())?;
                    return Ok(File::from(file));
                }
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// What was made with our rights belongs to the owner.
    fn give_to_owner(&self, made: BorrowedFd) -> io::Result<()> {
        match &self.owner {
            Some(owner) if !self.acts_as_owner => fchown(made, Some(owner.uid), Some(owner.gid)),
            _ => Ok(()),
        }
    }

    /// Whether a file may be used that others could have put there: not if it stands elsewhere too (a hard link), nor if
    /// it belongs to somebody who has no say here.
    fn check(&self, file: &Stat) -> io::Result<()> {
        if !can_be_changed_by_others(&self.found) {
            return Ok(());
        }
        let is_regular = kind_of(file) == FileType::RegularFile;
        if is_regular && file.st_nlink > 1 {
            return Err(refused("it has a second name (a hard link), so it may be another user's file"));
        }
        let owner = self.owner.as_ref().map(|owner| owner.uid);
        let has_say = is_trusted(file.st_uid) || owner == Some(file.st_uid);
        if has_say || (is_regular && file.st_uid == self.found.st_uid) {
            return Ok(());
        }
        Err(refused(&format!("it belongs to user {}, which is neither the app's nor the daemon's", file.st_uid)))
    }

    fn with_rights<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let _rights = match &self.owner {
            Some(owner) if self.acts_as_owner => Some(FileRights::of(owner)?),
            _ => None,
        };
        work()
    }
}

/// `O_NONBLOCK`: a FIFO must not hold us up. `O_NOCTTY`: no terminal becomes ours.
const SAFE_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const FOLDER_FLAGS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const PLACE_FLAGS: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// On the way to a folder.
struct Walk<'a> {
    owner: Option<&'a Identity>,
    fd: OwnedFd,
    found: Stat,
    links: u32,
    /// Held from the first place on that the owner can change.
    rights: Option<FileRights>,
}

impl<'a> Walk<'a> {
    fn begin(owner: Option<&'a Identity>) -> io::Result<Self> {
        let (fd, found) = root()?;
        Ok(Self { owner, fd, found, links: 0, rights: None })
    }

    fn find(mut self, path: &Path, missing: Missing) -> io::Result<(Folder, OsString)> {
        if !path.is_absolute() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut ahead = parts(path.as_os_str().as_bytes());
        while let Some(part) = ahead.pop() {
            let is_last = ahead.is_empty() && part != b"..";
            let next = open_at(self.fd.as_fd(), part.as_slice(), PLACE_FLAGS);
            let seen = next.as_ref().ok().map(fstat).transpose()?;
            if self.is_exposed(seen.as_ref(), is_last) {
                self.take_rights()?;
                ahead.push(part); // again, as somebody who may see less
                continue;
            }
            let next = match next {
                Err(error) if error.kind() == io::ErrorKind::NotFound && is_last => return Ok(self.arrived(part)),
                Err(error) if error.kind() == io::ErrorKind::NotFound && missing == Missing::IsMade => {
                    self.make(&part)?
                }
                opened => opened?,
            };
            let found = fstat(&next)?;
            match kind_of(&found) {
                FileType::Symlink => {
                    self.permit_link(&found, &part)?;
                    let text = readlinkat(&next, c"", Vec::new())?.into_bytes();
                    if text.first() == Some(&b'/') {
                        (self.fd, self.found) = root()?;
                    }
                    ahead.extend(parts(&text));
                }
                _ if is_last => return Ok(self.arrived(part)),
                FileType::Directory => {
                    (self.fd, self.found) = (next, found);
                }
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        Err(Errno::ISDIR.into())
    }

    fn arrived(self, name: Vec<u8>) -> (Folder, OsString) {
        let acts_as_owner = self.rights.is_some();
        let folder = Folder { fd: self.fd, found: self.found, owner: self.owner.cloned(), acts_as_owner };
        (folder, OsString::from_vec(name))
    }

    /// Whether the owner could have decided what this name means, and we still act with our own rights.
    fn is_exposed(&self, seen: Option<&Stat>, is_last: bool) -> bool {
        let Some(owner) = self.owner.filter(|_| self.rights.is_none()) else { return false };
        let is_sticky = self.found.st_mode & libc::S_ISVTX != 0 && is_trusted(self.found.st_uid);
        // In `/tmp` nobody else can rename what is ours.
        let is_fixed = seen.is_some_and(|seen| {
            let leads_on = match kind_of(seen) {
                FileType::Symlink => true,
                FileType::Directory => !is_last,
                _ => false,
            };
            leads_on && is_sticky && is_trusted(seen.st_uid)
        });
        can_be_changed_by(owner, &self.found) && !is_fixed
    }

    fn take_rights(&mut self) -> io::Result<()> {
        if let Some(owner) = self.owner.filter(|_| self.rights.is_none()) {
            self.rights = Some(FileRights::of(owner)?);
        }
        Ok(())
    }

    /// Whether a link that was found in the present folder is followed; with whose rights.
    fn permit_link(&mut self, link: &Stat, name: &[u8]) -> io::Result<()> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Errno::LOOP.into());
        }
        match self.owner {
            Some(owner) if link.st_uid == owner.uid => self.take_rights(),
            Some(_) if is_trusted(link.st_uid) => Ok(()),
            // With our own rights, so nobody else may have moved it there.
            None if is_trusted(link.st_uid) && is_trusted(self.found.st_uid) && keeps_names(&self.found) => Ok(()),
            _ => Err(refused(&format!(
                "`{}` is a symbolic link that another user may have put there (user {})",
                String::from_utf8_lossy(name),
                link.st_uid
            ))),
        }
    }

    /// Makes a folder in the present one: the owner's from the first moment on, since a name can change hands before a
    /// second look.
    fn make(&self, name: &[u8]) -> io::Result<OwnedFd> {
        let _rights = match self.owner {
            Some(owner) if self.rights.is_none() => Some(FileRights::to_make_for(owner)?),
            _ => None,
        };
        match mkdirat(&self.fd, name, Mode::RWXU) {
            Err(error) if error != Errno::EXIST => Err(error.into()),
            _ => open_at(self.fd.as_fd(), name, FOLDER_FLAGS | OFlags::NOFOLLOW),
        }
    }
}

/// Root and we ourselves can do everything that we could be misused for.
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == user_id()
}

/// Whether anybody but root and us can put something into a folder (also by an access list: its mask is shown as the
/// group's rights).
fn can_be_changed_by_others(folder: &Stat) -> bool {
    !is_trusted(folder.st_uid) || folder.st_mode & 0o022 != 0
}

/// Whether this user, or everybody, can put something into a folder.
fn can_be_changed_by(user: &Identity, folder: &Stat) -> bool {
    let by_group = folder.st_gid == user.gid || user.groups.contains(&folder.st_gid);
    let mask = if by_group { 0o022 } else { 0o002 };
    !is_trusted(folder.st_uid) || folder.st_mode & mask != 0
}

/// Whether not everybody can rename what root or we have put into a folder.
fn keeps_names(folder: &Stat) -> bool {
    folder.st_mode & 0o002 == 0 || folder.st_mode & libc::S_ISVTX != 0
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why.to_owned())
}

/// The components of a path, the last one first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}

fn root() -> io::Result<(OwnedFd, Stat)> {
    let fd = open_at(CWD, "/", FOLDER_FLAGS)?;
    let found = fstat(&fd)?;
    Ok((fd, found))
}

fn open_at(folder: BorrowedFd, name: impl Arg, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(openat(folder, name, flags, Mode::empty())?)
}

fn kind_of(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}

#[cfg(test)]
mod tests;
