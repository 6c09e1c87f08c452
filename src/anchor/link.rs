//! The daemon's side: the inherited descriptors, and the connection to the anchor.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::protocol::{Arrived, HoldRefusal, Message, receive};
use super::table::Table;
use crate::os;

/// Numbers under which a daemon finds its inheritance.
pub(super) const ANCHOR_SOCKET: RawFd = 3;
pub(super) const TABLE: RawFd = 4;
pub(super) const LISTENER: RawFd = 5;
pub(super) const LOCK: RawFd = 6;
/// From here on come the numbers reserved for the daemon's children, see [`os::reserve_descriptors`].
pub(super) const RESERVED: RawFd = 7;
/// Everything else has higher numbers.
pub(super) const FIXED_END: RawFd = RESERVED + os::RESERVED_DESCRIPTORS;

/// Everything that a daemon inherits from the anchor.
#[derive(Debug)]
pub struct Inherited {
    /// The way to the anchor.
    pub link: AnchorLink,
    /// The process table.
    pub table: Table,
    /// The control socket, bound and with clients waiting already. Non-blocking.
    pub listener: UnixListener,
    /// The lock of the home: keep it open, for the case that the anchor dies first.
    pub lock: OwnedFd,
    /// What an earlier daemon gave to hold.
    pub held: Vec<HeldFd>,
}

/// A descriptor that the anchor holds; this is our copy.
#[derive(Debug)]
pub struct HeldFd {
    /// What it belongs to: mostly a row.
    pub key: u64,
    /// What it is: one of the `HELD_…` numbers.
    pub kind: u32,
    /// The descriptor.
    pub fd: OwnedFd,
}

/// The way to the anchor.
#[derive(Debug)]
pub struct AnchorLink {
    socket: AsyncFd<OwnedFd>,
}

/// The messages of the anchor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnchorWord {
    /// Rows of the table are Exited: look which.
    Exited,
    /// It did not follow a message about (key, kind).
    Refused {
        /// The key of the message.
        key: u64,
        /// The kind of the message.
        kind: u32,
        /// What the anchor objected to.
        refusal: HoldRefusal,
    },
    /// It is gone. Our parent is somebody else now; no process can be started.
    Gone,
}

impl AnchorLink {
    /// Takes the inheritance; `None` if we were not started by an anchor. To be called once, first of all, inside the
    /// runtime: until then descriptors are open that nobody owns.
    ///
    /// # Errors
    /// The inheritance is not what it should be: the table of another version, for example.
    pub fn inherit() -> io::Result<Option<Inherited>> {
        let Ok(socket) = os::adopt(ANCHOR_SOCKET) else { return Ok(None) };
        // Whatever is inherited must not reach the apps.
        let _old_kernel = os::close_on_exec_from(ANCHOR_SOCKET);
        let table = Table::inherit(os::adopt(TABLE)?)?;
        let listener = UnixListener::from(os::adopt(LISTENER)?);
        listener.set_nonblocking(true)?;
        let lock = os::adopt(LOCK)?;
        os::reserve_descriptors((RESERVED..FIXED_END).map(os::adopt).collect::<io::Result<Vec<_>>>()?)?;
        let held = table
            .held()
            .filter_map(|held| Some(HeldFd { key: held.key, kind: held.kind, fd: os::adopt(held.fd).ok()? }))
            .collect();
        if let Some(score) = table.oom_score() {
            os::set_child_oom_score(score);
        }
        if let Some(soft) = table.open_files_soft() {
            os::set_child_open_files(soft);
        }
        os::arm_killpoints(table.killpoint_hits());
        Ok(Some(Inherited { link: Self::over(socket)?, table, listener, lock, held }))
    }

    pub(super) fn over(socket: OwnedFd) -> io::Result<Self> {
        // SAFETY: the descriptor is valid and belongs to the link from now on.
        Ok(Self { socket: unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE)? } })
    }

    /// Gives the anchor a copy of `fd` to hold under (key, kind), in the place of an older one. When this returns it
    /// survives our death.
    ///
    /// # Errors
    /// The anchor is gone, or does not read: then nothing is held.
    pub fn hold(&self, key: u64, kind: u32, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.send(Message::Hold { key, kind }, &[fd])
    }

    /// The same for two descriptors, the second one under the next kind.
    ///
    /// # Errors
    /// As [`Self::hold`].
    pub fn hold_two(&self, key: u64, kind: u32, fds: [BorrowedFd<'_>; 2]) -> io::Result<()> {
        self.send(Message::HoldTwo { key, kind }, &fds)
    }

    /// Lets the anchor close what it holds under (key, kind).
    ///
    /// # Errors
    /// The anchor is gone, or does not read.
    pub fn drop_held(&self, key: u64, kind: u32) -> io::Result<()> {
        self.send(Message::Drop { key, kind }, &[])
    }

    /// Tells the anchor to end once we have ended.
    ///
    /// # Errors
    /// The anchor is gone, or does not read.
    pub fn quit(&self) -> io::Result<()> {
        self.send(Message::Quit, &[])
    }

    /// Waits for a message of the anchor. Cancel-safe.
    ///
    /// # Errors
    /// The runtime is gone.
    pub async fn next(&self) -> io::Result<AnchorWord> {
        loop {
            let mut ready = self.socket.readable().await?;
            match receive(self.socket.get_ref().as_fd())? {
                Some(Arrived::Message(Message::Refused { key, kind, refusal }, _)) => {
                    return Ok(AnchorWord::Refused { key, kind, refusal });
                }
                Some(Arrived::Closed) => return Ok(AnchorWord::Gone),
                // `Exited`, or a newer anchor's word: whatever it is, looking at the table is never wrong.
                Some(Arrived::Message(..) | Arrived::Failed(_) | Arrived::Unknown) => return Ok(AnchorWord::Exited),
                None => ready.clear_ready(),
            }
        }
    }

    /// The socket's buffer holds about two hundred messages. A burst (a thousand apps at once) fills it for the
    /// microseconds that the anchor needs, so it is worth waiting a little.
    fn send(&self, message: Message, passed: &[BorrowedFd<'_>]) -> io::Result<()> {
        let socket = self.socket.get_ref().as_fd();
        for _ in 0..SEND_TRIES {
            match message.send(socket, passed) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => os::wait_writable(socket, SEND_WAIT)?,
                done => return done,
            }
        }
        Err(io::Error::from(io::ErrorKind::TimedOut))
    }
}

const SEND_TRIES: usize = 20;
const SEND_WAIT: crate::model::Millis = crate::model::Millis(50);

impl AsRawFd for AnchorLink {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
