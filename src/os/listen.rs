//! Listening sockets for apps: opened here and passed to their processes.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::fs::{Access, OFlags, access, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, bind, listen, shutdown, socket_with, sockopt};

use super::errno::{poll_one, uninterrupted};
use super::linux::{SocketAccess, SocketFile, bind_closed};
use super::socket::UnixAddress;
use super::this_process::user_id;
use crate::model::ListenAddress;

/// Connections that wait while no process accepts; the kernel's own limit (`somaxconn`) cuts it.
const QUEUE_MAX: i32 = 4096;

/// An open socket, and the file by which clients find it, if it has one.
#[derive(Debug)]
pub struct Listening {
    /// The socket.
    pub socket: OwnedFd,
    /// `None`: not a Unix socket.
    pub file: Option<SocketFile>,
}

/// Listens at an address. The socket is blocking, as `sd_listen_fds(3)` has it, and stays ours (close-on-exec).
/// `access`: who may connect to a Unix socket.
///
/// # Errors
/// `AddrInUse`: somebody listens there; other errors as the kernel reports them.
pub fn listen_at(address: &ListenAddress, access: &SocketAccess) -> io::Result<Listening> {
    match address {
        ListenAddress::Tcp(address) => Ok(Listening { socket: listen_tcp(*address)?, file: None }),
        ListenAddress::Unix(path) => listen_unix(path, access),
    }
}

/// What would keep us from listening at an address whoever listens there now: an address of another machine, a port that
/// needs root, a folder where no socket file can be made. Opens nothing that somebody could connect to.
///
/// # Errors
/// As the kernel reports it.
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
    Ok(access(&folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Whether nobody has bound this TCP port on any address, as far as the kernel tells us now. Opens nothing that somebody
/// could connect to.
pub fn is_port_free(port: u16) -> bool {
    let bound = |family, address: SocketAddr| {
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // Connections of a predecessor in `TIME_WAIT` do not matter.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)
    };
    match bound(AddressFamily::INET6, (Ipv6Addr::UNSPECIFIED, port).into()) {
        Ok(()) => true,
        Err(Errno::ADDRINUSE | Errno::ACCESS) => false,
        Err(_no_such_family) => bound(AddressFamily::INET, (Ipv4Addr::UNSPECIFIED, port).into()).is_ok(),
    }
}

fn taken_is_allowed(error: io::Error) -> io::Result<()> {
    let is_lasting = matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::PermissionDenied);
    if is_lasting || error.raw_os_error() == Some(libc::EAFNOSUPPORT) { Err(error) } else { Ok(()) }
}

/// Whether a socket takes connections: one that a process shut down never does again.
pub fn is_listening(socket: &OwnedFd) -> bool {
    let found = uninterrupted(|| poll_one(socket, PollFlags::RDHUP, Some(Duration::ZERO)));
    let is_shut = found.is_ok_and(|found| found.intersects(PollFlags::RDHUP | PollFlags::HUP));
    accepts(socket) && !is_shut
}

/// Puts a socket back into the state in which the first process gets it, as far as the kernel lets us: what a process sets
/// on it holds for everybody who has it. Only for a socket that no living process has.
pub fn reset_socket(socket: &OwnedFd) {
    let off: libc::c_int = 0;
    let no_linger = libc::linger { l_onoff: 0, l_linger: 0 };
    let no_time = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // What a kind of socket does not have is refused, which is as good.
    // No flag (of those that can be changed) means: blocking, no signals.
    let _refused = fcntl_setfl(socket, OFlags::empty());
    let _refused = listen(socket, QUEUE_MAX);
    let plain = [
        (libc::SOL_SOCKET, libc::SO_DETACH_FILTER),
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
        (libc::SOL_SOCKET, libc::SO_OOBINLINE),
        (libc::IPPROTO_TCP, libc::TCP_NODELAY),
        (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT),
    ];
    for (level, option) in plain {
        set_option(socket, level, option, &off);
    }
    set_option(socket, libc::SOL_SOCKET, libc::SO_LINGER, &no_linger);
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &no_time);
    set_option(socket, libc::SOL_SOCKET, libc::SO_SNDTIMEO, &no_time);
}

