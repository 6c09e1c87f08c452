//! What of a cluster outlives all of our processes: records in a vault that every worker has open.
//!
//! A record is never changed. A newer one of the same thing counts, and the older ones are taken out now and then, or at
//! once where a descriptor has to be closed: the first record is put at the end again, and only then taken away. So a
//! death at any moment leaves each record at least once.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::cluster::{SocketState, WorkerId, WorkerState};
use crate::os::{self, VAULT_RECORD_BYTES_MAX, Vault};

/// So many records may be out of date before they are taken out.
const STALE_MAX: usize = 8;
/// More records than this are not looked through: our own are fewer, and a worker may put in what it likes.
const RECORDS_MAX: usize = 8192;

/// The vault of one app.
#[derive(Debug)]
pub(super) struct ClusterVault {
    vault: Vault,
    book: Mutex<Book>,
}

/// What is in the vault.
#[derive(Debug, Default)]
struct Book {
    /// The number of the newest record.
    last: u64,
    /// The number of the newest record of each thing.
    newest: BTreeMap<Thing, u64>,
    /// All records.
    count: usize,
}

/// What a record is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Thing {
    Worker(WorkerId),
    Socket(String),
}

/// One record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct VaultRecord {
    number: u64,
    #[serde(flatten)]
    what: What,
}

/// What a record says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    /// Its descriptor is our end of the channel.
    Worker { id: WorkerId, incarnation: u32, state: WorkerState },
    /// Its descriptor is the socket.
    Socket(SocketState),
    /// The end of one look through all of them.
    End,
}

/// What an earlier daemon has left.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Our ends of channels, by worker, each with the number of its process.
    pub workers: BTreeMap<WorkerId, (u32, WorkerState, OwnedFd)>,
    pub sockets: Vec<(SocketState, OwnedFd)>,
}

