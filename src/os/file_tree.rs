//! Whole trees of files: made read-only, given to another user, removed. No link in them is ever followed.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, RawMode, Stat, Uid, chownat, fstat, openat, syncfs};

use super::this_process::user_id;

/// Deepest tree that is worked on: every level needs a descriptor.
const DEPTH_MAX: usize = 200;

/// Makes a tree read-only: files 0444, or 0555 if anybody could execute them, folders 0555, its first folder `root_mode`. Files
/// of the owner of its first folder become ours; what belongs to somebody else is left as it is.
///
/// # Errors
/// As `chmod(2)`; it is deeper than 200 folders.
pub fn seal_tree(root: &Path, root_mode: u32) -> io::Result<()> {
    let us = user_id();
    let mut owner = None;
    walk(root, &mut |entry, found| {
        let folder_mode = if owner.is_none() { root_mode } else { 0o555 };
        let owner = *owner.get_or_insert(found.st_uid);
        if found.st_uid != owner && found.st_uid != us {
            return Ok(());
        }
        if found.st_uid != us {
            give(entry, us, rustix::process::getegid().as_raw())?;
        }
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => set_mode(entry, folder_mode),
            FileType::RegularFile if found.st_mode & 0o111 != 0 => set_mode(entry, 0o555),
            FileType::RegularFile => set_mode(entry, 0o444),
            _ => Ok(()),
        }
    })
}

/// Lets everybody through a folder of ours to what they may enter in it (0711); nobody else sees what is in it.
///
/// # Errors
/// As `chmod(2)`.
pub fn let_pass(folder: &Path) -> io::Result<()> {
    if lets_pass(folder) { Ok(()) } else { fs::set_permissions(folder, Permissions::from_mode(0o711)) }
}

/// Others may not enter a folder of ours, unless they were let through it.
///
/// # Errors
/// As `chmod(2)`.
pub fn keep_private(folder: &Path) -> io::Result<()> {
    let is_open = fs::metadata(folder)?.permissions().mode() & 0o077 != 0;
    if is_open && !lets_pass(folder) { fs::set_permissions(folder, Permissions::from_mode(0o700)) } else { Ok(()) }
}

/// Whether others may go through a folder, and do nothing else with it.
pub fn lets_pass(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & 0o077 == 0o011)
}

/// From now on only we, and the members of a group, may enter a read-only folder of ours.
///
/// # Errors
/// As `chown(2)` and `chmod(2)`: we are not root.
pub fn keep_for(folder: &Path, group: Option<u32>) -> io::Result<()> {
    let found = fs::metadata(folder)?;
    let mode = if group.is_some() { 0o550 } else { 0o500 };
    if group.is_none_or(|group| found.gid() == group) && found.permissions().mode() & 0o777 == mode {
        return Ok(());
    }
    fs::set_permissions(folder, Permissions::from_mode(0o500))?;
    let Some(group) = group else { return Ok(()) };
    std::os::unix::fs::chown(folder, None, Some(group))?;
    fs::set_permissions(folder, Permissions::from_mode(mode))
}

/// Gives everything of ours in a tree to another user and group.
///
/// # Errors
/// As `chown(2)`: we are not root; it is deeper than 200 folders.
pub fn give_tree(root: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let us = user_id();
    walk(root, &mut |entry, found| if found.st_uid == us { give(entry, uid, gid) } else { Ok(()) })
}

/// Removes a tree, read-only folders included; that there is none is fine.
///
/// # Errors
/// As `unlink(2)`.
pub fn remove_tree(root: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.is_dir() {
        return fs::remove_file(root);
    }
    // Only the owner of a folder may open it again: what belongs to others shows below.
    let _shows_below = walk(root, &mut |entry, found| match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory if found.st_mode & 0o700 != 0o700 => set_mode(entry, 0o700),
        _ => Ok(()),
    });
    fs::remove_dir_all(root)
}

/// Makes a folder that others may enter (0755); one that is there is left as it is.
///
/// # Errors
/// As `mkdir(2)`.
pub fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755))),
    }
}

