//! Packets over a local socket pair, one descriptor each at most. Nothing here allocates.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use crate::model::Millis;
use crate::os::errno::{checked, checked_size, uninterrupted};

/// Room for one descriptor with its heading.
#[repr(C, align(8))]
struct Control([u8; 32]);

const DESCRIPTOR_BYTES: libc::c_uint = RawFd::BITS / 8;

/// Two connected ends that keep packets apart and in order; neither waits, neither survives `exec`.
///
/// # Errors
/// No descriptors left.
pub fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: room for two descriptors.
    checked(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
    // SAFETY: the kernel has just given us both.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Sends one packet, with a copy of `passed`.
///
/// # Errors
/// `WouldBlock`: the other end does not read. `BrokenPipe`: it is gone.
pub fn send_packet(socket: BorrowedFd<'_>, bytes: &[u8], passed: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut control = Control([0; 32]);
    let mut vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: an all-zero `msghdr` is valid; the pointers put into it live until the call has returned, and the
    // heading is written inside `control`, which is large enough (checked below).
    unsafe {
        let mut message: libc::msghdr = MaybeUninit::zeroed().assume_init();
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        if let Some(fd) = passed {
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(DESCRIPTOR_BYTES) as _;
            let heading = libc::CMSG_FIRSTHDR(&raw const message);
            (*heading).cmsg_level = libc::SOL_SOCKET;
            (*heading).cmsg_type = libc::SCM_RIGHTS;
            (*heading).cmsg_len = libc::CMSG_LEN(DESCRIPTOR_BYTES) as _;
            ptr::write_unaligned(libc::CMSG_DATA(heading).cast::<RawFd>(), fd.as_raw_fd());
        }
        uninterrupted(|| checked_size(libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)))
            .map(drop)
    }
}

/// Takes one packet and the descriptor that came with it (not surviving `exec`). Zero bytes: the other end is gone.
///
/// # Errors
/// `WouldBlock`: there is none.
pub fn receive_packet(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut control = Control([0; 32]);
    let mut vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: as in `send_packet`. Descriptors beyond the first do not fit and are closed by the kernel.
    unsafe {
        let mut message: libc::msghdr = MaybeUninit::zeroed().assume_init();
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(DESCRIPTOR_BYTES) as _;
        let flags = libc::MSG_CMSG_CLOEXEC;
        let length = uninterrupted(|| checked_size(libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags)))?;
        let heading = libc::CMSG_FIRSTHDR(&raw const message);
        let has_descriptor = !heading.is_null()
            && (*heading).cmsg_level == libc::SOL_SOCKET
            && (*heading).cmsg_type == libc::SCM_RIGHTS
            && (*heading).cmsg_len >= libc::CMSG_LEN(DESCRIPTOR_BYTES) as _;
        let passed =
            has_descriptor.then(|| OwnedFd::from_raw_fd(ptr::read_unaligned(libc::CMSG_DATA(heading).cast::<RawFd>())));
        Ok((length, passed))
    }
}

const _: () = {
    // SAFETY: arithmetic only.
    assert!(unsafe { libc::CMSG_SPACE(DESCRIPTOR_BYTES) } as usize <= size_of::<Control>());
};

/// Waits until a packet can be sent or `limit` is over.
///
/// # Errors
/// None that a caller could cause.
pub fn wait_writable(socket: BorrowedFd<'_>, limit: Millis) -> io::Result<()> {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    let limit = i32::try_from(limit.0).unwrap_or(i32::MAX);
    // SAFETY: one valid pollfd.
    uninterrupted(|| checked(unsafe { libc::poll(&raw mut poll, 1, limit) })).map(drop)
}

/// Waits until one of two descriptors is readable (or closed at its other end), or `limit` is over; says which are.
///
/// # Errors
/// None that a caller could cause.
pub fn wait_readable(fds: [Option<BorrowedFd<'_>>; 2], limit: Option<Millis>) -> io::Result<[bool; 2]> {
    let mut polls = fds.map(|fd| libc::pollfd {
        fd: fd.map_or(-1, |fd| fd.as_raw_fd()), // negative: skipped by the kernel
        events: libc::POLLIN,
        revents: 0,
    });
    let limit = limit.map_or(-1, |limit| i32::try_from(limit.0).unwrap_or(i32::MAX));
    // SAFETY: two valid pollfds.
    uninterrupted(|| checked(unsafe { libc::poll(polls.as_mut_ptr(), 2, limit) }))?;
    Ok(polls.map(|poll| poll.revents != 0))
}
