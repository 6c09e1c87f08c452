//! The file by which clients find a Unix socket: made so that nobody comes in too early, held without its name, and
//! never followed or changed by its name alone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, Uid, chownat, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};

use crate::os::socket::UnixAddress;
use crate::os::this_process::user_id;

/// Who may connect to a Unix socket: the mode and the owner of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketAccess {
    /// Permissions; the umask does not matter.
    pub mode: u32,
    /// Its user; `None` leaves ours.
    pub user: Option<u32>,
    /// Its group; `None` leaves what it was made with.
    pub group: Option<u32>,
}

impl Default for SocketAccess {
    fn default() -> Self {
        Self { mode: 0o660, user: None, group: None }
    }
}

/// The file of one socket, whatever its name leads to by now (an `O_PATH` descriptor).
#[derive(Debug)]
pub struct SocketFile(OwnedFd);

impl SocketFile {
    /// From a descriptor that somebody held for us.
    pub fn held(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// What stands at this path; a link is not followed.
    ///
    /// # Errors
    /// `NotFound`, …; `InvalidInput`: it is no socket.
    pub fn at(path: &Path) -> io::Result<Self> {
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        let file = Self(OpenOptions::new().read(true).custom_flags(flags).open(path)?.into());
        if file.metadata()?.file_type().is_socket() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// Whether the path (still) leads to this file. A link to it is not it.
    pub fn is_at(&self, path: &Path) -> bool {
        let (Ok(here), Ok(there)) = (self.metadata(), fs::symlink_metadata(path)) else { return false };
        (here.dev(), here.ino()) == (there.dev(), there.ino())
    }

    /// Gives the file this owner and mode. By descriptor: its name may lead elsewhere by now.
    ///
    /// # Errors
    /// `PermissionDenied`: only root gives files away.
    pub fn set_access(&self, access: &SocketAccess) -> io::Result<()> {
        let found = self.metadata()?;
        let user = access.user.filter(|user| *user != found.uid());
        let group = access.group.filter(|group| *group != found.gid());
        if user.is_some() || group.is_some() {
            let (user, group) = (user.map(Uid::from_raw), group.map(Gid::from_raw));
            chownat(&self.0, c"", user, group, AtFlags::EMPTY_PATH)?;
        }
        if found.mode() & 0o7777 != access.mode {
            // fchmod(2) refuses such a descriptor; its name in /proc leads to the very file.
            let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
            fs::set_permissions(path, fs::Permissions::from_mode(access.mode))?;
        }
        Ok(())
    }

    fn metadata(&self) -> io::Result<fs::Metadata> {
        File::from(self.0.try_clone()?).metadata()
    }
}

impl AsFd for SocketFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes a socket and its file, to which nobody may connect yet: it has mode 0 and does not listen.
///
/// # Errors
/// `AddrInUse`: something stands there. `PermissionDenied`: somebody put another file in its place meanwhile; others as
/// the kernel says them.
pub fn bind_closed(path: &Path) -> io::Result<(OwnedFd, SocketFile)> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // The file gets the mode of the socket (unix(7) does not say so; it has been so since 2.6).
    fchmod(&socket, Mode::empty())?;
    let address = UnixAddress::of(path)?;
    bind(&socket, &SocketAddrUnix::new(address.path())?)?;
    let file = SocketFile::at(path)?;
    let found = file.metadata()?;
    // In a folder of others the name may lead to another socket by now, which is not ours to give away.
    if found.mode() & 0o777 != 0 || found.uid() != user_id() || found.nlink() != 1 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok((socket, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_without_its_name_and_changed_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (_socket, file) = bind_closed(&path).unwrap();
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&path), file.is_at(&path)), (0, true));
        file.set_access(&SocketAccess { mode: 0o606, ..SocketAccess::default() }).unwrap();
        assert_eq!(mode(&path), 0o606);
        // Moved away, and another one in its place.
        let moved = folder.path().join("moved");
        fs::rename(&path, &moved).unwrap();
        let (_other, other_file) = bind_closed(&path).unwrap();
        assert_eq!([file.is_at(&path), file.is_at(&moved), other_file.is_at(&path)], [false, true, true]);
        file.set_access(&SocketAccess::default()).unwrap();
        assert_eq!((mode(&path), mode(&moved)), (0, 0o660));
        // A link to it.
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&moved, &link).unwrap();
        assert!(!file.is_at(&link));
        assert!(SocketFile::at(&link).is_err());
        fs::remove_file(&moved).unwrap();
        assert!(!file.is_at(&moved));
    }
}
