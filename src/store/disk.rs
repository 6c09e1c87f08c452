//! The few file operations that the store needs: the only place of this room that touches the disk.
//!
//! Guarantees: what `append` and `replace` have returned `Ok` for survives a power cut; what they failed to write is
//! not there. Assumes: one writer per folder, and a file system on which `rename` is atomic.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{JOURNAL, NEW, PREVIOUS};
use crate::os;

/// Files that were set aside are numbered up to this; the last one is overwritten.
const ASIDE_MAX: u32 = 9;

/// Reserved behind the good bytes, for changes that are kept although the disk is full: stops of about a thousand apps.
const RESERVE_BYTES: u64 = 256 << 10;
/// Reserved beyond that where there is room, so that few batches have to ask.
const AHEAD_BYTES: u64 = 8 << 10;

/// What a batch may be written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    /// The free space of the disk; the reserve stays whole.
    Free,
    /// The reserve, too.
    Reserve,
}

/// The current file, open for appending whole batches.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    good_bytes: u64,
    /// A failed batch may have left bytes behind the good ones.
    has_torn_tail: bool,
    /// Up to where the file has blocks.
    reserved_bytes: Cell<u64>,
    /// The folder that does not durably name this file yet: until it does, a power cut brings the old file back.
    unsynced_folder: Option<PathBuf>,
    /// Pretended free space, so that tests can fill the disk.
    #[cfg(test)]
    pub(super) room_bytes: Option<usize>,
}

/// Which file stays beside a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keep {
    /// The one that is replaced.
    Current,
    /// The one before it: what is replaced is damaged, or there is none.
    Previous,
}

impl JournalFile {
    fn new(file: File, good_bytes: u64) -> Self {
        Self {
            file,
            good_bytes,
            has_torn_tail: false,
            reserved_bytes: Cell::new(0),
            unsynced_folder: None,
            #[cfg(test)]
            room_bytes: None,
        }
    }

    /// Length of what counts.
    pub(super) fn bytes(&self) -> u64 {
        self.good_bytes
    }

    /// Writes a batch behind the good bytes, durably. After an error the batch is cut off again.
    pub(super) fn append(&mut self, batch: &[u8], room: Room) -> io::Result<()> {
        if self.has_torn_tail {
            self.cut()?;
        }
        self.sync_folder()?;
        match self.reserve(batch.len() as u64) {
            Err(error) if room == Room::Free && os::is_disk_full(&error) => return Err(error),
            // A file system that cannot reserve has no reserve.
            _ => {}
        }
        self.has_torn_tail = true;
        let written = self.write(batch).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // If even this fails, the next append tries again before it writes.
            let _ = self.cut();
            return Err(error);
        }
        self.has_torn_tail = false;
        self.good_bytes += batch.len() as u64;
        Ok(())
    }

    /// Puts a copy of the good bytes beside the file. There is a whole older copy, or none yet, at every instant.
    pub(super) fn copy_to(&self, folder: &Path) -> io::Result<()> {
        let (previous, new) = (folder.join(PREVIOUS), folder.join(NEW));
        let mut bytes = vec![0; usize::try_from(self.good_bytes).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, 0)?;
        if read(&previous)?.is_some_and(|old| old == bytes) {
            return Ok(());
        }
        create_whole(&new, &bytes, |_| fs::rename(&new, &previous)).map(drop)
    }

    /// Sees to it that the reserve follows `bytes` more bytes. It is made of blocks of this file: nobody else can take
    /// them between giving them back and writing to them.
    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let end = self.good_bytes + bytes + RESERVE_BYTES;
        if end <= self.reserved_bytes.get() {
            return Ok(());
        }
        self.reserve_until(end + AHEAD_BYTES).or_else(|_| self.reserve_until(end))
    }

    fn reserve_until(&self, end: u64) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        return os::reserve_space(&self.file, self.good_bytes, end - self.good_bytes)
            .map(|()| self.reserved_bytes.set(end));
        #[cfg(not(target_os = "linux"))]
        Err(ErrorKind::Unsupported.into())
    }

    /// Gives the reserve back; the file is no longer the current one.
    pub(super) fn give_reserve_back(&self) {
        self.reserved_bytes.set(0);
        // A tmpfs frees nothing while the length stays the same. What fails is lost space until the file is removed.
        let _ = self.file.set_len(self.good_bytes + 1).and_then(|()| self.file.set_len(self.good_bytes));
    }

    fn write(&self, batch: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if let Some(room) = self.room_bytes.filter(|room| *room < batch.len()) {
            self.file.write_all_at(&batch[..room], self.good_bytes)?;
            return Err(ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(batch, self.good_bytes)
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        if let Some(folder) = &self.unsynced_folder {
            File::open(folder)?.sync_all()?;
        }
        self.unsynced_folder = None;
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        self.reserved_bytes.set(0);
        self.file.set_len(self.good_bytes)?;
        self.file.sync_data()?;
        self.has_torn_tail = false;
        Ok(())
    }
}

/// Makes the folder, for its owner only.
pub(super) fn create_folder(folder: &Path) -> io::Result<()> {
    os::create_private_folder(folder)
}

/// The whole file; `None` if there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match must_be_file(path).and_then(|()| fs::read(path)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Nobody but us puts anything into the folder, so what is a file now is one when it is opened; opening a FIFO would wait
/// for whoever never comes.
fn must_be_file(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_file() { Ok(()) } else { Err(io::Error::other("not a regular file")) }
}

/// Opens the current file and cuts off what stands behind the good bytes.
pub(super) fn open(path: &Path, good_bytes: u64) -> io::Result<JournalFile> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut journal = JournalFile::new(file, good_bytes);
    if journal.file.metadata()?.len() != good_bytes {
        journal.cut()?;
    }
    // On a full disk there is none, and the next change that is kept makes it.
    let _ = journal.reserve(0);
    Ok(journal)
}

