//! The pipes that the output of apps goes through, and the way out of them.
//!
//! A pipe has no name on any disk. Whoever holds it opens further ends of it through `/proc` (`proc_pid_fd(5)`): each
//! is a file description of its own, with flags of its own.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A new pipe, as the end that is read: it never waits, and never sees an end while anybody holds it (it is open for
/// reading *and* writing). `owner` (user, group) may open it by `/dev/stdout` as well.
///
/// # Errors
/// No descriptors left; there is no `/proc`.
pub fn output_pipe(owner: Option<(u32, u32)>) -> io::Result<OwnedFd> {
    let (reader, _writer) = io::pipe()?;
    let pipe = open_both_ways(&path_of(reader.as_fd()), libc::O_NONBLOCK)?;
    give_pipe(pipe.as_fd(), owner)?;
    Ok(pipe)
}

/// Gives a pipe to `owner` (user, group), if it is another one than before.
///
/// # Errors
/// We may not.
pub fn give_pipe(pipe: BorrowedFd<'_>, owner: Option<(u32, u32)>) -> io::Result<()> {
    let Some((uid, gid)) = owner else { return Ok(()) };
    let there = metadata(pipe)?;
    if (there.uid(), there.gid()) == (uid, gid) {
        return Ok(());
    }
    std::os::unix::fs::fchown(pipe, Some(uid), Some(gid))
}

/// What tells a pipe from all others of this boot.
///
/// # Errors
/// None that a caller could cause.
pub fn pipe_inode(pipe: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(metadata(pipe)?.ino())
}

/// The pipe with this inode number, if the process has it open: another end of it for us, as by [`output_pipe`].
///
/// # Errors
/// We may not look into the process, or it is gone.
pub fn pipe_of_process(pid: u32, inode: u64) -> io::Result<Option<OwnedFd>> {
    let wanted = PathBuf::from(format!("pipe:[{inode}]"));
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let path = entry?.path();
        if fs::read_link(&path).is_ok_and(|found| found == wanted)
            // Held without opening it: by now the number may stand for something else.
            && let Ok(held) = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(&path)
            && fs::read_link(path_of(held.as_fd()))? == wanted
        {
            return open_both_ways(&path_of(held.as_fd()), libc::O_NONBLOCK).map(Some);
        }
    }
    Ok(None)
}

/// Another end of a pipe, for one process. It is open for reading and writing, so that no SIGPIPE can come while the
/// process lives; and a new one for every spawn: some programs make theirs non-blocking, and the next one would inherit
/// that and lose lines.
///
/// # Errors
/// No descriptors left.
pub(super) fn another_end(pipe: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    open_both_ways(&path_of(pipe), 0)
}

fn path_of(fd: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

fn open_both_ways(path: &Path, flags: i32) -> io::Result<OwnedFd> {
    Ok(OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?.into())
}

fn metadata(pipe: BorrowedFd<'_>) -> io::Result<fs::Metadata> {
    File::from(pipe.try_clone_to_owned()?).metadata()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn writer(pipe: &OwnedFd) -> File {
        another_end(pipe.as_fd()).unwrap().into()
    }

    fn flags(file: &File) -> i32 {
        // SAFETY: no pointers are passed.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) }
    }

    fn read_some(pipe: OwnedFd) -> Vec<u8> {
        let mut text = [0; 64];
        let length = File::from(pipe).read(&mut text).unwrap();
        text[..length].to_vec()
    }

    #[test]
    fn an_app_that_makes_its_output_non_blocking_does_not_harm_the_next_one() {
        let pipe = output_pipe(None).unwrap();
        let (first, second) = (writer(&pipe), writer(&pipe));
        // SAFETY: no pointers are passed.
        unsafe { libc::fcntl(first.as_raw_fd(), libc::F_SETFL, libc::O_RDWR | libc::O_NONBLOCK) };
        assert_ne!(flags(&first) & libc::O_NONBLOCK, 0);
        assert_eq!(flags(&second) & libc::O_NONBLOCK, 0);
    }

    #[test]
    fn reading_never_waits_and_never_sees_an_end() {
        let pipe = output_pipe(None).unwrap();
        drop(writer(&pipe));
        assert_eq!(File::from(pipe).read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    fn sleeper(out: Stdio) -> Child {
        Command::new("sleep").arg("1000").stdout(out).spawn().unwrap()
    }

    #[test]
    fn what_nobody_but_a_process_holds_is_found_in_that_process() {
        let pipe = output_pipe(None).unwrap();
        let inode = pipe_inode(pipe.as_fd()).unwrap();
        let mut end = writer(&pipe);
        end.write_all(b"last words").unwrap();
        let (mut keeper, mut other) = (sleeper(end.into()), sleeper(Stdio::null()));
        drop(pipe);
        let found = pipe_of_process(keeper.id(), inode).unwrap().unwrap();
        assert_eq!(pipe_inode(found.as_fd()).unwrap(), inode);
        assert_ne!(flags(&File::from(found.try_clone().unwrap())) & libc::O_NONBLOCK, 0);
        assert_eq!(read_some(found), b"last words");
        assert!(pipe_of_process(keeper.id(), inode + 1).unwrap().is_none());
        assert!(pipe_of_process(other.id(), inode).unwrap().is_none());
        for child in [&mut keeper, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(pipe_of_process(keeper.id(), inode).is_err(), "the process is gone");
    }

    #[test]
    fn a_pipe_is_given_to_the_user_who_writes_into_it() {
        let pipe = match output_pipe(Some((12345, 23456))) {
            Ok(pipe) => pipe,
            Err(error) => {
                let is_root = crate::os::user_id() == 0;
                return assert!(!is_root && error.kind() == io::ErrorKind::PermissionDenied, "{error}");
            }
        };
        let there = metadata(pipe.as_fd()).unwrap();
        assert_eq!((there.uid(), there.gid(), there.mode() & 0o777), (12345, 23456, 0o600));
        assert_eq!(read_after(&pipe), b"still ours");
    }

    fn read_after(pipe: &OwnedFd) -> Vec<u8> {
        writer(pipe).write_all(b"still ours").unwrap();
        read_some(pipe.try_clone().unwrap())
    }
}
