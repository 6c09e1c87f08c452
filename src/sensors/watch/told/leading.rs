//! What leads to the watched paths is watched, too: folders and links above them, the files behind links, rules of git.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use super::super::ways::{WayStep, way_to};
use super::{Folder, LINKS_MAX, Told};
use crate::os::{self, FolderInterest};

/// What a way leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Led {
    /// Something that is watched by name.
    Root,
    /// A link in a watched folder.
    Link,
}

impl Told {
    /// A folder cannot be watched: only a limit of the kernel is an error. It may be gone again. If it may not be looked
    /// into, whoever changes that is noticed.
    pub(super) fn refused(&mut self, path: &Path, error: io::Error) -> io::Result<()> {
        if os::watch_limit(&error).is_some() {
            return Err(error);
        }
        if error.kind() == io::ErrorKind::PermissionDenied {
            let close = |folder: &mut Folder, name| {
                folder.closed.insert(name);
            };
            self.beside(path, FolderInterest::Attributes, close)?;
        }
        Ok(())
    }

    /// Asks about one folder and one name in it. `false`: it cannot be watched.
    fn ask(
        &mut self,
        path: &Path,
        interest: FolderInterest,
        name: &OsStr,
        note: impl FnOnce(&mut Folder),
    ) -> io::Result<bool> {
        match self.watch.add(path, interest, Some(name)) {
            Ok(number) => {
                note(self.folders.entry(number).or_default());
                Ok(true)
            }
            Err(error) => self.refused(path, error).map(|()| false),
        }
    }

    /// Asks about the folder of a path for the sake of one name in it. `false`: it cannot be watched.
    fn beside(
        &mut self,
        path: &Path,
        interest: FolderInterest,
        note: impl FnOnce(&mut Folder, OsString),
    ) -> io::Result<bool> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(false) };
        match self.watch.add(parent, interest, Some(name)) {
            Ok(number) => {
                note(self.folders.entry(number).or_default(), name.to_owned());
                Ok(true)
            }
            Err(error) if os::watch_limit(&error).is_some() => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Watches whatever leads to a path, so that it is noticed when something else is there.
    pub(super) fn lead_to(&mut self, path: &Path, kind: Led) -> io::Result<()> {
        for step in way_to(path) {
            let is_asked = match &step {
                WayStep::Through(folder) => self.ask(folder, FolderInterest::Itself, OsStr::new(""), |folder| {
                    folder.leads.insert(path.to_owned());
                })?,
                WayStep::Name(folder, name) => self.ask(folder, FolderInterest::Names, name, |folder| {
                    folder.ways.entry(name.clone()).or_default().insert(path.to_owned());
                })?,
                WayStep::File(folder, name) => self.ask(folder, FolderInterest::Contents, name, |folder| {
                    // Where it leads to is watched by its own name then.
                    if kind == Led::Root || folder.inside.is_empty() {
                        folder.singles.entry(name.clone()).or_default().insert(path.to_owned());
                    }
                })?,
            };
            let (WayStep::Through(folder) | WayStep::Name(folder, _) | WayStep::File(folder, _)) = step;
            if !is_asked && !os::is_folder(&folder) {
                // It was there a moment ago.
                self.await_at(&folder, path)?;
            }
        }
        Ok(())
    }

    /// Waits for a path at the nearest folder on its way that exists.
    fn await_at(&mut self, missing: &Path, path: &Path) -> io::Result<()> {
        for step in missing.ancestors() {
            let note = |folder: &mut Folder, name| {
                folder.ways.entry(name).or_default().insert(path.to_owned());
                folder.leads.insert(path.to_owned());
            };
            if self.beside(step, FolderInterest::Names, note)? {
                break;
            }
        }
        Ok(())
    }

    /// Watches the file that a link in a watched folder leads to.
    pub(super) fn lead_to_link(&mut self, link: &Path) -> io::Result<()> {
        if self.links.0 < LINKS_MAX && os::stamp(link).is_none_or(|stamp| stamp.is_file) {
            self.links.0 += 1;
            self.lead_to(link, Led::Link)?;
        }
        Ok(())
    }

    /// Notices when a file with rules of git is saved, or comes into being with its folders.
    pub(super) fn note_rules(&mut self, file: &Path) -> io::Result<()> {
        let mut interest = FolderInterest::Contents;
        for step in file.ancestors() {
            let note = |folder: &mut Folder, name| {
                folder.rules.insert(name);
            };
            if self.beside(step, interest, note)? {
                break;
            }
            interest = FolderInterest::Names;
        }
        Ok(())
    }
}
