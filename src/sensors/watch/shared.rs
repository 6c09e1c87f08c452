//! One descriptor of the kernel for the watchers of all apps: each gets what happens in the folders that it asked for.
//!
//! ```text
//! kernel ─► one queue ─► by the number of the folder ─► one inbox per watcher
//! ```
//!
//! The kernel knows a folder once, whoever asks for it and by whichever name: it has one number. Who asked for it, and for
//! what, is kept here. A folder is given back when nobody is left who asked for it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::os::{FolderChange, FolderEvent, FolderInterest, FolderWatch, Worker};

/// Events that wait for one watcher; of more it only learns that there were more.
const INBOX_MAX: usize = 16_384;
/// Events that wait for all of them together.
const INBOXES_MAX: usize = 262_144;
/// Events of folders that are just being asked for.
const UNCLAIMED_MAX: usize = 4_096;
/// The kernel confirms every folder that is given back. Its queue holds 16,384 events.
const GIVEN_BACK_AT_ONCE: usize = 1_024;
/// Without the runtime's help the queue is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The descriptor and whoever shares it; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct SharedFolders(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    table: Mutex<FolderTable>,
    /// There is a descriptor now.
    is_opened: Notify,
    /// Gives folders back; without it whoever leaves does so.
    worker: Option<Worker>,
}

#[derive(Debug, Default)]
struct FolderTable {
    watch: Option<FolderWatch>,
    next: u64,
    watchers: BTreeMap<u64, Inbox>,
    folders: HashMap<i32, Asked>,
    /// Events in all inboxes.
    waiting: usize,
    /// Watchers that ask the kernel for a folder at this moment, and do not know its number yet.
    asking: usize,
    /// What happened meanwhile in folders that are nobody's yet.
    unclaimed: Vec<QueuedEvent>,
    has_lost_unclaimed: bool,
    /// Folders that nobody asked for any more while somebody was asking: they may be the same.
    idle: HashSet<i32>,
    /// Folders given back since the queue was last emptied.
    given_back: usize,
}

/// Who asked for one folder, and for what.
type Asked = Vec<Asker>;

/// One watcher that asked for a folder.
#[derive(Clone, Debug)]
struct Asker {
    watcher: u64,
    interest: FolderInterest,
    /// What it wants to know of; `None` = of everything in the folder.
    names: Option<BTreeSet<OsString>>,
}

impl Asker {
    fn is_told(&self, name: &OsStr, change: FolderChange) -> bool {
        let is_named = name.is_empty() || self.names.as_ref().is_none_or(|names| names.contains(name));
        is_named && self.interest.covers(change)
    }
}

#[derive(Debug)]
struct Inbox {
    events: VecDeque<QueuedEvent>,
    waker: Arc<Notify>,
    has_lost: bool,
}

/// An event that waits to be taken.
#[derive(Clone, Debug)]
pub(super) struct QueuedEvent {
    /// The number of the folder.
    pub watch: i32,
    /// What changed in it; empty for the folder itself.
    pub name: Arc<OsStr>,
    pub change: FolderChange,
    /// Whether that is a folder.
    pub is_folder: bool,
}

impl SharedFolders {
    /// Nothing is asked of the kernel before there is a watcher.
    pub(super) fn new(worker: Option<Worker>) -> Self {
        Self(Arc::new(Shared { table: Mutex::default(), is_opened: Notify::new(), worker }))
    }

    /// One more watcher.
    ///
    /// # Errors
    /// `EMFILE`: this user has too many such descriptors.
    pub(super) fn join(&self) -> io::Result<Folders> {
        let mut table = self.table();
        if table.watch.is_none() {
            table.watch = Some(FolderWatch::new()?);
            self.0.is_opened.notify_one();
        }
        let number = table.next;
        table.next += 1;
        let waker = Arc::new(Notify::new());
        let inbox = Inbox { events: VecDeque::new(), waker: Arc::clone(&waker), has_lost: false };
        table.watchers.insert(number, inbox);
        Ok(Folders { shared: self.clone(), number, waker })
    }

