//! The init system of this machine: which one it is, its tools, and the folders that its files are in.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

use super::{ToolAnswer, ToolCall, run_tool};
use crate::model::Millis;

/// A tool of the init system that says nothing for so long is ended.
const PATIENCE: Millis = Millis::seconds(60);
/// How much of its output is kept.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// Runs a tool of the init system with these variables added, and waits for its end.
///
/// # Errors
/// There is no such program, no descriptors left; `TimedOut`: it was ended after a minute.
pub fn run_init_tool(program: &str, args: &[String], variables: &[(String, String)]) -> io::Result<ToolAnswer> {
    let plain = [("SYSTEMD_PAGER", ""), ("LC_ALL", "C")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let variables: Vec<(String, String)> = variables.iter().cloned().chain(plain).collect();
    run_tool(&ToolCall { program, args, variables: &variables, patience: PATIENCE, output_bytes_max: OUTPUT_BYTES_MAX })
}

/// The name of process 1: `systemd`, `runit`, `init`; empty where it cannot be seen.
pub fn first_process() -> String {
    fs::read_to_string("/proc/1/comm").unwrap_or_default().trim().to_owned()
}

/// Makes a folder that everybody may look into, and those above it.
///
/// # Errors
/// As `mkdir(2)`.
pub fn create_open_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// The user that a file belongs to; links are followed. `None` if it cannot be seen.
pub fn owner_of_file(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|found| found.uid())
}

/// Whether other users than its owner may write to a file.
pub fn is_writable_by_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.mode() & 0o022 != 0)
}
