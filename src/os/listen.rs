//! Listening sockets for apps: opened here, handed over to them.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use super::errno::checked;
use super::socket::UnixAddress;
use crate::model::ListenAddress;

/// Who may connect to a Unix socket of an app: its user and group.
const SOCKET_MODE: u32 = 0o660;

/// Connections that wait while no process accepts; the kernel's own limit (`somaxconn`) cuts it.
const QUEUE_MAX: i32 = 4096;

/// Listens at an address. The socket is blocking, as `sd_listen_fds(3)` has it, and stays ours (close-on-exec).
///
/// # Errors
/// `AddrInUse`: somebody listens there; other errors as the kernel says them.
pub fn listen_at(address: &ListenAddress) -> io::Result<OwnedFd> {
    match address {
        ListenAddress::Tcp(address) => listen_tcp(*address),
        ListenAddress::Unix(path) => listen_unix(path),
    }
}

/// What would keep us from listening at an address whoever listens there now: an address of another machine, a port that
/// needs root, a folder where no socket file can be made. Opens nothing that somebody could connect to.
///
/// # Errors
/// As the kernel says it.
pub fn may_listen_at(address: &ListenAddress) -> io::Result<()> {
    let path = match address {
        // The kernel has the same rules for both, and ports of its own for each.
        ListenAddress::Tcp(address) => return UdpSocket::bind(address).map(drop).or_else(taken_is_allowed),
        ListenAddress::Unix(path) => path,
    };
    if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let folder = path.parent().unwrap_or(Path::new("/")).join("."); // which no file has
    let folder = std::ffi::CString::new(folder.as_os_str().as_encoded_bytes())?;
    // SAFETY: the path is null-terminated.
    checked(unsafe { libc::access(folder.as_ptr(), libc::W_OK | libc::X_OK) }).map(drop)
}

fn taken_is_allowed(error: io::Error) -> io::Result<()> {
    let is_lasting = matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::PermissionDenied);
    if is_lasting || error.raw_os_error() == Some(libc::EAFNOSUPPORT) { Err(error) } else { Ok(()) }
}

/// Whether a descriptor is a socket that listens at this address.
pub fn listens_at(socket: &OwnedFd, address: &ListenAddress) -> bool {
    let mut is_listening: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0);
    let into: *mut libc::c_int = &raw mut is_listening;
    // SAFETY: `is_listening` has `length` bytes, valid for writing.
    let asked = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ACCEPTCONN, into.cast(), &raw mut length)
    };
    if asked != 0 || is_listening == 0 {
        return false;
    }
    let Ok(copy) = socket.try_clone() else { return false };
    match address {
        ListenAddress::Tcp(address) => TcpListener::from(copy).local_addr().is_ok_and(|local| local == *address),
        ListenAddress::Unix(path) => {
            UnixListener::from(copy).local_addr().is_ok_and(|local| local.as_pathname() == Some(path))
        }
    }
}

/// Where a TCP socket listens; `None` if it is none.
pub fn tcp_address_of(socket: &OwnedFd) -> Option<SocketAddr> {
    TcpListener::from(socket.try_clone().ok()?).local_addr().ok()
}

/// Ends the listening for every holder of a socket: its port is free, although others may keep their descriptor for a
/// moment. Who waits in its queue is refused.
///
/// # Errors
/// It does not listen.
pub fn stop_listening(socket: &OwnedFd) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    checked(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) }).map(drop)
}

/// With `SO_REUSEADDR`, which the standard library sets: connections of a predecessor in `TIME_WAIT` do not matter.
fn listen_tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = OwnedFd::from(TcpListener::bind(address)?);
    // SAFETY: no pointers are passed. Listening again only changes the length of the queue.
    checked(unsafe { libc::listen(socket.as_raw_fd(), QUEUE_MAX) })?;
    Ok(socket)
}

/// A socket file that nobody listens behind is left over, and replaced.
fn listen_unix(path: &Path) -> io::Result<OwnedFd> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => match UnixStream::connect(UnixAddress::of(path)?.path()) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            Err(error) => return Err(error),
        },
        Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(UnixAddress::of(path)?.path())?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    Ok(listener.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_taken_is_said_to_be_taken() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = ListenAddress::Tcp(other.local_addr().unwrap());
        assert_eq!(listen_at(&taken).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(other);
        listen_at(&taken).unwrap();
    }

    #[test]
    fn an_address_that_can_never_be_had_is_known_without_listening() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let tcp = |text: &str| ListenAddress::Tcp(text.parse().unwrap());
        let kind = |address: ListenAddress| may_listen_at(&address).map_err(|error| error.kind());
        assert_eq!(kind(tcp("203.0.113.7:8080")), Err(io::ErrorKind::AddrNotAvailable));
        assert_eq!(kind(ListenAddress::Unix(file.join("x.sock"))), Err(io::ErrorKind::NotADirectory));
        assert_eq!(kind(ListenAddress::Unix(folder.path().join("gone/x.sock"))), Err(io::ErrorKind::NotFound));
        assert_eq!(kind(ListenAddress::Unix(file)), Err(io::ErrorKind::AlreadyExists));
        assert_eq!(kind(ListenAddress::Unix(folder.path().join("x.sock"))), Ok(()));
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(kind(ListenAddress::Tcp(other.local_addr().unwrap())), Ok(()), "it may be free by then");
    }

    #[test]
    fn a_port_is_free_as_soon_as_nobody_listens_any_more_whoever_keeps_the_descriptor() {
        let first = OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
        let narrow = tcp_address_of(&first).unwrap();
        let wide = ListenAddress::Tcp(([0, 0, 0, 0], narrow.port()).into());
        assert_eq!(listen_at(&wide).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        stop_listening(&first).unwrap();
        let second = listen_at(&wide).unwrap();
        stop_listening(&second).unwrap();
        listen_at(&ListenAddress::Tcp(narrow)).unwrap();
    }

    #[test]
    fn a_socket_file_is_replaced_only_if_nobody_is_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let address = ListenAddress::Unix(folder.path().join("app.sock"));
        let first = listen_at(&address).unwrap();
        assert_eq!(listen_at(&address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        listen_at(&address).unwrap();
        fs::write(folder.path().join("file"), b"mine").unwrap();
        let file = ListenAddress::Unix(folder.path().join("file"));
        assert_eq!(listen_at(&file).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