/// Puts a new file in the place of the current one. There is a whole current file at every instant.
pub(super) fn replace(folder: &Path, bytes: &[u8], keep: Keep) -> io::Result<JournalFile> {
    let (current, previous, new) = (folder.join(JOURNAL), folder.join(PREVIOUS), folder.join(NEW));
    let publish = |file: &File| {
        let journal = JournalFile::new(file.try_clone()?, bytes.len() as u64);
        let reserved = journal.reserve(0);
        if keep == Keep::Current {
            // A shorter file is no reason to lose the reserve.
            if let Some(error) = reserved.err().filter(os::is_disk_full) {
                return Err(error);
            }
            remove(&previous)?;
            fs::hard_link(&current, &previous)?;
        }
        fs::rename(&new, &current)
    };
    let file = create_whole(&new, bytes, publish)?;
    let mut journal = JournalFile::new(file, bytes.len() as u64);
    journal.unsynced_folder = Some(folder.to_owned());
    // The old and the new file say the same; only the next append depends on it, and tries again.
    let _ = journal.sync_folder();
    Ok(journal)
}

/// Writes a new file durably, then has it published under its real name. Whatever fails leaves nothing behind.
fn create_whole(path: &Path, bytes: &[u8], publish: impl FnOnce(&File) -> io::Result<()>) -> io::Result<File> {
    remove(path)?;
    let file = os::open_own(path, OpenOptions::new().read(true).write(true).create_new(true).mode(0o600))?;
    let written = file.write_all_at(bytes, 0).and_then(|()| file.sync_all()).and_then(|()| publish(&file));
    if let Err(error) = written {
        // A full disk needs the space; what cannot be removed is removed by the next attempt.
        let _ = remove(path);
        return Err(error);
    }
    Ok(file)
}

/// Gives a damaged file a second name, so that a user can look at it. Returns that name.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".broken-{number}"));
        PathBuf::from(name)
    };
    let free = (1..=ASIDE_MAX).map(name).find(|name| !name.exists()).unwrap_or_else(|| name(ASIDE_MAX));
    remove(&free)?;
    fs::hard_link(path, &free)?;
    Ok(free)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
