//! Whether only this user (and root) controls what a path leads to: every folder of the path is opened and checked.
//!
//! The rule is the one of `StrictModes` in `sshd_config(5)`: a folder that somebody else owns or may write can be swapped
//! for another one at any moment, and so can everything below it. Once no step of the way is of that kind, the path means
//! the same thing tomorrow.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, Stat, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;

use super::linux::rights_to_make_for;
use super::user::{is_private_group, user_name};

/// More links in one path are a loop (`ELOOP`, as in `path_resolution(7)`).
const LINKS_MAX: usize = 40;
const WRITABLE_BY_OTHERS: u32 = 0o002;
const WRITABLE_BY_GROUP: u32 = 0o020;
const STICKY: u32 = 0o1000;

/// Who may own a folder of ours, besides root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Trusted {
    /// The user that we run as.
    pub us: u32,
    /// Somebody else (user and group) whose folder is to be used all the same; what is made there is theirs.
    pub insisted: Option<(u32, u32)>,
}

/// Why a path cannot be trusted. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    /// Somebody else decides what is in it.
    #[error("`{}` belongs to {}, not to {}", path.display(), user_name(*owner), user_name(*us))]
    Owner {
        /// The folder or link.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user that we run as.
        us: u32,
    },
    /// Somebody else may put things into it.
    #[error("others can write to `{}` (mode {:04o}): run `chmod go-w {}`", path.display(), mode & 0o7777, path.display())]
    Writable {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It cannot be made or opened.
    #[error("cannot use folder `{}`", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// The error of the kernel.
        source: io::Error,
    },
}

/// Makes the folder (0700, and those above it) where it is missing, and makes sure that nobody but the trusted can change
/// what it is or what is in it. Sticky folders on the way (`/tmp`) are fine: what lies in them can be removed by its owner
/// only.
pub(super) fn private_folder(path: &Path, trusted: Trusted) -> Result<(), Distrust> {
    let mut walk = Walk::begin(path, trusted)?;
    while let Some(name) = walk.left.pop_front() {
        walk.step(&name)?;
    }
    walk.check_last()
}

/// User and group of this path or, where it does not exist, of the nearest folder above it.
pub(super) fn nearest_owner(path: &Path) -> Option<(u32, u32)> {
    path.ancestors().find_map(|path| std::fs::metadata(path).ok()).map(|found| (found.uid(), found.gid()))
}

struct Walk {
    trusted: Trusted,
    /// The owner of `/`: root, or what root looks like from within a user namespace. Who owns `/` decides everything.
    system: u32,
    at: OwnedFd,
    path: PathBuf,
    left: VecDeque<OsString>,
    links: usize,
}

impl Walk {
    fn begin(path: &Path, trusted: Trusted) -> Result<Self, Distrust> {
        let root = PathBuf::from("/");
        let unusable = |source| Distrust::Unusable { path: PathBuf::from("/"), source };
        let at = open_at(CWD, OsStr::new("/")).map_err(unusable)?;
        let system = look(&at).map_err(unusable)?.st_uid;
        let mut walk = Self { trusted, system, at, path: root, left: VecDeque::new(), links: 0 };
        walk.enqueue(path)?;
        Ok(walk)
    }

    /// What is left begins with these steps; an absolute path begins at `/`.
    fn enqueue(&mut self, path: &Path) -> Result<(), Distrust> {
        if path.is_absolute() {
            self.path = PathBuf::from("/");
            self.at = open_at(CWD, OsStr::new("/")).map_err(|source| self.unusable(source))?;
        }
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.left.push_front(name.to_owned()),
                Component::ParentDir => self.left.push_front(OsString::from("..")),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Ok(())
    }

    /// Leaves the folder that was reached (it is one on the way, then) for what has this name in it.
    fn step(&mut self, name: &OsStr) -> Result<(), Distrust> {
        self.check_on_the_way()?;
        let path =
            if name == ".." { self.path.parent().unwrap_or(&self.path).to_owned() } else { self.path.join(name) };
        let unusable = |source| Distrust::Unusable { path: path.clone(), source };
        let next = match open_at(self.at.as_fd(), name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make(name).map_err(unusable)?;
                open_at(self.at.as_fd(), name).map_err(unusable)?
            }
            opened => opened.map_err(unusable)?,
        };
        let found = look(&next).map_err(unusable)?;
        match found.st_mode & libc::S_IFMT {
            libc::S_IFDIR => {
                (self.at, self.path) = (next, path);
                Ok(())
            }
            libc::S_IFLNK => {
                self.check_owner(&path, found.st_uid)?;
                self.links += 1;
                if self.links > LINKS_MAX {
                    return Err(unusable(io::Error::from_raw_os_error(libc::ELOOP)));
                }
                let target = target_of(&next).map_err(unusable)?;
                self.enqueue(&target)
            }
            _ => Err(unusable(io::Error::from(io::ErrorKind::NotADirectory))),
        }
    }

    fn make(&self, name: &OsStr) -> io::Result<()> {
        let _rights = self.trusted.insisted.map(rights_to_make_for).transpose()?;
        make_at(&self.at, name)
    }

    fn check_on_the_way(&self) -> Result<(), Distrust> {
        let found = look(&self.at).map_err(|source| self.unusable(source))?;
        if found.st_uid != self.system {
            self.check_owner(&self.path, found.st_uid)?;
        }
        let is_ours_alone = found.st_mode & (WRITABLE_BY_OTHERS | WRITABLE_BY_GROUP) == WRITABLE_BY_GROUP
            && is_private_group(found.st_gid, found.st_uid);
        if found.st_mode & STICKY != 0 || is_ours_alone { Ok(()) } else { self.check_mode(found.st_mode) }
    }

    fn check_last(&self) -> Result<(), Distrust> {
        let found = look(&self.at).map_err(|source| self.unusable(source))?;
        self.check_owner(&self.path, found.st_uid)?;
        self.check_mode(found.st_mode)
    }

    fn check_owner(&self, path: &Path, owner: u32) -> Result<(), Distrust> {
        let Trusted { us, insisted } = self.trusted;
        if owner == 0 || owner == us || insisted.is_some_and(|insisted| insisted.0 == owner) {
            return Ok(());
        }
        Err(Distrust::Owner { path: path.to_owned(), owner, us })
    }

    fn check_mode(&self, mode: u32) -> Result<(), Distrust> {
        if mode & (WRITABLE_BY_OTHERS | WRITABLE_BY_GROUP) == 0 {
            return Ok(());
        }
        Err(Distrust::Writable { path: self.path.clone(), mode })
    }

    fn unusable(&self, source: io::Error) -> Distrust {
        Distrust::Unusable { path: self.path.clone(), source }
    }
}

/// A handle on whatever has this name, a link itself included; nothing in it is touched.
fn open_at(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    Ok(openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// That somebody else was faster is as good.
fn make_at(folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match mkdirat(folder, name, Mode::RWXU) {
        Err(error) if error != Errno::EXIST => Err(error.into()),
        _ => Ok(()),
    }
}

fn look(fd: &OwnedFd) -> io::Result<Stat> {
    Ok(fstat(fd)?)
}

/// Where a link leads that was opened itself (`readlinkat(2)` with an empty path).
fn target_of(link: &OwnedFd) -> io::Result<PathBuf> {
    Ok(PathBuf::from(OsString::from_vec(readlinkat(link, c"", Vec::new())?.into_bytes())))
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
