//! Finds the newest state that can be trusted, and says what was wrong with a newer one.

use std::path::{Path, PathBuf};

use super::journal::{FORMAT, Replay, Rest, Unreadable, replay};
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
    /// The current file says nothing, or less than its copy; the copy is used.
    FellBack { aside: PathBuf, seq: u64 },
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
            Self::FellBack { aside, seq } => Some(format!(
                "the state file was damaged: an older copy is used, which knows everything up to change {seq}, later \
                 changes are lost, and the damaged file is kept as `{}`; look at `pm plan` and apply again",
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

/// Reads the current file, and its copy where the current one is not whole: whichever knows more changes is used.
pub(super) fn recover(folder: &Path) -> Result<(Replay, Finding), StoreError> {
    let path = folder.join(JOURNAL);
    let Some(bytes) = read(&path)? else { return recover_without_current(folder, path) };
    let current = match replay(&bytes) {
        Ok(replay) if replay.rest == Rest::Nothing => return Ok((replay, Finding::Whole)),
        Ok(replay) => Some(replay),
        Err(Unreadable::Newer { found }) => return Err(StoreError::Newer { path, found, known: FORMAT }),
        Err(Unreadable::Broken) => None,
    };
    let seq = current.as_ref().map_or(0, |current| current.seq);
    if let Some(previous) = previous(folder)?.filter(|previous| previous.seq > seq) {
        let finding = Finding::FellBack { aside: set_aside(&path)?, seq: previous.seq };
        return Ok((previous, finding));
    }
    Ok(match current {
        None => (Replay::default(), Finding::Lost { aside: set_aside(&path)? }),
        Some(current) => match current.rest {
            Rest::Torn { bytes } => (current, Finding::Torn { path, bytes }),
            Rest::Nothing | Rest::Damaged => (current, Finding::Damaged { aside: set_aside(&path)?, seq }),
        },
    })
}

fn recover_without_current(folder: &Path, path: PathBuf) -> Result<(Replay, Finding), StoreError> {
    Ok(match previous(folder)? {
        Some(replay) => (replay, Finding::Gone { path }),
        None => (Replay::default(), Finding::FirstStart),
    })
}

/// What the copy says; `None` if there is none that can be read. A broken one is kept for a person to look at.
fn previous(folder: &Path) -> Result<Option<Replay>, StoreError> {
    let path = folder.join(PREVIOUS);
    let Some(bytes) = read(&path)? else { return Ok(None) };
    match replay(&bytes) {
        Ok(replay) => Ok(Some(replay)),
        Err(Unreadable::Newer { found }) => Err(StoreError::Newer { path, found, known: FORMAT }),
        Err(Unreadable::Broken) => set_aside(&path).map(|_| None),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    disk::read(path).map_err(|source| StoreError::Open { path: path.to_owned(), source })
}

fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    disk::set_aside(path).map_err(|source| StoreError::Write { path: path.to_owned(), source })
}
