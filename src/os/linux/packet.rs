//! Packets over a local socket pair, two descriptors each at most. Nothing here allocates.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::event::PollFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::model::Millis;
use crate::os::errno::{checked, checked_size, poll_one, uninterrupted};

/// Descriptors that a packet can carry.
pub const PASSED_MAX: usize = 2;

/// Room for these, with their heading.
#[repr(C, align(8))]
struct Control([u8; 32]);

const DESCRIPTOR_BYTES: usize = size_of::<RawFd>();

/// Two connected ends that keep packets apart and in order; neither waits, neither survives `exec`.
///
/// # Errors
/// No descriptors left.
pub fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Sends one packet, with copies of `passed`.
///
/// # Errors
/// `WouldBlock`: the other end does not read. `BrokenPipe`: it is gone. `InvalidInput`: more than [`PASSED_MAX`].
pub fn send_packet(socket: BorrowedFd<'_>, bytes: &[u8], passed: &[BorrowedFd<'_>]) -> io::Result<()> {
    if passed.len() > PASSED_MAX {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let passed_bytes = passed_bytes(passed.len());
    let mut control = Control([0; 32]);
    let mut vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: an all-zero `msghdr` is valid; the pointers put into it live until the call has returned, and the
    // heading is written inside `control`, which is large enough (checked below).
    unsafe {
        let mut message: libc::msghdr = MaybeUninit::zeroed().assume_init();
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        if !passed.is_empty() {
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(passed_bytes) as _;
            let heading = libc::CMSG_FIRSTHDR(&raw const message);
            (*heading).cmsg_level = libc::SOL_SOCKET;
            (*heading).cmsg_type = libc::SCM_RIGHTS;
            (*heading).cmsg_len = libc::CMSG_LEN(passed_bytes) as _;
            for (index, fd) in passed.iter().enumerate() {
                let place = libc::CMSG_DATA(heading).add(index * DESCRIPTOR_BYTES);
                ptr::write_unaligned(place.cast::<RawFd>(), fd.as_raw_fd());
            }
        }
        uninterrupted(|| checked_size(libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)))
            .map(drop)
    }
}

/// Takes one packet and the descriptors that came with it. These survive `exec`: the anchor takes them to hand them on,
/// and the daemon closes them at once. Zero bytes: the other end is gone.
///
/// # Errors
/// `WouldBlock`: there is none.
pub fn receive_packet(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<(usize, [Option<OwnedFd>; PASSED_MAX])> {
    let mut control = Control([0; 32]);
    let mut vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: as in `send_packet`. Descriptors beyond these do not fit and are closed by the kernel; what is read as a
    // descriptor lies inside the length that the kernel gave, and is owned from then on.
    unsafe {
        let mut message: libc::msghdr = MaybeUninit::zeroed().assume_init();
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(passed_bytes(PASSED_MAX)) as _;
        let length = uninterrupted(|| checked_size(libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0)))?;
        let heading = libc::CMSG_FIRSTHDR(&raw const message);
        let are_descriptors =
            !heading.is_null() && (*heading).cmsg_level == libc::SOL_SOCKET && (*heading).cmsg_type == libc::SCM_RIGHTS;
        let mut passed = [const { None }; PASSED_MAX];
        if are_descriptors {
            for (index, passed) in passed.iter_mut().enumerate() {
                if (*heading).cmsg_len as usize >= libc::CMSG_LEN(passed_bytes(index + 1)) as usize {
                    let place = libc::CMSG_DATA(heading).add(index * DESCRIPTOR_BYTES);
                    *passed = Some(OwnedFd::from_raw_fd(ptr::read_unaligned(place.cast::<RawFd>())));
                }
            }
        }
        Ok((length, passed))
    }
}

const fn passed_bytes(count: usize) -> libc::c_uint {
    #[expect(clippy::cast_possible_truncation, reason = "at most two descriptors")]
    let bytes = (count * DESCRIPTOR_BYTES) as libc::c_uint;
    bytes
}

const _: () = {
    // SAFETY: arithmetic only.
    assert!(unsafe { libc::CMSG_SPACE(passed_bytes(PASSED_MAX)) } as usize <= size_of::<Control>());
};

/// Waits until a packet can be sent or `limit` is over.
///
/// # Errors
/// None that a caller could cause.
pub fn wait_writable(socket: BorrowedFd<'_>, limit: Millis) -> io::Result<()> {
    uninterrupted(|| poll_one(socket, PollFlags::OUT, Some(limit.duration()))).map(drop)
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
