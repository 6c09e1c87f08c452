//! Changes that the kernel tells: which folders it was asked about, and what its events mean.

mod leading;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::git::{Above, each};
use super::shared::{Folders, QueuedEvent};
use super::touched::{Touch, Touched};
use super::walk::Walk;
use crate::os::{self, FolderChange, FolderInterest, NameKind};
use leading::Led;

/// Everything is registered anew at most so often for changes that come at once.
const AT_ONCE_MAX: usize = 3;
/// Files found by one walk that are remembered by name.
const FILES_MAX: usize = 50_000;
/// Files in watched folders that are links and are watched where they lead.
const LINKS_MAX: usize = 1_000;

/// The watched folders.
#[derive(Debug)]
pub(super) struct Told {
    pub watch: Folders,
    folders: HashMap<i32, Folder>,
    /// Folders in which everything counts, by each of their names.
    numbers: BTreeMap<PathBuf, i32>,
    /// Set by an event that makes the picture wrong: everything is registered anew.
    is_outdated: bool,
    /// What was not there, or is reached by another way now.
    turned: HashSet<PathBuf>,
    /// Folders that came to be known when everything was registered anew: that they appeared may still be told.
    fresh: HashSet<PathBuf>,
    /// How often a link was followed since everything was registered, and how often at that time.
    links: (usize, usize),
}

/// One watched folder.
#[derive(Debug, Default)]
struct Folder {
    /// The names by which everything in it counts that is not left out.
    inside: Vec<Inside>,
    /// Another name of it, below the same root, was left alone.
    is_shared: bool,
    /// What is reached through it.
    leads: BTreeSet<PathBuf>,
    /// Names on the way to what is watched: if one of them changes, that is looked for again.
    ways: HashMap<OsString, BTreeSet<PathBuf>>,
    /// Files that are watched, under these names.
    singles: HashMap<OsString, BTreeSet<PathBuf>>,
    /// Files with rules of git, and folders that could not be looked into: if one of them changes, everything is registered
    /// anew.
    rules: HashSet<OsString>,
    closed: HashSet<OsString>,
}

/// One name of a folder.
#[derive(Clone, Debug)]
struct Inside {
    path: PathBuf,
    above: Above,
}

impl Told {
    /// Registers everything below the roots and collects the files found.
    ///
    /// # Errors
    /// A limit of the kernel.
    pub(super) fn open(watch: Folders, walk: &Walk<'_>, files: &mut Vec<PathBuf>) -> io::Result<Self> {
        let mut told = Self {
            watch,
            folders: HashMap::new(),
            numbers: BTreeMap::new(),
            is_outdated: false,
            turned: HashSet::new(),
            fresh: HashSet::new(),
            links: (0, 0),
        };
        told.register(walk, files)?;
        Ok(told)
    }

    fn register(&mut self, walk: &Walk<'_>, files: &mut Vec<PathBuf>) -> io::Result<()> {
        for root in walk.rules.roots() {
            let path = &root.path;
            // Before it is looked at: whatever becomes of it meanwhile is told.
            self.lead_to(path, Led::Root)?;
            match os::stamp(path) {
                Some(stamp) if stamp.is_folder => self.enter(walk, path, &walk.git.above_root(path), files)?,
                Some(_) => files.push(path.clone()),
                None => {
                    self.turned.insert(path.clone());
                }
            }
        }
        self.links.1 = self.links.0;
        Ok(())
    }

    /// Watches `start` and everything below.
    fn enter(&mut self, walk: &Walk<'_>, start: &Path, above: &Above, files: &mut Vec<PathBuf>) -> io::Result<()> {
        let mut links = Vec::new();
        // Both closures work on it, one after the other.
        let told = RefCell::new(&mut *self);
        let enter = |path: &Path| told.borrow_mut().enter_one(walk, path);
        walk.run(start, above, enter, |entered, found| {
            let mut told = told.borrow_mut();
            let inside = Inside { path: entered.path.to_owned(), above: entered.above.clone() };
            told.numbers.insert(inside.path.clone(), entered.number);
            let folder = told.folders.entry(entered.number).or_default();
            folder.inside.retain(|known| known.path != inside.path);
            folder.inside.push(inside);
            let counting = |link: &PathBuf| counts(walk, link, entered.above);
            links.extend(entered.links.into_iter().filter(counting).take(LINKS_MAX.saturating_sub(links.len())));
            files.extend(found.into_iter().take(FILES_MAX.saturating_sub(files.len())));
        })?;
        for link in links {
            self.lead_to_link(&link)?;
        }
        for source in walk.git.sources() {
            self.note_rules(&source)?;
        }
        Ok(())
    }

