//! Whether one of the files that were read has been saved with other contents.

use std::path::{Path, PathBuf};

use crate::ecosystem::{Reading, SourceFile};
use crate::os::{self, Stamp};

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A file that is being replaced is not there for a moment: only after so many looks it is gone.
const LOOKS_UNTIL_GONE: u32 = 5;

/// The files, as they were read.
#[derive(Debug)]
pub(super) struct SavedFiles(Vec<SavedFile>);

#[derive(Debug)]
struct SavedFile {
    path: PathBuf,
    text: Vec<u8>,
    stamp: Option<Stamp>,
    /// It looked different at the last look: when it still looks the same, it is read.
    is_moving: bool,
    /// Looks since it was there last; `None`: it has never been there.
    missed: Option<u32>,
}

impl SavedFiles {
    pub(super) fn of(files: &[SourceFile]) -> Self {
        let saved = |file: &SourceFile| {
            // Another stamp than that of the moment of reading only means one look more.
            let (path, stamp) = (file.path.clone(), None);
            // What was made of a file of PM2 is not what stands in it.
            let text = if file.is_translated { os::read_limited(&path, FILE_BYTES_MAX).ok() } else { None };
            let text = text.unwrap_or_else(|| file.text.clone());
            let missed = (!text.is_empty()).then_some(0);
            SavedFile { path, text, stamp, is_moving: false, missed }
        };
        Self(files.iter().map(saved).collect())
    }

    /// They were read again. An error may hide some of them, and saving one of those may be what mends it.
    pub(super) fn renew(&mut self, reading: &Reading) {
        let before = std::mem::replace(self, Self::of(&reading.files));
        if reading.proposed.is_none() {
            let hidden = before.0.into_iter().filter(|file| !reading.files.iter().any(|now| now.path == file.path));
            self.0.extend(hidden);
        }
    }

    /// Looks once. A file counts when it has looked the same twice, exists, and holds other bytes than before.
    pub(super) fn were_saved(&mut self) -> bool {
        // Each of them is looked at, whatever the others say.
        self.0.iter_mut().filter_map(|file| file.was_saved().then_some(())).count() > 0
    }

    /// Those that the last look has found gone, each once.
    pub(super) fn gone(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter(|file| file.missed == Some(LOOKS_UNTIL_GONE)).map(|file| file.path.as_path())
    }
}

impl SavedFile {
    fn was_saved(&mut self) -> bool {
        // A pipe is not looked at: reading it takes its contents away, and its times change when it is read.
        let stamp = os::stamp(&self.path).filter(|stamp| stamp.is_file);
        self.missed = match stamp {
            Some(_) => Some(0),
            None => self.missed.map(|looks| looks.saturating_add(1)),
        };
        if stamp != self.stamp {
            (self.stamp, self.is_moving) = (stamp, true);
            return false;
        }
        // A file that is being replaced is not there for a moment.
        if stamp.is_none() || !std::mem::take(&mut self.is_moving) {
            return false;
        }
        match os::read_limited(&self.path, FILE_BYTES_MAX) {
            Ok(text) if text != self.text => {
                self.text = text;
                true
            }
            Ok(_) | Err(_) => false,
        }
    }
}
