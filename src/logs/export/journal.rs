//! What the next daemon has to know of the files that are written from logs, on the disk.
//!
//! Only kills of processes matter here: what was written is in the kernel. After a crash of the machine the run folder is
//! another one, and every log is written from its end on.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, LogPosition, key};
use super::read::Times;
use super::render::Joint;
use crate::logs::{Account, ExportFile, Location};
use crate::model::{InstanceId, LogForm, Stream};
use crate::os;

/// The beginning of the file: what is being written.
const INTENT_BYTES: u64 = 32 << 10;
/// Behind it: how far each log was written, so many bytes for each.
const SLOT_BYTES: u64 = SLOT.len() as u64;
/// An empty one.
const SLOT: [u8; 64] = [0; 64];
const SLOTS_MAX: u64 = 1 << 20;
/// Length and checksum of an announcement.
const HEAD_BYTES: usize = 8;

/// What is written next.
pub(super) struct NextWrite<'a> {
    pub(super) data: &'a [u8],
    pub(super) times: Times,
    /// The first of these bytes.
    pub(super) from: LogPosition,
    /// Behind the last of them.
    pub(super) after: LogPosition,
    /// It does not end in a line feed, and is written nevertheless.
    pub(super) is_piece: bool,
}

/// A range of a log that is about to be written into these files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DueWrite {
    pub(super) instance: InstanceId,
    pub(super) stream: Stream,
    log: PathBuf,
    slot: u64,
    pub(super) key: u64,
    pub(super) from: LogPosition,
    pub(super) after: LogPosition,
    pub(super) bytes: usize,
    pub(super) is_piece: bool,
    pub(super) files: Vec<DueFile>,
}

/// One of these files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DueFile {
    path: PathBuf,
    account: Option<Account>,
    pub(super) form: LogForm,
    /// Device and inode number.
    pub(super) identity: (u64, u64),
    /// Where it ends.
    pub(super) at: u64,
    pub(super) joint: Joint,
}

impl DueWrite {
    pub(super) fn new(
        (instance, stream): (&InstanceId, Stream),
        log: &Location,
        checkpoint: &Checkpoint,
        next: &NextWrite<'_>,
        files: Vec<DueFile>,
    ) -> Self {
        Self {
            instance: instance.clone(),
            stream,
            log: log.path.clone(),
            slot: checkpoint.slot,
            key: key(&log.path),
            from: next.from,
            after: next.after,
            bytes: next.data.len(),
            is_piece: next.is_piece,
            files,
        }
    }

    /// The log, which is a default one: it belongs to the daemon's user.
    pub(super) fn log(&self) -> Location {
        self.log.clone().into()
    }

    /// How far the log is written when this is done.
    pub(super) fn checkpoint_after(&self) -> Checkpoint {
        Checkpoint { slot: self.slot, key: self.key, position: self.after, is_continued: self.is_piece }
    }
}

impl DueFile {
    pub(super) fn new(export: &ExportFile, identity: (u64, u64), at: u64, joint: Joint) -> Self {
        let Location { path, account } = export.location.clone();
        Self { path, account, form: export.form.clone(), identity, at, joint }
    }

    pub(super) fn location(&self) -> Location {
        Location { path: self.path.clone(), account: self.account.clone() }
    }
}

/// The journal of one daemon: a file in its run folder, written by one thread.
#[derive(Debug)]
pub struct ExportJournal {
    file: File,
    path: PathBuf,
    free: Vec<u64>,
    slots: u64,
    /// Copies are kept here of what stands in it after each step.
    #[cfg(test)]
    pub(super) keep_for_tests: Option<PathBuf>,
}

