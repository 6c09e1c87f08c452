//! What reading a file needs to know about the machine, as questions with values for answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The outside world, as far as an ecosystem file can refer to it. Implementations must not change anything.
pub trait Surroundings {
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

    /// Whether this user (name or number) exists.
    fn has_user(&self, user: &str) -> bool;

    /// Whether this group (name or number) exists.
    fn has_group(&self, group: &str) -> bool;
}

/// What stands at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// Nothing.
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

/// Why a file has no contents.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// There is no such file.
    #[error("it does not exist")]
    Missing,
    /// It is larger than was asked for.
    #[error("it is too large")]
    TooLarge,
    /// The system says no.
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

/// Finds a bare word on the PATH of the shell.
pub(super) fn on_path(word: &str, world: &dyn Surroundings) -> Option<PathBuf> {
    let path = world.variables().get("PATH")?;
    path.split(':')
        .filter(|folder| folder.starts_with('/'))
        .map(|folder| Path::new(folder).join(word))
        .find(|file| world.look(file) == Look::File { is_executable: true })
}