    /// Passes on what happens, for as long as the daemon lives. Must be called inside the runtime.
    pub(super) async fn run(self) {
        let watch = loop {
            self.0.is_opened.notified().await;
            if let Some(watch) = self.table().watch.clone() {
                break watch;
            }
        };
        let signal = watch.signal().ok();
        loop {
            let is_told = match &signal {
                Some(signal) => signal.changed().await.is_ok(),
                None => false,
            };
            if !is_told {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            // Whatever keeps the queue from being read, whoever takes from it says so. A flood leaves room for others.
            loop {
                let passed = self.table().pass_some_on();
                if !matches!(passed, Ok(true)) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, FolderTable> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FolderTable {
    /// Empties the kernel's queue into the inboxes.
    fn pass_on(&mut self) -> io::Result<()> {
        while self.pass_some_on()? {}
        Ok(())
    }

    /// A part of it. Whether there may be more.
    fn pass_some_on(&mut self) -> io::Result<bool> {
        let Some(watch) = self.watch.clone() else { return Ok(false) };
        self.given_back = 0;
        let has_more = watch.take_some(|event| self.sort(&event));
        for inbox in self.watchers.values().filter(|inbox| inbox.has_lost || !inbox.events.is_empty()) {
            inbox.waker.notify_one();
        }
        has_more
    }

    fn sort(&mut self, event: &FolderEvent<'_>) {
        let FolderEvent { watch, name, change, is_folder } = *event;
        if change == FolderChange::Lost {
            self.has_lost_unclaimed |= self.asking > 0;
            self.watchers.values_mut().for_each(|inbox| inbox.has_lost = true);
            return;
        }
        let told = QueuedEvent { watch, name: Arc::from(name), change, is_folder };
        let Some(asked) = self.folders.get(&watch) else {
            self.keep_unclaimed(told);
            return;
        };
        for asker in asked.iter().filter(|asker| asker.is_told(name, change)) {
            let Some(inbox) = self.watchers.get_mut(&asker.watcher) else { continue };
            if inbox.events.len() >= INBOX_MAX || self.waiting >= INBOXES_MAX {
                inbox.has_lost = true;
            } else if !inbox.has_lost {
                self.waiting += 1;
                inbox.events.push_back(told.clone());
            }
        }
        if change == FolderChange::Ended {
            self.folders.remove(&watch);
        }
    }

    fn keep_unclaimed(&mut self, told: QueuedEvent) {
        if told.change == FolderChange::Ended {
            self.idle.remove(&told.watch);
        } else if self.asking == 0 {
            // Of a folder that was given back.
        } else if self.unclaimed.len() < UNCLAIMED_MAX {
            self.unclaimed.push(told);
        } else {
            self.has_lost_unclaimed = true;
        }
    }

    /// The number of a folder is known: from now on it is told to this watcher, too.
    fn claim(&mut self, watch: i32, new: Asker) -> io::Result<()> {
        let number = new.watcher;
        let is_others = self.folders.get(&watch).is_some_and(|asked| asked.iter().all(|one| one.watcher != number));
        if is_others {
            // What has happened by now is not new to whoever looks at the folder after this.
            self.pass_on()?;
        }
        self.idle.remove(&watch);
        let asked = self.folders.entry(watch).or_default();
        match asked.iter_mut().find(|one| one.watcher == number) {
            Some(before) => {
                before.interest = new.interest.max(before.interest);
                before.names = before.names.take().zip(new.names).map(|(mut names, more)| {
                    names.extend(more);
                    names
                });
            }
            None => asked.push(new),
        }
        let (claimed, rest) = std::mem::take(&mut self.unclaimed).into_iter().partition(|told| told.watch == watch);
        self.unclaimed = rest;
        let claimed: Vec<QueuedEvent> = claimed;
        let Some(inbox) = self.watchers.get_mut(&number) else { return Ok(()) };
        inbox.has_lost |= self.has_lost_unclaimed;
        self.waiting += claimed.len();
        inbox.events.extend(claimed);
        if inbox.has_lost || !inbox.events.is_empty() {
            inbox.waker.notify_one();
        }
        Ok(())
    }

    /// One watcher has got its answer from the kernel.
    fn asked(&mut self) {
        self.asking = self.asking.saturating_sub(1);
        if self.asking > 0 {
            return;
        }
        (self.unclaimed, self.has_lost_unclaimed) = (Vec::new(), false);
        for watch in std::mem::take(&mut self.idle) {
            self.give_back(watch);
        }
    }

    fn leave(&mut self, number: u64, watch: i32) {
        let Some(asked) = self.folders.get_mut(&watch) else { return };
        asked.retain(|one| one.watcher != number);
        if asked.is_empty() {
            self.folders.remove(&watch);
            if self.asking > 0 {
                self.idle.insert(watch);
            } else {
                self.give_back(watch);
            }
        }
    }

    fn give_back(&mut self, watch: i32) {
        if let Some(folders) = &self.watch {
            folders.remove(watch);
        }
        self.given_back += 1;
        if self.given_back >= GIVEN_BACK_AT_ONCE {
            // What cannot be read now is told to whoever takes from the queue next.
            let _ = self.pass_on();
        }
    }

    /// Everything that a watcher asked for which is gone.
    fn leave_all(&mut self, number: u64) {
        let its: Vec<i32> = self
            .folders
            .iter()
            .filter(|(_, asked)| asked.iter().any(|one| one.watcher == number))
            .map(|(watch, _)| *watch)
            .collect();
        for watch in its {
            self.leave(number, watch);
        }
    }
}

/// The folders of one watcher. Dropping it gives them back.
#[derive(Debug)]
pub(super) struct Folders {
    shared: SharedFolders,
    number: u64,
    waker: Arc<Notify>,
}

impl Folders {
    /// As [`FolderWatch::add`]; may wait for the disk. What happened before is not told. `only`: of what is in the folder
    /// nothing but this name is of interest, and what was asked for before.
    ///
    /// # Errors
    /// As [`FolderWatch::add`].
    pub(super) fn add(&self, folder: &Path, interest: FolderInterest, only: Option<&OsStr>) -> io::Result<i32> {
        let watch = {
            let mut table = self.shared.table();
            table.asking += 1;
            table.watch.clone()
        };
        // Without the lock: a dead network folder keeps nobody else waiting.
        let added = match &watch {
            Some(watch) => watch.add(folder, interest),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        let mut table = self.shared.table();
        let names = only.map(|name| BTreeSet::from([name.to_owned()]));
        let asker = Asker { watcher: self.number, interest, names };
        let claimed = added.and_then(|watch| table.claim(watch, asker).map(|()| watch));
        table.asked();
        claimed
    }

    /// Nothing more is told of this folder.
    pub(super) fn remove(&self, watch: i32) {
        self.shared.table().leave(self.number, watch);
    }

    /// Every change that has happened so far.
    ///
    /// # Errors
    /// As `read(2)`.
    pub(super) fn take(&self) -> io::Result<Vec<QueuedEvent>> {
        let mut table = self.shared.table();
        table.pass_on()?;
        let Some(inbox) = table.watchers.get_mut(&self.number) else { return Ok(Vec::new()) };
        let mut events = Vec::from(std::mem::take(&mut inbox.events));
        let has_lost = std::mem::take(&mut inbox.has_lost);
        table.waiting = table.waiting.saturating_sub(events.len());
        if has_lost {
            let (name, change) = (Arc::from(OsStr::new("")), FolderChange::Lost);
            events.push(QueuedEvent { watch: -1, name, change, is_folder: false });
        }
        Ok(events)
    }

    /// What wakes whoever waits for changes.
    pub(super) fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.waker)
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        let (shared, number) = (self.shared.clone(), self.number);
        {
            let mut table = shared.table();
            if let Some(inbox) = table.watchers.remove(&number) {
                table.waiting = table.waiting.saturating_sub(inbox.events.len());
            }
        }
        // Tens of thousands of folders are not given back in the daemon's loop.
        let leave = move |shared: SharedFolders| shared.table().leave_all(number);
        let later = shared.clone();
        let is_left = match &shared.0.worker {
            Some(worker) => worker.submit(Box::new(move || leave(later))).is_ok(),
            None => false,
        };
        if !is_left {
            leave(shared);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn taken(folders: &Folders) -> Vec<(i32, String, FolderChange)> {
        let plain = |event: QueuedEvent| (event.watch, event.name.to_string_lossy().into_owned(), event.change);
        folders.take().unwrap().into_iter().map(plain).collect()
    }

    fn whole(of: &Folders) -> Asker {
        Asker { watcher: of.number, interest: FolderInterest::Contents, names: None }
    }

    fn names(folders: &Folders) -> Vec<String> {
        taken(folders).into_iter().filter(|event| event.2 == FolderChange::Written).map(|event| event.1).collect()
    }

    #[test]
    fn watchers_of_one_folder_keep_each_their_own() {
        let home = tempfile::tempdir().unwrap();
        let (shared, path) = (SharedFolders::new(None), home.path());
        let (one, two) = (shared.join().unwrap(), shared.join().unwrap());
        let number = one.add(path, FolderInterest::Contents, None).unwrap();
        fs::write(path.join("a"), "1").unwrap();
        assert_eq!(two.add(path, FolderInterest::Contents, None).unwrap(), number, "the kernel knows it once");
        fs::write(path.join("b"), "1").unwrap();
        assert_eq!(names(&two), ["b"], "what happened before is not told");
        assert_eq!(names(&one), ["a", "b"]);
        one.remove(number);
        fs::write(path.join("c"), "1").unwrap();
        assert_eq!((names(&one), names(&two)), (vec![], vec!["c".to_owned()]));
        let three = shared.join().unwrap();
        three.add(path, FolderInterest::Itself, None).unwrap();
        drop(two);
        fs::write(path.join("d"), "1").unwrap();
        assert_eq!(taken(&three), [], "it asked for nothing of that");
        fs::remove_dir_all(path).unwrap();
        let changes: Vec<FolderChange> = taken(&three).into_iter().map(|event| event.2).collect();
        assert_eq!(changes, [FolderChange::SelfGone, FolderChange::Ended]);
        assert!(shared.table().folders.is_empty());
    }

    #[test]
    fn whoever_asked_for_a_name_is_told_of_that_and_of_the_folder_itself() {
        let home = tempfile::tempdir().unwrap();
        let (shared, path) = (SharedFolders::new(None), home.path());
        let one = shared.join().unwrap();
        for name in ["a", "b"] {
            one.add(path, FolderInterest::Contents, Some(OsStr::new(name))).unwrap();
        }
        let write = || ["a", "b", "c"].iter().for_each(|name| fs::write(path.join(name), "1").unwrap());
        write();
        assert_eq!(names(&one), ["a", "b"]);
        one.add(path, FolderInterest::Itself, None).unwrap();
        write();
        assert_eq!(names(&one), ["a", "b", "c"]);
        one.add(path, FolderInterest::Contents, Some(OsStr::new("d"))).unwrap();
        write();
        assert_eq!(names(&one), ["a", "b", "c"], "nothing less is told");
        fs::remove_dir_all(path).unwrap();
        assert_eq!(taken(&one).last().map(|event| event.2), Some(FolderChange::Ended));
    }

    #[test]
    fn whoever_is_gone_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let shared = SharedFolders::new(None);
        let folders = |count: usize| {
            let one = shared.join().unwrap();
            for number in 0..count {
                let folder = home.path().join(number.to_string());
                fs::create_dir_all(&folder).unwrap();
                one.add(&folder, FolderInterest::Contents, None).unwrap();
            }
            one
        };
        let stays = folders(3);
        drop(folders(GIVEN_BACK_AT_ONCE + 200));
        assert_eq!(shared.table().folders.len(), 3);
        // Giving back many must not fill the queue: that would look like lost changes to everybody.
        let mut waiting = 0;
        shared.table().watch.clone().unwrap().take(|_| waiting += 1).unwrap();
        assert!((1..GIVEN_BACK_AT_ONCE).contains(&waiting), "{waiting}");
        fs::write(home.path().join("2/x"), "1").unwrap();
        fs::write(home.path().join("7/x"), "1").unwrap();
        assert_eq!(taken(&stays).len(), 2, "created and written");
        drop(stays);
        let table = shared.table();
        assert_eq!((table.folders.len(), table.watchers.len(), table.waiting), (0, 0, 0));
    }

    #[test]
    fn what_is_too_much_for_one_inbox_is_told_as_lost_to_that_one_only() {
        let shared = SharedFolders::new(None);
        let (lazy, busy) = (shared.join().unwrap(), shared.join().unwrap());
        let asked = [&lazy, &busy].map(whole);
        shared.table().folders.insert(7, asked.to_vec());
        let written = |count: usize| {
            for _ in 0..count {
                let (watch, name, change) = (7, OsStr::new("a"), FolderChange::Written);
                shared.table().sort(&FolderEvent { watch, name, change, is_folder: false });
            }
        };
        let mut seen = 0;
        for _ in 0..4 {
            written(INBOX_MAX / 3);
            seen += taken(&busy).len();
        }
        assert_eq!(seen, 4 * (INBOX_MAX / 3));
        let late = taken(&lazy);
        assert_eq!(late.len(), INBOX_MAX + 1);
        assert_eq!(late.last().map(|event| event.2), Some(FolderChange::Lost));
        written(1);
        assert_eq!(names(&lazy), ["a"], "and it goes on");
        assert_eq!(shared.table().waiting, 1);
    }

    #[test]
    fn all_inboxes_together_are_bounded() {
        let shared = SharedFolders::new(None);
        let watchers: Vec<Folders> = (0..2 * INBOXES_MAX / INBOX_MAX).map(|_| shared.join().unwrap()).collect();
        let asked = watchers.iter().map(whole).collect();
        shared.table().folders.insert(7, asked);
        for _ in 0..INBOX_MAX {
            let (watch, name, change) = (7, OsStr::new("a"), FolderChange::Written);
            shared.table().sort(&FolderEvent { watch, name, change, is_folder: false });
        }
        let waiting: usize = shared.table().watchers.values().map(|inbox| inbox.events.len()).sum();
        assert_eq!((waiting, shared.table().waiting), (INBOXES_MAX, INBOXES_MAX));
        assert!(shared.table().watchers.values().all(|inbox| inbox.has_lost));
    }

    #[test]
    fn a_queue_that_ran_over_is_told_to_all() {
        let mut table = FolderTable::default();
        for number in 0..3 {
            let inbox = Inbox { events: VecDeque::new(), waker: Arc::default(), has_lost: false };
            table.watchers.insert(number, inbox);
        }
        table.sort(&FolderEvent { watch: -1, name: OsStr::new(""), change: FolderChange::Lost, is_folder: false });
        assert!(table.watchers.values().all(|inbox| inbox.has_lost));
    }

    #[test]
    fn what_happens_while_a_folder_is_asked_for_is_told_and_it_is_not_given_back() {
        let home = tempfile::tempdir().unwrap();
        let shared = SharedFolders::new(None);
        let (one, two) = (shared.join().unwrap(), shared.join().unwrap());
        let number = one.add(home.path(), FolderInterest::Contents, None).unwrap();
        // `two` has asked the kernel, and does not know the number yet.
        shared.table().asking += 1;
        one.remove(number);
        fs::write(home.path().join("a"), "1").unwrap();
        shared.table().pass_on().unwrap();
        {
            let mut table = shared.table();
            table.claim(number, whole(&two)).unwrap();
            table.asked();
        }
        fs::write(home.path().join("b"), "1").unwrap();
        assert_eq!(names(&two), ["a", "b"]);
        assert_eq!(names(&one), Vec::<String>::new());
    }

    #[test]
    fn a_folder_that_nobody_wants_in_the_end_is_given_back() {
        let home = tempfile::tempdir().unwrap();
        let shared = SharedFolders::new(None);
        let one = shared.join().unwrap();
        let number = one.add(home.path(), FolderInterest::Contents, None).unwrap();
        shared.table().asking += 1;
        one.remove(number);
        shared.table().asked();
        fs::write(home.path().join("a"), "1").unwrap();
        let mut events = 0;
        shared.table().watch.clone().unwrap().take(|_| events += 1).unwrap();
        assert_eq!(events, 1, "nothing but the end of the watch");
    }
}
