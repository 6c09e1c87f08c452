//! Changes that the kernel tells: which folders it was asked about, and what its events mean.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::touched::{Touch, Touched};
use super::walk::{Above, Walk, above_root, each};
use crate::os::{self, FolderChange, FolderEvent, FolderWatch};

/// Everything is registered anew at most so often for changes that come at once.
const AT_ONCE_MAX: usize = 3;
/// Files found by one walk that are remembered by name.
const FILES_MAX: usize = 50_000;

/// The watched folders.
#[derive(Debug)]
pub(super) struct Told {
    pub watch: FolderWatch,
    folders: HashMap<i32, Folder>,
    numbers: BTreeMap<PathBuf, i32>,
    /// Set by an event that makes the picture wrong: everything is registered anew.
    is_outdated: bool,
    /// Roots that were not there, or are reached by a link that may be turned.
    awaited: HashSet<PathBuf>,
    /// Folders that came to be known when everything was registered anew: that they appeared may still be told.
    fresh: HashSet<PathBuf>,
}

/// One watched folder.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    above: Above,
    /// Whether everything in it counts that is not left out.
    is_inside: bool,
    /// Names on the way to a root: if one of them changes, roots are looked for again.
    ways: HashSet<OsString>,
    /// Files that are roots themselves.
    singles: HashSet<OsString>,
}

impl Told {
    /// Registers everything below the roots and collects the files found.
    ///
    /// # Errors
    /// A limit of the kernel.
    pub(super) fn open(walk: &Walk<'_>, files: &mut Vec<PathBuf>) -> io::Result<Self> {
        let mut told = Self {
            watch: FolderWatch::new()?,
            folders: HashMap::new(),
            numbers: BTreeMap::new(),
            is_outdated: false,
            awaited: HashSet::new(),
            fresh: HashSet::new(),
        };
        told.register(walk, files)?;
        Ok(told)
    }

    fn register(&mut self, walk: &Walk<'_>, files: &mut Vec<PathBuf>) -> io::Result<()> {
        for root in walk.rules.roots() {
            let path = &root.path;
            match os::stamp(path) {
                Some(stamp) if stamp.is_folder => {
                    self.enter(walk, path, &above_root(path), files)?;
                    if os::canonicalize(path).is_ok_and(|real| real != *path) {
                        self.await_root(path)?;
                    }
                }
                Some(_) => {
                    self.beside(path, |folder, name| folder.singles.insert(name))?;
                    files.push(path.clone());
                }
                None => self.await_root(path)?,
            }
        }
        Ok(())
    }

    /// Watches `start` and everything below.
    fn enter(&mut self, walk: &Walk<'_>, start: &Path, above: &Above, files: &mut Vec<PathBuf>) -> io::Result<()> {
        let Self { watch, folders, numbers, .. } = self;
        let is_inside = |path: &Path, numbers: &BTreeMap<PathBuf, i32>, folders: &HashMap<i32, Folder>| {
            numbers.get(path).and_then(|number| folders.get(number)).is_some_and(|folder| folder.is_inside)
        };
        // Both closures look at the same maps, one after the other.
        let maps = std::cell::RefCell::new((folders, numbers));
        let enter = |path: &Path| {
            let maps = maps.borrow();
            if is_inside(path, maps.1, maps.0) {
                return Ok(None);
            }
            match watch.add(path) {
                Ok(number) => Ok(Some(number)),
                Err(error) if os::watch_limit(&error).is_some() => Err(error),
                // Gone again, or not ours to look at: nothing in it can be seen.
                Err(_) => Ok(None),
            }
        };
        walk.run(start, above, enter, |entered, found| {
            let mut maps = maps.borrow_mut();
            let folder = maps.0.entry(entered.number).or_insert_with(|| Folder::at(entered.path));
            (folder.is_inside, folder.above) = (true, entered.above.clone());
            entered.path.clone_into(&mut folder.path);
            maps.1.insert(entered.path.to_owned(), entered.number);
            files.extend(found.into_iter().take(FILES_MAX.saturating_sub(files.len())));
        })
    }

