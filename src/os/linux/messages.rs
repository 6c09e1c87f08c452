//! Messages of an app about itself: datagrams (`sd_notify`) and lines on a channel (Node).
//!
//! Both are looked at first and taken afterwards, so that what the daemon was told and had not acted on yet when it
//! was killed is read again by the next one.

use std::fs;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::Path;
use std::ptr;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::os::errno::{checked_size, uninterrupted};

/// As long as most messages are.
const DATAGRAM_BYTES: usize = 4096;
/// Longest message that is looked at (the kernel's own limit, by default); what is behind that is not seen.
const DATAGRAM_BYTES_MAX: usize = 256 << 10;
/// Longest path that every client library can address.
const PATH_BYTES_MAX: usize = 100;

/// Room for exactly one `ucred`: descriptors that somebody sends along do not fit and are closed by the kernel.
#[repr(C, align(8))]
struct Control([u8; 32]);

/// One message, with who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its bytes.
    pub text: Vec<u8>,
    /// The sender's process, 0 if it cannot be seen from here.
    pub pid: u32,
    /// The sender's user.
    pub uid: u32,
}

/// Opens a socket for `sd_notify` messages and returns it with the value for `NOTIFY_SOCKET`. At `path`, for our own
/// user; with `is_for_others`, or if the path is too long for an address, under an abstract name that nobody can guess:
/// any user of the machine could take such a name first.
///
/// # Errors
/// The folder cannot be written; no descriptors left.
pub fn open_notify_socket(path: &Path, is_for_others: bool) -> io::Result<(OwnedFd, String)> {
    let text = path.to_string_lossy().into_owned();
    if is_for_others || text.len() > PATH_BYTES_MAX {
        let name = format!("@pm-notify-{:032x}", random()?);
        return Ok((reopen_notify_socket(&name)?, name));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok((prepared(UnixDatagram::bind(path)?)?, text)),
    }
}

/// Opens a socket again that was lost, by the abstract name that a process knows it by (with the `@`).
///
/// # Errors
/// `AddrInUse`: somebody else has the name now. `InvalidInput`: it is no abstract name.
pub fn reopen_notify_socket(name: &str) -> io::Result<OwnedFd> {
    let name = name.strip_prefix('@').ok_or(io::ErrorKind::InvalidInput)?;
    prepared(UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?)
}

fn prepared(socket: UnixDatagram) -> io::Result<OwnedFd> {
    set_socket_passcred(&socket, true)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// A number that nobody else can know (`getrandom(2)`).
///
/// # Errors
/// The kernel has none.
pub fn random() -> io::Result<u128> {
    let mut bytes = [0_u8; 16];
    // So few bytes come at once.
    retry_on_intr(|| getrandom(&mut bytes, GetRandomFlags::empty()))?;
    Ok(u128::from_ne_bytes(bytes))
}

/// The first message that waits, which continues waiting; `None` if there is none.
///
/// # Errors
/// It is no such socket.
pub fn peek_datagram(socket: BorrowedFd<'_>) -> io::Result<Option<Datagram>> {
    match peek_up_to(socket, DATAGRAM_BYTES)? {
        Some((_, length)) if length > DATAGRAM_BYTES => {
            Ok(peek_up_to(socket, length.min(DATAGRAM_BYTES_MAX))?.map(|(datagram, _)| datagram))
        }
        peeked => Ok(peeked.map(|(datagram, _)| datagram)),
    }
}

/// The beginning of the first message, and how long the whole of it is.
fn peek_up_to(socket: BorrowedFd<'_>, bytes_max: usize) -> io::Result<Option<(Datagram, usize)>> {
    let mut text = vec![0; bytes_max];
    let mut control = Control([0; 32]);
    let mut vector = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
    // SAFETY: an all-zero `msghdr` is valid; what is put into it lives until the call has returned; the heading is
    // inside `control`, and the credentials are read only if the kernel says that they are there.
    let (length, sender) = unsafe {
        let mut message: libc::msghdr = MaybeUninit::zeroed().assume_init();
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = size_of::<Control>() as _;
        let flags = libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
        let got = uninterrupted(|| checked_size(libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags)));
        let length = match got {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            other => other?,
        };
        let heading = libc::CMSG_FIRSTHDR(&raw const message);
        let has_sender = !heading.is_null()
            && (*heading).cmsg_level == libc::SOL_SOCKET
            && (*heading).cmsg_type == libc::SCM_CREDENTIALS;
        let sender = has_sender.then(|| ptr::read_unaligned(libc::CMSG_DATA(heading).cast::<libc::ucred>()));
        (length, sender)
    };
    text.truncate(length);
    let (pid, uid) = sender.map_or((0, u32::MAX), |sender| (sender.pid.cast_unsigned(), sender.uid));
    Ok(Some((Datagram { text, pid, uid }, length)))
}

