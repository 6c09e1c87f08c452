//! A vault: a queue in the kernel that keeps records with a descriptor each, for as long as any process has the vault open.
//!
//! It is a datagram socket that is connected to itself: what is put into it waits in its own queue, and everybody who has
//! a copy of the socket can look. So descriptors that workers of an app cannot do without live as long as one of these
//! does, whatever happens to our own processes. Nobody else can send to it: the kernel takes datagrams from the peer only.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;

use rustix::net::sockopt::{set_socket_send_buffer_size, socket_domain, socket_type};
use rustix::net::{
    AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect, getsockname, recv, socket_with,
};

use crate::os::errno::{checked_size, uninterrupted};

/// Longest record.
pub const VAULT_RECORD_BYTES_MAX: usize = 16 << 10;
/// As many bytes of records, with what the kernel adds to each, are asked for.
const BUFFER_BYTES: usize = 4 << 20;

/// Room for one descriptor, with its heading.
#[repr(C, align(8))]
struct Control([u8; 24]);

/// A queue of records that survives whoever made it.
#[derive(Debug)]
pub struct Vault(OwnedFd);

impl Vault {
    /// An empty one.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        // The kernel chooses an abstract name that is free.
        bind(&socket, &SocketAddrUnix::new_unnamed())?;
        let own = SocketAddrUnix::try_from(getsockname(&socket)?)?;
        connect(&socket, &own)?;
        // As much as the machine allows.
        let _less = set_socket_send_buffer_size(&socket, BUFFER_BYTES);
        Ok(Self(socket))
    }

    /// One that somebody has kept for us.
    ///
    /// # Errors
    /// `InvalidInput`: that descriptor is none.
    pub fn found(fd: OwnedFd) -> io::Result<Self> {
        let is_it = socket_domain(&fd)? == AddressFamily::UNIX && socket_type(&fd)? == SocketType::DGRAM;
        if is_it { Ok(Self(fd)) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// Puts a record at the end.
    ///
    /// # Errors
    /// `WouldBlock`: it is full. `ETOOMANYREFS`: this user has too many descriptors on their way.
    pub fn put(&self, record: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        super::channel::send_line(self.0.as_fd(), record, descriptor).and_then(|sent| match sent {
            super::channel::Sent::Bytes(_) => Ok(()),
            super::channel::Sent::Nothing => Err(io::ErrorKind::WouldBlock.into()),
        })
    }

    /// The first record, which stays, with a copy of its descriptor. `None`: it is empty.
    ///
    /// # Errors
    /// It is no vault; no descriptors left.
    pub fn first(&self) -> io::Result<Option<(Vec<u8>, Option<OwnedFd>)>> {
        let mut text = vec![0; VAULT_RECORD_BYTES_MAX];
        let mut control = Control([0; 24]);
        let mut vector = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
        let descriptor_bytes = libc::c_uint::try_from(size_of::<RawFd>()).unwrap_or(4);
        // SAFETY: an all-zero `msghdr` is valid; what is put into it lives until the call has returned; the heading is
        // inside `control`, and a descriptor is read only if the kernel says that there is one: it is ours from then on.
        let (length, descriptor) = unsafe {
            let mut message: libc::msghdr = MaybeUninit::zeroed().assume_init();
            message.msg_iov = &raw mut vector;
            message.msg_iovlen = 1;
            message.msg_control = control.0.as_mut_ptr().cast();
            // No more than one descriptor: a second one would have room in what aligns it.
            message.msg_controllen = libc::CMSG_LEN(descriptor_bytes) as _;
            let flags = libc::MSG_PEEK | libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
            let got = uninterrupted(|| checked_size(libc::recvmsg(self.0.as_raw_fd(), &raw mut message, flags)));
            let length = match got {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                other => other?,
            };
            let heading = libc::CMSG_FIRSTHDR(&raw const message);
            let has_one = !heading.is_null()
                && (*heading).cmsg_level == libc::SOL_SOCKET
                && (*heading).cmsg_type == libc::SCM_RIGHTS
                && (*heading).cmsg_len as usize >= libc::CMSG_LEN(descriptor_bytes) as usize;
            let number = has_one.then(|| ptr::read_unaligned(libc::CMSG_DATA(heading).cast::<RawFd>()));
            (length, number.map(|number| OwnedFd::from_raw_fd(number)))
        };
        text.truncate(length);
        Ok(Some((text, descriptor)))
    }

    /// Takes the first record away.
    pub fn drop_first(&self) {
        // If there is none, nothing is to be done. The kernel closes the descriptor that has no room.
        let _ = recv(&self.0, &mut [0; 1], RecvFlags::DONTWAIT | RecvFlags::TRUNC);
    }
}

impl AsFd for Vault {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn a_record_keeps_its_descriptor_open_until_it_is_taken() {
        let vault = Vault::new().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        vault.put(b"one", Some(writer.as_fd())).unwrap();
        vault.put(b"two", None).unwrap();
        drop(writer);
        let (text, kept) = vault.first().unwrap().unwrap();
        assert_eq!(text, b"one");
        std::fs::File::from(kept.unwrap()).write_all(b"through").unwrap();
        let second = Vault::found(vault.0.try_clone().unwrap()).unwrap();
        assert_eq!(second.first().unwrap().unwrap().0, b"one", "everybody who has it can look");
        second.drop_first();
        let (text, kept) = vault.first().unwrap().unwrap();
        assert!(text == b"two" && kept.is_none());
        vault.drop_first();
        assert!(vault.first().unwrap().is_none());
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through", "and nobody has the descriptor any more");
    }

    #[test]
    fn it_takes_hundreds_of_records_and_nothing_from_others() {
        let vault = Vault::new().unwrap();
        let null = crate::os::open_null().unwrap();
        let count = (0..200).take_while(|_| vault.put(&[b'x'; 200], Some(null.as_fd())).is_ok()).count();
        assert_eq!(count, 200);
        let name = UnixDatagram::from(vault.0.try_clone().unwrap()).local_addr().unwrap();
        let stranger = UnixDatagram::unbound().unwrap();
        assert!(stranger.send_to_addr(b"x", &name).is_err());
        assert!(Vault::found(null).is_err());
    }
}
