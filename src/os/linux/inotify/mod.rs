//! Changes in folders, told by the kernel.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::statfs;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What is asked of a folder. A written file is reported once, when the writer closes it: that spares a restart in the
/// middle of a long write, and a file that is held open and written forever (a log, a database) stays silent.
const FOLDER_MASK: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::EXCL_UNLINK);
/// Bytes read at once: some thousand events.
const READ_BYTES: usize = 64 << 10;
/// The fixed part of an event: watch, mask, cookie, length of the name.
const HEADER_BYTES: usize = size_of::<libc::inotify_event>();

/// File systems whose other users' changes this kernel is not told of: NFS, SMB, 9P, FUSE, AFS, Ceph, Coda, NCP, shares
/// of virtual machines, and file systems of clusters.
const REMOTE_FILE_SYSTEMS: [u64; 21] = [
    0x6969,
    0x517B,
    0xFF53_4D42,
    0xFE53_4D42,
    0x0102_1997,
    0x6573_5546,
    0x5346_414F,
    0x00C3_6400,
    0x7375_7245,
    0x564C,
    0x786F_4256,
    0xBACB_ACBC,
    0x6B41_4653,
    0x0BD0_0BD0,
    0x0116_1970,
    0x7461_636F,
    0x4750_4653,
    0x2003_0528,
    0xAAD7_AAEA,
    0x1983_0326,
    0x7C7C_6673,
];

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
    /// It came into being, or was moved here.
    Appeared,
    /// It was written and closed.
    Written,
    /// It was deleted.
    Removed,
    /// It was moved elsewhere.
    MovedAway,
    /// The watched folder itself was deleted or moved.
    SelfGone,
    /// The watch is over.
    Ended,
    /// Changes were too many: some are not told.
    Lost,
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
    /// its number.
    ///
    /// # Errors
    /// `ENOSPC`: this user watches too many folders (see [`watch_limit`]). `ENOENT`, `ENOTDIR`, `EACCES`.
    pub fn add(&self, folder: &Path) -> io::Result<i32> {
        Ok(inotify::add_watch(&self.0, folder, FOLDER_MASK)?)
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
        let mut buffer = vec![0_u8; READ_BYTES];
        loop {
            match rustix::io::read(&self.0, &mut buffer) {
                Ok(count) => each_event(&buffer[..count], &mut tell),
                Err(Errno::AGAIN) => return Ok(()),
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
        let fd = self.0.try_clone()?;
        // SAFETY: an `OwnedFd` is a valid descriptor, and the watch owns it.
        Ok(FolderSignal(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? }))
    }
}

/// Tells the runtime that changes are to be taken.
#[derive(Debug)]
pub struct FolderSignal(AsyncFd<OwnedFd>);

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
        () if is(libc::IN_CREATE | libc::IN_MOVED_TO) => FolderChange::Appeared,
        () if is(libc::IN_MOVED_FROM) => FolderChange::MovedAway,
        () if is(libc::IN_DELETE) => FolderChange::Removed,
        () if is(libc::IN_CLOSE_WRITE) => FolderChange::Written,
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

/// Whether a path lies on a file system that others can change without this kernel being told.
pub fn is_remote(path: &Path) -> bool {
    let Ok(found) = statfs(path) else { return false };
    #[expect(
        clippy::cast_sign_loss,
        reason = "a magic number: its type differs between architectures, its bits do not"
    )]
    let kind = found.f_type as u64 & 0xFFFF_FFFF;
    REMOTE_FILE_SYSTEMS.contains(&kind)
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
        let number = watch.add(home.path()).unwrap();
        assert_eq!(watch.add(home.path()).unwrap(), number);
        assert_eq!(taken(&watch), []);
        fs::write(home.path().join("a"), "1").unwrap();
        fs::rename(home.path().join("a"), home.path().join("b")).unwrap();
        fs::create_dir(home.path().join("c")).unwrap();
        fs::remove_file(home.path().join("b")).unwrap();
        let told = |name: &str, change, is_folder| (name.to_owned(), change, is_folder);
        let expected = [
            told("a", FolderChange::Appeared, false),
            told("a", FolderChange::Written, false),
            told("a", FolderChange::MovedAway, false),
            told("b", FolderChange::Appeared, false),
            told("c", FolderChange::Appeared, true),
            told("b", FolderChange::Removed, false),
        ];
        assert_eq!(taken(&watch), expected);
        watch.remove(number);
        fs::write(home.path().join("d"), "1").unwrap();
        assert_eq!(taken(&watch), [told("", FolderChange::Ended, false)]);
    }

    #[test]
    fn a_limit_is_named_and_a_local_folder_is_local() {
        assert_eq!(watch_limit(&io::Error::from_raw_os_error(libc::ENOSPC)), Some("fs.inotify.max_user_watches"));
        assert_eq!(watch_limit(&io::Error::from_raw_os_error(libc::EMFILE)), Some("fs.inotify.max_user_instances"));
        assert_eq!(watch_limit(&io::Error::from_raw_os_error(libc::ENOENT)), None);
        assert!(!is_remote(Path::new("/proc")));
    }
}
