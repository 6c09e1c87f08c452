//! The files that the pump has open: checked before every batch, rotated, and closed when there are too many.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::flow::Border;
use super::index::IndexWriter;
use super::segments::{LogFolder, identity};
use super::{Location, LogTarget, sys};
use crate::model::{Rotation, WallTime};
use crate::os::{self, Missing};
use crate::rules::rotation;

/// An index that could not be opened (a full disk, perhaps) is tried again after this.
const INDEX_PAUSE: Duration = Duration::from_secs(1);

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
    #[error("cannot open `{}`", .0.path.display())]
    Open(Location, #[source] io::Error),
    #[error("cannot write `{}`", .0.path.display())]
    Write(Location, #[source] io::Error),
}

impl LogError {
    fn cause(&self) -> &io::Error {
        match self {
            Self::Open(_, cause) | Self::Write(_, cause) => cause,
        }
    }

    /// The file that could not be written.
    pub(super) fn location(&self) -> &Location {
        match self {
            Self::Open(location, _) | Self::Write(location, _) => location,
        }
    }

    /// Whether deleting something would help.
    pub(super) fn is_disk_full(&self) -> bool {
        os::is_disk_full(self.cause())
    }

    /// For users: what was tried, what the kernel said and what would help.
    pub(super) fn sentence(&self) -> String {
        format!("{self}: {}; {}", self.cause(), self.next_step())
    }

    fn next_step(&self) -> String {
        const ANOTHER: &str = "name another file in `out_file` or `error_file`";
        match Errno::from_io_error(self.cause()) {
            Some(Errno::NOSPC | Errno::DQUOT) => "free some space there".to_owned(),
            Some(Errno::FBIG) => "the daemon was started with a limit on the size of files (`ulimit -Hf`): stop it with `pm shutdown` and start it from a shell without that limit".to_owned(),
            Some(Errno::ACCESS | Errno::PERM) => {
                let account = self.location().account.as_ref();
                let writer = account.map_or("the daemon's user".to_owned(), |account| format!("`{}`", account.user));
                format!("let {writer} write there, or {ANOTHER}")
            }
            Some(Errno::ROFS) => format!("that disk is read-only: {ANOTHER}"),
            Some(Errno::ISDIR | Errno::NOTDIR | Errno::EXIST | Errno::NXIO | Errno::LOOP) => {
                format!("the path is taken by something else: move it away, or {ANOTHER}")
            }
            Some(Errno::MFILE | Errno::NFILE) => "too many files are open: raise the limit (`ulimit -n`)".to_owned(),
            _ => format!("it is retried every second; or {ANOTHER}"),
        }
    }
}

/// A clock that differs by less was not set back: many processes began at once.
const SAME_TIME_MS: u64 = 1000;

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
    /// Opened with the first batch; `None` where that does not work now.
    index: Option<IndexWriter>,
    index_tried: Instant,
    used: u64,
    /// The log whose last line was written without its end, of a file that is written from logs.
    open_line: Option<u64>,
}

/// A log that is open, as [`super::export`] reads it.
pub(super) struct OpenLog {
    pub(super) reader: File,
    pub(super) identity: (u64, u64),
    /// When what stands behind this byte came, until the end of the file; `None`: its index knows.
    pub(super) newest: Option<(u64, WallTime)>,
}

/// The end of a file that is written from logs.
pub(super) struct ExportEnd {
    pub(super) identity: (u64, u64),
    pub(super) end: u64,
    /// The log whose line is not at its end yet.
    pub(super) open_line: Option<u64>,
    /// The file ends in the middle of a line.
    pub(super) is_mid_line: bool,
}

/// The open logs by location, so that streams that share a file never overwrite each other.
pub(super) struct OpenFiles {
    files: HashMap<Location, LogFile>,
    pour: Box<dyn Pour>,
    files_max: usize,
    uses: u64,
    /// When what is appended came, where that is known better than by the clock.
    pub(super) as_of: Option<WallTime>,
    /// When the newest process began.
    begun_at: WallTime,
}

/// What an append did.
pub(super) struct Appended {
    /// Bytes moved.
    pub(super) bytes: usize,
    /// A due cut did not work; the log continues in the same file.
    pub(super) cut_error: Option<io::Error>,
}

impl OpenFiles {
    pub(super) fn new(pour: Box<dyn Pour>, files_max: usize) -> Self {
        Self { files: HashMap::new(), pour, files_max, uses: 0, as_of: None, begun_at: WallTime(0) }
    }

