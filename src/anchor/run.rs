//! (below)
use std::os::fd::RawFd;
use std::path::Path;
use std::process::ExitCode;
/// x
pub const ALREADY_RUNNING: u8 = 75;
/// x
pub fn run(_home: &Path, _ready_fd: Option<RawFd>) -> ExitCode {
    ExitCode::SUCCESS
}