/// Makes a symbolic link.
///
/// # Errors
/// As `symlink(2)`.
pub fn make_link(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Renames durably: everything on the file system is on the disk before, the new name after.
///
/// # Errors
/// As `rename(2)`, `syncfs(2)`.
pub fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    sync_tree(from)?;
    fs::rename(from, to)?;
    to.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Writes everything on the file system of this file or folder to the disk.
///
/// # Errors
/// As `syncfs(2)`.
pub fn sync_tree(path: &Path) -> io::Result<()> {
    Ok(syncfs(File::open(path)?)?)
}

/// Renames without waiting for the disk.
///
/// # Errors
/// As `rename(2)`.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// What is done with each file, folder and link: by descriptor, so that nobody can exchange it meanwhile.
type TreeAction<'a> = dyn FnMut(BorrowedFd<'_>, &Stat) -> io::Result<()> + 'a;

fn walk(root: &Path, act: &mut TreeAction<'_>) -> io::Result<()> {
    let folder = openat(CWD, root, PATH_ONLY, Mode::empty())?;
    visit(&folder, DEPTH_MAX, act)
}

const PATH_ONLY: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn visit(entry: &OwnedFd, depth: usize, act: &mut TreeAction<'_>) -> io::Result<()> {
    let found = fstat(entry)?;
    act(entry.as_fd(), &found)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
        return Ok(());
    }
    let Some(depth) = depth.checked_sub(1) else {
        return Err(io::Error::new(io::ErrorKind::InvalidFilename, "more than 200 folders deep"));
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut names = Vec::new();
    for entry in Dir::new(openat(entry, ".", flags, Mode::empty())?)? {
        let name = entry?.file_name().to_owned();
        if name.as_bytes() != b"." && name.as_bytes() != b".." {
            names.push(name);
        }
    }
    for name in names {
        visit(&openat(entry, &name, PATH_ONLY, Mode::empty())?, depth, act)?;
    }
    Ok(())
}

/// By its name in `/proc`: only that reaches what is open without being opened for reading.
fn set_mode(entry: BorrowedFd<'_>, mode: RawMode) -> io::Result<()> {
    fs::set_permissions(format!("/proc/self/fd/{}", entry.as_raw_fd()), Permissions::from_mode(mode))
}

fn give(entry: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(chownat(entry, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::chown;

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_sealed_tree_is_read_only_and_its_links_lead_to_what_they_led_to() {
        let home = tempfile::tempdir().unwrap();
        let (tree, outside) = (home.path().join("tree"), home.path().join("outside"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(&outside, "x").unwrap();
        fs::set_permissions(&outside, Permissions::from_mode(0o600)).unwrap();
        for (name, mode) in [("plain", 0o600), ("a/run", 0o700), ("a/b/strange", 0o4755)] {
            fs::write(tree.join(name), "x").unwrap();
            fs::set_permissions(tree.join(name), Permissions::from_mode(mode)).unwrap();
        }
        make_link(&outside, &tree.join("a/link")).unwrap();
        seal_tree(&tree, 0o555).unwrap();
        seal_tree(&tree, 0o555).unwrap();
        for (name, mode) in
            [("", 0o555), ("a", 0o555), ("a/b", 0o555), ("plain", 0o444), ("a/run", 0o555), ("a/b/strange", 0o555)]
        {
            assert_eq!(mode_of(&tree.join(name)), mode, "{name}");
        }
        assert_eq!(mode_of(&outside), 0o600);
        remove_tree(&tree).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && outside.exists());
    }

    #[test]
    fn what_belongs_to_somebody_else_stays_theirs() {
        let home = tempfile::tempdir().unwrap();
        let tree = home.path().join("tree");
        fs::create_dir_all(tree.join("a")).unwrap();
        fs::write(tree.join("a/file"), "x").unwrap();
        fs::write(tree.join("foreign"), "x").unwrap();
        fs::set_permissions(tree.join("foreign"), Permissions::from_mode(0o600)).unwrap();
        if user_id() != 0 {
            assert_eq!(give_tree(&tree, 1, 1).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            return;
        }
        chown(tree.join("foreign"), Some(4321), Some(4321)).unwrap();
        make_link(Path::new("/etc/passwd"), &tree.join("link")).unwrap();
        give_tree(&tree, 1234, 1234).unwrap();
        let owner = |name: &str| fs::symlink_metadata(tree.join(name)).unwrap().uid();
        assert_eq!(["", "a", "a/file", "link", "foreign"].map(owner), [1234, 1234, 1234, 1234, 4321]);
        assert_eq!(fs::metadata("/etc/passwd").unwrap().uid(), 0);
        seal_tree(&tree, 0o555).unwrap();
        assert_eq!(["", "a", "a/file", "link", "foreign"].map(owner), [0, 0, 0, 0, 4321]);
        assert_eq!(mode_of(&tree.join("foreign")), 0o600);
    }
}