    /// Watches the folder of a path for the sake of one name in it.
    fn beside(&mut self, path: &Path, note: impl Fn(&mut Folder, OsString) -> bool) -> io::Result<bool> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(false) };
        match self.watch.add(parent) {
            Ok(number) => {
                let folder = self.folders.entry(number).or_insert_with(|| Folder::at(parent));
                note(folder, name.to_owned());
                self.numbers.insert(folder.path.clone(), number);
                Ok(true)
            }
            Err(error) if os::watch_limit(&error).is_some() => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Waits for a root at the nearest folder above it that exists.
    fn await_root(&mut self, root: &Path) -> io::Result<()> {
        self.awaited.insert(root.to_owned());
        for step in root.ancestors() {
            if self.beside(step, |folder, name| folder.ways.insert(name))? {
                break;
            }
        }
        Ok(())
    }

    /// Takes all events in. `files` collects what new folders hold.
    ///
    /// # Errors
    /// A limit of the kernel: some changes would not be told from now on.
    pub(super) fn absorb(&mut self, walk: &Walk<'_>, touched: &mut Touched) -> io::Result<()> {
        self.take(walk, touched)?;
        // What happens while everything is registered anew may make the new picture wrong, too; then the next changes
        // do that once more.
        for _ in 0..AT_ONCE_MAX {
            if !self.is_outdated {
                break;
            }
            let awaited = self.awaited.clone();
            self.renew(walk, touched, &mut Vec::new())?;
            for root in awaited.iter().filter(|root| os::exists(root)) {
                touched.note(root, Touch::Certain);
            }
            self.take(walk, touched)?;
        }
        Ok(())
    }

    /// Takes in what has been told so far, by the picture as it is.
    ///
    /// # Errors
    /// As [`Self::absorb`].
    pub(super) fn take(&mut self, walk: &Walk<'_>, touched: &mut Touched) -> io::Result<()> {
        let watch = self.watch.clone();
        let mut result = Ok(());
        watch.take(|event| {
            if let Err(error) = self.event(walk, &event, touched) {
                result = Err(error);
            }
        })?;
        self.fresh.clear();
        result
    }

    /// Registers everything anew, by rules that may be other ones, and misses nothing meanwhile: what was watched is
    /// watched until all of it is done. What was told before is evaluated by the new rules.
    ///
    /// # Errors
    /// A limit of the kernel.
    pub(super) fn renew(&mut self, walk: &Walk<'_>, touched: &mut Touched, files: &mut Vec<PathBuf>) -> io::Result<()> {
        let (folders, numbers) = (std::mem::take(&mut self.folders), std::mem::take(&mut self.numbers));
        (self.is_outdated, self.awaited) = (false, HashSet::new());
        let registered = self.register(walk, files);
        for number in folders.into_keys().filter(|number| !self.folders.contains_key(number)) {
            self.watch.remove(number);
        }
        self.fresh = self.numbers.keys().filter(|path| !numbers.contains_key(*path)).cloned().collect();
        touched.evaluate_anew(os::now(), |path| walk.counts(path, |path| self.above(path)));
        registered
    }

    fn event(&mut self, walk: &Walk<'_>, event: &FolderEvent<'_>, touched: &mut Touched) -> io::Result<()> {
        if event.change == FolderChange::Lost {
            self.is_outdated = true;
            let first = walk.rules.roots().first().map_or(Path::new("/"), |root| &root.path);
            touched.note(first, Touch::Certain);
            return Ok(());
        }
        let Some(folder) = self.folders.get(&event.watch) else { return Ok(()) };
        match event.change {
            FolderChange::Ended => {
                let path = folder.path.clone();
                self.folders.remove(&event.watch);
                if self.numbers.get(&path) == Some(&event.watch) {
                    self.numbers.remove(&path);
                }
            }
            FolderChange::SelfGone => {
                // Of any other folder the one above tells.
                if walk.rules.roots().iter().any(|root| root.path == folder.path) || !folder.is_inside {
                    self.awaited.extend(walk.rules.roots().iter().map(|root| root.path.clone()));
                    self.is_outdated = true;
                }
            }
            _ => return self.inside(walk, event, touched),
        }
        Ok(())
    }

    /// Something in a watched folder.
    fn inside(&mut self, walk: &Walk<'_>, event: &FolderEvent<'_>, touched: &mut Touched) -> io::Result<()> {
        let Some(folder) = self.folders.get(&event.watch) else { return Ok(()) };
        let path = folder.path.join(event.name);
        let touch = if event.change == FolderChange::Appeared { Touch::Appeared } else { Touch::Present };
        self.is_outdated |= folder.ways.contains(event.name);
        if folder.singles.contains(event.name) {
            touched.note(&path, touch);
        }
        if !folder.is_inside {
            return Ok(());
        }
        if event.name == ".gitignore" {
            self.is_outdated = true;
            return Ok(());
        }
        let above = folder.above.clone();
        let is_folder = event.is_folder || (walk.follows_links && os::is_folder(&path));
        if walk.rules.is_ignored(&path, is_folder, each(&above)) {
            if !is_folder {
                touched.leave_out(&path, touch, os::now());
            }
            return Ok(());
        }
        if !is_folder {
            if walk.rules.is_wanted(&path) {
                touched.note(&path, touch);
            } else {
                touched.leave_out(&path, touch, os::now());
            }
            // A link to a folder may have been one that was followed.
            if walk.follows_links && event.change != FolderChange::Appeared {
                self.forget(&path);
            }
            return Ok(());
        }
        if event.change == FolderChange::Appeared {
            return self.folder_appeared(walk, &path, &above, touched);
        }
        // What was in a deleted folder was deleted, and told, one by one; a moved folder takes everything along.
        if self.forget(&path) && event.change == FolderChange::MovedAway {
            touched.note(&path, Touch::Certain);
        }
        Ok(())
    }

    fn folder_appeared(
        &mut self,
        walk: &Walk<'_>,
        path: &Path,
        above: &Above,
        touched: &mut Touched,
    ) -> io::Result<()> {
        let mut files = Vec::new();
        if self.fresh.contains(path) {
            // It was entered before this was told, and nobody has looked at what was in it by then.
            let below = self.numbers.range(path.to_owned()..).take_while(|(other, _)| other.starts_with(path));
            for (_, number) in below {
                if let Some(folder) = self.folders.get_mut(number) {
                    folder.is_inside = false;
                }
            }
        }
        self.enter(walk, path, above, &mut files)?;
        for file in files {
            let parent = file.parent().and_then(|parent| self.numbers.get(parent));
            let above = parent.and_then(|number| self.folders.get(number)).map(|folder| folder.above.clone());
            let is_ignored = walk.rules.is_ignored(&file, false, each(&above.unwrap_or_default()));
            if !is_ignored && walk.rules.is_wanted(&file) {
                touched.note(&file, Touch::Appeared);
            }
        }
        Ok(())
    }

    /// Ends the watches of a folder and everything below. Whether there were any.
    fn forget(&mut self, path: &Path) -> bool {
        let below = self.numbers.range(path.to_owned()..).take_while(|(other, _)| other.starts_with(path));
        let gone: Vec<(PathBuf, i32)> = below.map(|(path, number)| (path.clone(), *number)).collect();
        for (path, number) in &gone {
            self.numbers.remove(path);
            self.folders.remove(number);
            self.watch.remove(*number);
        }
        !gone.is_empty()
    }

    /// The rules that hold for a file.
    pub(super) fn above(&self, file: &Path) -> Above {
        let number = self.numbers.get(file.parent()?)?;
        self.folders.get(number)?.above.clone()
    }

    /// How many folders are watched.
    #[cfg(test)]
    pub(super) fn folders(&self) -> Vec<&Path> {
        self.numbers.keys().map(PathBuf::as_path).collect()
    }
}

impl Folder {
    fn at(path: &Path) -> Self {
        let (ways, singles) = (HashSet::new(), HashSet::new());
        Self { path: path.to_owned(), above: None, is_inside: false, ways, singles }
    }
}