impl ExportJournal {
    /// Opens the journal of this boot, or begins one.
    ///
    /// # Errors
    /// It can neither be opened nor made.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = os::open_own(path, &options)?;
        Ok(Self {
            file,
            path: path.to_owned(),
            free: Vec::new(),
            slots: 0,
            #[cfg(test)]
            keep_for_tests: None,
        })
    }

    /// Where it is, for messages.
    pub(super) fn location(&self) -> Location {
        self.path.clone().into()
    }

    /// What an earlier daemon has left: how far it got with which log, and what it was writing.
    pub(super) fn take_earlier(&mut self) -> (Vec<Checkpoint>, Option<DueWrite>) {
        let mut bytes = Vec::new();
        let size = INTENT_BYTES + SLOTS_MAX * SLOT_BYTES;
        let is_read =
            self.file.seek(SeekFrom::Start(0)).is_ok() && (&self.file).take(size).read_to_end(&mut bytes).is_ok();
        if !is_read {
            bytes.clear();
        }
        let due = bytes.get(..HEAD_BYTES).and_then(|head| {
            let (length, sum) = (number(head, 0)?, number(head, 4)?);
            let text = bytes.get(HEAD_BYTES..HEAD_BYTES + usize::try_from(length).ok()?)?;
            (length > 0 && crc32fast::hash(text) == sum).then(|| serde_json::from_slice(text).ok())?
        });
        let slots = bytes.get(usize::try_from(INTENT_BYTES).unwrap_or(usize::MAX)..).unwrap_or_default();
        let mut checkpoints = Vec::new();
        for (slot, bytes) in (0..).zip(slots.chunks(64)) {
            match checkpoint(slot, bytes) {
                Some(checkpoint) => checkpoints.push(checkpoint),
                None => self.free.push(slot),
            }
            self.slots = slot + 1;
        }
        (checkpoints, due)
    }

    /// Notes what is about to be written.
    pub(super) fn announce(&self, due: &DueWrite) -> io::Result<()> {
        let mut bytes = vec![0; HEAD_BYTES];
        serde_json::to_writer(&mut bytes, due)?;
        let text = &bytes[HEAD_BYTES..];
        let length = u32::try_from(text.len()).ok().filter(|length| u64::from(*length) < INTENT_BYTES - 8);
        let length = length.ok_or_else(|| io::Error::other("the paths are too long"))?;
        let sum = crc32fast::hash(text);
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        self.file.write_all_at(&bytes, 0)?;
        #[cfg(test)]
        self.keep("announced");
        Ok(())
    }

    /// It was written, and that was noted with [`Self::put`].
    pub(super) fn fulfilled(&self) -> io::Result<()> {
        self.file.write_all_at(&[0; HEAD_BYTES], 0)
    }

    /// A place for a log.
    pub(super) fn claim(&mut self) -> u64 {
        self.free.pop().unwrap_or_else(|| {
            self.slots = (self.slots + 1).min(SLOTS_MAX);
            self.slots - 1
        })
    }

    /// Notes how far a log was written.
    pub(super) fn put(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let Checkpoint { slot, key, position: LogPosition { file: (device, inode), offset }, is_continued } =
            *checkpoint;
        let mut bytes = SLOT;
        let numbers = [key, device, inode, offset, u64::from(is_continued)];
        for (at, number) in numbers.iter().enumerate() {
            bytes[8 + 8 * at..16 + 8 * at].copy_from_slice(&number.to_le_bytes());
        }
        let sum = crc32fast::hash(&bytes[8..]);
        bytes[..4].copy_from_slice(&1u32.to_le_bytes());
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        self.file.write_all_at(&bytes, INTENT_BYTES + slot * SLOT_BYTES)?;
        #[cfg(test)]
        self.keep("noted");
        Ok(())
    }

    #[cfg(test)]
    fn keep(&self, step: &str) {
        if let Some(kept) = &self.keep_for_tests {
            std::fs::copy(&self.path, kept.with_extension(step)).unwrap();
        }
    }

    /// Nothing is written from that log any more.
    pub(super) fn release(&mut self, checkpoint: &Checkpoint) {
        // A place that could not be emptied is not used again: the next daemon would take it for this log.
        if self.file.write_all_at(&SLOT, INTENT_BYTES + checkpoint.slot * SLOT_BYTES).is_ok() {
            self.free.push(checkpoint.slot);
        }
    }
}

fn checkpoint(slot: u64, bytes: &[u8]) -> Option<Checkpoint> {
    let is_whole = bytes.len() == 64 && number(bytes, 0) == Some(1);
    if !is_whole || number(bytes, 4) != Some(crc32fast::hash(&bytes[8..])) {
        return None;
    }
    let word = |at: usize| Some(u64::from_le_bytes(bytes.get(8 + 8 * at..16 + 8 * at)?.try_into().ok()?));
    let position = LogPosition { file: (word(1)?, word(2)?), offset: word(3)? };
    Some(Checkpoint { slot, key: word(0)?, position, is_continued: word(4)? != 0 })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
