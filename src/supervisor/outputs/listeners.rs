//! Sockets that outlive the processes which accept from them: opened once, held by the anchor, handed to every process.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::anchor::{AnchorLink, HELD_LISTENER, HELD_SOCKET_FILE};
use crate::model::{AppId, Digest, InstanceId, ListenAddress, Live, Phase};
use crate::os::{self, ListenerLookup, Listening, PidFd, SocketAccess, SocketFile};
use crate::rules;
use crate::supervisor::handover::Handover;

/// All open sockets of all apps, by the key under which the anchor holds them.
#[derive(Debug, Default)]
pub struct Listeners {
    open: Mutex<BTreeMap<u64, Held>>,
}

/// One open socket.
#[derive(Debug)]
struct Held {
    socket: OwnedFd,
    /// The file of a Unix socket, as it was made. `None`: a TCP socket, or one that was found in a process.
    file: Option<SocketFile>,
    /// `None`: a Unix socket that an earlier daemon opened; its path is known again when an app asks for it.
    address: Option<ListenAddress>,
    /// Who had it last, as far as this daemon knows.
    app: Option<AppId>,
}

/// A socket that could not be opened.
#[derive(Debug)]
pub(in crate::supervisor) struct NotListening {
    /// As the app asks for it.
    pub address: ListenAddress,
    /// What the kernel said.
    pub error: io::Error,
    /// A socket of ours that keeps it from being opened, and whose that is.
    holder: Option<(ListenAddress, Option<AppId>)>,
}

impl Listeners {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Held>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one in that an earlier daemon opened.
    pub(in crate::supervisor) fn take_over(&self, key: u64, socket: OwnedFd, file: Option<OwnedFd>) {
        let address = os::tcp_address_of(&socket).map(ListenAddress::Tcp);
        self.open().insert(key, Held { socket, file: file.map(SocketFile::held), address, app: None });
    }

    /// Learns whose sockets these are, and takes those in that only a living process still has, because the anchor that
    /// held them died: it got them as descriptors 3, 4, …, and may have closed them since.
    pub(in crate::supervisor) fn take_back(
        &self,
        anchor: &AnchorLink,
        process: &PidFd,
        app: &AppId,
        addresses: &[ListenAddress],
    ) {
        let mut open = self.open();
        for (address, number) in addresses.iter().zip(3..) {
            let key = key(address);
            if let Some(held) = open.get_mut(&key) {
                held.app = Some(app.clone());
                continue;
            }
            let Ok(socket) = process.copy_descriptor(number) else { continue };
            if os::listens_at(&socket, address) && anchor.hold(key, HELD_LISTENER, socket.as_fd()).is_ok() {
                let (address, app) = (Some(address.clone()), Some(app.clone()));
                open.insert(key, Held { socket, file: None, address, app });
            }
        }
    }

    /// The sockets of one process, in the order of its declaration; those that are not open yet, or that nobody can
    /// connect to any more, are opened. `names`: what they are called, if the app says so. `access`: who may connect to Unix
    /// sockets.
    ///
    /// # Errors
    /// The address that cannot be listened at, and why.
    pub(in crate::supervisor) fn hand_over(
        &self,
        anchor: &AnchorLink,
        app: &AppId,
        addresses: &[ListenAddress],
        (names, access): (&[String], &SocketAccess),
    ) -> Result<Handover, NotListening> {
        if addresses.is_empty() {
            return Ok(Handover::default());
        }
        let mut open = self.open();
        let mut descriptors = Vec::new();
        for address in addresses {
            let socket = copy(&mut open, anchor, app, address, access).map_err(|error| NotListening {
                address: address.clone(),
                error,
                holder: holder_of_conflict(&open, address),
            })?;
            descriptors.push(socket);
        }
        let variables = vec![
            ("LISTEN_FDS".to_owned(), addresses.len().to_string()),
            ("LISTEN_FDNAMES".to_owned(), rules::socket_names(addresses, names).join(":")),
        ];
        Ok(Handover { variables, descriptors })
    }

