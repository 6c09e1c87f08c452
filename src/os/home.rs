//! Where everything of one daemon lies: the only place that knows these paths, and whose the files there are.
//!
//! With `--as-root` everything that root makes in a home belongs to the owner of the home, so that the owner's next
//! daemon can use it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::linux::make_files_for;
use super::this_process::user_id;
use super::trust::{Distrust, Trusted, nearest_owner, private_folder};
use super::user::user_name;

const ROOT_HOME: &str = "/var/lib/pm";
const ROOT_RUN: &str = "/run/pm";
/// What `XDG_STATE_HOME` means where it is not set.
const DEFAULT_STATE: &str = ".local/state";

/// The folders of one daemon. Two homes are two worlds: nothing is shared between them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Home {
    /// `PM_HOME`.
    pub root: PathBuf,
    /// What only matters while the machine is up: lock, socket, table.
    pub run: PathBuf,
    /// Output of apps, and our own.
    pub logs: PathBuf,
    /// What should be, durably.
    pub state: PathBuf,
    /// Root is to use it although it belongs to somebody else (`--as-root`).
    pub is_insisted: bool,
}

/// Why there is no home.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Its path is unknown.
    #[error("no place for state: neither PM_HOME nor HOME is set")]
    Unset,
    /// `PM_HOME=state` would mean another folder for every shell.
    #[error("PM_HOME is `{0}`, which is not an absolute path")]
    Relative(PathBuf),
    /// It belongs to another user, who decides what is in it.
    #[error("`{}` is the home of {}, but you are {}", path.display(), user_name(*owner), user_name(*us))]
    Foreign {
        /// `PM_HOME`.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user that we run as.
        us: u32,
    },
    /// A folder could not be made, or others may decide what is in it.
    #[error(transparent)]
    Folder(Distrust),
}

impl Home {
    /// `PM_HOME`; else root's `/var/lib/pm`; else `$XDG_STATE_HOME/pm` or `~/.local/state/pm`.
    ///
    /// # Errors
    /// None of these is set, or `PM_HOME` is relative.
    pub fn from_env() -> Result<Self, HomeError> {
        Self::from_variables(|name| std::env::var_os(name), user_id())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>, uid: u32) -> Result<Self, HomeError> {
        let folder = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = match folder("PM_HOME") {
            Some(root) if root.is_relative() => return Err(HomeError::Relative(root)),
            Some(root) => root,
            None if uid == 0 => PathBuf::from(ROOT_HOME),
            None => folder("XDG_STATE_HOME")
                .filter(|state| state.is_absolute())
                .or_else(|| Some(folder("HOME")?.join(DEFAULT_STATE)))
                .ok_or(HomeError::Unset)?
                .join("pm"),
        };
        Ok(Self::of_user(&root, uid))
    }

    /// The default home of a user.
    pub fn default_of(uid: u32, folder: &Path) -> Self {
        Self::of_user(&if uid == 0 { PathBuf::from(ROOT_HOME) } else { folder.join(DEFAULT_STATE).join("pm") }, uid)
    }

    /// `--as-root` was given.
    #[must_use]
    pub fn insisted(self, is_insisted: bool) -> Self {
        Self { is_insisted, ..self }
    }

    /// The home in this folder.
    pub fn at(root: &Path) -> Self {
        Self::of_user(root, user_id())
    }

    fn of_user(root: &Path, uid: u32) -> Self {
        let is_roots_default = uid == 0 && root == Path::new(ROOT_HOME);
        Self {
            root: root.to_owned(),
            run: if is_roots_default { PathBuf::from(ROOT_RUN) } else { root.join("run") },
            logs: root.join("logs"),
            state: root.join("state"),
            is_insisted: false,
        }
    }

    /// Makes all folders, for our eyes only, and makes sure that nobody else decides what they are or what is in them.
    ///
    /// # Errors
    /// One of them cannot be made; it, or a folder on the way to it, belongs to somebody else or can be written by others.
    pub fn create(&self) -> Result<(), HomeError> {
        let us = user_id();
        let is_insisted = self.is_insisted && us == 0;
        let trusted = Trusted { us, insisted: nearest_owner(&self.root).filter(|_| is_insisted) };
        for path in [&self.root, &self.run, &self.logs, &self.state, &self.notify()] {
            private_folder(path, trusted).map_err(|distrust| self.refusal(distrust))?;
        }
        Ok(())
    }

    /// Whether it is ours to talk to and to start in, as far as one look tells: root needs `--as-root` for the home of
    /// somebody else, and others have no business there.
    ///
    /// # Errors
    /// It belongs to somebody else.
    pub fn check_owner(&self) -> Result<(), HomeError> {
        let us = user_id();
        match self.owner() {
            Some(owner) if owner != us && owner != 0 && !(self.is_insisted && us == 0) => {
                Err(HomeError::Foreign { path: self.root.clone(), owner, us })
            }
            _ => Ok(()),
        }
    }

