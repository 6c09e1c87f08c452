//! Descriptors that the anchor holds for the daemon, so that they survive it.

use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Release};

use super::layout::{HeldCells, KINDS_PER_ROW};
use super::table::{ROWS, Table};

/// Standard output of a row; the key is the row.
pub const HELD_OUTPUT: u32 = 1;
/// Standard error of a row; the key is the row.
pub const HELD_ERRORS: u32 = 2;
/// A listening socket.
pub const HELD_LISTENER: u32 = 3;
/// Our end of a channel to a Node process; the key is row and incarnation.
pub const HELD_CHANNEL: u32 = 4;
/// The socket that a process notifies us by; the key is row and incarnation.
pub const HELD_NOTIFY: u32 = 5;
/// The file of a listening Unix socket; the key is that of the socket.
pub const HELD_SOCKET_FILE: u32 = 6;
/// The vault of a cluster; the key is that of its app.
pub const HELD_VAULT: u32 = 7;
const _: () = assert!(HELD_VAULT as usize == KINDS_PER_ROW);

/// One held descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// What it belongs to: mostly a row.
    pub key: u64,
    /// What it is: one of the `HELD_…` numbers.
    pub kind: u32,
    /// Its number, in the anchor and in a daemon that was just started.
    pub fd: i32,
}

/// Kinds that are found without a search, since their key is a row.
const KINDS: usize = HELD_ERRORS as usize;

/// The anchor's view of what it holds. Allocates once, at its start.
pub(super) struct Store {
    table: Table,
    cells: &'static [HeldCells],
    /// By row and kind: the number of the cell, plus one.
    places: Box<[u16]>,
    /// No cell before this one is free.
    first_free: usize,
}

impl Store {
    /// Over the (empty) cells of a new table.
    pub(super) fn new(table: Table) -> Self {
        Self { table, cells: table.held_cells(), places: vec![0; ROWS as usize * KINDS].into(), first_free: 0 }
    }

    /// Keeps a descriptor that survives `exec` for all daemons to come. False if there is no place.
    pub(super) fn hold(&mut self, key: u64, kind: u32, fd: OwnedFd) -> bool {
        self.release(key, kind);
        if kind == 0 {
            return false;
        }
        let used = &self.cells[..self.table.held_used()];
        let free = used.iter().skip(self.first_free).position(|cells| cells.get().is_none());
        let free = free.map_or(used.len(), |at| at + self.first_free);
        if free == used.len() && self.table.use_next_held().is_err() {
            return false;
        }
        self.cells[free].put(Held { key, kind, fd: fd.into_raw_fd() });
        self.first_free = free + 1;
        if let Some(place) = self.place(key, kind) {
            *place = u16::try_from(free + 1).unwrap_or(0);
        }
        true
    }

    /// Closes what is held under (key, kind), if anything is.
    pub(super) fn release(&mut self, key: u64, kind: u32) {
        let number = match self.place(key, kind) {
            Some(place) => usize::from(std::mem::take(place)).checked_sub(1),
            None => self.cells[..self.table.held_used()]
                .iter()
                .position(|cells| cells.get().is_some_and(|held| held.key == key && held.kind == kind)),
        };
        let Some(number) = number else { return };
        let Some(held) = self.cells.get(number).and_then(HeldCells::get) else { return };
        self.cells[number].clear();
        self.first_free = self.first_free.min(number);
        // SAFETY: it came here through `hold` and has left the store just now, so it is closed once.
        drop(unsafe { OwnedFd::from_raw_fd(held.fd) });
    }

    fn place(&mut self, key: u64, kind: u32) -> Option<&mut u16> {
        let row = usize::try_from(key).ok().filter(|row| *row < ROWS as usize)?;
        let kind = usize::try_from(kind).ok()?.checked_sub(1).filter(|kind| *kind < KINDS)?;
        self.places.get_mut(row * KINDS + kind)
    }
}

impl HeldCells {
    /// What stands here.
    pub(super) fn get(&self) -> Option<Held> {
        let kind = self.kind.load(Acquire);
        (kind != 0).then(|| Held { key: self.key.load(Acquire), kind, fd: self.fd.load(Acquire) })
    }

