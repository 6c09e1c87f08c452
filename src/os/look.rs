//! What stands at a path.

use std::fs;
use std::io;
use std::path::Path;

/// Kinds of things that have a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A socket, a pipe, a device.
    Other,
}

/// What stands there, links followed.
///
/// # Errors
/// Nothing does, or the caller may not look.
pub fn file_kind(path: &Path) -> io::Result<FileKind> {
    let found = fs::metadata(path)?;
    Ok(match found.file_type() {
        kind if kind.is_dir() => FileKind::Folder,
        kind if kind.is_file() => FileKind::File,
        _ => FileKind::Other,
    })
}

/// Names in a folder that are text, with `true` for folders; links are not followed. Empty if it cannot be read.
pub fn list_folder(folder: &Path) -> Vec<(String, bool)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = |entry: fs::DirEntry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        Some((entry.file_name().into_string().ok()?, is_folder))
    };
    entries.filter_map(named).collect()
}
