//! Everything known about the watched files of one app. Blocks: lives on a thread that may wait.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;

use super::git::{GitRules, GitUser, each};
use super::known::{BURST_BYTES_MAX, Known, Learned};
use super::looked::{FILES_MAX, Looked};
use super::shared::SharedFolders;
use super::told::Told;
use super::touched::Touched;
use super::walk::Walk;
use crate::model::{Millis, WallTime, WatchPolicy};
use crate::os;
use crate::rules::{BurstState, OwnFiles, WatchRules};

/// How often files are looked at when nothing else is said.
const LOOK_EVERY: Millis = Millis::seconds(1);
/// A look that takes long is followed by a rest of so many times its length, unless an interval is asked for.
const REST_FACTOR: u64 = 20;
/// Files that are learned at once, and bytes of them: changes wait no longer than that.
const LEARNED_AT_ONCE: usize = 200;
const LEARNED_BYTES_AT_ONCE: u64 = 8 << 20;

/// What decides which files are watched, and how.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Watched {
    pub policy: WatchPolicy,
    pub cwd: PathBuf,
    pub own: Arc<OwnFiles>,
    pub git: GitUser,
}

/// What a burst looks like so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BurstSeen {
    /// Where it began.
    pub folder: PathBuf,
    /// How many paths have changed.
    pub paths: u32,
    pub state: BurstState,
}

/// The files, and how their changes are noticed.
#[derive(Debug)]
pub(super) struct Tree {
    rules: WatchRules,
    watched: Watched,
    folders: SharedFolders,
    way: Way,
    known: Known,
    /// Files whose contents are not known yet.
    unlearned: Vec<PathBuf>,
    began: WallTime,
    touched: Touched,
    /// How long the last look took.
    look: Millis,
    /// What a person should know, each said once.
    pub troubles: Vec<String>,
}

#[derive(Debug)]
enum Way {
    Told(Box<Told>),
    Looked(Looked),
}

impl Tree {
    /// Which folders the kernel was asked about.
    #[cfg(test)]
    pub(super) fn told_folders(&self) -> Vec<&Path> {
        match &self.way {
            Way::Told(told) => told.folders(),
            Way::Looked(_) => Vec::new(),
        }
    }
}

/// What a burst came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// Nothing holds anything else than before.
    Nothing,
    /// This did, and so many others.
    Changed { path: String, others: u32 },
    /// The app's folder is not there, or nothing that is watched is: a restart would only end what runs. What was
    /// taken in is kept until it comes back.
    Gone,
}

impl Tree {
    /// Registers all of it.
    pub(super) fn open(watched: Watched, folders: SharedFolders) -> Self {
        let mut tree = Self::plain(watched, folders);
        let (mut files, mut troubles) = (Vec::new(), Vec::new());
        tree.way = tree.open_way(&mut files, &mut troubles);
        // Learned from the end.
        files.reverse();
        (tree.unlearned, tree.troubles) = (files, troubles);
        tree
    }

    /// With rules, and with nothing registered.
    fn plain(watched: Watched, folders: SharedFolders) -> Self {
        Self {
            rules: WatchRules::new(&watched.policy, &watched.cwd, Arc::clone(&watched.own)),
            watched,
            folders,
            way: Way::Looked(Looked::default()),
            known: Known::default(),
            unlearned: Vec::new(),
            began: os::wall(),
            touched: Touched::default(),
            look: Millis(0),
            troubles: Vec::new(),
        }
    }

    /// A root whose changes the kernel may not tell.
    fn remote(&self) -> Option<&Path> {
        self.rules.roots().iter().find(|root| os::is_remote(&root.path)).map(|root| root.path.as_path())
    }

    /// Whether changes are to be told.
    fn is_told(&self) -> bool {
        !self.watched.policy.watch_options.poll && self.remote().is_none()
    }

    /// Registers all of it and collects the files found.
    fn open_way(&self, files: &mut Vec<PathBuf>, troubles: &mut Vec<String>) -> Way {
        let policy = &self.watched.policy;
        let walk = walk_of(&self.rules, &self.watched);
        if let Some(root) = self.remote().filter(|_| !policy.watch_options.poll) {
            troubles.push(format!(
                "{} is on a network file system, which does not report changes; its files are checked every {}",
                root.display(),
                interval(policy),
            ));
        }
        match self.is_told().then(|| Told::open(self.folders.join()?, &walk, files)) {
            Some(Ok(told)) => Way::Told(Box::new(told)),
            Some(Err(error)) => {
                troubles.push(refused(&error, policy));
                look(&walk, files, troubles)
            }
            None => look(&walk, files, troubles),
        }
    }

    /// What wakes whoever waits for changes; `None` if they are looked for.
    pub(super) fn waker(&self) -> Option<Arc<Notify>> {
        match &self.way {
            Way::Told(told) => Some(told.watch.waker()),
            Way::Looked(_) => None,
        }
    }

    /// How long to wait before the next look. A tree that takes long to look through must not cost a whole processor.
    pub(super) fn interval(&self) -> Millis {
        let rest = Millis(self.look.0.saturating_mul(REST_FACTOR));
        let is_asked_for = self.watched.policy.watch_options.interval.is_some();
        if is_asked_for { interval(&self.watched.policy) } else { interval(&self.watched.policy).max(rest) }
    }

