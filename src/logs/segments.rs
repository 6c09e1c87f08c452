//! The names of a log's files: `NAME` is written, `NAME.7` is full, `.NAME.idx` holds the times of `NAME`.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use super::Location;
use crate::model::Rotation;
use crate::os::{self, Folder, Missing};
use crate::rules::rotation;

/// A log's folder, opened. Everything is done relative to it, so that it stays the same folder.
#[derive(Debug)]
pub(super) struct LogFolder {
    folder: Folder,
    /// Of the current file; where a link leads to it, of its target.
    name: OsString,
}

impl LogFolder {
    /// # Errors
    /// `NotFound`: there is none, or no such user. `PermissionDenied`: a link of somebody else is in the way, …
    pub(super) fn open(location: &Location, missing: Missing) -> io::Result<Self> {
        let account = location.account.as_ref();
        let owner = account.map(|account| os::account(Some(&account.user), account.group.as_deref())).transpose();
        let owner = owner.map_err(io::Error::other)?.flatten().and_then(|account| account.identity);
        let (folder, name) = Folder::find(&location.path, owner.as_ref(), missing)?;
        Ok(Self { folder, name })
    }

    /// The name of the current file.
    pub(super) fn current(&self) -> &OsStr {
        &self.name
    }

    /// The name of the full segment number `number`.
    pub(super) fn segment(&self, number: u64) -> OsString {
        let mut name = self.name.clone();
        name.push(format!(".{number}"));
        name
    }

    /// Opens the current file to write at its end; makes it if there is none. Not `O_APPEND`: splice refuses that.
    pub(super) fn open_current(&self) -> io::Result<File> {
        self.folder.open_to_write(&self.name)
    }

    /// Opens the index of the current file; makes it if there is none.
    pub(super) fn open_index(&self) -> io::Result<File> {
        self.folder.open_to_append(&index_of(&self.name))
    }

    /// Opens one of the files to read it.
    pub(super) fn read(&self, name: &OsStr) -> io::Result<File> {
        self.folder.open_to_read(name)
    }

    /// Opens the index of one of the files to read it.
    pub(super) fn read_index(&self, name: &OsStr) -> io::Result<File> {
        self.folder.open_to_read(&index_of(name))
    }

