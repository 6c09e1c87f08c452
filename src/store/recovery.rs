//! Finds the newest intact state, and reports what was wrong with a newer one.

use std::path::{Path, PathBuf};

use super::journal::{FORMAT, Replay, Rest, Unreadable, replay};
use super::{JOURNAL, PREVIOUS, StoreError, disk, head};

/// What was found in the folder.
#[derive(Debug)]
pub(super) enum Finding {
    /// Nothing: the first start.
    FirstStart,
    /// A whole file.
    Whole,
    /// The last batch was never completed: a power cut, or a daemon killed while it wrote.
    Torn { path: PathBuf, bytes: u64 },
    /// Changes that were accepted are missing, or may be.
    Incomplete(Loss),
}

/// A state that is older than it should be.
#[derive(Debug)]
pub(super) struct Loss {
    damage: Damage,
    /// The last change that is known.
    seq: u64,
    /// The last change that was made, as far as anything says so.
    made: u64,
}

/// What is wrong with the current file.
#[derive(Debug)]
enum Damage {
    /// It breaks off in the middle.
    Damaged { aside: PathBuf },
    /// It is whole, and shorter than it was.
    Short { aside: PathBuf },
    /// It says nothing, or less than its copy; the copy is used.
    FellBack { aside: PathBuf },
    /// It is gone; the copy is used.
    Gone { path: PathBuf },
    /// Neither it nor the copy says anything. `None`: both are gone.
    Lost { aside: Option<PathBuf> },
}

impl Finding {
    /// Whether the state has to be written to a new file.
    pub(super) fn needs_new_file(&self) -> bool {
        !matches!(self, Self::Whole | Self::Torn { .. })
    }

    /// Whether more was declared than is known.
    pub(super) fn is_incomplete(&self) -> bool {
        matches!(self, Self::Incomplete(_))
    }

    /// What a user should be told.
    pub(super) fn sentence(&self) -> Option<String> {
        match self {
            Self::FirstStart | Self::Whole => None,
            Self::Torn { path, bytes } => Some(format!(
                "the last change to the state was only partly written to `{}`; its {bytes} bytes were removed",
                path.display()
            )),
            Self::Incomplete(loss) => Some(loss.sentence()),
        }
    }
}

impl Loss {
    fn sentence(&self) -> String {
        let seq = self.seq;
        let missing = match self.made.saturating_sub(seq) {
            0 => "later changes are lost".to_owned(),
            1 => "the change after it is lost".to_owned(),
            count => format!("{count} later changes are lost"),
        };
        let known = format!("everything up to change {seq}");
        match &self.damage {
            Damage::Damaged { aside } => format!(
                "the state file was damaged: {known} is used, {missing}, and the damaged file is kept as `{}`; check \
                 `pm plan` and apply again",
                aside.display()
            ),
            Damage::Short { aside } => format!(
                "the state file was truncated: {known} is used, {missing}, and the file is kept as `{}`; check `pm plan` \
                 and apply again",
                aside.display()
            ),
            Damage::FellBack { aside } => format!(
                "the state file was damaged: an older copy is used, which has {known}, {missing}, and the damaged \
                 file is kept as `{}`; look at `pm plan` and apply again",
                aside.display()
            ),
            Damage::Gone { path } => format!(
                "the state file `{}` was missing: an older copy is used, which has {known}, {missing}; check `pm plan` \
                 and apply again",
                path.display()
            ),
            Damage::Lost { aside: Some(aside) } => format!(
                "the state file was unreadable and there is no older one: nothing is declared, what runs \
                 is left alone, and the damaged file is kept as `{}`; apply again",
                aside.display()
            ),
            Damage::Lost { aside: None } => {
                "the state file was missing and there is no older one: nothing is declared, and what runs is left alone; \
                 apply again"
                    .to_owned()
            }
        }
    }
}

/// Reads the current file, its copy, and how many changes there should be: whichever file knows more of them is used.
pub(super) fn recover(folder: &Path) -> Result<(Replay, Finding), StoreError> {
    let path = folder.join(JOURNAL);
    let head = head::read(folder).map_err(|source| StoreError::Open { path: folder.to_owned(), source })?;
    let bytes = read(&path)?;
    let current = match bytes.as_deref().map(replay) {
        Some(Ok(replay)) => Some(replay),
        Some(Err(Unreadable::Newer { found })) => return Err(StoreError::Newer { path, found, known: FORMAT }),
        Some(Err(Unreadable::Broken)) | None => None,
    };
    let seq = current.as_ref().map_or(0, |current| current.seq);
    let is_whole = current.as_ref().is_some_and(|current| current.rest == Rest::Nothing);
    let copy = previous(folder, is_whole)?;
    let copy_seq = if let Older::Whole(copy) = &copy { copy.seq } else { 0 };
    let made = seq.max(copy_seq).max(head.unwrap_or(0));
    let incomplete = |seq, damage| Finding::Incomplete(Loss { damage, seq, made });
    let is_there = bytes.is_some();
    let aside = || if is_there { set_aside(&path).map(Some) } else { Ok(None) };
    Ok(match (current, copy) {
        (_, Older::Whole(copy)) if copy.seq > seq => {
            let damage = match aside()? {
                Some(aside) => Damage::FellBack { aside },
                None => Damage::Gone { path },
            };
            (*copy, incomplete(copy_seq, damage))
        }
        (Some(current), _) => {
            let finding = match current.rest {
                Rest::Nothing if seq == made => Finding::Whole,
                Rest::Torn { bytes } if seq == made => Finding::Torn { path, bytes },
                Rest::Nothing | Rest::Torn { .. } => incomplete(seq, Damage::Short { aside: set_aside(&path)? }),
                Rest::Damaged => incomplete(seq, Damage::Damaged { aside: set_aside(&path)? }),
            };
            (current, finding)
        }
        // The first file says that nothing is declared, and has number 1.
        (None, Older::Missing) if !is_there && made <= 1 => (Replay::default(), Finding::FirstStart),
        (None, Older::Broken { aside: copy }) => {
            (Replay::default(), incomplete(0, Damage::Lost { aside: Some(aside()?.unwrap_or(copy)) }))
        }
        (None, _) => (Replay::default(), incomplete(0, Damage::Lost { aside: aside()? })),
    })
}

/// What the older file says.
enum Older {
    Missing,
    /// It cannot be read, and is kept for a user to look at.
    Broken {
        aside: PathBuf,
    },
    Whole(Box<Replay>),
}

/// Beside a whole file, a copy that cannot be read does not matter: the next one replaces it.
fn previous(folder: &Path, is_current_whole: bool) -> Result<Older, StoreError> {
    let path = folder.join(PREVIOUS);
    let Some(bytes) = read(&path)? else { return Ok(Older::Missing) };
    match replay(&bytes) {
        Ok(replay) => Ok(Older::Whole(Box::new(replay))),
        Err(_) if is_current_whole => Ok(Older::Missing),
        Err(Unreadable::Newer { found }) => Err(StoreError::Newer { path, found, known: FORMAT }),
        Err(Unreadable::Broken) => Ok(Older::Broken { aside: set_aside(&path)? }),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    disk::read(path).map_err(|source| StoreError::Open { path: path.to_owned(), source })
}

fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    disk::set_aside(path).map_err(|source| StoreError::Write { path: path.to_owned(), source })
}