    /// Moves at most `max` bytes from `pipe` to the end of the target's file.
    pub(super) fn append(&mut self, pipe: BorrowedFd, target: &LogTarget, max: usize) -> Result<Appended, LogError> {
        let location = &target.location;
        let write_error = |cause| LogError::Write(location.clone(), cause);
        let mut cut_error = None;
        self.look_at(location)?;
        // Not for an empty pipe: nothing would be left under the log's name.
        if self.files.get(location).is_some_and(|file| file.is_cut_due(target.rotation)) && sys::waiting_bytes(pipe) > 0
        {
            cut_error = self.cut(location, target.rotation).err();
            self.look_at(location)?;
        }
        let Some(file) = self.files.get_mut(location) else {
            return Err(write_error(io::ErrorKind::NotFound.into()));
        };
        if cut_error.is_some() {
            file.cut_again_at = file.end.saturating_add(target.rotation.size.0);
        }
        file.open_index_again(location);
        if let Some(index) = &mut file.index {
            index.note(file.end, self.as_of.unwrap_or_else(sys::wall_now), Instant::now());
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

    /// Ends the line in which the target's file ends, if it ends in one: what comes next has nothing to do with it.
    pub(super) fn end_line(&mut self, target: &LogTarget) -> Result<(), LogError> {
        let location = &target.location;
        self.look_at(location)?;
        let Some(file) = self.files.get_mut(location).filter(|file| file.is_regular && file.end > 0) else {
            return Ok(());
        };
        if file.last_byte() == Some(b'\n') {
            return Ok(());
        }
        let written = file.file.write_at(b"\n", file.end);
        let written = written.map_err(|cause| LogError::Write(location.clone(), cause))?;
        file.end += written as u64;
        Ok(())
    }

    /// The same of a file that is there; none is made for it. Whether one is.
    pub(super) fn end_last_line(&mut self, target: &LogTarget) -> Result<bool, LogError> {
        let is_there = fs::symlink_metadata(&target.location.path).is_ok_and(|found| found.len() > 0);
        if is_there {
            self.end_line(target)?;
        }
        Ok(is_there)
    }

    /// The time of a process that begins about `at`. By it its two outputs are known to be of one process: no two begin in
    /// one millisecond. Where the clock was set back they begin earlier.
    pub(super) fn time_of_next_process(&mut self, at: WallTime) -> WallTime {
        let is_taken = at <= self.begun_at && self.begun_at.0 - at.0 < SAME_TIME_MS;
        self.begun_at = if is_taken { WallTime(self.begun_at.0 + 1) } else { at };
        self.begun_at
    }

    /// What comes next has a line and a time of its own; behind a border between processes also a part of its own.
    pub(super) fn begin(&mut self, target: &LogTarget, border: &Border) -> Result<(), LogError> {
        if self.end_last_line(target)?
            && let Some(file) = self.files.get_mut(&target.location).filter(|file| file.is_regular)
            && let Some(index) = &mut file.index
        {
            if border.is_of_process {
                index.note_border(file.end, border.at);
            } else {
                index.begin_time();
            }
        }
        Ok(())
    }

    /// The log, if it is open.
    pub(super) fn open_log(&self, location: &Location) -> Option<OpenLog> {
        let file = self.files.get(location).filter(|file| file.is_regular)?;
        let newest = file.index.as_ref().and_then(IndexWriter::newest);
        Some(OpenLog { reader: file.reader().ok()?, identity: file.identity, newest })
    }

    /// Opens a file that is written from logs, cuts it if that is due, and looks where it ends.
    pub(super) fn export_end(&mut self, location: &Location, rotation: Rotation) -> Result<ExportEnd, LogError> {
        self.look_at_file(location, false)?;
        let is_whole = |file: &LogFile| file.open_line.is_none() && file.last_byte().is_none_or(|byte| byte == b'\n');
        if self.files.get(location).is_some_and(|file| file.is_cut_due(rotation) && is_whole(file)) {
            // One that cannot be cut keeps growing.
            if self.cut(location, rotation).is_err()
                && let Some(file) = self.files.get_mut(location)
            {
                file.cut_again_at = file.end.saturating_add(rotation.size.0);
            }
            self.look_at_file(location, false)?;
        }
        let file = self.files.get(location);
        let file = file.ok_or_else(|| LogError::Write(location.clone(), io::ErrorKind::NotFound.into()))?;
        let is_mid_line = file.is_regular && file.last_byte().is_some_and(|byte| byte != b'\n');
        Ok(ExportEnd { identity: file.identity, end: file.end, open_line: file.open_line, is_mid_line })
    }

    /// Writes into such a file from `at` on. `open_line`: the log whose line it ends in. What was written before it failed
    /// is cut off again.
    pub(super) fn write_export(
        &mut self,
        location: &Location,
        (at, bytes): (u64, &[u8]),
        open_line: Option<u64>,
    ) -> Result<(), LogError> {
        if !self.files.contains_key(location) {
            self.look_at_file(location, false)?; // closed just now to make room for another one
        }
        let file = self.files.get_mut(location);
        let file = file.ok_or_else(|| LogError::Write(location.clone(), io::ErrorKind::NotFound.into()))?;
        if !file.is_regular {
            // A device or a pipe takes what it takes.
            let written = (&file.file).write_all(bytes);
            return written.map_err(|cause| LogError::Write(location.clone(), cause));
        }
        if let Err(cause) = file.file.write_all_at(bytes, at) {
            let _ = file.file.set_len(at);
            file.end = at;
            return Err(LogError::Write(location.clone(), cause));
        }
        file.end = file.end.max(at + bytes.len() as u64);
        file.open_line = open_line;
        Ok(())
    }

    /// Takes back what was written from `at` on.
    pub(super) fn take_back(&mut self, location: &Location, at: u64) {
        if let Some(file) = self.files.get_mut(location).filter(|file| file.is_regular) {
            let _ = file.file.set_len(at);
            file.end = at;
            file.open_line = None;
        }
    }

    /// Deletes the oldest full segment of a log to make room. `false`: there was none.
    pub(super) fn remove_oldest(location: &Location) -> bool {
        LogFolder::open(location, Missing::Fails).is_ok_and(|log| log.remove_oldest())
    }

    /// Only the file that we write is cut, and not what has come into its place.
    fn cut(&mut self, location: &Location, rotation: Rotation) -> io::Result<()> {
        let log = LogFolder::open(location, Missing::Fails)?;
        let is_ours = self.files.get(location).is_some_and(|file| log.is_named(log.current(), file.identity));
        if !is_ours {
            return Err(io::ErrorKind::NotFound.into());
        }
        log.cut(rotation)?;
        self.files.remove(location);
        Ok(())
    }

    /// Afterwards the file that stands at `location` is open and its end is known: whatever was opened before may
    /// have been unlinked, moved away, emptied or replaced since the last batch.
    fn look_at(&mut self, location: &Location) -> Result<(), LogError> {
        self.look_at_file(location, true)
    }

    fn look_at_file(&mut self, location: &Location, has_index: bool) -> Result<(), LogError> {
        self.uses += 1;
        // Only compared with the file that is open: whoever put a link there has won nothing.
        match (fs::metadata(&location.path), self.files.get_mut(location)) {
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
            _ => self.open(location, has_index),
        }
    }

    fn open(&mut self, location: &Location, has_index: bool) -> Result<(), LogError> {
        self.files.remove(location);
        self.make_room(self.files_max);
        let mut opened = LogFile::open(location, self.uses, has_index);
        // The limit is shared with everything else that the daemon has open.
        while opened.as_ref().is_err_and(os::is_out_of_descriptors) && !self.files.is_empty() {
            self.make_room(self.files.len());
            opened = LogFile::open(location, self.uses, has_index);
        }
        let file = opened.map_err(|cause| LogError::Open(location.clone(), cause))?;
        self.files.insert(location.clone(), file);
        Ok(())
    }

    /// Closes the file that was used longest ago while there are `files_max` or more.
    fn make_room(&mut self, files_max: usize) {
        while self.files.len() >= files_max {
            let oldest = self.files.iter().min_by_key(|(_, file)| file.used).map(|(location, _)| location.clone());
            let Some(oldest) = oldest else { return };
            self.files.remove(&oldest);
        }
    }
}

impl LogFile {
    fn open(location: &Location, used: u64, has_index: bool) -> io::Result<Self> {
        let log = LogFolder::open(location, Missing::IsMade)?;
        let file = log.open_current()?;
        let found = file.metadata()?;
        let (is_regular, end) = (found.is_file(), found.len());
        let index = if is_regular && has_index { IndexWriter::open(&log, end).ok() } else { None };
        let (identity, index_tried) = (identity(&found), Instant::now());
        let (cut_again_at, open_line) = (0, None);
        Ok(Self { file, identity, end, is_regular, cut_again_at, index, index_tried, used, open_line })
    }

    /// The file is open for writing only; its owner may have made it unreadable, to us too.
    fn last_byte(&self) -> Option<u8> {
        let file = self.reader().ok()?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, self.end.checked_sub(1)?).ok()?;
        Some(byte[0])
    }

    fn open_index_again(&mut self, location: &Location) {
        if self.is_regular && self.index.is_none() && self.index_tried.elapsed() >= INDEX_PAUSE {
            self.index_tried = Instant::now();
            let log = LogFolder::open(location, Missing::Fails);
            self.index = log.and_then(|log| IndexWriter::open(&log, self.end)).ok();
        }
    }

    fn is_cut_due(&self, rotation: Rotation) -> bool {
        self.is_regular && self.end >= self.cut_again_at && rotation::is_due(self.end, rotation)
    }

    /// A description of its own, to read from.
    fn reader(&self) -> io::Result<File> {
        File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}
