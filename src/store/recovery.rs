//! Finds the newest state that can be trusted, and says what was wrong with a newer one.

use std::path::{Path, PathBuf};

use crate::model::Desired;

use super::journal::{FORMAT, Replay, Rest, Unreadable, replay};
use super::record::Contents;
use super::{JOURNAL, PREVIOUS, StoreError, disk};

/// What was found in the folder.
#[derive(Debug)]
pub(super) enum Finding {
    /// Nothing: the first start.
    FirstStart,
    /// A whole file.
    Whole,
    /// The last batch was never completed: a power cut, or a daemon killed while it wrote.
    Torn { path: PathBuf, bytes: u64 },
    /// The current file breaks off in the middle.
    Damaged { aside: PathBuf, seq: u64 },
    /// The current file says nothing; the one before it is used.
    FellBack { aside: PathBuf },
    /// Neither file says anything.
    Lost { aside: PathBuf },
    /// The current file is gone; the one before it is used.
    Gone { path: PathBuf },
}

impl Finding {
    /// Whether the state has to be written to a new file.
    pub(super) fn needs_new_file(&self) -> bool {
        !matches!(self, Self::Whole | Self::Torn { .. })
    }

    /// What a person should be told.
    pub(super) fn sentence(&self) -> Option<String> {
        match self {
            Self::FirstStart | Self::Whole => None,
            Self::Torn { path, bytes } => Some(format!(
                "the last change to the state was not completely written to `{}`: its {bytes} bytes were cut off",
                path.display()
            )),
            Self::Damaged { aside, seq } => Some(format!(
                "the state file was damaged: everything up to change {seq} is used, later changes are lost, and the \
                 damaged file is kept as `{}`; look at `pm plan` and apply again",
                aside.display()
            )),
            Self::FellBack { aside } => Some(format!(
                "the state file was damaged: an older state is used, later changes are lost, and the damaged file is \
                 kept as `{}`; look at `pm plan` and apply again",
                aside.display()
            )),
            Self::Lost { aside } => Some(format!(
                "the state file was damaged beyond reading and there is no older one: nothing is declared, what runs \
                 is left alone, and the damaged file is kept as `{}`; apply again",
                aside.display()
            )),
            Self::Gone { path } => Some(format!(
                "the state file `{}` was gone: an older state is used, later changes are lost; look at `pm plan` and \
                 apply again",
                path.display()
            )),
        }
    }
}

/// Reads the current file; what can be read of it is never older than the file before it, whose whole content is its
/// first batch. Only a file without a first batch is given up for the one before it.
pub(super) fn recover(folder: &Path) -> Result<(Replay, Finding), StoreError> {
    let path = folder.join(JOURNAL);
    let Some(bytes) = read(&path)? else { return recover_without_current(folder, path) };
    match replay(&bytes) {
        Ok(replay) => {
            let finding = match replay.rest {
                Rest::Nothing => Finding::Whole,
                Rest::Torn { bytes } => Finding::Torn { path, bytes },
                Rest::Damaged => Finding::Damaged { aside: set_aside(&path)?, seq: replay.seq },
            };
            Ok((replay, finding))
        }
        Err(Unreadable::Newer { found }) => Err(StoreError::Newer { path, found, known: FORMAT }),
        Err(Unreadable::Broken) => {
            let previous = previous(folder)?;
            let aside = set_aside(&path)?;
            Ok(previous.map_or_else(
                || (nothing(), Finding::Lost { aside: aside.clone() }),
                |previous| (previous, Finding::FellBack { aside: aside.clone() }),
            ))
        }
    }
}

fn recover_without_current(folder: &Path, path: PathBuf) -> Result<(Replay, Finding), StoreError> {
    match previous(folder)? {
        Some(replay) => Ok((replay, Finding::Gone { path })),
        None => Ok((nothing(), Finding::FirstStart)),
    }
}

/// What the file before the current one says; `None` if there is none.
fn previous(folder: &Path) -> Result<Option<Replay>, StoreError> {
    let path = folder.join(PREVIOUS);
    let Some(bytes) = read(&path)? else { return Ok(None) };
    match replay(&bytes) {
        Ok(replay) => Ok(Some(replay)),
        Err(Unreadable::Newer { found }) => Err(StoreError::Newer { path, found, known: FORMAT }),
        Err(Unreadable::Broken) => Err(StoreError::Damaged { path }),
    }
}

fn nothing() -> Replay {
    Replay {
        desired: Desired::default(),
        contents: Contents::default(),
        seq: 0,
        good_bytes: 0,
        first_batch_bytes: 0,
        rest: Rest::Nothing,
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    disk::read(path).map_err(|source| StoreError::Open { path: path.to_owned(), source })
}

fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    disk::set_aside(path).map_err(|source| StoreError::Write { path: path.to_owned(), source })
}