    /// The number of a folder, unless there is nothing to be entered.
    fn enter_one(&mut self, walk: &Walk<'_>, path: &Path) -> io::Result<Option<i32>> {
        if self.numbers.contains_key(path) {
            return Ok(None);
        }
        let number = match self.watch.add(path, FolderInterest::Contents, None) {
            Ok(number) => number,
            Err(error) => {
                self.refused(path, error)?;
                return Ok(None);
            }
        };
        let Some(folder) = self.folders.get_mut(&number) else { return Ok(Some(number)) };
        // Below one root a folder has one name; two roots may have different globs.
        let is_below =
            |root: &Path| path.starts_with(root) && folder.inside.iter().any(|one| one.path.starts_with(root));
        if walk.rules.roots().iter().any(|root| is_below(&root.path)) {
            folder.is_shared = true;
            return Ok(None);
        }
        Ok(Some(number))
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
            let turned = self.turned.clone();
            self.renew(walk, touched, &mut Vec::new())?;
            for path in turned {
                match os::stamp(&path) {
                    Some(stamp) if stamp.is_folder => touched.note(&path, Touch::Certain),
                    // Another file in its place may hold the same.
                    Some(_) => touched.note(&path, Touch::Present),
                    None => {}
                }
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
        let mut result = Ok(());
        for event in self.watch.take()? {
            if let Err(error) = self.event(walk, &event, touched) {
                result = Err(error);
            }
        }
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
        (self.is_outdated, self.turned, self.links) = (false, HashSet::new(), (0, 0));
        let registered = self.register(walk, files);
        for number in folders.into_keys().filter(|number| !self.folders.contains_key(number)) {
            self.watch.remove(number);
        }
        self.fresh = self.numbers.keys().filter(|path| !numbers.contains_key(*path)).cloned().collect();
        touched.evaluate_anew(os::now(), |path| walk.counts(path, |path| self.above(path)));
        registered
    }

    fn event(&mut self, walk: &Walk<'_>, event: &QueuedEvent, touched: &mut Touched) -> io::Result<()> {
        if event.change == FolderChange::Lost {
            self.is_outdated = true;
            let first = walk.rules.roots().first().map_or(Path::new("/"), |root| &root.path);
            touched.note(first, Touch::Certain);
            return Ok(());
        }
        let Some(folder) = self.folders.get_mut(&event.watch) else { return Ok(()) };
        match event.change {
            FolderChange::Ended => {
                let gone = self.folders.remove(&event.watch).unwrap_or_default();
                for inside in gone.inside {
                    if self.numbers.get(&inside.path) == Some(&event.watch) {
                        self.numbers.remove(&inside.path);
                    }
                }
            }
            // Of a folder that leads nowhere else the one above tells.
            FolderChange::SelfGone => {
                let leads = folder.leads.clone();
                self.turn(leads);
            }
            change => {
                if change != FolderChange::Attributes && change != FolderChange::Written {
                    let turned = folder.ways.get(&*event.name).cloned();
                    self.turn(turned.unwrap_or_default());
                }
                return self.inside(walk, event, touched);
            }
        }
        Ok(())
    }

    /// Other things may be there now.
    fn turn(&mut self, paths: BTreeSet<PathBuf>) {
        self.is_outdated |= !paths.is_empty();
        self.turned.extend(paths);
    }

    /// Something in a watched folder.
    fn inside(&mut self, walk: &Walk<'_>, event: &QueuedEvent, touched: &mut Touched) -> io::Result<()> {
        let (name, change) = (&*event.name, event.change);
        let Some(folder) = self.folders.get(&event.watch) else { return Ok(()) };
        let is_opened = change == FolderChange::Attributes && folder.closed.contains(name);
        if change == FolderChange::Attributes && !is_opened {
            return Ok(());
        }
        self.is_outdated |= is_opened || folder.rules.contains(name);
        for path in folder.singles.get(name).into_iter().flatten() {
            touched.note_change(path, change, false);
        }
        if !folder.inside.is_empty() && (name == ".gitignore" || name == ".git") {
            self.is_outdated = true;
            return Ok(());
        }
        let ways = folder.inside.clone();
        for way in ways {
            if self.inside_by(walk, &way, event, touched)? {
                break;
            }
        }
        Ok(())
    }

    /// The same, by one of the names of the folder. Whether it counts by that one.
    fn inside_by(
        &mut self,
        walk: &Walk<'_>,
        way: &Inside,
        event: &QueuedEvent,
        touched: &mut Touched,
    ) -> io::Result<bool> {
        let (path, change) = (way.path.join(&*event.name), event.change);
        let is_folder = event.is_folder || (walk.follows_links && os::is_folder(&path));
        if walk.rules.is_ignored(&path, is_folder, each(&way.above)) {
            if !is_folder {
                touched.leave_out(&path, Touch::by(change), os::now());
            }
            return Ok(false);
        }
        if !is_folder {
            let is_wanted = walk.rules.is_wanted(&path);
            if is_wanted {
                let is_link = change.is_new() && matches!(os::name_kind(&path), Some(NameKind::Link(_)));
                touched.note_change(&path, change, is_link);
                if is_link {
                    // Where links led that were turned again and again is forgotten then.
                    self.is_outdated |= self.links.0 >= LINKS_MAX && self.links.1 < LINKS_MAX / 2;
                    self.lead_to_link(&path)?;
                }
            } else {
                touched.leave_out(&path, Touch::by(change), os::now());
            }
            // A link to a folder may have been one that was followed.
            if walk.follows_links && !change.is_new() {
                self.forget(&path);
            }
            return Ok(is_wanted);
        }
        if change.is_new() || change == FolderChange::Attributes {
            self.folder_appeared(walk, &path, &way.above, touched)?;
        } else if self.forget(&path) && change == FolderChange::MovedAway {
            // What was in a deleted folder was deleted, and told, one by one; a moved folder takes everything along.
            touched.note_change(&path, change, false);
            touched.note(&path, Touch::Certain);
        }
        Ok(false)
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
            for (name, number) in self.below(path) {
                self.numbers.remove(&name);
                if let Some(folder) = self.folders.get_mut(&number) {
                    folder.inside.retain(|inside| inside.path != name);
                }
            }
        }
        self.enter(walk, path, above, &mut files)?;
        for file in files {
            if counts(walk, &file, &self.above(&file)) {
                touched.note(&file, Touch::Appeared);
                touched.note_folder();
            }
        }
        Ok(())
    }

