//! Unix sockets, in folders of any depth.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::errno::checked;
use super::linux::rights_to_make;

/// Longest path that an address holds (`sun_path` with its null).
const ADDRESS_BYTES_MAX: usize = 100;

/// A path in the form that an address can hold: long ones are told through a descriptor of their folder.
#[derive(Debug)]
pub struct UnixAddress {
    path: PathBuf,
    _folder: Option<OwnedFd>,
}

impl UnixAddress {
    /// The address of `path`; valid while this lives.
    ///
    /// # Errors
    /// The folder cannot be opened.
    pub fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() < ADDRESS_BYTES_MAX {
            return Ok(Self { path: path.to_owned(), _folder: None });
        }
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let (folder, name) = (path.parent().ok_or_else(invalid)?, path.file_name().ok_or_else(invalid)?);
        let flags = libc::O_DIRECTORY | libc::O_PATH;
        let folder: OwnedFd = OpenOptions::new().read(true).custom_flags(flags).open(folder)?.into();
        let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
        Ok(Self { path, _folder: Some(folder) })
    }

    /// What to bind or connect to.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Listens at `path`, for our own user only (0600). The caller holds the lock of the home, so a socket file that is
/// there already has nobody behind it and is replaced; anything else in its place is left alone.
///
/// # Errors
/// Something else stands there; the folder cannot be written.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::from(io::ErrorKind::AlreadyExists)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let address = UnixAddress::of(path)?;
    let _rights = rights_to_make(path)?;
    let listener = UnixListener::bind(address.path())?;
    // The folder is 0700: nobody else could come in before this.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Connects to the socket at `path`.
///
/// # Errors
/// `NotFound`: no socket. `ConnectionRefused`: nobody behind it.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(UnixAddress::of(path)?.path())
}

/// The user at the other end of a connection, as the kernel knows it.
///
/// # Errors
/// It is no connected Unix socket.
#[cfg(target_os = "linux")]
pub fn peer_uid(connection: &impl AsFd) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or(0);
    let fd = connection.as_fd().as_raw_fd();
    let into: *mut libc::ucred = &raw mut peer;
    // SAFETY: `peer` has `length` bytes, valid for writing.
    checked(unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, into.cast(), &raw mut length) })?;
    Ok(peer.uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn a_home_of_any_depth_can_be_listened_in_and_connected_to() {
        let home = tempfile::tempdir().unwrap();
        for folder in [home.path().to_owned(), home.path().join("x".repeat(120))] {
            fs::create_dir_all(&folder).unwrap();
            let path = folder.join("pm.sock");
            drop(listen(&path).unwrap());
            assert_eq!(connect(&path).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            let listener = listen(&path).unwrap(); // the file that was left over is replaced
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let mut client = connect(&path).unwrap();
            client.write_all(b"hello").unwrap();
            drop(client.try_clone().unwrap());
            let (mut server, _) = listener.accept().unwrap();
            assert_eq!(peer_uid(&server).unwrap(), super::super::this_process::user_id());
            drop(client);
            let mut text = String::new();
            server.read_to_string(&mut text).unwrap();
            assert_eq!(text, "hello");
        }
    }

    #[test]
    fn a_file_in_the_place_of_the_socket_is_never_removed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("pm.sock");
        fs::write(&path, b"mine").unwrap();
        assert_eq!(listen(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }
}
