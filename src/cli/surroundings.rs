//! What an ecosystem file may refer to: this machine, as this person sees it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::ecosystem::{Look, NoAccount, Surroundings, Unreadable};
use crate::model::ExecLimits;
use crate::os::{self, AccountError};

/// This machine.
pub(super) struct Machine {
    variables: BTreeMap<String, String>,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self { variables: os::environment() }
    }
}

impl Surroundings for Machine {
    fn read(&self, path: &Path, bytes_max: u64) -> Result<Vec<u8>, Unreadable> {
        read(path, bytes_max)
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
        ExecLimits { total_bytes: os::EXEC_BYTES_MAX, ..os::exec_limits() }
    }

    fn open_files_max(&self) -> Option<u64> {
        os::open_files_max()
    }
}

/// A file of at most `bytes_max` bytes.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Unreadable> {
    os::read_limited(path, bytes_max).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Unreadable::Missing,
        ErrorKind::FileTooLarge => Unreadable::TooLarge,
        _ => Unreadable::Refused(error.to_string()),
    })
}