    /// The home itself belonging to somebody is the plainest case and gets the plainest words.
    fn refusal(&self, distrust: Distrust) -> HomeError {
        match distrust {
            Distrust::Owner { path, owner, us } if path == self.root => HomeError::Foreign { path, owner, us },
            other => HomeError::Folder(other),
        }
    }

    /// Held by the anchor for as long as it lives.
    pub fn lock(&self) -> PathBuf {
        self.run.join("lock")
    }

    /// Where commands reach the daemon.
    pub fn socket(&self) -> PathBuf {
        self.run.join("pm.sock")
    }

    /// The mirror of the process table.
    pub fn table(&self) -> PathBuf {
        self.run.join("table")
    }

    /// What is being written from logs into files for other programs.
    pub fn log_exports(&self) -> PathBuf {
        self.run.join("log-exports")
    }

    /// How the last anchor ended.
    pub fn last_end(&self) -> PathBuf {
        self.run.join("last-end")
    }

    /// The folder of the sockets that apps notify us by.
    pub fn notify(&self) -> PathBuf {
        self.run.join("notify")
    }

    /// The folder of changes of watched files that are not acted upon yet.
    pub fn changes(&self) -> PathBuf {
        self.run.join("changes")
    }

    /// Everything of one Git source: its repository, and a folder for each release.
    pub fn source(&self, name: &str) -> PathBuf {
        self.root.join("sources").join(name)
    }

    /// The releases of one Git source, by their commits.
    pub fn releases(&self, source: &str) -> PathBuf {
        self.source(source).join("releases")
    }

    /// Where the daemon and the anchor complain.
    pub fn daemon_log(&self) -> PathBuf {
        self.logs.join("daemon.log")
    }

    /// Who owns the home; `None` if it does not exist.
    pub fn owner(&self) -> Option<u32> {
        fs::metadata(&self.root).ok().map(|found| found.uid())
    }
}

impl HomeError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let (owner, us) = match self {
            Self::Foreign { owner, us, .. } | Self::Folder(Distrust::Owner { owner, us, .. }) => {
                (user_name(*owner), *us)
            }
            Self::Unset | Self::Relative(_) | Self::Folder(_) => return None,
        };
        Some(match us {
            0 => format!("`sudo -u {owner} pm …` acts as {owner}; with `--as-root` apps start as root from it"),
            _ => format!("set PM_HOME to a folder of your own, or act as {owner}: `sudo -u {owner} pm …`"),
        })
    }
}

/// From now on whatever this process makes in `home` belongs to the owner of the home. For root only: for everybody else
/// that is so anyway.
pub fn make_files_for_owner_of(home: &Home) {
    if user_id() != 0 {
        return;
    }
    let owner = fs::metadata(&home.root).ok().map(|found| (found.uid(), found.gid())).filter(|owner| owner.0 != 0);
    if let Some(owner) = owner {
        make_files_for(owner, vec![home.root.clone(), home.run.clone()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_the_same_in_every_shell_of_a_user() {
        let cases = [
            (0, vec![], Ok(("/var/lib/pm", "/run/pm"))),
            (0, vec![("PM_HOME", "/srv/pm")], Ok(("/srv/pm", "/srv/pm/run"))),
            (0, vec![("XDG_STATE_HOME", "/x"), ("HOME", "/root")], Ok(("/var/lib/pm", "/run/pm"))),
            (5, vec![("HOME", "/home/u")], Ok(("/home/u/.local/state/pm", "/home/u/.local/state/pm/run"))),
            (5, vec![("HOME", "/h"), ("XDG_STATE_HOME", "/x")], Ok(("/x/pm", "/x/pm/run"))),
            (5, vec![("PM_HOME", "/var/lib/pm")], Ok(("/var/lib/pm", "/var/lib/pm/run"))),
            (5, vec![], Err("no place for state: neither PM_HOME nor HOME is set")),
            (5, vec![("PM_HOME", "here")], Err("PM_HOME is `here`, which is not an absolute path")),
        ];
        for (uid, variables, expected) in cases {
            let find = |name: &str| variables.iter().find(|pair| pair.0 == name).map(|pair| OsString::from(pair.1));
            match (Home::from_variables(find, uid), expected) {
                (Ok(home), Ok((root, run))) => assert_eq!((home.root, home.run), (root.into(), run.into())),
                (Err(error), Err(text)) => assert_eq!(error.to_string(), text),
                other => panic!("{variables:?}: {other:?}"),
            }
        }
    }
}
