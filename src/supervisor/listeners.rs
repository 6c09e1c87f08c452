//! Sockets that outlive the processes which accept from them: opened once, held by the anchor, handed to every process.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::voices::Handover;
use crate::anchor::{AnchorLink, HELD_LISTENER};
use crate::model::{AppId, Digest, ListenAddress};
use crate::os::{self, ListenerLookup, PidFd};

/// All open sockets of all apps, by the key under which the anchor holds them.
#[derive(Debug, Default)]
pub struct Listeners {
    open: Mutex<BTreeMap<u64, Held>>,
}

/// One open socket.
#[derive(Debug)]
struct Held {
    socket: OwnedFd,
    /// `None`: a Unix socket that an earlier daemon opened; its path is known again when an app asks for it.
    address: Option<ListenAddress>,
    /// Who had it last, as far as this daemon knows.
    app: Option<AppId>,
}

/// A socket that could not be opened.
#[derive(Debug)]
pub(super) struct NotListening {
    /// Where.
    pub address: ListenAddress,
    /// Why.
    pub error: io::Error,
    /// A socket of ours that keeps it from being opened, and whose that is.
    holder: Option<(ListenAddress, Option<AppId>)>,
}

impl Listeners {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Held>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one in that an earlier daemon opened.
    pub(super) fn take_over(&self, key: u64, socket: OwnedFd) {
        let address = os::tcp_address_of(&socket).map(ListenAddress::Tcp);
        self.open().insert(key, Held { socket, address, app: None });
    }

    /// Learns whose sockets these are, and takes those in that only a living process still has, because the anchor that
    /// held them died: it got them as descriptors 3, 4, …, and may have closed them since.
    pub(super) fn take_back(&self, anchor: &AnchorLink, process: &PidFd, app: &AppId, addresses: &[ListenAddress]) {
        let mut open = self.open();
        for (address, number) in addresses.iter().zip(3..) {
            let key = key(address);
            if let Some(held) = open.get_mut(&key) {
                held.app = Some(app.clone());
                continue;
            }
            let Ok(socket) = process.copy_descriptor(number) else { continue };
            if os::listens_at(&socket, address) && anchor.hold(key, HELD_LISTENER, socket.as_fd()).is_ok() {
                open.insert(key, Held { socket, address: Some(address.clone()), app: Some(app.clone()) });
            }
        }
    }

    /// The sockets of one process, in the order of its declaration; those that are not open yet are opened.
    ///
    /// # Errors
    /// The address that cannot be listened at, and why.
    pub(super) fn hand_over(
        &self,
        anchor: &AnchorLink,
        app: &AppId,
        addresses: &[ListenAddress],
    ) -> Result<Handover, NotListening> {
        if addresses.is_empty() {
            return Ok(Handover::default());
        }
        let mut open = self.open();
        let mut descriptors = Vec::new();
        for address in addresses {
            let socket = copy(&mut open, anchor, app, address).map_err(|error| NotListening {
                address: address.clone(),
                error,
                holder: standing_in_the_way(&open, address),
            })?;
            descriptors.push(socket);
        }
        let names: Vec<String> = addresses.iter().map(name).collect();
        let variables = vec![
            ("LISTEN_FDS".to_owned(), addresses.len().to_string()),
            ("LISTEN_FDNAMES".to_owned(), names.join(":")),
        ];
        Ok(Handover { variables, descriptors })
    }

