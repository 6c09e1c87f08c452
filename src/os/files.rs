//! Files and folders, always with a limit, whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::this_process::user_id;
use super::{contents, linux};

/// What is read at once of a file that is not kept.
const PIECE_BYTES: usize = 64 << 10;
/// Longest first line that is looked at: what the kernel reads of a `#!` line.
const FIRST_LINE_BYTES_MAX: u64 = 256;

/// Reads a whole regular file of at most `bytes_max`. Nothing else is opened: that would take away what a pipe holds,
/// or wait.
///
/// # Errors
/// `FileTooLarge`: it is longer. `InvalidInput`: it is no regular file. `IsADirectory`, `NotFound`, …
pub fn read_limited(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    contents::take(&open_file(path)?, bytes_max)
}

/// Reads a whole regular file of at most `bytes_max` piece by piece, and says how many bytes there were. Memory for one
/// piece is needed.
///
/// # Errors
/// As [`read_limited`]; pieces may have been taken before.
pub fn read_pieces(path: &Path, bytes_max: u64, mut take: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut file = open_file(path)?;
    let (mut piece, mut bytes) = (vec![0; PIECE_BYTES], 0_u64);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(count) => {
                bytes += count as u64;
                if bytes > bytes_max {
                    return Err(io::ErrorKind::FileTooLarge.into());
                }
                take(&piece[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Empties a regular file of the calling user, which others may be writing to; how many bytes it had.
///
/// # Errors
/// `PermissionDenied`: it is another user's, or has a second name, or is a link. `NotFound`, …
pub fn empty_own_file(path: &Path) -> io::Result<u64> {
    let before = fs::symlink_metadata(path)?;
    let is_own = |found: &fs::Metadata| {
        found.is_file() && found.uid() == user_id() && found.nlink() == 1 && found.ino() == before.ino()
    };
    if !is_own(&before) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let file = OpenOptions::new().write(true).open(path)?;
    // It may have been exchanged for another one meanwhile.
    if !is_own(&file.metadata()?) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    file.set_len(0)?;
    Ok(before.len())
}

fn open_file(path: &Path) -> io::Result<File> {
    must_be_file(&fs::metadata(path)?)?;
    let file = contents::open(path)?;
    must_be_file(&file.metadata()?)?;
    Ok(file)
}

fn must_be_file(found: &fs::Metadata) -> io::Result<()> {
    match found.file_type() {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Puts `bytes` in the place of a file, durably: after the return the new content survives a power cut; if anything
/// fails or power goes before, the old file is untouched. Only a regular file is replaced: a device, a pipe or a link is
/// left as it is.
///
/// # Errors
/// Something else than a regular file is there; the folder cannot be written, the disk is full, …
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    put(path, bytes, mode, true)
}

/// The names of everything in a folder.
///
/// # Errors
/// It cannot be read.
pub fn file_names(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
}

/// The path of a file that every user of the machine may read and only root may write; its folder is made.
///
/// # Errors
/// We are not root; the folder is not as it should be.
pub fn for_all_users(name: &str) -> io::Result<PathBuf> {
    let folder = Path::new("/run/pm-shared");
    match DirBuilder::new().mode(0o755).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != 0 || found.mode() & 0o022 != 0 || user_id() != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    Ok(folder.join(name))
}

/// The same without waiting for the disk: the death of this process leaves the one or the other, a power cut anything.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    put(path, bytes, mode, false)
}

fn put(path: &Path, bytes: &[u8], mode: u32, is_synced: bool) -> io::Result<()> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("it is not a regular file, and not replaced"));
    }
    let mut temporary_name = name.to_owned();
    temporary_name.push(format!(".{}.{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let temporary = folder.join(temporary_name);
    let written = write_new(&temporary, bytes, mode, is_synced).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _best_effort = fs::remove_file(&temporary);
    }
    written?;
    if is_synced { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn write_new(path: &Path, bytes: &[u8], mode: u32, is_synced: bool) -> io::Result<()> {
    // A leftover of a process that had our number and was killed here.
    remove_if_there(path)?;
    let mut file = linux::open_own(path, OpenOptions::new().write(true).create_new(true).mode(mode))?;
    file.set_permissions(fs::Permissions::from_mode(mode))?; // whatever the umask says
    file.write_all(bytes)?;
    if is_synced { file.sync_all() } else { Ok(()) }
}

/// Makes a folder that only we may enter (0700), and the folders above it. One that is there already is left as
/// it is, unless it belongs to somebody else.
///
/// # Errors
/// `PermissionDenied`: it belongs to somebody else. `NotADirectory`, `ReadOnlyFilesystem`, …
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    let _rights = linux::rights_to_make(path)?;
    if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(path)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    let folder = fs::metadata(path)?;
    if !folder.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    let us = user_id();
    if folder.uid() != us && us != 0 {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    Ok(())
}

/// Opens a regular file for appending; makes it (with `mode`) if there is none. Never waits.
///
/// # Errors
/// `InvalidInput`: it is something else. As `open(2)`.
pub fn open_append(path: &Path, mode: u32) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = linux::open_own(path, OpenOptions::new().append(true).create(true).mode(mode).custom_flags(flags));
    // `ENXIO`: a FIFO that nobody reads.
    let file = file.map_err(|error| if error.raw_os_error() == Some(libc::ENXIO) { no_file() } else { error })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_file()) }
}

fn no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// As [`open_append`]; a file longer than `bytes_max` is first cut down to its last half.
///
/// # Errors
/// As `open(2)`, `read(2)`, `write(2)`.
pub fn append_capped(path: &Path, bytes_max: u64, mode: u32) -> io::Result<File> {
    let file = open_append(path, mode)?;
    let length = file.metadata()?.len();
    if length > bytes_max {
        let mut reader = File::open(path)?;
        reader.seek(io::SeekFrom::Start(length - bytes_max / 2))?;
        let mut tail = Vec::new();
        reader.take(bytes_max / 2).read_to_end(&mut tail)?;
        let whole_lines = tail.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        file.set_len(0)?;
        (&file).write_all(&tail[whole_lines..])?;
    }
    Ok(file)
}

/// Opens a file for reading.
///
/// # Errors
/// As `open(2)`.
pub fn open_read(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Removes a file; that there is none is fine.
///
/// # Errors
/// As `unlink(2)`.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Whether anything has this path (links are followed).
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// Whether it is a folder.
pub fn is_folder(path: &Path) -> bool {
    path.is_dir()
}

/// Whether it is a file with an executable bit.
pub fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
}

/// The first line of a regular file without its line feed, at most 256 bytes; `None` if it cannot be read.
pub fn first_line(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    open_file(path).ok()?.take(FIRST_LINE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).into_owned())
}

