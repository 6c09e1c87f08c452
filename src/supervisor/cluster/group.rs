//! The cluster of one app: its primary, and the descriptors that the primary knows by numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::keep::ClusterVault;
use crate::cluster::{ConnectionId, Handle, Primary, SocketId, SocketName, WantedSocket, WorkerId};
use crate::model::{AppId, Identity};
use crate::os;

/// Who an app is, as far as its sockets are concerned.
#[derive(Debug)]
pub(super) struct SocketOwner {
    pub app: AppId,
    pub user: SocketUser,
    pub umask: u32,
    /// The sockets of `listen` that it was given, from descriptor 3 on.
    pub inherited: Vec<OwnedFd>,
}

/// With whose rights sockets are opened.
#[derive(Debug)]
pub(in crate::supervisor) enum SocketUser {
    /// With ours.
    Own,
    /// With those of this user.
    Other(Identity),
    /// It is not known who the app runs as: nothing is opened.
    Unknown,
}

/// With nobody's rights can anything be opened.
struct NobodysRights;

/// A cluster.
#[derive(Debug)]
pub(super) struct ClusterGroup {
    pub app: AppId,
    pub owner: Arc<SocketOwner>,
    pub primary: Primary,
    pub keep: Arc<ClusterVault>,
    pub workers: BTreeSet<WorkerId>,
    pub descriptors: Descriptors,
}

/// Open sockets and connections.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    pub sockets: BTreeMap<SocketId, OwnedFd>,
    pub connections: BTreeMap<ConnectionId, OwnedFd>,
    /// A socket that nobody uses.
    pub any: Option<OwnedFd>,
    /// Sockets in whose queues there may be connections.
    pub fresh: BTreeSet<SocketId>,
}

impl Descriptors {
    pub(super) fn of(&self, handle: Handle) -> Option<BorrowedFd<'_>> {
        match handle {
            Handle::Socket(socket) => self.sockets.get(&socket),
            Handle::Connection(connection) => self.connections.get(&connection),
            Handle::Any => self.any.as_ref(),
        }
        .map(AsFd::as_fd)
    }
}

impl SocketOwner {
    /// Opens a socket with the rights of the app. The number of the error, as the kernel counts them.
    pub(super) fn open(&self, wanted: &WantedSocket) -> Result<OwnedFd, i32> {
        let user = self.rights().map_err(|NobodysRights| libc_errno::EACCES)?;
        let opened = match wanted {
            WantedSocket::Inherited { fd } => return self.inherited(*fd).ok_or(libc_errno::EBADF),
            WantedSocket::Tcp { address, port, is_v6_only, backlog } => {
                os::with_rights_of(user, || os::open_tcp(*address, *port, *is_v6_only, *backlog))
            }
            WantedSocket::Udp { address, port, is_v6, is_v6_only, is_reused } => {
                os::with_rights_of(user, || os::open_udp(*address, *port, *is_v6, *is_v6_only, *is_reused))
            }
            WantedSocket::Unix { path, mode, backlog } => {
                let mode = 0o777 & !self.umask | mode;
                os::with_rights_of(user, || os::open_unix(path, mode, *backlog))
            }
        };
        opened.map_err(|error| errno_of(&error))
    }

    /// `None`: our own.
    fn rights(&self) -> Result<Option<&Identity>, NobodysRights> {
        match &self.user {
            SocketUser::Own => Ok(None),
            SocketUser::Other(user) => Ok(Some(user)),
            SocketUser::Unknown => Err(NobodysRights),
        }
    }

    fn inherited(&self, fd: i32) -> Option<OwnedFd> {
        let index = usize::try_from(fd).ok()?.checked_sub(3)?;
        let socket = self.inherited.get(index)?.try_clone().ok()?;
        os::never_wait(&socket).ok()?;
        Some(socket)
    }

    /// Closes a socket for everybody who has it, and removes its file.
    pub(super) fn close(&self, wanted: &WantedSocket, socket: &OwnedFd) {
        match wanted {
            // It belongs to the app as a whole.
            WantedSocket::Inherited { .. } | WantedSocket::Udp { .. } => {}
            WantedSocket::Tcp { .. } => drop(os::stop_listening(socket)),
            WantedSocket::Unix { path, .. } => {
                let _not_listening = os::stop_listening(socket);
                if let Ok(user) = self.rights() {
                    let _stays = os::with_rights_of(user, || os::remove_socket_file(path));
                }
            }
        }
    }
}

/// What `server.address()` says of a socket.
pub(super) fn name_of(wanted: &WantedSocket, socket: &OwnedFd) -> Option<SocketName> {
    if matches!(wanted, WantedSocket::Unix { .. }) {
        return None;
    }
    let address = os::local_address(socket.as_fd())?;
    let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
    Some(SocketName { address: address.ip().to_string(), family: family.into(), port: address.port() })
}

/// The number of an error; one without counts as one of the device.
fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc_errno::EIO)
}

/// Numbers that Linux and Node agree on.
mod libc_errno {
    pub(super) const EIO: i32 = 5;
    pub(super) const EBADF: i32 = 9;
    pub(super) const EACCES: i32 = 13;
}
