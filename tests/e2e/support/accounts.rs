//! Other users: what root can test with them, and what everybody can.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use super::Sandbox;

/// The user that owns nothing.
pub const NOBODY: u32 = 65_534;

/// Whether the tests run as root.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// The ordinary user of a test: `nobody` where we are root, else ourselves; `flag` is one of `id`.
pub fn ordinary(flag: &str) -> String {
    match (is_root(), flag) {
        (true, "-un") => "nobody".to_owned(),
        (true, _) => NOBODY.to_string(),
        (false, _) => {
            String::from_utf8(Command::new("id").arg(flag).output().unwrap().stdout).unwrap().trim().to_owned()
        }
    }
}

/// A sandbox of the ordinary user.
pub fn sandbox_of_ordinary_user() -> Sandbox {
    if is_root() { Sandbox::of_user(NOBODY) } else { Sandbox::new() }
}