fn set_option<T>(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: &T) {
    let length = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    let from: *const T = value;
    // SAFETY: `value` is readable for `length` bytes.
    let _refused = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, from.cast(), length) };
}

/// Whether a descriptor is a socket that listens at this address.
pub fn listens_at(socket: &OwnedFd, address: &ListenAddress) -> bool {
    if !accepts(socket) {
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

fn accepts(socket: &OwnedFd) -> bool {
    sockopt::socket_acceptconn(socket).unwrap_or(false)
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
    Ok(shutdown(socket, Shutdown::Both)?)
}

/// With `SO_REUSEADDR`, which the standard library sets: connections of a predecessor in `TIME_WAIT` do not matter.
fn listen_tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = OwnedFd::from(TcpListener::bind(address)?);
    // Listening again only changes the length of the queue.
    listen(&socket, QUEUE_MAX)?;
    Ok(socket)
}

fn listen_unix(path: &Path, access: &SocketAccess) -> io::Result<Listening> {
    remove_left_over(path)?;
    let (socket, file) = bind_closed(path)?;
    let opened = file.set_access(access).and_then(|()| Ok(listen(&socket, QUEUE_MAX)?));
    if opened.is_err() && file.is_at(path) {
        let _best_effort = fs::remove_file(path);
    }
    opened.map(|()| Listening { socket, file: Some(file) })
}

/// A socket file that nobody listens behind is left over, and makes room. Whatever else stands there is not ours.
fn remove_left_over(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            // Ours, of a daemon that died before it could open it.
            let permissions = found.mode() & 0o777;
            let was_never_opened = permissions == 0 && found.uid() == user_id();
            match UnixStream::connect(UnixAddress::of(path)?.path()) {
                Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused || was_never_opened => {
                    fs::remove_file(path)
                }
                Err(error) => Err(error),
            }
        }
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen_at(address: &ListenAddress) -> io::Result<OwnedFd> {
        super::listen_at(address, &SocketAccess::default()).map(|listening| listening.socket)
    }

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

    #[test]
    fn what_a_process_left_on_a_socket_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let tcp =
            ListenAddress::Tcp(tcp_address_of(&OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap())).unwrap());
        for address in [tcp, ListenAddress::Unix(folder.path().join("app.sock"))] {
            let socket = listen_at(&address).unwrap();
            let fd = socket.as_raw_fd();
            // SAFETY: no pointers are passed.
            let flags = || unsafe { libc::fcntl(fd, libc::F_GETFL) };
            let timeout = || {
                let mut time = libc::timeval { tv_sec: 9, tv_usec: 9 };
                let mut length = libc::socklen_t::try_from(size_of::<libc::timeval>()).unwrap();
                let into: *mut libc::timeval = &raw mut time;
                // SAFETY: `time` is writable for `length` bytes.
                unsafe {
                    libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, into.cast(), &raw mut length);
                }
                (time.tv_sec, time.tv_usec)
            };
            let before = (flags(), timeout());
            // SAFETY: no pointers are passed.
            unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK | libc::O_ASYNC) };
            set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &libc::timeval { tv_sec: 3, tv_usec: 0 });
            assert_ne!((flags(), timeout()), before);
            reset_socket(&socket);
            assert_eq!((flags(), timeout()), before);
            assert!(is_listening(&socket));
            // SAFETY: no pointers are passed.
            assert_eq!(unsafe { libc::shutdown(fd, libc::SHUT_RD) }, 0);
            assert!(!is_listening(&socket), "{address}: nobody can come in");
            drop(socket);
            listen_at(&address).unwrap();
        }
    }
}
