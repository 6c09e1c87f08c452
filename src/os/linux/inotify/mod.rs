//! Changes in folders, told by the kernel.

mod remote;

pub use remote::is_remote;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The folder itself was deleted or moved.
const ITSELF_MASK: WatchFlags = WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF);
/// Names came and went.
const NAMES_MASK: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::EXCL_UNLINK);
/// A written file is reported once, when the writer closes it: that spares a restart in the middle of a long write, and a
/// file that is held open and written forever (a log, a database) stays silent.
const CONTENTS_MASK: WatchFlags = NAMES_MASK.union(WatchFlags::CLOSE_WRITE);
/// For every watch: more is added to what is asked already, and nothing but folders is watched.
const ALWAYS: WatchFlags = WatchFlags::ONLYDIR.union(WatchFlags::MASK_ADD);
/// Bytes read at once: some thousand events.
const READ_BYTES: usize = 64 << 10;
/// The fixed part of an event: watch, mask, cookie, length of the name.
const HEADER_BYTES: usize = size_of::<libc::inotify_event>();

/// Watched folders behind one descriptor; clones share it.
#[derive(Clone, Debug)]
pub struct FolderWatch(Arc<OwnedFd>);

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderEvent<'a> {
    /// The number of the watch.
    pub watch: i32,
    /// What changed in the folder; empty for the folder itself.
    pub name: &'a OsStr,
    /// Read from the mask of the event.
    pub change: FolderChange,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// How something in a folder changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderChange {
    /// It came into being. A file is told as written once it has been closed.
    Created,
    /// It was moved here.
    MovedHere,
    /// It was written and closed.
    Written,
    /// It was deleted.
    Removed,
    /// It was moved elsewhere.
    MovedAway,
    /// Who may read it has changed, or another of its attributes.
    Attributes,
    /// The watched folder itself was deleted or moved.
    SelfGone,
    /// The watch is over.
    Ended,
    /// Changes were too many: some are not told.
    Lost,
}

impl FolderChange {
    /// Whether it was not there before, under this name.
    pub fn is_new(self) -> bool {
        matches!(self, Self::Created | Self::MovedHere)
    }
}

/// What is to be told of a folder. Each one of them holds those before it, but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FolderInterest {
    /// That it is deleted or moved itself.
    Itself,
    /// That names in it come and go.
    Names,
    /// That files in it are written, too.
    Contents,
    /// That attributes of what is in it change, too.
    Attributes,
}

impl FolderInterest {
    fn mask(self) -> WatchFlags {
        match self {
            Self::Itself => ITSELF_MASK,
            Self::Names => ITSELF_MASK | NAMES_MASK,
            Self::Contents => ITSELF_MASK | CONTENTS_MASK,
            Self::Attributes => ITSELF_MASK | CONTENTS_MASK | WatchFlags::ATTRIB,
        }
    }

    /// Whether such a change was asked for.
    pub fn covers(self, change: FolderChange) -> bool {
        match change {
            FolderChange::SelfGone | FolderChange::Ended | FolderChange::Lost => true,
            FolderChange::Created | FolderChange::MovedHere | FolderChange::Removed | FolderChange::MovedAway => {
                self >= Self::Names
            }
            FolderChange::Written => self >= Self::Contents,
            FolderChange::Attributes => self >= Self::Attributes,
        }
    }
}

