//! What exists at a path.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

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

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, text or not.
    pub name: OsString,
    /// Whether it is a folder (a link to one is not).
    pub is_folder: bool,
    /// Whether it is a symbolic link.
    pub is_link: bool,
}

/// Everything in a folder, whatever its name; links are not followed. Empty if it cannot be read.
pub fn list_entries(folder: &Path) -> Vec<Entry> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let entry = |entry: fs::DirEntry| {
        let kind = entry.file_type().ok()?;
        Some(Entry { name: entry.file_name(), is_folder: kind.is_dir(), is_link: kind.is_symlink() })
    };
    entries.filter_map(entry).collect()
}

/// What tells two states of a file apart without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change of its contents, in nanoseconds since 1970.
    pub modified: i128,
    /// Number of the file in its file system.
    pub inode: u64,
    /// Whether it is a regular file.
    pub is_file: bool,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// The present state of what stands at a path, links followed; `None` if nothing can be seen there.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    let modified = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
    let (is_file, is_folder) = (found.is_file(), found.is_dir());
    Some(Stamp { size: found.size(), modified, inode: found.ino(), is_file, is_folder })
}

/// What a name stands for, links not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A folder.
    Folder,
    /// A symbolic link, with its text: relative to its folder, or absolute.
    Link(PathBuf),
    /// A file, a socket, a pipe, a device.
    Other,
}

/// What a path stands for, where its last part is not followed; `None` if nothing can be seen there.
pub fn name_kind(path: &Path) -> Option<NameKind> {
    let kind = fs::symlink_metadata(path).ok()?.file_type();
    if kind.is_symlink() {
        return fs::read_link(path).ok().map(NameKind::Link);
    }
    Some(if kind.is_dir() { NameKind::Folder } else { NameKind::Other })
}

/// What tells two folders apart, whatever their names: device and inode, links followed.
pub fn folder_identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_dir)?;
    Some((found.dev(), found.ino()))
}