impl ClusterVault {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { vault: Vault::new()?, book: Mutex::default() })
    }

    /// One that was found, with what is in it.
    pub(super) fn found(fd: OwnedFd) -> io::Result<(Self, Kept)> {
        let keep = Self { vault: Vault::found(fd)?, book: Mutex::default() };
        let kept = keep.look()?;
        Ok((keep, kept))
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.vault.as_fd()
    }

    pub(super) fn put_worker(
        &self,
        id: WorkerId,
        incarnation: u32,
        state: &WorkerState,
        channel: impl AsFd,
    ) -> io::Result<()> {
        let what = What::Worker { id, incarnation, state: state.clone() };
        self.put(Thing::Worker(id), what, channel.as_fd())
    }

    pub(super) fn put_socket(&self, state: &SocketState, socket: impl AsFd) -> io::Result<()> {
        self.put(Thing::Socket(state.key.clone()), What::Socket(state.clone()), socket.as_fd())
    }

    /// The worker is gone: its channel is closed.
    pub(super) fn forget_worker(&self, id: WorkerId) {
        let mut book = self.book();
        book.newest.remove(&Thing::Worker(id));
        // What cannot be looked at now is looked at with the next record.
        let _later = self.tidy(&mut book);
    }

    /// The socket is closed: also here, and at once.
    pub(super) fn forget_socket(&self, key: &str) {
        let mut book = self.book();
        book.newest.remove(&Thing::Socket(key.to_owned()));
        // What cannot be looked at now is looked at with the next record.
        let _later = self.tidy(&mut book);
    }

    fn put(&self, thing: Thing, what: What, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let mut book = self.book();
        if book.count > 2 * book.newest.len() + STALE_MAX {
            self.tidy(&mut book)?;
        }
        book.last += 1;
        let record = VaultRecord { number: book.last, what };
        let bytes = serde_json::to_vec(&record)?;
        if bytes.len() > VAULT_RECORD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.vault.put(&bytes, Some(descriptor)).is_err() {
            self.tidy(&mut book)?;
            self.vault.put(&bytes, Some(descriptor))?;
        }
        book.count += 1;
        book.newest.insert(thing, record.number);
        Ok(())
    }

    /// Takes out what is out of date. Who is about to put something waits meanwhile.
    fn tidy(&self, book: &mut Book) -> io::Result<()> {
        for _ in 0..book.count {
            let Some((bytes, descriptor)) = self.vault.first()? else { break };
            let record = serde_json::from_slice::<VaultRecord>(&bytes).ok();
            let is_newest = |record: VaultRecord| {
                thing(&record.what).is_some_and(|it| book.newest.get(&it) == Some(&record.number))
            };
            if record.is_some_and(is_newest) {
                let put = || self.vault.put(&bytes, descriptor.as_ref().map(AsFd::as_fd));
                if put().is_err() {
                    // It is full: for once the other way round.
                    self.vault.drop_first();
                    put()?;
                    continue;
                }
            } else {
                book.count -= 1;
            }
            self.vault.drop_first();
        }
        Ok(())
    }

    /// One look through all records.
    fn look(&self) -> io::Result<Kept> {
        let mut book = self.book();
        let mut newest: BTreeMap<Thing, (u64, What, OwnedFd)> = BTreeMap::new();
        let end = serde_json::to_vec(&VaultRecord { number: u64::from(os::own_pid()), what: What::End })?;
        self.vault.put(&end, None)?;
        for _ in 0..RECORDS_MAX {
            let Some((bytes, descriptor)) = self.vault.first()? else { break };
            if bytes == end {
                self.vault.drop_first();
                break;
            }
            let record = serde_json::from_slice::<VaultRecord>(&bytes).ok();
            if let (Some(VaultRecord { number, what }), Some(descriptor)) = (record, descriptor)
                && let Some(thing) = thing(&what)
            {
                self.vault.put(&bytes, Some(descriptor.as_fd()))?;
                book.count += 1;
                book.last = book.last.max(number);
                if newest.get(&thing).is_none_or(|(known, ..)| *known <= number) {
                    newest.insert(thing, (number, what, descriptor));
                }
            }
            self.vault.drop_first();
        }
        let mut kept = Kept::default();
        for (thing, (number, what, descriptor)) in newest {
            book.newest.insert(thing, number);
            match what {
                What::Worker { id, incarnation, state } => {
                    kept.workers.insert(id, (incarnation, state, descriptor));
                }
                What::Socket(state) => kept.sockets.push((state, descriptor)),
                What::End => {}
            }
        }
        Ok(kept)
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn thing(what: &What) -> Option<Thing> {
    match what {
        What::Worker { id, .. } => Some(Thing::Worker(*id)),
        What::Socket(state) => Some(Thing::Socket(state.key.clone())),
        What::End => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::cluster::WantedSocket;
    use crate::model::Scheduling;

    fn descriptor() -> OwnedFd {
        os::open_null().unwrap()
    }

    fn worker(is_listening: bool) -> WorkerState {
        WorkerState { is_listening, ..WorkerState::new(Scheduling::RoundRobin) }
    }

    fn socket(key: &str) -> SocketState {
        let wanted = WantedSocket::Inherited { fd: 3 };
        SocketState { key: key.to_owned(), wanted, data: Some("{\"a\":1}".into()), name: None }
    }

    /// What the next daemon finds.
    fn found(vault: &ClusterVault) -> Kept {
        ClusterVault::found(vault.as_fd().try_clone_to_owned().unwrap()).unwrap().1
    }

    #[test]
    fn the_next_daemon_finds_the_newest_of_everything_that_is_still_there() {
        let vault = ClusterVault::new().unwrap();
        for (id, incarnation, is_listening) in [(1, 1, false), (2, 1, false), (1, 1, true), (1, 2, false)] {
            vault.put_worker(id, incarnation, &worker(is_listening), descriptor()).unwrap();
        }
        vault.put_socket(&socket("a"), descriptor()).unwrap();
        vault.put_socket(&socket("b"), descriptor()).unwrap();
        vault.forget_socket("a");
        for _ in 0..2 {
            // As often as daemons die.
            let kept = found(&vault);
            let workers: Vec<_> = kept.workers.iter().map(|(id, (number, state, _))| (*id, *number, state)).collect();
            assert_eq!(workers, [(1, 2, &worker(false)), (2, 1, &worker(false))]);
            assert_eq!(kept.sockets.iter().map(|(state, _)| state).collect::<Vec<_>>(), [&socket("b")]);
        }
    }

    #[test]
    fn a_socket_that_is_forgotten_is_closed_at_once() {
        let vault = ClusterVault::new().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        vault.put_socket(&socket("a"), writer).unwrap();
        let mut byte = [0; 1];
        os::never_wait(&OwnedFd::from(reader.try_clone().unwrap())).unwrap();
        assert!((&reader).read(&mut byte).is_err(), "it is open");
        vault.forget_socket("a");
        assert_eq!((&reader).read(&mut byte).unwrap(), 0);
    }

    #[test]
    fn it_never_fills_however_often_things_change() {
        let vault = ClusterVault::new().unwrap();
        vault.put_socket(&socket("a"), descriptor()).unwrap();
        for number in 0..20_000_u32 {
            vault.put_worker(number % 7, number, &worker(true), descriptor()).unwrap();
            assert!(vault.book().count <= 2 * 8 + STALE_MAX + 1);
        }
        vault.forget_worker(3);
        let kept = found(&vault);
        assert_eq!(kept.sockets.len(), 1);
        let numbers: Vec<_> = kept.workers.iter().map(|(id, (number, ..))| (*id, *number)).collect();
        let newest = |id: u32| (0..20_000).rev().find(|number| number % 7 == id).unwrap();
        for id in [0, 1, 2, 4, 5, 6] {
            assert!(numbers.contains(&(id, newest(id))), "{numbers:?}");
        }
    }

    #[test]
    fn what_somebody_else_has_put_there_means_nothing() {
        let vault = ClusterVault::new().unwrap();
        vault.vault.put(b"nonsense", Some(descriptor().as_fd())).unwrap();
        vault.put_worker(1, 1, &worker(true), descriptor()).unwrap();
        vault.vault.put(b"{\"number\":9,\"worker\":{\"id\":1,\"incarnation\":7}}", None).unwrap();
        let kept = found(&vault);
        assert_eq!((kept.workers.len(), kept.workers[&1].0), (1, 1));
    }
}