/// Takes the first message away.
pub fn drop_datagram(socket: BorrowedFd<'_>) {
    // If there is no message, nothing is to be done.
    let _ = recv(socket, &mut [0; 1], RecvFlags::DONTWAIT | RecvFlags::TRUNC);
}

/// A channel to a Node process: our end, which never waits, and the end for the process.
///
/// # Errors
/// No descriptors left.
pub fn open_channel() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((ours.into(), theirs.into()))
}

/// Bytes that wait on a channel, as many as fit into `into`; they continue waiting. `Some(0)`: the other end is closed.
///
/// # Errors
/// It is no such channel.
pub fn peek_channel(channel: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<Option<usize>> {
    receive(channel, into, RecvFlags::PEEK)
}

/// Takes bytes off a channel.
///
/// # Errors
/// It is no such channel.
pub fn take_from_channel(channel: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<Option<usize>> {
    receive(channel, into, RecvFlags::empty())
}

fn receive(channel: BorrowedFd<'_>, into: &mut [u8], flags: RecvFlags) -> io::Result<Option<usize>> {
    match retry_on_intr(|| recv(channel, &mut *into, flags | RecvFlags::DONTWAIT)) {
        Err(Errno::AGAIN) => Ok(None),
        other => Ok(Some(other?.0)),
    }
}

/// Says one line on a channel; never waits.
///
/// # Errors
/// `WouldBlock`: the process does not read. `BrokenPipe`: it has closed its end.
pub fn say_on_channel(channel: &impl AsFd, line: &str) -> io::Result<()> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let sent = retry_on_intr(|| send(channel, line.as_bytes(), flags))?;
    if sent == line.len() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_waits_until_it_is_taken_and_names_its_sender() {
        let folder = tempfile::tempdir().unwrap();
        for (path, is_for_others) in [
            (folder.path().join("7.1"), false),
            (folder.path().join("7.1"), false),
            (folder.path().join("x".repeat(120)), false),
            (folder.path().join("7.2"), true),
        ] {
            let (socket, name) = open_notify_socket(&path, is_for_others).unwrap();
            let client = UnixDatagram::unbound().unwrap();
            match name.strip_prefix('@') {
                None => drop(client.send_to(b"READY=1", &name).unwrap()),
                Some(name) => {
                    let address = SocketAddr::from_abstract_name(name).unwrap();
                    client.send_to_addr(b"READY=1", &address).unwrap();
                }
            }
            for _ in 0..2 {
                let seen = peek_datagram(socket.as_fd()).unwrap().unwrap();
                assert_eq!((seen.text.as_slice(), seen.pid), (b"READY=1".as_slice(), std::process::id()));
            }
            drop_datagram(socket.as_fd());
            assert_eq!(peek_datagram(socket.as_fd()).unwrap(), None);
        }
    }

    #[test]
    fn a_long_message_is_seen_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, name) = open_notify_socket(&folder.path().join("7.1"), false).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        for length in [DATAGRAM_BYTES - 1, DATAGRAM_BYTES, DATAGRAM_BYTES + 1, 100_000] {
            let text = vec![b'x'; length];
            client.send_to(&text, &name).unwrap();
            assert_eq!(peek_datagram(socket.as_fd()).unwrap().unwrap().text, text);
            drop_datagram(socket.as_fd());
            assert_eq!(peek_datagram(socket.as_fd()).unwrap(), None);
        }
    }

    #[test]
    fn an_abstract_name_is_never_the_same_and_can_be_taken_again_once_it_is_free() {
        let path = Path::new("/home/run/notify/7.1");
        let (socket, name) = open_notify_socket(path, true).unwrap();
        let (_other, other_name) = open_notify_socket(path, true).unwrap();
        assert_ne!(name, other_name);
        assert_eq!(reopen_notify_socket(&name).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        reopen_notify_socket(&name).unwrap();
    }

    #[test]
    fn a_channel_keeps_its_bytes_until_they_are_taken_and_tells_its_end() {
        let (ours, theirs) = open_channel().unwrap();
        let mut buffer = [0; 16];
        assert_eq!(peek_channel(ours.as_fd(), &mut buffer).unwrap(), None);
        say_on_channel(&theirs, "\"ready\"\n").unwrap();
        assert_eq!(peek_channel(ours.as_fd(), &mut buffer).unwrap(), Some(8));
        assert_eq!(take_from_channel(ours.as_fd(), &mut buffer).unwrap(), Some(8));
        drop(theirs);
        assert_eq!(peek_channel(ours.as_fd(), &mut buffer).unwrap(), Some(0));
        assert_eq!(say_on_channel(&ours, "x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