    /// Whether all of them are open, or may be once nobody else listens there.
    ///
    /// # Errors
    /// The address that cannot be listened at, and why.
    pub(super) fn may_open(&self, addresses: &[ListenAddress]) -> Result<(), NotListening> {
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
    pub(super) fn keep_only(&self, anchor: &AnchorLink, wanted: &[ListenAddress]) {
        let wanted: BTreeSet<u64> = wanted.iter().map(key).collect();
        self.open().retain(|key, _| {
            let is_wanted = wanted.contains(key);
            if !is_wanted {
                // An anchor that does not listen is about to be replaced; the new one holds nothing of ours.
                let _ = anchor.drop_held(*key, HELD_LISTENER);
            }
            is_wanted
        });
    }

    /// What is open and keeps one of these addresses from being listened at.
    pub(super) fn in_the_way(&self, addresses: &[ListenAddress]) -> Vec<ListenAddress> {
        if addresses.is_empty() {
            return Vec::new();
        }
        let open = self.open();
        let held = open.values().filter_map(|held| held.address.as_ref());
        held.filter(|held| addresses.iter().any(|address| address.excludes(held))).cloned().collect()
    }

    /// Closes these, with the copy that the anchor takes its time to close: their ports are free at once.
    pub(super) fn close(&self, anchor: &AnchorLink, addresses: &[ListenAddress]) {
        let mut open = self.open();
        for key in addresses.iter().map(key) {
            if let Some(held) = open.remove(&key) {
                // What cannot be told to end is closed all the same, by us and by the anchor.
                let _ = os::stop_listening(&held.socket);
                let _ = anchor.drop_held(key, HELD_LISTENER);
            }
        }
    }
}

impl NotListening {
    /// What the error means and what to do about it, where the kernel's own words do not say it.
    pub(super) fn words(&self) -> Option<String> {
        match (&self.address, self.error.kind()) {
            (ListenAddress::Tcp(address), io::ErrorKind::AddrInUse) => {
                let who = self.holder.as_ref().map_or_else(|| foreign_holder(*address), our_holder);
                Some(format!("Address already in use: {who}"))
            }
            (ListenAddress::Unix(_), io::ErrorKind::AddrInUse) => {
                Some("another program listens there: end it, or name another path".to_owned())
            }
            (ListenAddress::Unix(_), io::ErrorKind::AlreadyExists) => {
                Some("a file that is no socket stands there: move it away, or name another path".to_owned())
            }
            (ListenAddress::Unix(path), io::ErrorKind::NotFound) => {
                let folder = path.parent().unwrap_or(path).display();
                Some(format!("the folder `{folder}` does not exist: create it, or name another path"))
            }
            _ => None,
        }
    }
}

fn our_holder((address, app): &(ListenAddress, Option<AppId>)) -> String {
    let app = app.as_ref().map_or_else(|| "another app".to_owned(), |app| format!("app `{app}`"));
    format!("pm holds `{address}` for {app}, and only one of the two can be open; stop that app, or name another port")
}

/// Who else has it: a socket on one address keeps that on all of them from being opened, too.
fn foreign_holder(address: SocketAddr) -> String {
    let here = (Ipv4Addr::LOCALHOST, address.port()).into();
    match ListenerLookup::new().holders_at(&[address, here]).into_iter().flatten().next() {
        Some((pid, name)) => format!("{name} (process {pid}) listens there; end it, or name another address"),
        None => format!("another program listens there (`ss -ltnp 'sport = {}'` shows it)", address.port()),
    }
}

fn standing_in_the_way(open: &BTreeMap<u64, Held>, address: &ListenAddress) -> Option<(ListenAddress, Option<AppId>)> {
    let mut known = open.values().filter_map(|held| Some((held.address.as_ref()?, &held.app)));
    known.find(|(held, _)| held.excludes(address)).map(|(held, app)| (held.clone(), app.clone()))
}

fn copy(
    open: &mut BTreeMap<u64, Held>,
    anchor: &AnchorLink,
    app: &AppId,
    address: &ListenAddress,
) -> io::Result<OwnedFd> {
    let key = key(address);
    if let Some(held) = open.get_mut(&key) {
        held.app = Some(app.clone());
        return held.socket.try_clone();
    }
    let socket = os::listen_at(address)?;
    anchor.hold(key, HELD_LISTENER, socket.as_fd())?;
    let copy = socket.try_clone()?;
    open.insert(key, Held { socket, address: Some(address.clone()), app: Some(app.clone()) });
    Ok(copy)
}

/// The same address has the same key under every daemon. Never as small as the number of a row.
fn key(address: &ListenAddress) -> u64 {
    let digest = Digest::of(address.to_string().as_bytes());
    digest.0.iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte)) | 1 << 63
}

/// For `LISTEN_FDNAMES`, whose separator is a colon: `tcp-8080`, `app.sock`.
fn name(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Tcp(address) => format!("tcp-{}", address.port()),
        ListenAddress::Unix(path) => {
            path.file_name().map_or_else(String::new, |name| name.to_string_lossy().replace(':', "-"))
        }
    }
}
