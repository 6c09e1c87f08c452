//! Listening sockets of a cluster: opened with the rights of the app, as libuv would open them.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::thread;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, getsockname, listen,
    socket_with,
};

use crate::model::Identity;
use crate::os::socket::UnixAddress;

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// Does `work` with the rights of this user, on a thread of its own which then ends: no capability, group or file right of
/// ours helps it. It does not become the user, who could then send it signals, and so to all of us. `None`: as ourselves, on
/// this thread.
///
/// # Errors
/// Those of `work`; no threads left; the user cannot be taken.
pub fn with_rights_of<T: Send>(user: Option<&Identity>, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let Some(user) = user else { return work() };
    thread::scope(|scope| {
        let switched = || {
            take_rights_of(user)?;
            work()
        };
        let thread = thread::Builder::new().spawn_scoped(scope, switched)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that was to open it has failed")))
    })
}

/// Takes the groups and file rights of a user on, and gives up every capability; this thread only, and for good.
fn take_rights_of(user: &Identity) -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3` of `capset(2)`.
    const CAPABILITY_VERSION: u32 = 0x2008_0522;
    let groups = user.sorted_groups();
    let mut header = [CAPABILITY_VERSION, 0];
    let none = [[0_u32; 3]; 2]; // effective, permitted, inheritable; the lower and the upper half
    // SAFETY: `groups` is readable for its length, the header is writable, and there is room for two structures of this
    // version. The raw calls are of this thread alone. A file user of -1 is none, so that only asks.
    let (is_in_groups, uid, is_without) = unsafe {
        let is_in_groups = libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) == 0;
        libc::syscall(libc::SYS_setfsgid, libc::c_long::from(user.gid));
        libc::syscall(libc::SYS_setfsuid, libc::c_long::from(user.uid));
        let uid = libc::syscall(libc::SYS_setfsuid, libc::c_long::from(-1));
        (is_in_groups, uid, libc::syscall(libc::SYS_capset, header.as_mut_ptr(), none.as_ptr()) == 0)
    };
    let is_taken = is_in_groups && is_without && u32::try_from(uid) == Ok(user.uid);
    if is_taken { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Listens on TCP. `address`: `None` = all of them, by IPv6 and IPv4 where the machine has both.
///
/// # Errors
/// As the kernel says them.
pub fn open_tcp(address: Option<IpAddr>, port: u16, is_v6_only: bool, backlog: i32) -> io::Result<OwnedFd> {
    let open = |ip: IpAddr| {
        let family = if ip.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let socket = socket_with(family, SocketType::STREAM, FLAGS, None)?;
        set_socket_reuseaddr(&socket, true)?;
        if ip.is_ipv6() {
            set_ipv6_v6only(&socket, is_v6_only)?;
        }
        bind(&socket, &SocketAddr::new(ip, port))?;
        listen(&socket, backlog)?;
        Ok(socket)
    };
    match address {
        Some(ip) => open(ip),
        None => match open(Ipv6Addr::UNSPECIFIED.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EADDRINUSE) => open(Ipv4Addr::UNSPECIFIED.into()),
            done => done,
        },
    }
}

/// Opens a UDP socket. `address`: `None` = all of the family.
///
/// # Errors
/// As the kernel says them.
pub fn open_udp(
    address: Option<IpAddr>,
    port: u16,
    is_v6: bool,
    is_v6_only: bool,
    is_reused: bool,
) -> io::Result<OwnedFd> {
    let family = if is_v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let all: IpAddr = if is_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = socket_with(family, SocketType::DGRAM, FLAGS, None)?;
    if is_reused {
        set_socket_reuseaddr(&socket, true)?;
    }
    if is_v6 {
        set_ipv6_v6only(&socket, is_v6_only)?;
    }
    bind(&socket, &SocketAddr::new(address.unwrap_or(all), port))?;
    Ok(socket)
}

/// Listens at a path, or (with a leading null byte) at an abstract name. `mode`: who may connect to the file. A file that
/// nobody listens behind makes room.
///
/// # Errors
/// `AddrInUse`: somebody listens there, or it is no socket; others as the kernel says them.
pub fn open_unix(path: &str, mode: u32, backlog: i32) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
    if let Some(name) = abstract_name(path) {
        bind(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
    } else {
        let path = Path::new(path);
        let address = UnixAddress::of(path)?;
        let address = SocketAddrUnix::new(address.path())?;
        match bind(&socket, &address) {
            Err(Errno::ADDRINUSE) if is_left_over(path) => {
                fs::remove_file(path)?;
                bind(&socket, &address)?;
            }
            done => done?,
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    listen(&socket, backlog)?;
    Ok(socket)
}

/// The abstract name that a path of Node stands for.
pub fn abstract_name(path: &str) -> Option<&str> {
    path.strip_prefix('\0')
}

/// A socket file that nobody listens behind.
fn is_left_over(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    is_socket && is_refused(path).unwrap_or(false)
}

/// Whether nobody listens there. Never waits: one whose queue is full listens.
fn is_refused(path: &Path) -> io::Result<bool> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
    let address = UnixAddress::of(path)?;
    Ok(connect(&socket, &SocketAddrUnix::new(address.path())?) == Err(Errno::CONNREFUSED))
}

/// Removes the file of a socket that nobody listens behind any more.
///
/// # Errors
/// As the kernel says them.
pub fn remove_socket_file(path: &str) -> io::Result<()> {
    let path = Path::new(path);
    if is_left_over(path) { fs::remove_file(path) } else { Ok(()) }
}

/// The next connection; it never waits. `None`: there is none.
///
/// # Errors
/// No descriptors left; the socket does not listen.
pub fn accept_connection(socket: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    loop {
        return match accept_with(socket, FLAGS) {
            Ok(connection) => Ok(Some(connection)),
            Err(Errno::AGAIN) => Ok(None),
            // It was gone before it was accepted.
            Err(Errno::CONNABORTED | Errno::INTR) => continue,
            Err(error) => Err(error.into()),
        };
    }
}

/// Calls on this socket, and on all copies of it, never wait from now on.
///
/// # Errors
/// It is no descriptor.
pub fn never_wait(socket: &OwnedFd) -> io::Result<()> {
    let flags = fcntl_getfl(socket)?;
    Ok(fcntl_setfl(socket, flags | OFlags::NONBLOCK)?)
}

/// Where an internet socket is bound; `None`: it is of another kind.
pub fn local_address(socket: BorrowedFd<'_>) -> Option<SocketAddr> {
    SocketAddr::try_from(getsockname(socket).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_connection_is_accepted_once_and_nothing_waits() {
        let socket = open_tcp(Some(Ipv4Addr::LOCALHOST.into()), 0, false, 16).unwrap();
        let address = local_address(socket.as_fd()).unwrap();
        assert!(accept_connection(socket.as_fd()).unwrap().is_none());
        let _client = TcpStream::connect(address).unwrap();
        assert!(accept_connection(socket.as_fd()).unwrap().is_some());
        assert!(accept_connection(socket.as_fd()).unwrap().is_none());
        let taken = open_tcp(Some(address.ip()), address.port(), false, 16).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        let everywhere = open_tcp(None, 0, false, 16).unwrap();
        let port = local_address(everywhere.as_fd()).unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    fn a_file_that_nobody_listens_behind_makes_room_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock").to_str().unwrap().to_owned();
        let first = open_unix(&path, 0o600, 16).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(open_unix(&path, 0o600, 16).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // Its queue is full: nobody waits for it.
        let full: Vec<_> = (0..40).map_while(|_| connected_without_wait(&path)).collect();
        assert!((1..40).contains(&full.len()));
        assert_eq!(open_unix(&path, 0o600, 16).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(full);
        remove_socket_file(&path).unwrap();
        assert!(fs::exists(&path).unwrap(), "somebody listens");
        drop(first);
        drop(open_unix(&path, 0o600, 16).unwrap());
        remove_socket_file(&path).unwrap();
        assert!(!fs::exists(&path).unwrap());
        fs::write(&path, "mine").unwrap();
        assert_eq!(open_unix(&path, 0o600, 16).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!((abstract_name("\0x"), abstract_name("/x")), (Some("x"), None));
    }

    fn connected_without_wait(path: &str) -> Option<OwnedFd> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None).unwrap();
        connect(&socket, &SocketAddrUnix::new(path).unwrap()).ok().map(|()| socket)
    }

    #[test]
    fn work_as_another_user_has_no_right_of_ours() {
        let own = crate::os::own_identity().unwrap();
        if own.uid != 0 || !crate::os::may_set_ids() {
            assert!(with_rights_of(None, || Ok(true)).unwrap());
            return;
        }
        let nobody = Identity { uid: 65534, gid: 65534, groups: Vec::new() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x").to_str().unwrap().to_owned();
        let refused = with_rights_of(Some(&nobody), || open_unix(&path, 0o600, 1)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        let low = with_rights_of(Some(&nobody), || open_tcp(Some(Ipv4Addr::LOCALHOST.into()), 7, false, 1));
        let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
        assert!(low.is_err() || first.trim() == "0");
        let users = with_rights_of(Some(&nobody), || fs::read_to_string("/proc/thread-self/status")).unwrap();
        assert!(users.contains("Uid:\t0\t0\t0\t65534"), "nobody can send it a signal: {users}");
        drop(open_unix(&path, 0o600, 1).unwrap());
        assert_eq!(crate::os::own_identity().unwrap(), own, "this thread is who it was");
    }
}
