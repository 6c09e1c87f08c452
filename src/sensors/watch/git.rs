//! The rules by which git leaves files out, and where it keeps them.
//!
//! Nearest first: `.gitignore` of the folder and of those above it up to the top of the repository, `info/exclude` of the
//! repository, the file of its user (`core.excludesFile`). A repository in another one has its own, and nothing of those
//! around it.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::Environment;
use crate::os;
use crate::rules::{IgnoreRules, excludes_file};

/// Largest file of rules or settings that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest text that names another folder.
const POINTER_BYTES_MAX: u64 = 4096;
/// Folders above a root that are searched for the top of its repository.
const LEVELS_UP_MAX: usize = 32;
/// Files outside of what is watched whose saving is noticed.
const SOURCES_MAX: usize = 1_000;
/// Settings of the machine.
const SYSTEM_CONFIG: &str = "/etc/gitconfig";

/// The `.gitignore` rules that hold in a folder, the nearest first.
pub(super) type Above = Option<Arc<Ignores>>;

/// The rules of one file, and those of the folders above.
#[derive(Debug)]
pub(super) struct Ignores {
    rules: IgnoreRules,
    above: Above,
}

/// One after the other, the nearest first.
pub(super) fn each(above: &Above) -> impl Iterator<Item = &IgnoreRules> {
    std::iter::successors(above.as_deref(), |ignores| ignores.above.as_deref()).map(|ignores| &ignores.rules)
}

/// Whose settings of git count: those of whoever applied the app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GitUser {
    home: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`.
    config: Option<PathBuf>,
}

impl GitUser {
    pub(super) fn of(env: &Environment) -> Self {
        let folder = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = folder("HOME");
        let config = folder("XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config")));
        Self { home, config }
    }

    /// What the user and the machine set; what comes later counts.
    fn configs(&self) -> Vec<PathBuf> {
        let user = self.config.iter().map(|folder| folder.join("git/config"));
        let home = self.home.iter().map(|folder| folder.join(".gitconfig"));
        let system = (self.home.is_some() || self.config.is_some()).then(|| PathBuf::from(SYSTEM_CONFIG));
        system.into_iter().chain(user).chain(home).collect()
    }

    /// A path as it is written in settings.
    fn expanded(&self, text: &str, top: &Path) -> Option<PathBuf> {
        match text.strip_prefix("~/") {
            Some(inside) => Some(self.home.as_ref()?.join(inside)),
            None => Some(top.join(text)),
        }
    }
}

/// Reads the rules for one walk, and remembers which files they came from.
#[derive(Debug)]
pub(super) struct GitRules<'a> {
    user: &'a GitUser,
    /// What the user and the machine set.
    excludes: OnceCell<Option<String>>,
    sources: RefCell<BTreeSet<PathBuf>>,
}

impl<'a> GitRules<'a> {
    pub(super) fn of(user: &'a GitUser) -> Self {
        Self { user, excludes: OnceCell::new(), sources: RefCell::default() }
    }

    /// The files outside of the walked folders that decide, there or not, since the last time that this was asked.
    pub(super) fn sources(&self) -> BTreeSet<PathBuf> {
        self.sources.take()
    }

    /// The rules of a repository as a whole, if the folder is the top of one: none of those around it.
    pub(super) fn of_repository(&self, top: &Path) -> Option<Above> {
        let common = repository(top)?;
        let above = self.excludes_file(top, &common).and_then(|file| with(&None, top, self.noted(&file)));
        Some(with(&above, top, self.noted(&common.join("info/exclude"))))
    }

    /// The rules that hold at a root before its own: those of the repository around it, from its top downwards.
    pub(super) fn above_root(&self, root: &Path) -> Above {
        let around = root.ancestors().skip(1).take(LEVELS_UP_MAX);
        // Its own rules are read when it is entered.
        if repository(root).is_some() {
            return None;
        }
        let top = around.clone().find(|folder| repository(folder).is_some())?;
        let mut above = self.of_repository(top)?;
        let between: Vec<&Path> = around.take_while(|folder| folder.starts_with(top)).collect();
        for folder in between.into_iter().rev() {
            above = with(&above, folder, self.noted(&folder.join(".gitignore")));
        }
        above
    }

    fn excludes_file(&self, top: &Path, common: &Path) -> Option<PathBuf> {
        let of_users = || self.user.configs().iter().filter_map(|file| excludes_file(&self.text(file))).next_back();
        let own = excludes_file(&self.text(&common.join("config")));
        match own.or_else(|| self.excludes.get_or_init(of_users).clone()) {
            Some(text) => self.user.expanded(&text, top),
            None => Some(self.user.config.as_ref()?.join("git/ignore")),
        }
    }

    fn text(&self, file: &Path) -> String {
        let bytes = os::read_limited(self.noted(file), FILE_BYTES_MAX).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn noted<'b>(&self, file: &'b Path) -> &'b Path {
        let mut sources = self.sources.borrow_mut();
        if sources.len() < SOURCES_MAX {
            sources.insert(file.to_owned());
        }
        file
    }
}

/// With the rules of the `.gitignore` in a folder.
pub(super) fn with_folder(above: &Above, folder: &Path) -> Above {
    with(above, folder, &folder.join(".gitignore"))
}

/// With the rules of one more file, if it exists and says anything.
fn with(above: &Above, folder: &Path, file: &Path) -> Above {
    let text = os::read_limited(file, FILE_BYTES_MAX).unwrap_or_default();
    let rules = IgnoreRules::parse(folder, &String::from_utf8_lossy(&text));
    if rules.is_empty() { above.clone() } else { Some(Arc::new(Ignores { rules, above: above.clone() })) }
}

/// The folder in which a repository keeps what its worktrees share, if this is the top of one of them. A worktree and a
/// submodule have a file there that names their own folder.
fn repository(top: &Path) -> Option<PathBuf> {
    let dot = top.join(".git");
    let own = match os::stamp(&dot)? {
        stamp if stamp.is_folder => dot,
        _ => pointer(&dot, top, "gitdir: ")?,
    };
    Some(pointer(&own.join("commondir"), &own, "").unwrap_or(own))
}

/// The folder that a file names, relative to `folder` or absolute.
fn pointer(file: &Path, folder: &Path, begin: &str) -> Option<PathBuf> {
    let text = String::from_utf8(os::read_limited(file, POINTER_BYTES_MAX).ok()?).ok()?;
    let text = text.strip_prefix(begin)?.trim_end_matches(['\n', '\r']);
    (!text.is_empty()).then(|| folder.join(text))
}
