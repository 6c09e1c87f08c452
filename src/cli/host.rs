//! What an ecosystem file may refer to: this machine, as the calling user sees it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::ecosystem::{Host, Look, NoAccount, Unreadable};
use crate::model::ExecLimits;
use crate::os::{self, AccountError};

/// How long all pipes of one reading of the files may take together: long enough for a password prompt.
const PATIENCE: Duration = Duration::from_secs(15);

/// What pipes and devices held, for as long as a command runs: they can be read only once.
#[derive(Debug, Default)]
pub(super) struct Pipes(RefCell<HashMap<PathBuf, Result<Vec<u8>, Unreadable>>>);

/// This machine.
pub(super) struct LocalHost<'a> {
    variables: BTreeMap<String, String>,
    pipes: &'a Pipes,
    patience: Cell<Duration>,
}

impl<'a> LocalHost<'a> {
    /// What could not be read from a pipe is tried again, once.
    pub(super) fn new(pipes: &'a Pipes) -> Self {
        pipes.0.borrow_mut().retain(|_, contents| contents.is_ok());
        Self { variables: os::environment(), pipes, patience: Cell::new(PATIENCE) }
    }

    fn read_pipe(&self, path: &Path, bytes_max: u64) -> Result<Vec<u8>, Unreadable> {
        if let Some(known) = self.pipes.0.borrow().get(path) {
            return known.clone();
        }
        let began = Instant::now();
        let contents = os::read_contents(path, bytes_max, self.patience.get()).map_err(|error| unreadable(&error));
        self.patience.set(self.patience.get().saturating_sub(began.elapsed()));
        self.pipes.0.borrow_mut().insert(path.to_owned(), contents.clone());
        contents
    }
}

impl Host for LocalHost<'_> {
    fn read(&self, path: &Path, bytes_max: u64) -> Result<Vec<u8>, Unreadable> {
        match os::file_kind(path) {
            Ok(os::FileKind::Other) => self.read_pipe(path, bytes_max),
            _ => os::read_contents(path, bytes_max, PATIENCE).map_err(|error| unreadable(&error)),
        }
    }

    fn look(&self, path: &Path) -> Look {
        match os::file_kind(path) {
            Ok(os::FileKind::Folder) => Look::Folder,
            Ok(os::FileKind::File) => Look::File { is_executable: os::is_executable(path) },
            Ok(os::FileKind::Other) => Look::Other,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Look::Forbidden,
            Err(_) => Look::Missing,
        }
    }

    fn first_line(&self, path: &Path) -> Option<Vec<u8>> {
        os::first_line(path).map(String::into_bytes)
    }

    fn resolve(&self, path: &Path) -> Option<PathBuf> {
        os::canonicalize(path).ok()
    }

    fn list(&self, folder: &Path) -> Vec<(String, bool)> {
        os::list_folder(folder)
    }

    fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    fn cpus(&self) -> u32 {
        u32::try_from(os::cpu_count()).unwrap_or(u32::MAX)
    }

    fn account(&self, user: &str, group: Option<&str>) -> Result<(), NoAccount> {
        os::account(Some(user), group).map(drop).map_err(|error| match error {
            AccountError::NoUser(_) => NoAccount::NoUser,
            AccountError::NoGroup(_) => NoAccount::NoGroup,
            other => NoAccount::Refused(other.to_string()),
        })
    }

    fn has_zone(&self, zone: &str) -> bool {
        os::zone_named(zone).is_some()
    }

    fn exec_limits(&self) -> ExecLimits {
        // The daemon's stack may be larger than that of this shell.
        ExecLimits { string_bytes: os::exec_string_bytes(), total_bytes: os::EXEC_BYTES_MAX }
    }

    fn open_files_max(&self) -> Option<u64> {
        os::open_files_max()
    }
}

fn unreadable(error: &io::Error) -> Unreadable {
    let words = match error.kind() {
        ErrorKind::NotFound => return Unreadable::Missing,
        ErrorKind::FileTooLarge => return Unreadable::TooLarge,
        ErrorKind::TimedOut => {
            format!("it is a pipe that was not written and closed within {} s", PATIENCE.as_secs())
        }
        ErrorKind::Unsupported => "it is a socket, not a file".to_owned(),
        ErrorKind::ResourceBusy => "it changes while it is being read; try again".to_owned(),
        _ => error.to_string(),
    };
    Unreadable::Refused(words)
}