    /// Takes in what has happened. Whether any of it may count.
    pub(super) fn absorb(&mut self) -> bool {
        let (before, began) = (self.touched.notes, os::now());
        let walk = walk_of(&self.rules, &self.watched);
        match &mut self.way {
            Way::Told(told) => {
                if let Err(error) = told.absorb(&walk, &mut self.touched) {
                    self.troubles.push(refused(&error, &self.watched.policy));
                    let way = look(&walk, &mut Vec::new(), &mut self.troubles);
                    // What was told until the first look; of more than that the trouble is known.
                    let _ = told.take(&walk, &mut self.touched);
                    self.way = way;
                }
            }
            Way::Looked(looked) => looked.absorb(&walk, &mut self.touched),
        }
        self.look = os::now().since(began);
        self.touched.notes > before
    }

    /// The same; what the burst looks like by now, if any of it may count.
    pub(super) fn take_in(&mut self) -> Option<BurstSeen> {
        self.absorb().then(|| self.seen())
    }

    fn seen(&self) -> BurstSeen {
        let folder = self.touched.first_folder().unwrap_or(&self.watched.cwd).to_owned();
        BurstSeen { folder, paths: self.touched.paths(), state: self.touched.state() }
    }

    /// Other rules from now on, with nothing lost in between: the way in which changes are noticed so far is asked once
    /// more when the new one is in place. What is to be evaluated, if there is anything.
    pub(super) fn follow(&mut self, watched: Watched) -> Option<BurstSeen> {
        let began = os::wall();
        self.absorb();
        let next = Self::plain(watched, self.folders.clone());
        let walk = walk_of(&next.rules, &next.watched);
        let is_told = next.is_told();
        let mut files = Vec::new();
        match &mut self.way {
            Way::Told(told) if is_told => {
                let renewed = told.renew(&walk, &mut self.touched, &mut files);
                if let Err(error) = renewed {
                    self.troubles.push(refused(&error, &next.watched.policy));
                    let way = look(&walk, &mut files, &mut self.troubles);
                    let said = self.troubles.len();
                    self.change_way(way);
                    self.troubles.truncate(said);
                }
            }
            _ => {
                let mut troubles = Vec::new();
                let way = next.open_way(&mut files, &mut troubles);
                // What is known already is not said again.
                if self.watched.policy != next.watched.policy {
                    self.troubles.extend(troubles);
                }
                self.change_way(way);
                self.touched.evaluate_anew(os::now(), |path| walk.counts(path, |_| None));
            }
        }
        files.reverse();
        (self.unlearned, self.began) = (files, began);
        (self.rules, self.watched) = (next.rules, next.watched);
        (!self.touched.is_empty()).then(|| self.seen())
    }

    /// The way so far is asked for what has happened until now.
    fn change_way(&mut self, way: Way) {
        self.absorb();
        self.way = way;
    }

    /// Evaluates what was taken in since the last time.
    pub(super) fn settle(&mut self) -> Settled {
        let has_root = self.rules.roots().iter().any(|root| os::exists(&root.path));
        if !has_root || !os::exists(&self.watched.cwd) {
            return Settled::Gone;
        }
        let touched = self.touched.take();
        let mut budget = BURST_BYTES_MAX;
        // All of them are evaluated: what is not looked at now would be new the next time.
        let judged = touched.each().filter(|(path, touch)| self.known.has_changed(path, *touch, &mut budget));
        let changed: Vec<&Path> = judged.map(|(path, _)| path).collect();
        let first =
            changed.first().copied().or_else(|| touched.each().next().filter(|_| touched.is_incomplete)?.0.into());
        match first {
            None => Settled::Nothing,
            Some(path) => Settled::Changed {
                path: self.shown(path),
                others: u32::try_from(changed.len().saturating_sub(1)).unwrap_or(u32::MAX),
            },
        }
    }

    /// Gets to know the contents of some files. Whether there are more.
    pub(super) fn learn(&mut self) -> bool {
        let mut bytes = 0;
        for _ in 0..LEARNED_AT_ONCE {
            let Some(path) = self.unlearned.pop() else { return false };
            let above = match &self.way {
                Way::Told(told) => told.above(&path),
                Way::Looked(_) => None,
            };
            if !self.rules.is_wanted(&path) || self.rules.is_ignored(&path, false, each(&above)) {
                continue;
            }
            match self.known.learn(&path, self.began) {
                Learned::Bytes(count) => bytes += count,
                Learned::Full => self.unlearned = Vec::new(),
            }
            if bytes >= LEARNED_BYTES_AT_ONCE {
                break;
            }
        }
        !self.unlearned.is_empty()
    }

    /// The path as a person in the app's folder would write it.
    fn shown(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.watched.cwd).ok().filter(|inside| !inside.as_os_str().is_empty());
        inside.unwrap_or(path).to_string_lossy().into_owned()
    }
}

fn walk_of<'a>(rules: &'a WatchRules, watched: &'a Watched) -> Walk<'a> {
    let follows_links = watched.policy.watch_options.follow_symlinks;
    Walk { rules, git: GitRules::of(&watched.git), follows_links }
}

fn interval(policy: &WatchPolicy) -> Millis {
    policy.watch_options.interval.unwrap_or(LOOK_EVERY)
}

fn look(walk: &Walk<'_>, files: &mut Vec<PathBuf>, troubles: &mut Vec<String>) -> Way {
    files.clear();
    let looked = Looked::open(walk, files);
    if looked.is_full() {
        troubles.push(format!(
            "there are more than {FILES_MAX} files: the others are not watched; exclude some with `ignore_watch`"
        ));
    }
    Way::Looked(looked)
}

/// Why files are looked at from now on.
fn refused(error: &std::io::Error, policy: &WatchPolicy) -> String {
    let every = interval(policy);
    match os::watch_limit(error) {
        Some(limit) => format!(
            "the kernel's limit {limit} is reached; files are polled every {every}. `sysctl {limit}=N` raises the limit"
        ),
        None => format!("the kernel does not report changes ({error}); files are polled every {every}"),
    }
}