/// The program of a script's `#!` line, if that is what does not exist: the kernel reports it as the script missing.
pub fn missing_interpreter(script: &Path) -> Option<PathBuf> {
    let line = first_line(script)?;
    let program = PathBuf::from(line.strip_prefix("#!")?.trim_start().split([' ', '\t']).next()?);
    (!program.exists()).then_some(program)
}

/// The path without links, `.` and `..`.
///
/// # Errors
/// As `realpath(3)`.
pub fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// Finds a bare word in the folders of a `PATH` as `execvp` would: the first executable file. A word with a slash
/// is a path already. Relative and empty entries are skipped: what they mean depends on where somebody stands.
pub fn find_program(word: &OsStr, path_variable: &OsStr) -> Option<PathBuf> {
    if word.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(word)).filter(|path| is_executable(path));
    }
    path_variable
        .as_bytes()
        .split(|byte| *byte == b':')
        .filter(|folder| folder.first() == Some(&b'/'))
        .map(|folder| Path::new(OsStr::from_bytes(folder)).join(word))
        .find(|path| is_executable(path))
}

/// All files below a folder, sorted, at most `files_max`; links to folders are not followed, and a folder that cannot
/// be read is as if it were empty.
pub fn walk_files(folder: &Path, files_max: usize) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(_) if files.len() < files_max => files.push(entry.path()),
                Ok(_) | Err(_) => {}
            }
        }
        if files.len() >= files_max {
            break;
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_with_the_mode_that_was_asked_for() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state");
        write_atomically(&path, b"one", 0o600).unwrap();
        write_atomically(&path, b"two", 0o640).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "no temporary file stays");
        assert!(write_atomically(&home.path().join("none/state"), b"x", 0o600).is_err());
    }

    #[test]
    fn what_is_no_regular_file_is_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        let (target, link, folder) = (home.path().join("target"), home.path().join("link"), home.path().join("folder"));
        fs::write(&target, b"old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        fs::create_dir(&folder).unwrap();
        let pipe = home.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&link, &folder, &pipe] {
            let before = fs::symlink_metadata(path).unwrap();
            assert!(write_atomically(path, b"new", 0o600).is_err(), "{}", path.display());
            assert!(write_whole(path, b"new", 0o600).is_err(), "{}", path.display());
            assert_eq!(fs::symlink_metadata(path).unwrap().ino(), before.ino(), "{}", path.display());
        }
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 4, "no temporary file stays");
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_limited(&path, 5).unwrap(), b"12345");
        assert_eq!(read_limited(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_limited(home.path(), 4).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let home = tempfile::tempdir().unwrap();
        let plain = home.path().join("tool");
        fs::write(&plain, b"#!/bin/sh\r\nexit 0\n").unwrap();
        let path = std::ffi::OsString::from(format!(":relative:/nowhere:{}:/bin", home.path().display()));
        assert_eq!(find_program(OsStr::new("tool"), &path), None, "not executable");
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find_program(OsStr::new("tool"), &path), Some(plain.clone()));
        assert_eq!(find_program(plain.as_os_str(), OsStr::new("")), Some(plain.clone()));
        assert_eq!(find_program(OsStr::new("sh"), &path), Some(PathBuf::from("/bin/sh")));
        assert_eq!(first_line(&plain).as_deref(), Some("#!/bin/sh\r"), "the kernel takes it as it is");
    }

    #[test]
    fn only_a_file_of_ones_own_is_emptied() {
        let home = tempfile::tempdir().unwrap();
        let (log, link, second) = (home.path().join("a.log"), home.path().join("link"), home.path().join("b.log"));
        fs::write(&log, "lines\n").unwrap();
        assert_eq!(empty_own_file(&log).unwrap(), 6);
        assert_eq!(fs::read(&log).unwrap(), b"");
        fs::write(&log, "lines\n").unwrap();
        std::os::unix::fs::symlink(&log, &link).unwrap();
        assert_eq!(empty_own_file(&link).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        fs::hard_link(&log, &second).unwrap();
        assert_eq!(empty_own_file(&log).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(fs::read(&log).unwrap(), b"lines\n");
        assert_eq!(empty_own_file(home.path()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(empty_own_file(&home.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_log_of_our_own_is_cut_to_its_newest_lines() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("daemon.log");
        fs::write(&path, "line one\nline two\nline three\n").unwrap();
        let mut file = append_capped(&path, 26, 0o600).unwrap();
        file.write_all(b"more\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "line three\nmore\n");
    }
}
