//! Sockets that outlive the processes which accept from them: opened once, held by the anchor, handed to every process.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, PoisonError};

use super::voices::Handover;
use crate::anchor::{AnchorLink, HELD_LISTENER};
use crate::model::{Digest, ListenAddress};
use crate::os::{self, PidFd};

/// All open sockets of all apps, by the key under which the anchor holds them.
#[derive(Debug, Default)]
pub struct Listeners {
    open: Mutex<BTreeMap<u64, OwnedFd>>,
}

impl Listeners {
    /// Takes one in that an earlier daemon opened.
    pub(super) fn take_over(&self, key: u64, socket: OwnedFd) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(key, socket);
    }

    /// Takes those in that only a living process still has, because the anchor that held them died: it got them as
    /// descriptors 3, 4, …, and may have closed them since.
    pub(super) fn take_back(&self, anchor: &AnchorLink, process: &PidFd, addresses: &[ListenAddress]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for (address, number) in addresses.iter().zip(3..) {
            let key = key(address);
            if open.contains_key(&key) {
                continue;
            }
            let Ok(socket) = process.copy_descriptor(number) else { continue };
            if os::listens_at(&socket, address) && anchor.hold(key, HELD_LISTENER, socket.as_fd()).is_ok() {
                open.insert(key, socket);
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
        addresses: &[ListenAddress],
    ) -> Result<Handover, (ListenAddress, io::Error)> {
        if addresses.is_empty() {
            return Ok(Handover::default());
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut descriptors = Vec::new();
        for address in addresses {
            let socket = copy(&mut open, anchor, address).map_err(|error| (address.clone(), error))?;
            descriptors.push(socket);
        }
        let names: Vec<String> = addresses.iter().map(name).collect();
        let variables = vec![
            ("LISTEN_FDS".to_owned(), addresses.len().to_string()),
            ("LISTEN_FDNAMES".to_owned(), names.join(":")),
        ];
        Ok(Handover { variables, descriptors })
    }

    /// Closes what none of these addresses wants any more: from now on connections to it are refused.
    pub(super) fn keep_only(&self, anchor: &AnchorLink, wanted: &[ListenAddress]) {
        let wanted: BTreeSet<u64> = wanted.iter().map(key).collect();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|key, _| {
            let is_wanted = wanted.contains(key);
            if !is_wanted {
                // An anchor that does not listen is about to be replaced; the new one holds nothing of ours.
                let _ = anchor.drop_held(*key, HELD_LISTENER);
            }
            is_wanted
        });
    }
}

fn copy(open: &mut BTreeMap<u64, OwnedFd>, anchor: &AnchorLink, address: &ListenAddress) -> io::Result<OwnedFd> {
    let key = key(address);
    if let Some(socket) = open.get(&key) {
        return socket.try_clone();
    }
    let socket = os::listen_at(address)?;
    anchor.hold(key, HELD_LISTENER, socket.as_fd())?;
    let copy = socket.try_clone()?;
    open.insert(key, socket);
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