    /// Copies of those of these that are open.
    pub(in crate::supervisor) fn copies(&self, addresses: &[ListenAddress]) -> Vec<OwnedFd> {
        let open = self.open();
        addresses.iter().filter_map(|address| open.get(&key(address))?.socket.try_clone().ok()).collect()
    }

    /// Whether all of them are open, or may be once nobody else listens there.
    ///
    /// # Errors
    /// The address that cannot be listened at, and why.
    pub(in crate::supervisor) fn may_open(&self, addresses: &[ListenAddress]) -> Result<(), NotListening> {
        let open = self.open();
        for address in addresses.iter().filter(|address| !open.contains_key(&key(address))) {
            os::may_listen_at(address).map_err(|error| NotListening {
                address: address.clone(),
                error,
                holder: None,
            })?;
        }
        Ok(())
    }

    /// Closes what none of these addresses wants any more: from now on connections to it are refused.
    pub(in crate::supervisor) fn keep_only(&self, anchor: &AnchorLink, wanted: &[ListenAddress]) {
        let wanted: BTreeSet<u64> = wanted.iter().map(key).collect();
        self.open().retain(|key, _| {
            let is_wanted = wanted.contains(key);
            if !is_wanted {
                // An anchor that does not listen is about to be replaced; the new one holds nothing of ours.
                let _ = anchor.drop_held(*key, HELD_LISTENER);
                let _ = anchor.drop_held(*key, HELD_SOCKET_FILE);
            }
            is_wanted
        });
    }

    /// What is open and keeps one of these addresses from being listened at.
    pub(in crate::supervisor) fn in_the_way(&self, addresses: &[ListenAddress]) -> Vec<ListenAddress> {
        if addresses.is_empty() {
            return Vec::new();
        }
        let open = self.open();
        let held = open.values().filter_map(|held| held.address.as_ref());
        held.filter(|held| addresses.iter().any(|address| address.excludes(held))).cloned().collect()
    }

    /// Closes these, with the copy that the anchor takes its time to close: their ports are free at once.
    pub(in crate::supervisor) fn close(&self, anchor: &AnchorLink, addresses: &[ListenAddress]) {
        let mut open = self.open();
        for key in addresses.iter().map(key) {
            if let Some(held) = open.remove(&key) {
                // What cannot be told to end is closed all the same, by us and by the anchor.
                let _ = os::stop_listening(&held.socket);
                let _ = anchor.drop_held(key, HELD_LISTENER);
                let _ = anchor.drop_held(key, HELD_SOCKET_FILE);
            }
        }
    }

    /// Takes back what earlier processes have set on these sockets. Only while no process has them: it would hold for
    /// them, too.
    pub(in crate::supervisor) fn reset(&self, addresses: &[ListenAddress]) {
        let open = self.open();
        for held in addresses.iter().filter_map(|address| open.get(&key(address))) {
            os::reset_socket(&held.socket);
        }
    }

    /// Running copies that nobody can connect to at one of their addresses: the file of the socket was removed or
    /// replaced, a process has shut the socket down, or the copy still has one from before that.
    pub(in crate::supervisor) fn unreachable(&self, live: &Live) -> Vec<InstanceId> {
        let listening = live.instances.iter().filter(|(_, instance)| !instance.spec.run.listen.is_empty());
        let running = listening.filter_map(|(id, instance)| match instance.phase {
            Phase::Running { pid, .. } => Some((id, pid, &instance.spec.run.listen)),
            _ => None,
        });
        let open = self.open();
        let is_missed = |pid: u32, address: &ListenAddress| {
            open.get(&key(address)).is_some_and(|held| !held.is_reachable(address) || held.is_newer_than(address, pid))
        };
        let unreachable = running.filter(|(_, pid, addresses)| addresses.iter().any(|at| is_missed(*pid, at)));
        unreachable.map(|(id, ..)| id.clone()).collect()
    }
}

impl Held {
    /// Whether who connects to the address comes to this socket.
    fn is_reachable(&self, address: &ListenAddress) -> bool {
        let is_found = match (address, &self.file) {
            (ListenAddress::Unix(path), Some(file)) => file.is_at(path),
            // Found in a process: whatever stands there is taken for it.
            (ListenAddress::Unix(path), None) => os::exists(path),
            (ListenAddress::Tcp(_), _) => true,
        };
        is_found && os::is_listening(&self.socket)
    }

