//! The files that the pump has open: looked at before every batch, cut, and closed when there are too many.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::index::IndexWriter;
use super::segments::identity;
use super::{LogTarget, segments, sys};
use crate::rules::rotation;

/// The step that moves bytes; replaced in tests by a disk that is full.
pub(super) trait Pour: Send {
    /// Moves at most `max` bytes; as [`sys::splice`].
    fn pour(&self, pipe: BorrowedFd, file: BorrowedFd, at: Option<u64>, max: usize) -> io::Result<usize>;
}

/// The real step.
pub(super) struct Splice;

impl Pour for Splice {
    fn pour(&self, pipe: BorrowedFd, file: BorrowedFd, at: Option<u64>, max: usize) -> io::Result<usize> {
        sys::splice(pipe, file, at, max)
    }
}

/// Why a log cannot take bytes now.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    #[error("cannot create the folder of `{0}`")]
    Folder(PathBuf, #[source] io::Error),
    #[error("cannot open `{0}`")]
    Open(PathBuf, #[source] io::Error),
    #[error("cannot write `{0}`")]
    Write(PathBuf, #[source] io::Error),
}

impl LogError {
    fn cause(&self) -> &io::Error {
        match self {
            Self::Folder(_, cause) | Self::Open(_, cause) | Self::Write(_, cause) => cause,
        }
    }

    /// Whether deleting something would help.
    pub(super) fn is_disk_full(&self) -> bool {
        matches!(self.cause().raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
    }

    /// For people: what was tried, what the kernel said and what would help.
    pub(super) fn sentence(&self) -> String {
        format!("{self}: {}; {}", self.cause(), self.next_step())
    }

    fn next_step(&self) -> &'static str {
        match self.cause().raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => "free some space there",
            Some(libc::EACCES | libc::EPERM) => {
                "let the daemon's user write there, or name another file in `out_file` or `error_file`"
            }
            Some(libc::EROFS) => "that disk is read-only: name another file in `out_file` or `error_file`",
            Some(libc::EISDIR | libc::ENOTDIR | libc::EEXIST | libc::ENXIO) => {
                "something else stands there: move it away, or name another file in `out_file` or `error_file`"
            }
            Some(libc::EMFILE | libc::ENFILE) => "too many files are open: raise the limit (`ulimit -n`)",
            _ => "it is tried again every second; or name another file in `out_file` or `error_file`",
        }
    }
}

/// One open log.
struct LogFile {
    file: File,
    identity: (u64, u64),
    /// Where the last batch ended. A file that is shorter now was cut short by somebody else.
    end: u64,
    /// Devices (`/dev/null`) have no size, no place to write at, and are never cut.
    is_regular: bool,
    /// Cutting failed; tried again when the file is this long.
    cut_again_at: u64,
    /// Opened with the first batch; `None` where that does not work.
    index: Option<IndexWriter>,
    used: u64,
}

/// The open logs by path, so that streams that share a file never overwrite each other.
pub(super) struct OpenFiles {
    files: HashMap<PathBuf, LogFile>,
    pour: Box<dyn Pour>,
    files_max: usize,
    uses: u64,
}

/// What an append did.
pub(super) struct Appended {
    /// Bytes moved.
    pub(super) bytes: usize,
    /// A due cut did not work; the log goes on in the same file.
    pub(super) cut_error: Option<io::Error>,
}

impl OpenFiles {
    pub(super) fn new(pour: Box<dyn Pour>, files_max: usize) -> Self {
        Self { files: HashMap::new(), pour, files_max, uses: 0 }
    }

    /// What is appended to this file next gets a time of its own.
    pub(super) fn mark(&mut self, path: &Path) {
        // One that is not open now begins with an exact time anyway.
        if let Some(index) = self.files.get_mut(path).and_then(|file| file.index.as_mut()) {
            index.mark();
        }
    }

    /// Moves at most `max` bytes from `pipe` to the end of the target's file.
    pub(super) fn append(&mut self, pipe: BorrowedFd, target: &LogTarget, max: usize) -> Result<Appended, LogError> {
        let path = &target.path;
        let write_error = |cause| LogError::Write(path.clone(), cause);
        let mut cut_error = None;
        self.look_at(path)?;
        // Not for an empty pipe: nothing would be left under the log's name.
        if self.files.get(path).is_some_and(|file| file.is_cut_due(target)) && sys::waiting_bytes(pipe) > 0 {
            match segments::cut(path, target.rotation) {
                Ok(()) => drop(self.files.remove(path)),
                Err(error) => cut_error = Some(error),
            }
            self.look_at(path)?;
        }
        let Some(file) = self.files.get_mut(path) else {
            return Err(write_error(io::ErrorKind::NotFound.into()));
        };
        if cut_error.is_some() {
            file.cut_again_at = file.end.saturating_add(target.rotation.size.0);
        }
        if let Some(index) = &mut file.index {
            index.note(file.end, sys::wall_now(), Instant::now());
        }
        match self.pour.pour(pipe, file.file.as_fd(), file.is_regular.then_some(file.end), max) {
            Ok(bytes) => {
                file.end += bytes as u64;
                Ok(Appended { bytes, cut_error })
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Appended { bytes: 0, cut_error })
            }
            Err(error) => Err(write_error(error)),
        }
    }

    /// Afterwards the file that stands at `path` is open and its end is known: whatever was opened before may
    /// have been unlinked, moved away, emptied or replaced since the last batch.
    fn look_at(&mut self, path: &Path) -> Result<(), LogError> {
        self.uses += 1;
        match (fs::metadata(path), self.files.get_mut(path)) {
            (Ok(found), Some(file)) if identity(&found) == file.identity => {
                file.used = self.uses;
                if found.len() < file.end
                    && let Some(index) = &mut file.index
                {
                    index.restart();
                }
                file.end = found.len();
                Ok(())
            }
            _ => self.open(path),
        }
    }

    fn open(&mut self, path: &Path) -> Result<(), LogError> {
        self.files.remove(path);
        self.make_room();
        let file = match open_for_writing(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(Path::new("/"));
                let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
                made.map_err(|cause| LogError::Folder(path.to_owned(), cause))?;
                open_for_writing(path)
            }
            opened => opened,
        };
        let open_error = |cause| LogError::Open(path.to_owned(), cause);
        let file = file.map_err(open_error)?;
        let found = file.metadata().map_err(open_error)?;
        let is_regular = found.is_file();
        let index = if is_regular { IndexWriter::open(path, found.len()).ok() } else { None };
        let (identity, end, used) = (identity(&found), found.len(), self.uses);
        self.files.insert(path.to_owned(), LogFile { file, identity, end, is_regular, cut_again_at: 0, index, used });
        Ok(())
    }

    /// Closes the file that was used longest ago while there are too many.
    fn make_room(&mut self) {
        while self.files.len() >= self.files_max {
            let Some(oldest) = self.files.iter().min_by_key(|(_, file)| file.used).map(|(path, _)| path.clone()) else {
                return;
            };
            self.files.remove(&oldest);
        }
    }
}

impl LogFile {
    fn is_cut_due(&self, target: &LogTarget) -> bool {
        self.is_regular && self.end >= self.cut_again_at && rotation::is_due(self.end, target.rotation)
    }
}

/// Not `O_APPEND`: splice refuses that. `O_NONBLOCK`: a FIFO in place of a log must not hold up all others.
fn open_for_writing(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}