    /// Anchor only: the kind last, since it is what makes the entry valid.
    pub(super) fn put(&self, held: Held) {
        self.key.store(held.key, Release);
        self.fd.store(held.fd, Release);
        self.kind.store(held.kind, Release);
    }

    /// Anchor only.
    pub(super) fn clear(&self) {
        self.kind.store(0, Release);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::super::table::Table;
    use super::*;

    fn descriptor() -> OwnedFd {
        crate::os::open_null().unwrap()
    }

    #[test]
    fn a_descriptor_replaces_the_older_one_and_a_freed_place_is_used_again() {
        let table = Table::create(1).unwrap();
        let mut store = Store::new(table);
        let listed = || table.held().map(|held| (held.key, held.kind, held.fd)).collect::<Vec<_>>();
        let far = u64::from(ROWS) + 7; // no row: found by search
        for (key, kind) in [(3, HELD_OUTPUT), (3, HELD_ERRORS), (far, HELD_LISTENER)] {
            assert!(store.hold(key, kind, descriptor()));
        }
        let newer = descriptor();
        let number = newer.as_raw_fd();
        assert!(store.hold(far, HELD_LISTENER, newer));
        assert_eq!(listed().iter().filter(|held| held.0 == far).collect::<Vec<_>>(), [&(far, HELD_LISTENER, number)]);
        store.release(3, HELD_OUTPUT);
        store.release(3, HELD_OUTPUT); // nothing there any more
        assert_eq!(listed().len(), 2);
        assert!(store.hold(9, 77, descriptor()), "a kind of a newer daemon");
        assert_eq!(listed()[0].0, 9, "the first free place");
        for (key, kind) in [(9, 77), (3, HELD_ERRORS), (far, HELD_LISTENER)] {
            store.release(key, kind);
        }
        assert_eq!(listed(), []);
        assert!(!store.hold(1, 0, descriptor()), "kind 0 means nothing");
    }

    #[test]
    fn a_full_table_has_a_place_for_every_kind_of_every_instance() {
        let table = Table::create(1).unwrap();
        let mut store = Store::new(table);
        // Limits on open files would be in the way of so many real ones; the store closes what it releases only.
        let all = ROWS as usize * KINDS_PER_ROW;
        let first = std::iter::from_fn(|| table.use_next_held().ok()).take(all - 2).count();
        assert_eq!(first, all - 2);
        for (number, cells) in table.held_cells()[..first].iter().enumerate() {
            cells.put(Held { key: number as u64, kind: 99, fd: -1 });
        }
        assert!(store.hold(u64::MAX, HELD_NOTIFY, descriptor()) && store.hold(u64::MAX, HELD_CHANNEL, descriptor()));
        assert_eq!(table.held().count(), all);
        assert!(table.held().any(|held| (held.key, held.kind) == (u64::MAX, HELD_CHANNEL)));
        store.release(u64::MAX, HELD_NOTIFY);
        store.release(u64::MAX, HELD_CHANNEL);
        assert_eq!(table.held().count(), all - 2);
        while table.use_next_held().is_ok() {}
        assert_eq!(table.held_used(), table.held_cells().len(), "and then it is full");
    }

    #[test]
    fn what_is_not_held_takes_no_memory() {
        let table = Table::create(1).unwrap();
        let mut store = Store::new(table);
        let pages = || {
            let status = std::os::unix::fs::MetadataExt::blocks(&memory(table).metadata().unwrap());
            status * 512 / 4096
        };
        let before = pages();
        assert_eq!(table.held().count(), 0);
        assert_eq!(pages(), before);
        assert!(store.hold(1, HELD_OUTPUT, descriptor()));
        assert_eq!(pages(), before + 1);
        assert_eq!(before, 1 + u64::from(ROWS) * 192 / 4096, "header and rows exist from the first");
        store.release(1, HELD_OUTPUT);
    }

    fn memory(table: Table) -> std::fs::File {
        table.fd().try_clone_to_owned().unwrap().into()
    }
}