    /// Whether the process and its children have an older socket of the same address, and not this one.
    fn is_newer_than(&self, address: &ListenAddress, pid: u32) -> bool {
        let ListenAddress::Unix(path) = address else { return false };
        let Ok(own) = os::socket_inode(&self.socket) else { return false };
        let mut older = os::sockets_at_path(path);
        older.retain(|inode| *inode != own);
        !older.is_empty() && os::tree_holds(pid, &older) && !os::tree_holds(pid, &[own])
    }
}

impl NotListening {
    /// What the error means and what to do about it, where the kernel's own words do not say it.
    pub(in crate::supervisor) fn words(&self) -> Option<String> {
        match (&self.address, self.error.kind()) {
            (ListenAddress::Tcp(address), io::ErrorKind::AddrInUse) => {
                let who = self.holder.as_ref().map_or_else(|| foreign_holder(*address), our_holder);
                Some(format!("Address already in use: {who}"))
            }
            (ListenAddress::Unix(_), io::ErrorKind::AddrInUse) => {
                Some("another program already listens there; end it, or use another path".to_owned())
            }
            (ListenAddress::Unix(_), io::ErrorKind::AlreadyExists) => {
                Some("the path is taken by a file that is not a socket; move it away, or use another path".to_owned())
            }
            (ListenAddress::Unix(path), io::ErrorKind::NotFound) => {
                let folder = path.parent().unwrap_or(path).display();
                Some(format!("the folder `{folder}` does not exist; create it, or use another path"))
            }
            _ => None,
        }
    }
}

fn our_holder((address, app): &(ListenAddress, Option<AppId>)) -> String {
    let app = app.as_ref().map_or_else(|| "another app".to_owned(), |app| format!("app `{app}`"));
    format!(
        "pm keeps `{address}` open for {app}, and only one of the two can be open; stop that app, or use another port"
    )
}

/// Who else has it: a socket on one address keeps that on all of them from being opened, too.
fn foreign_holder(address: SocketAddr) -> String {
    let here = (Ipv4Addr::LOCALHOST, address.port()).into();
    match ListenerLookup::new().holders_at(&[address, here]).into_iter().flatten().next() {
        Some((pid, name)) => format!("{name} (process {pid}) listens there; end it, or use another address"),
        None => format!(
            "another program listens there (`ss -ltnp 'sport = {}'` shows it); end it, or use another address",
            address.port()
        ),
    }
}

fn holder_of_conflict(open: &BTreeMap<u64, Held>, address: &ListenAddress) -> Option<(ListenAddress, Option<AppId>)> {
    let mut known = open.values().filter_map(|held| Some((held.address.as_ref()?, &held.app)));
    known.find(|(held, _)| held.excludes(address)).map(|(held, app)| (held.clone(), app.clone()))
}

fn copy(
    open: &mut BTreeMap<u64, Held>,
    anchor: &AnchorLink,
    app: &AppId,
    address: &ListenAddress,
    access: &SocketAccess,
) -> io::Result<OwnedFd> {
    let key = key(address);
    if let Some(held) = open.get_mut(&key).filter(|held| held.is_reachable(address)) {
        held.app = Some(app.clone());
        held.file.as_ref().map_or(Ok(()), |file| file.set_access(access))?;
        return held.socket.try_clone();
    }
    let Listening { socket, file } = os::listen_at(address, access)?;
    anchor.hold(key, HELD_LISTENER, socket.as_fd())?;
    match &file {
        Some(file) => anchor.hold(key, HELD_SOCKET_FILE, file.as_fd())?,
        None => anchor.drop_held(key, HELD_SOCKET_FILE)?,
    }
    let copy = socket.try_clone()?;
    open.insert(key, Held { socket, file, address: Some(address.clone()), app: Some(app.clone()) });
    Ok(copy)
}

/// The same address has the same key under every daemon. Never as small as the number of a row.
fn key(address: &ListenAddress) -> u64 {
    Digest::of(address.to_string().as_bytes()).number() | 1 << 63
}