    /// The names that begin with this one, and their folders.
    fn below(&self, path: &Path) -> Vec<(PathBuf, i32)> {
        let below = self.numbers.range(path.to_owned()..).take_while(|(other, _)| other.starts_with(path));
        below.map(|(path, number)| (path.clone(), *number)).collect()
    }

    /// Forgets a folder and everything below, by this name. Whether there was any.
    fn forget(&mut self, path: &Path) -> bool {
        let gone = self.below(path);
        for (path, number) in &gone {
            self.numbers.remove(path);
            let Some(folder) = self.folders.get_mut(number) else { continue };
            folder.inside.retain(|inside| inside.path != *path);
            // By another name it still counts.
            self.is_outdated |= folder.is_shared;
            if folder.is_of_no_use() {
                self.folders.remove(number);
                self.watch.remove(*number);
            }
        }
        !gone.is_empty()
    }

    /// The rules that hold for a file.
    pub(super) fn above(&self, file: &Path) -> Above {
        let folder = file.parent()?;
        let inside = &self.folders.get(self.numbers.get(folder)?)?.inside;
        inside.iter().find(|inside| inside.path == folder)?.above.clone()
    }

    /// How many folders are watched.
    #[cfg(test)]
    pub(super) fn folders(&self) -> Vec<&Path> {
        self.numbers.keys().map(PathBuf::as_path).collect()
    }
}

impl Folder {
    fn is_of_no_use(&self) -> bool {
        self.inside.is_empty()
            && self.leads.is_empty()
            && self.ways.is_empty()
            && self.singles.is_empty()
            && self.rules.is_empty()
            && self.closed.is_empty()
    }
}

/// Whether a file counts, by the rules that hold in its folder.
fn counts(walk: &Walk<'_>, file: &Path, above: &Above) -> bool {
    walk.rules.is_wanted(file) && !walk.rules.is_ignored(file, false, each(above))
}
