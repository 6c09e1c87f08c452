//! Saves Desired on disk: every accepted change is durable before anything is done about it.
//!
//! In:    [`Change`]s                        Out:  [`Desired`], and the specs and environments of spawn records
//! Never: a decision; a half-written state; an older or empty state without saying so
//! Walk:  [`crate::plan`] → [`crate::reconciler`] → here → `journal` → `disk`
//!
//! One file, `desired.journal`: a header line, then one line per record, in batches that end with a commit record.
//! A batch counts as a whole or not at all. Specs and environments are written once and named by their digest. An older
//! state lies beside it (`desired.journal.prev`), for the case that the file is damaged, and `desired.head` says how many
//! batches there should be.

mod disk;
mod head;
mod journal;
mod record;
mod recovery;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{App, Change, Desired, Digest, Environment};

use disk::{JournalFile, Keep, Room};
use head::HeadFile;
use record::{Contents, HistoryRecord, Record, SourceChange};

/// The current file.
const JOURNAL: &str = "desired.journal";
/// An older state: a copy made when a daemon started, or the file before the last compaction.
const PREVIOUS: &str = "desired.journal.prev";
/// How far the current file has come.
const HEAD: &str = "desired.head";
/// A file that is being written.
const NEW: &str = "desired.journal.new";

/// A file below this size is not worth compacting.
const COMPACTION_BYTES_MIN: u64 = 256 << 10;
/// A file is compacted when it has grown to so many times its last compacted size.
const COMPACTION_GROWTH: u64 = 4;

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or the file cannot be made, opened or read.
    #[error("cannot open the state in `{}`", path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// The error of the kernel.
        source: io::Error,
    },
    /// A change could not be written; the state is as it was.
    #[error("cannot write the state to `{}`", path.display())]
    Write {
        /// The file that was written.
        path: PathBuf,
        /// The error of the kernel.
        source: io::Error,
    },
    /// A spec holds what JSON cannot say (a path that is not Unicode).
    #[error("cannot encode a change of the state")]
    Encode {
        /// What cannot be said.
        source: serde_json::Error,
    },
    /// A newer version wrote it; this one must not touch it.
    #[error("`{}` has format {found}, but this version supports only format {known}", path.display())]
    Newer {
        /// The file or folder.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest known format.
        known: u32,
    },
}

/// The state on disk, open for writing. One per state folder: the daemon's lock sees to that.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    file: JournalFile,
    head: HeadFile,
    /// Length of the file after its first batch, about what a compaction would leave.
    compacted_bytes: u64,
    seq: u64,
    desired: Desired,
    contents: Contents,
}

impl Store {
    /// Opens the state in `folder`, which is made if it is missing. Besides the state it returns what a user should
    /// be told: what was cut off, what was set aside, what was fallen back to.
    ///
    /// # Errors
    /// What cannot be read or repaired; a newer format. Nothing is changed then.
    pub fn open(folder: &Path) -> Result<(Self, Desired, Vec<String>), StoreError> {
        disk::create_folder(folder).map_err(|source| StoreError::Open { path: folder.to_owned(), source })?;
        let (mut replay, finding) = recovery::recover(folder)?;
        if finding.is_incomplete() {
            // What runs with a spec that is known, and is not declared as far as is known, may be declared by what is
            // lost: without its spec it is left alone.
            replay.contents = replay.contents.needed(&replay.desired, &BTreeSet::new());
        }
        let path = folder.join(JOURNAL);
        let (seq, file) = if finding.needs_new_file() {
            let seq = replay.seq + 1;
            let bytes = journal::snapshot(&replay.desired, &replay.contents, seq)?;
            (seq, disk::replace(folder, &bytes, Keep::Previous).map_err(|source| StoreError::Write { path, source })?)
        } else {
            let file = disk::open(&path, replay.good_bytes);
            (replay.seq, file.map_err(|source| StoreError::Open { path, source })?)
        };
        let desired = replay.desired.clone();
        let head = HeadFile::open(folder);
        head.note(seq);
        let store = Self {
            folder: folder.to_owned(),
            compacted_bytes: if finding.needs_new_file() { file.bytes() } else { replay.first_batch_bytes },
            file,
            head,
            seq,
            desired: replay.desired,
            contents: replay.contents,
        };
        Ok((store, desired, finding.sentence().into_iter().collect()))
    }

