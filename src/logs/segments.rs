//! The names of a log's files: `NAME` is written, `NAME.7` is full, `.NAME.idx` holds the times of `NAME`.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::model::Rotation;
use crate::rules::rotation;

/// The full segment number `number` of a log.
pub(super) fn segment_path(log: &Path, number: u64) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// The index of times that stands beside a file.
pub(super) fn index_path(file: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(".idx");
    file.with_file_name(name)
}

/// The numbers of the full segments that exist, in order. None where there is no folder.
pub(super) fn numbers(log: &Path) -> io::Result<Vec<u64>> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name()) else { return Ok(Vec::new()) };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let file = entry?.file_name();
        let rest = file.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        found.extend(rest.and_then(|rest| rest.strip_prefix(b".")).and_then(number));
    }
    found.sort_unstable();
    Ok(found)
}

/// Digits as this room writes them; `007` and `+7` are somebody else's files.
fn number(digits: &[u8]) -> Option<u64> {
    let is_ours = digits.iter().all(u8::is_ascii_digit) && digits.first().is_some_and(|first| *first != b'0');
    if is_ours { str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// What tells one file from another, as long as it is open or has a name: device and inode number.
pub(super) fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// What comes after a file of a log.
pub(super) struct Successors {
    /// What the file is called, if it was cut and still exists.
    pub(super) own: Option<PathBuf>,
    /// The later files, oldest first, each with the number of the newest segment before it (or its own).
    pub(super) ahead: Vec<(PathBuf, u64)>,
}

/// Finds what comes after the file with this identity; after one that has no name any more comes everything
/// above `highest_older`.
pub(super) fn successors(log: &Path, file: (u64, u64), highest_older: u64) -> io::Result<Successors> {
    let numbers = numbers(log)?;
    let is_it = |path: &Path| fs::metadata(path).is_ok_and(|found| identity(&found) == file);
    let own = numbers.iter().copied().rev().find(|number| is_it(&segment_path(log, *number)));
    let after = own.unwrap_or(highest_older);
    let mut ahead: Vec<(PathBuf, u64)> = Vec::new();
    ahead.extend(numbers.iter().filter(|number| **number > after).map(|number| (segment_path(log, *number), *number)));
    if log.exists() && !is_it(log) {
        ahead.push((log.to_owned(), numbers.last().copied().unwrap_or(0)));
    }
    Ok(Successors { own: own.map(|number| segment_path(log, number)), ahead })
}

/// Makes the current file the newest full segment and deletes those that are too many.
///
/// The one rename is the commit: killed before it, nothing happened; after it, the current file is missing
/// and is made when the next byte comes; segments that were not deleted are deleted by the next cut.
pub(super) fn cut(log: &Path, limits: Rotation) -> io::Result<()> {
    let mut existing = numbers(log)?;
    let next = rotation::next_segment(&existing);
    let segment = segment_path(log, next);
    fs::rename(log, &segment)?;
    // An index left behind is emptied when the next file begins: its times are lost, nothing else.
    let _ = fs::rename(index_path(log), index_path(&segment));
    existing.push(next);
    for number in rotation::expired(&existing, limits.keep) {
        remove(log, *number)?;
    }
    Ok(())
}

/// Deletes the oldest full segment to make room. `false`: there was none.
pub(super) fn remove_oldest(log: &Path) -> bool {
    let oldest = numbers(log).ok().and_then(|existing| existing.first().copied());
    oldest.is_some_and(|number| remove(log, number).is_ok())
}

fn remove(log: &Path, number: u64) -> io::Result<()> {
    let segment = segment_path(log, number);
    let _ = fs::remove_file(index_path(&segment));
    fs::remove_file(&segment)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(numbers(&log).unwrap(), [2, 10]);
        assert_eq!(index_path(&log), folder.path().join(".api-out-0.log.idx"));
    }

    #[test]
    fn a_cut_keeps_as_many_segments_as_asked_and_takes_the_times_along() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        for round in 0..4 {
            fs::write(&log, format!("{round}")).unwrap();
            fs::write(index_path(&log), format!("i{round}")).unwrap();
            cut(&log, Rotation { size: Bytes(1), keep: 2 }).unwrap();
        }
        assert_eq!(numbers(&log).unwrap(), [3, 4]);
        assert_eq!(fs::read_to_string(segment_path(&log, 4)).unwrap(), "3");
        assert_eq!(fs::read_to_string(index_path(&segment_path(&log, 4))).unwrap(), "i3");
        assert!(!index_path(&segment_path(&log, 2)).exists());
        assert!(remove_oldest(&log) && remove_oldest(&log) && !remove_oldest(&log));
    }
}
