//! The thin binary: command line, daemon or anchor?

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// A wrong call, as everywhere.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let argv = pm::os::arguments();
    // Anchor and daemon must not pay for a command line that they do not have.
    match argv.get(1).and_then(|word| word.to_str()) {
        Some("anchor") => anchor(&argv[2..]),
        Some("daemon") if argv.get(2).is_some_and(|word| word == "run") => pm::daemon::run(),
        _ => pm::cli::run(argv),
    }
}

/// `anchor --home HOME [--ready-fd N]`: written by ourselves, so anything else is a mistake.
fn anchor(words: &[OsString]) -> ExitCode {
    match words {
        [home, path] if home == "--home" => pm::anchor::run(Path::new(path), None),
        [home, path, ready, fd] if home == "--home" && ready == "--ready-fd" => {
            match fd.to_str().and_then(|fd| fd.parse().ok()) {
                Some(fd) => pm::anchor::run(Path::new(path), Some(fd)),
                None => ExitCode::from(USAGE),
            }
        }
        _ => ExitCode::from(USAGE),
    }
}