    /// Writes changes as one batch; they are durable when it returns. Blocks for the disk. What only takes down is kept
    /// on a full disk, too: there is a reserve for it.
    ///
    /// # Errors
    /// The disk is full or broken: nothing of the batch counts, and the next one may succeed.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut fresh = Contents::default();
        let mut bytes = Vec::new();
        for change in changes {
            self.encode_contents(change, &mut fresh, &mut bytes)?;
            if let Some(record) = Record::of_change(change) {
                journal::append(&mut bytes, &record)?;
            }
        }
        let (history, sources) = (HistoryRecord::of_changes(changes), SourceChange::of_changes(changes));
        journal::append(&mut bytes, &Record::Commit { seq: self.seq + 1, history, sources })?;
        let writing = |source| StoreError::Write { path: self.folder.join(JOURNAL), source };
        let room = if self.desired.is_only_taken_down_by(changes) { Room::Reserve } else { Room::Free };
        self.file.append(&bytes, room).map_err(writing)?;

        self.seq += 1;
        self.head.note(self.seq);
        self.contents.take(fresh);
        for change in changes {
            self.desired.accept(change.clone());
        }
        Ok(())
    }

    /// The spec of this digest: of a declared app, or of a process that was started with it.
    pub fn spec(&self, digest: &Digest) -> Option<Arc<App>> {
        self.contents.specs.get(digest).cloned()
    }

    /// The recorded shell environment of this digest.
    pub fn base(&self, digest: &Digest) -> Option<Arc<Environment>> {
        self.contents.bases.get(digest).cloned()
    }

    /// Puts a copy of the state beside the file, unless there is one that says the same. A file of its own: what
    /// damages the one does not reach the other. Blocks for the disk.
    ///
    /// # Errors
    /// The disk is full or broken: the older copy stays.
    pub fn keep_copy(&mut self) -> Result<(), StoreError> {
        let is_first_start = self.seq <= 1;
        if is_first_start {
            return Ok(());
        }
        let writing = |source| StoreError::Write { path: self.folder.join(PREVIOUS), source };
        self.file.copy_to(&self.folder).map_err(writing)
    }

    /// Whether most of the file is history that nobody needs any more.
    pub fn should_compact(&self) -> bool {
        let growth_max = self.compacted_bytes.saturating_mul(COMPACTION_GROWTH);
        self.file.bytes() > growth_max.max(COMPACTION_BYTES_MIN)
    }

    /// Rewrites the file with what Desired needs and what `live` names: the digests of all spawn records. The file as
    /// it was is kept beside it. Blocks for the disk.
    ///
    /// # Errors
    /// The disk is full or broken: the state is as it was.
    pub fn compact(&mut self, live: &BTreeSet<Digest>) -> Result<(), StoreError> {
        let needed = self.contents.needed(&self.desired, live);
        // The same number: nothing has changed, and whoever falls back to the file before has lost nothing.
        let bytes = journal::snapshot(&self.desired, &needed, self.seq)?;
        let writing = |source| StoreError::Write { path: self.folder.join(JOURNAL), source };
        let file = disk::replace(&self.folder, &bytes, Keep::Current).map_err(writing)?;
        std::mem::replace(&mut self.file, file).give_reserve_back();
        self.compacted_bytes = self.file.bytes();
        self.contents = needed;
        Ok(())
    }

    /// Writes down the spec and the environment that a change names, unless they are written already.
    fn encode_contents(&self, change: &Change, fresh: &mut Contents, bytes: &mut Vec<u8>) -> Result<(), StoreError> {
        let revision = match change {
            Change::App { declared, .. } => declared.revision(),
            Change::Rollout { rollout: Some(rollout), .. } if let Some(revision) = &rollout.from => revision.clone(),
            _ => return Ok(()),
        };
        let (digest, base_digest) = (revision.digest, revision.base_digest);
        if !self.contents.bases.contains_key(&base_digest) && !fresh.bases.contains_key(&base_digest) {
            journal::append(bytes, &Record::Base { digest: base_digest, base: Arc::clone(&revision.base) })?;
            fresh.bases.insert(base_digest, revision.base);
        }
        if !self.contents.specs.contains_key(&digest) && !fresh.specs.contains_key(&digest) {
            journal::append(bytes, &Record::Spec { digest, app: Arc::clone(&revision.spec) })?;
            fresh.specs.insert(digest, revision.spec);
        }
        Ok(())
    }
}
