//! One line on a channel, with at most one descriptor.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use crate::os::errno::{checked_size, uninterrupted};

/// Room for one descriptor, with its heading.
#[repr(C, align(8))]
struct Control([u8; 24]);

/// How much of a line went out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// Nothing: the other end does not read.
    Nothing,
    /// So many bytes, and with the first of them the descriptor.
    Bytes(usize),
}

/// Sends the beginning of `line`, as much of it as the other end has room for; never waits. `passed` goes with its first
/// byte.
///
/// # Errors
/// `BrokenPipe`, `ConnectionReset`: the other end is closed. `ETOOMANYREFS`: too many descriptors are on their way.
pub fn send_line(channel: BorrowedFd<'_>, line: &[u8], passed: Option<BorrowedFd<'_>>) -> io::Result<Sent> {
    let mut control = Control([0; 24]);
    let mut vector = libc::iovec { iov_base: line.as_ptr().cast_mut().cast(), iov_len: line.len() };
    let descriptor_bytes = libc::c_uint::try_from(size_of::<RawFd>()).unwrap_or(4);
    // SAFETY: an all-zero `msghdr` is valid; the pointers put into it live until the call has returned, and the heading
    // is written inside `control`, which has room for one descriptor.
    let sent = unsafe {
        let mut message: libc::msghdr = MaybeUninit::zeroed().assume_init();
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        if let Some(passed) = passed {
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(descriptor_bytes) as _;
            let heading = libc::CMSG_FIRSTHDR(&raw const message);
            (*heading).cmsg_level = libc::SOL_SOCKET;
            (*heading).cmsg_type = libc::SCM_RIGHTS;
            (*heading).cmsg_len = libc::CMSG_LEN(descriptor_bytes) as _;
            ptr::write_unaligned(libc::CMSG_DATA(heading).cast::<RawFd>(), passed.as_raw_fd());
        }
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        uninterrupted(|| checked_size(libc::sendmsg(channel.as_raw_fd(), &raw const message, flags)))
    };
    match sent {
        Ok(bytes) => Ok(Sent::Bytes(bytes)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Sent::Nothing),
        Err(error) => Err(error),
    }
}

/// Takes the next connection in and passes it on at once, with a line of its own: a process that is killed between the two
/// loses the connection, so there is nothing between them. `None`: there is no connection.
///
/// # Errors
/// As [`super::accept_connection`]. Of the line: what could not be sent is told in the second value.
pub fn pass_connection_on(
    listening: BorrowedFd<'_>,
    channel: BorrowedFd<'_>,
    line: &[u8],
) -> io::Result<Option<(OwnedFd, io::Result<Sent>)>> {
    let Some(connection) = super::accept_connection(listening)? else { return Ok(None) };
    let sent = send_line(channel, line, Some(connection.as_fd()));
    Ok(Some((connection, sent)))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_descriptor_goes_with_its_line_and_a_full_channel_is_told() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (_reader, writer) = io::pipe().unwrap();
        assert_eq!(send_line(ours.as_fd(), b"one\n", Some(writer.as_fd())).unwrap(), Sent::Bytes(4));
        let mut text = [0; 16];
        assert_eq!(theirs.read(&mut text).unwrap(), 4);
        let line = vec![b'x'; 1 << 20];
        assert!(matches!(send_line(ours.as_fd(), &line, None).unwrap(), Sent::Bytes(sent) if sent < line.len()));
        assert_eq!(send_line(ours.as_fd(), b"two\n", None).unwrap(), Sent::Nothing);
        theirs.write_all(b"x").unwrap();
        drop(theirs);
        assert!(send_line(ours.as_fd(), b"two\n", None).is_err());
    }
}