    /// The numbers of the full segments that exist, in order.
    pub(super) fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for name in self.folder.names()? {
            let rest = name.as_encoded_bytes().strip_prefix(self.name.as_encoded_bytes());
            found.extend(rest.and_then(|rest| rest.strip_prefix(b".")).and_then(number));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Whether this name is that file.
    pub(super) fn is_named(&self, name: &OsStr, file: (u64, u64)) -> bool {
        self.folder.look_at(name).is_ok_and(|found| found.identity == file)
    }

    /// How long this file is; `None`: there is none.
    pub(super) fn bytes_of(&self, name: &OsStr) -> Option<u64> {
        self.folder.look_at(name).ok().map(|found| found.bytes)
    }

    /// Finds what comes after the file with this identity; after one that has no name any more comes everything
    /// above `highest_older`.
    pub(super) fn successors(&self, file: (u64, u64), highest_older: u64) -> io::Result<Successors> {
        let numbers = self.numbers()?;
        let own = numbers.iter().copied().rev().find(|number| self.is_named(&self.segment(*number), file));
        let after = own.unwrap_or(highest_older);
        let ahead = numbers.iter().filter(|number| **number > after);
        let mut ahead: Vec<(OsString, u64)> = ahead.map(|number| (self.segment(*number), *number)).collect();
        if self.folder.look_at(&self.name).is_ok_and(|found| found.identity != file) {
            ahead.push((self.name.clone(), numbers.last().copied().unwrap_or(0)));
        }
        Ok(Successors { own: own.map(|number| self.segment(number)), ahead })
    }

    /// Makes the current file the newest full segment and deletes those that are too many.
    ///
    /// The one rename is the commit: killed before it, nothing happened; after it, the current file is missing
    /// and is made when the next byte comes; segments that were not deleted are deleted by the next cut.
    pub(super) fn cut(&self, limits: Rotation) -> io::Result<()> {
        let mut existing = self.numbers()?;
        let next = rotation::next_segment(&existing);
        let segment = self.segment(next);
        self.folder.rename(&self.name, &segment)?;
        // An index left behind is emptied when the next file begins: its times are lost, nothing else.
        let _ = self.folder.rename(&index_of(&self.name), &index_of(&segment));
        existing.push(next);
        for number in rotation::expired(&existing, limits.keep) {
            self.remove(*number)?;
        }
        Ok(())
    }

    /// Deletes the oldest full segment to make room. `false`: there was none.
    pub(super) fn remove_oldest(&self) -> bool {
        let oldest = self.numbers().ok().and_then(|existing| existing.first().copied());
        oldest.is_some_and(|number| self.remove(number).is_ok())
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        let segment = self.segment(number);
        let _ = self.folder.remove(&index_of(&segment));
        self.folder.remove(&segment)
    }
}

/// The name of the index of times that stands beside a file.
fn index_of(name: &OsStr) -> OsString {
    let mut index = OsString::from(".");
    index.push(name);
    index.push(".idx");
    index
}

/// Digits as this room writes them; `007` and `+7` are somebody else's files.
fn number(digits: &[u8]) -> Option<u64> {
    let is_ours = digits.iter().all(u8::is_ascii_digit) && digits.first().is_some_and(|first| *first != b'0');
    if is_ours { str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// What distinguishes one file from another, as long as it is open or has a name: device and inode number.
pub(super) fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// What comes after a file of a log.
pub(super) struct Successors {
    /// What the file is called, if it was cut and still exists.
    pub(super) own: Option<OsString>,
    /// The later files, oldest first, each with the number of the newest segment before it (or its own).
    pub(super) ahead: Vec<(OsString, u64)>,
}

/// The same by path, for tests.
#[cfg(test)]
pub(super) mod by_path {
    use std::path::{Path, PathBuf};

    use super::*;

    pub(in crate::logs) fn folder(log: &Path) -> LogFolder {
        LogFolder::open(&log.to_owned().into(), Missing::Fails).unwrap()
    }

    pub(in crate::logs) fn numbers(log: &Path) -> Vec<u64> {
        LogFolder::open(&log.to_owned().into(), Missing::Fails).map_or(Vec::new(), |folder| folder.numbers().unwrap())
    }

    pub(in crate::logs) fn segment_path(log: &Path, number: u64) -> PathBuf {
        log.with_file_name(folder(log).segment(number))
    }

    pub(in crate::logs) fn index_path(file: &Path) -> PathBuf {
        file.with_file_name(index_of(file.file_name().unwrap()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::by_path::{folder as opened, index_path, numbers, segment_path};
    use super::*;
    use crate::model::Bytes;

    #[test]
    fn only_files_that_the_pump_named_count_as_segments() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("api-out-0.log");
        for name in
            ["api-out-0.log", "api-out-0.log.2", "api-out-0.log.10", "api-out-0.log.07", "api-out-0.log.gz", "x.1"]
        {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(numbers(&log), [2, 10]);
        assert_eq!(index_path(&log), folder.path().join(".api-out-0.log.idx"));
    }

    #[test]
    fn a_cut_keeps_as_many_segments_as_asked_and_takes_the_times_along() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        for round in 0..4 {
            fs::write(&log, format!("{round}")).unwrap();
            fs::write(index_path(&log), format!("i{round}")).unwrap();
            opened(&log).cut(Rotation { size: Bytes(1), keep: 2 }).unwrap();
        }
        assert_eq!(numbers(&log), [3, 4]);
        assert_eq!(fs::read_to_string(segment_path(&log, 4)).unwrap(), "3");
        assert_eq!(fs::read_to_string(index_path(&segment_path(&log, 4))).unwrap(), "i3");
        assert!(!index_path(&segment_path(&log, 2)).exists());
        let log = opened(&log);
        assert!(log.remove_oldest() && log.remove_oldest() && !log.remove_oldest());
    }
}
