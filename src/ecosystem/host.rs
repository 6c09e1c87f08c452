//! What reading a file needs to know about the machine.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::model::ExecLimits;

/// The outside world, as far as an ecosystem file can refer to it. Implementations must not change anything.
pub trait Host {
    /// The contents of a file of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// Why there are none.
    fn read(&self, path: &Path, bytes_max: u64) -> Result<Vec<u8>, Unreadable>;

    /// What stands at `path`, links followed.
    fn look(&self, path: &Path) -> Look;

    /// The first line of a file, cut after 256 bytes; `None` if it cannot be read.
    fn first_line(&self, path: &Path) -> Option<Vec<u8>>;

    /// `path` with every symlink followed; `None` if it does not exist.
    fn resolve(&self, path: &Path) -> Option<PathBuf>;

    /// Names in a folder, with `true` for folders; links are not followed. Empty if it cannot be read.
    fn list(&self, folder: &Path) -> Vec<(String, bool)>;

    /// The environment of the shell that applies.
    fn variables(&self) -> &BTreeMap<String, String>;

    /// CPUs that this process may use, at least 1.
    fn cpus(&self) -> u32;

    /// Whether a process that this person starts can run as this user and group (names or numbers).
    ///
    /// # Errors
    /// Why not.
    fn account(&self, user: &str, group: Option<&str>) -> Result<(), NoAccount>;

    /// Whether this time zone (`Europe/Berlin`) exists.
    fn has_zone(&self, zone: &str) -> bool;

    /// The most that any program of this machine can be started with.
    fn exec_limits(&self) -> ExecLimits;

    /// The most open files that anybody may ask for, if there is a limit.
    fn open_files_max(&self) -> Option<u64>;
}

/// What stands at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// No such file, or a folder on the way is missing.
    Missing,
    /// A folder.
    Folder,
    /// A file.
    File {
        /// Whether the caller may execute it.
        is_executable: bool,
    },
    /// Neither file nor folder: a socket, a device.
    Other,
    /// The caller may not look.
    Forbidden,
}

/// Why a process cannot run as a user and group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoAccount {
    /// There is no such user.
    NoUser,
    /// There is no such group.
    NoGroup,
    /// The kernel would refuse, in words.
    Refused(String),
}

/// Why a file has no contents.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// There is no such file.
    #[error("it does not exist")]
    Missing,
    /// It is larger than was requested.
    #[error("it is too large")]
    TooLarge,
    /// The system refuses it.
    #[error("{0}")]
    Refused(String),
}

/// `a/./b/../c` → `a/c`, without asking the disk.
pub(super) fn tidy(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::RootDir)) => {}
            other => out.push(other),
        }
    }
    out
}

/// The outside world, asked once per question: a thousand apps share a folder and an interpreter.
pub(super) struct Remembering<'a> {
    world: &'a dyn Host,
    looks: RefCell<HashMap<PathBuf, Look>>,
    targets: RefCell<HashMap<PathBuf, Option<PathBuf>>>,
    programs: RefCell<HashMap<String, bool>>,
    first_lines: RefCell<HashMap<PathBuf, Option<Vec<u8>>>>,
}

impl<'a> Remembering<'a> {
    pub fn new(world: &'a dyn Host) -> Self {
        Self {
            world,
            looks: RefCell::default(),
            targets: RefCell::default(),
            programs: RefCell::default(),
            first_lines: RefCell::default(),
        }
    }

    /// Whether a bare word is a program on the PATH of the shell.
    pub fn has_program(&self, word: &str) -> bool {
        if let Some(known) = self.programs.borrow().get(word) {
            return *known;
        }
        let path = self.world.variables().get("PATH").map_or("", String::as_str);
        let is_there = path
            .split(':')
            .filter(|folder| folder.starts_with('/'))
            .any(|folder| self.world.look(&Path::new(folder).join(word)) == Look::File { is_executable: true });
        self.programs.borrow_mut().insert(word.to_owned(), is_there);
        is_there
    }
}

impl Host for Remembering<'_> {
    fn look(&self, path: &Path) -> Look {
        if let Some(known) = self.looks.borrow().get(path) {
            return *known;
        }
        let look = self.world.look(path);
        self.looks.borrow_mut().insert(path.to_path_buf(), look);
        look
    }

    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        if let Some(known) = self.targets.borrow().get(path) {
            return known.clone();
        }
        let target = self.world.resolve(path);
        self.targets.borrow_mut().insert(path.to_path_buf(), target.clone());
        target
    }

    fn read(&self, path: &Path, bytes_max: u64) -> Result<Vec<u8>, Unreadable> {
        self.world.read(path, bytes_max)
    }

    fn first_line(&self, path: &Path) -> Option<Vec<u8>> {
        if let Some(known) = self.first_lines.borrow().get(path) {
            return known.clone();
        }
        let line = self.world.first_line(path);
        self.first_lines.borrow_mut().insert(path.to_path_buf(), line.clone());
        line
    }

    fn list(&self, folder: &Path) -> Vec<(String, bool)> {
        self.world.list(folder)
    }

    fn variables(&self) -> &BTreeMap<String, String> {
        self.world.variables()
    }

    fn cpus(&self) -> u32 {
        self.world.cpus()
    }

    fn account(&self, user: &str, group: Option<&str>) -> Result<(), NoAccount> {
        self.world.account(user, group)
    }

    fn has_zone(&self, zone: &str) -> bool {
        self.world.has_zone(zone)
    }

    fn exec_limits(&self) -> ExecLimits {
        self.world.exec_limits()
    }

    fn open_files_max(&self) -> Option<u64> {
        self.world.open_files_max()
    }
}
