//! The version of an app: that of the `package.json` nearest above its script.

use std::path::Path;

use serde_json::Value;

use crate::os;

/// Longer files are none of a package.
const BYTES_MAX: u64 = 1 << 20;
/// So many folders are looked into.
const FOLDERS_MAX: usize = 12;
/// What PM2 shows where there is none.
const UNKNOWN: &str = "N/A";

/// The version, or `N/A`.
pub(super) fn version_of(script: &str) -> String {
    let folders = Path::new(script).ancestors().skip(1).take(FOLDERS_MAX);
    let package =
        folders.map(|folder| folder.join("package.json")).find_map(|path| os::read_limited(&path, BYTES_MAX).ok());
    let package: Option<Value> = package.and_then(|text| serde_json::from_slice(&text).ok());
    let version = package.and_then(|package| package.get("version")?.as_str().map(str::to_owned));
    version.filter(|version| !version.is_empty() && version.len() <= 100).unwrap_or_else(|| UNKNOWN.to_owned())
}