impl FolderWatch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// `EMFILE`: this user has too many such descriptors (see [`watch_limit`]).
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?)))
    }

    /// Watches one folder, not those in it, and gives the number of the watch. A folder that is watched already keeps
    /// its number, and whatever is asked for is told in addition; another way to the same folder is the same watch.
    ///
    /// # Errors
    /// `ENOSPC`: this user watches too many folders (see [`watch_limit`]). `ENOENT`, `ENOTDIR`, `EACCES`.
    pub fn add(&self, folder: &Path, interest: FolderInterest) -> io::Result<i32> {
        Ok(inotify::add_watch(&self.0, folder, interest.mask() | ALWAYS)?)
    }

    /// Ends a watch. That it is over already is fine.
    pub fn remove(&self, watch: i32) {
        let _ = inotify::remove_watch(&self.0, watch);
    }

    /// Tells every change that has happened so far, and returns.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn take(&self, mut tell: impl FnMut(FolderEvent<'_>)) -> io::Result<()> {
        while self.take_some(&mut tell)? {}
        Ok(())
    }

    /// Tells some thousand changes at most. Whether there may be more.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn take_some(&self, mut tell: impl FnMut(FolderEvent<'_>)) -> io::Result<bool> {
        let mut buffer = vec![0_u8; READ_BYTES];
        loop {
            match rustix::io::read(&self.0, &mut buffer) {
                Ok(count) => {
                    each_event(&buffer[..count], &mut tell);
                    return Ok(true);
                }
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// For the runtime. Must be called inside it.
    ///
    /// # Errors
    /// No runtime.
    pub fn signal(&self) -> io::Result<FolderSignal> {
        // SAFETY: the descriptor is valid for as long as any clone of the watch, and the signal owns one.
        Ok(FolderSignal(unsafe { AsyncFd::register_with_interest(self.clone(), Interest::READABLE)? }))
    }
}

impl AsRawFd for FolderWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Tells the runtime that changes are to be taken.
#[derive(Debug)]
pub struct FolderSignal(AsyncFd<FolderWatch>);

impl FolderSignal {
    /// Waits until there are changes. Whoever has seen this takes all of them before the next call. Cancel-safe.
    ///
    /// # Errors
    /// The runtime is gone.
    pub async fn changed(&self) -> io::Result<()> {
        // Cleared before the changes are taken: what comes meanwhile is signalled anew.
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}

/// Takes a buffer of events apart. What is cut short (the kernel never does that) is left out.
fn each_event(mut bytes: &[u8], tell: &mut impl FnMut(FolderEvent<'_>)) {
    while let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) {
        let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (watch, mask, length) = (word(0).cast_signed(), word(4), word(12) as usize);
        let Some((name, next)) = rest.split_at_checked(length) else { return };
        bytes = next;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let Some(change) = change_of(mask) else { continue };
        let is_folder = mask & libc::IN_ISDIR != 0;
        tell(FolderEvent { watch, name: OsStr::from_bytes(name), change, is_folder });
    }
}

fn change_of(mask: u32) -> Option<FolderChange> {
    let is = |bits: u32| mask & bits != 0;
    Some(match () {
        () if is(libc::IN_Q_OVERFLOW) => FolderChange::Lost,
        () if is(libc::IN_IGNORED) => FolderChange::Ended,
        () if is(libc::IN_DELETE_SELF | libc::IN_MOVE_SELF | libc::IN_UNMOUNT) => FolderChange::SelfGone,
        () if is(libc::IN_CREATE) => FolderChange::Created,
        () if is(libc::IN_MOVED_TO) => FolderChange::MovedHere,
        () if is(libc::IN_MOVED_FROM) => FolderChange::MovedAway,
        () if is(libc::IN_DELETE) => FolderChange::Removed,
        () if is(libc::IN_CLOSE_WRITE) => FolderChange::Written,
        () if is(libc::IN_ATTRIB) => FolderChange::Attributes,
        () => return None,
    })
}

/// The setting of the kernel that a refused watch ran into.
pub fn watch_limit(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error()? {
        libc::ENOSPC => Some("fs.inotify.max_user_watches"),
        libc::EMFILE => Some("fs.inotify.max_user_instances"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn taken(watch: &FolderWatch) -> Vec<(String, FolderChange, bool)> {
        let mut events = Vec::new();
        let tell = |event: FolderEvent<'_>| {
            events.push((event.name.to_string_lossy().into_owned(), event.change, event.is_folder));
        };
        watch.take(tell).unwrap();
        events
    }

    #[test]
    fn what_happens_in_a_folder_is_told_in_order() {
        let home = tempfile::tempdir().unwrap();
        let watch = FolderWatch::new().unwrap();
        let number = watch.add(home.path(), FolderInterest::Contents).unwrap();
        assert_eq!(watch.add(home.path(), FolderInterest::Itself).unwrap(), number, "and nothing less is told");
        assert_eq!(taken(&watch), []);
        fs::write(home.path().join("a"), "1").unwrap();
        fs::rename(home.path().join("a"), home.path().join("b")).unwrap();
        fs::create_dir(home.path().join("c")).unwrap();
        fs::remove_file(home.path().join("b")).unwrap();
        let told = |name: &str, change, is_folder| (name.to_owned(), change, is_folder);
        let expected = [
            told("a", FolderChange::Created, false),
            told("a", FolderChange::Written, false),
            told("a", FolderChange::MovedAway, false),
            told("b", FolderChange::MovedHere, false),
            told("c", FolderChange::Created, true),
            told("b", FolderChange::Removed, false),
        ];
        assert_eq!(taken(&watch), expected);
        watch.remove(number);
        fs::write(home.path().join("d"), "1").unwrap();
        assert_eq!(taken(&watch), [told("", FolderChange::Ended, false)]);
    }

    #[test]
    fn what_was_not_asked_for_is_not_told() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("in");
        for (interest, expected) in [
            (FolderInterest::Itself, vec![]),
            (FolderInterest::Names, vec![FolderChange::Created]),
            (FolderInterest::Contents, vec![FolderChange::Created, FolderChange::Written]),
            (FolderInterest::Attributes, vec![FolderChange::Created, FolderChange::Written, FolderChange::Attributes]),
        ] {
            fs::create_dir(&folder).unwrap();
            let watch = FolderWatch::new().unwrap();
            watch.add(&folder, interest).unwrap();
            fs::write(folder.join("a"), "1").unwrap();
            let mut rights = fs::metadata(folder.join("a")).unwrap().permissions();
            rights.set_readonly(true);
            fs::set_permissions(folder.join("a"), rights).unwrap();
            let changes: Vec<FolderChange> = taken(&watch).into_iter().map(|(_, change, _)| change).collect();
            assert_eq!(changes, expected, "{interest:?}");
            assert!(changes.iter().all(|change| interest.covers(*change)), "{interest:?}");
            fs::remove_dir_all(&folder).unwrap();
            let last: Vec<FolderChange> = taken(&watch).into_iter().map(|(_, change, _)| change).collect();
            assert!(last.ends_with(&[FolderChange::SelfGone, FolderChange::Ended]), "{interest:?}: {last:?}");
        }
    }

    #[test]
    fn a_limit_is_named_and_a_local_folder_is_local() {
        assert_eq!(watch_limit(&io::Error::from_raw_os_error(libc::ENOSPC)), Some("fs.inotify.max_user_watches"));
        assert_eq!(watch_limit(&io::Error::from_raw_os_error(libc::EMFILE)), Some("fs.inotify.max_user_instances"));
        assert_eq!(watch_limit(&io::Error::from_raw_os_error(libc::ENOENT)), None);
        assert!(!is_remote(Path::new("/proc")));
    }
}
