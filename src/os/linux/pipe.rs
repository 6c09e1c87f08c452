//! The pipes for the output of apps, and reopening their reading ends.
//!
//! A pipe has no name on any disk. Whoever holds it opens further ends of it through `/proc` (`proc_pid_fd(5)`): each
//! is a file description of its own, with flags of its own.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod, fstat};

/// What distinguishes an output pipe from the pipes that programs make for themselves.
pub(super) const OUTPUT_MODE: u32 = 0o666;

/// A new pipe, as the end that is read: it never waits, and never sees an end while anybody holds it (it is open for
/// reading *and* writing).
///
/// Every user may open it: whoever reaches it through `/dev/stdout` has it already, and others do not get to it.
///
/// # Errors
/// No descriptors left; there is no `/proc`.
pub fn output_pipe() -> io::Result<OwnedFd> {
    let (reader, _writer) = io::pipe()?;
    fchmod(&reader, Mode::from_raw_mode(OUTPUT_MODE))?;
    open_both_ways(&path_of(reader.as_fd()), libc::O_NONBLOCK)
}

/// What distinguishes a pipe from all others of this boot.
///
/// # Errors
/// None that a caller could cause.
pub fn pipe_inode(pipe: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(fstat(pipe)?.st_ino)
}

/// The pipe with this inode number, if the process has it open: another end of it for us, as by [`output_pipe`].
///
/// # Errors
/// We may not look into the process, or it is gone.
pub fn pipe_of_process(pid: u32, inode: u64) -> io::Result<Option<OwnedFd>> {
    match search(pid, inode) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let owner = fs::metadata(format!("/proc/{pid}"))?;
            as_user(owner.uid(), owner.gid(), || search(pid, inode))
        }
        found => found,
    }
}

fn search(pid: u32, inode: u64) -> io::Result<Option<OwnedFd>> {
    let wanted = PathBuf::from(format!("pipe:[{inode}]"));
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let path = entry?.path();
        match fs::read_link(&path) {
            Ok(found) if found == wanted => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            Ok(_) | Err(_) => continue, // another one, or closed meanwhile
        }
        // Held without opening it: by now the number may stand for something else.
        if let Ok(held) = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(&path)
            && fs::read_link(path_of(held.as_fd()))? == wanted
        {
            return open_both_ways(&path_of(held.as_fd()), libc::O_NONBLOCK).map(Some);
        }
    }
    Ok(None)
}

/// Does `work` with the file rights of another user (`setfsuid(2)`), if we may; only this thread. Processes of other
/// users may be looked into by root only with a capability that containers do not have, and by themselves.
pub(super) fn as_user<T>(uid: u32, gid: u32, work: impl FnOnce() -> T) -> T {
    // SAFETY: no pointers are passed; the raw calls, and so the change, are of this thread alone.
    let set = |call, id: u32| unsafe { libc::syscall(call, libc::c_long::from(id)) };
    let before = (set(libc::SYS_setfsgid, gid), set(libc::SYS_setfsuid, uid));
    let result = work();
    set(libc::SYS_setfsuid, u32::try_from(before.1).unwrap_or(0));
    set(libc::SYS_setfsgid, u32::try_from(before.0).unwrap_or(0));
    result
}

/// Another end of a pipe, for one process. It is open for reading and writing, so that no SIGPIPE can come while the
/// process is alive; and a new one for every spawn: some programs make theirs non-blocking, and the next one would inherit
/// that and lose lines.
///
/// # Errors
/// No descriptors left.
pub(super) fn another_end(pipe: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    open_both_ways(&path_of(pipe), 0)
}

/// A new pipe for the standard input of one process: that one holds both of its ends, in one descriptor, and so waits on it
/// without ever seeing an end, whoever else dies.
///
/// # Errors
/// No descriptors left; there is no `/proc`.
pub(super) fn endless_pipe() -> io::Result<OwnedFd> {
    let (reader, _writer) = io::pipe()?;
    fchmod(&reader, Mode::from_raw_mode(OUTPUT_MODE))?;
    another_end(reader.as_fd())
}

/// Most bytes that go into a pipe in one piece, whoever else writes into it (`PIPE_BUF`).
pub const INPUT_BYTES_MAX: usize = 4096;

/// Writes into the pipe that a process has as its standard input: all of it or nothing, at once. The caller knows that the
/// process is still the one that he means.
///
/// # Errors
/// `WouldBlock`: the process does not read, and its pipe is full. `InvalidInput`: it has no such pipe, or these are more than
/// [`INPUT_BYTES_MAX`]. `PermissionDenied`: we may not look into it.
pub fn write_to_input(pid: u32, is_still_it: impl FnOnce() -> bool, bytes: &[u8]) -> io::Result<()> {
    let open = || OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(format!("/proc/{pid}/fd/0"));
    if bytes.len() > INPUT_BYTES_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // Looked at first: to open a terminal or a device may do something.
    let found = fs::metadata(format!("/proc/{pid}/fd/0")).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::ErrorKind::InvalidInput.into(), // closed
        _ => error,
    })?;
    if !found.file_type().is_fifo() || found.mode() & 0o777 != OUTPUT_MODE {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut pipe = open()?;
    let opened = pipe.metadata()?;
    if !is_still_it() || (opened.dev(), opened.ino()) != (found.dev(), found.ino()) {
        return Err(io::ErrorKind::NotFound.into());
    }
    pipe.write_all(bytes)
}

fn path_of(fd: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

fn open_both_ways(path: &Path, flags: i32) -> io::Result<OwnedFd> {
    Ok(OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?.into())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::process::{Child, Command, Stdio};

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

    use super::*;

    fn writer(pipe: &OwnedFd) -> File {
        another_end(pipe.as_fd()).unwrap().into()
    }

    fn is_nonblocking(file: &File) -> bool {
        fcntl_getfl(file).unwrap().contains(OFlags::NONBLOCK)
    }

    fn read_some(pipe: OwnedFd) -> Vec<u8> {
        let mut text = [0; 64];
        let length = File::from(pipe).read(&mut text).unwrap();
        text[..length].to_vec()
    }

    #[test]
    fn an_app_that_makes_its_output_non_blocking_does_not_harm_the_next_one() {
        let pipe = output_pipe().unwrap();
        let (first, second) = (writer(&pipe), writer(&pipe));
        fcntl_setfl(&first, OFlags::RDWR | OFlags::NONBLOCK).unwrap();
        assert!(is_nonblocking(&first));
        assert!(!is_nonblocking(&second));
    }

    #[test]
    fn reading_never_waits_and_never_sees_an_end() {
        let pipe = output_pipe().unwrap();
        drop(writer(&pipe));
        assert_eq!(File::from(pipe).read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    fn sleeper(out: Stdio) -> Child {
        Command::new("sleep").arg("1000").stdin(Stdio::null()).stdout(out).spawn().unwrap()
    }

    #[test]
    fn what_nobody_but_a_process_holds_is_found_in_that_process() {
        let pipe = output_pipe().unwrap();
        let inode = pipe_inode(pipe.as_fd()).unwrap();
        let mut end = writer(&pipe);
        end.write_all(b"last words").unwrap();
        let (mut keeper, mut other) = (sleeper(end.into()), sleeper(Stdio::null()));
        drop(pipe);
        let found = pipe_of_process(keeper.id(), inode).unwrap().unwrap();
        assert_eq!(pipe_inode(found.as_fd()).unwrap(), inode);
        assert!(is_nonblocking(&File::from(found.try_clone().unwrap())));
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
    fn input_goes_into_the_pipe_of_a_process_whole_or_not_at_all() {
        let pipe = endless_pipe().unwrap();
        let reader = another_end(pipe.as_fd()).unwrap();
        let mut reader_of_none = Command::new("sleep").arg("1000").stdin(pipe).spawn().unwrap();
        let pid = reader_of_none.id();
        write_to_input(pid, || true, b"hello\n").unwrap();
        assert_eq!(read_some(reader.try_clone().unwrap()), b"hello\n");
        let long = [b'x'; INPUT_BYTES_MAX + 1];
        let kind = |result: io::Result<()>| result.map_err(|error| error.kind());
        assert_eq!(kind(write_to_input(pid, || true, &long)), Err(io::ErrorKind::InvalidInput));
        assert_eq!(kind(write_to_input(pid, || false, b"x")), Err(io::ErrorKind::NotFound));
        let mut written = 0;
        let full = loop {
            match write_to_input(pid, || true, &long[..1000]) {
                Ok(()) => written += 1000,
                Err(error) => break error.kind(),
            }
            assert!(written < 1 << 20, "a pipe has an end");
        };
        assert_eq!(full, io::ErrorKind::WouldBlock);
        let mut other = sleeper(Stdio::null());
        // Its own standard input is none of ours.
        assert_eq!(kind(write_to_input(other.id(), || true, b"x")), Err(io::ErrorKind::InvalidInput));
        for child in [&mut reader_of_none, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn every_user_may_open_what_was_handed_to_him() {
        let pipe = output_pipe().unwrap();
        let open = || another_end(pipe.as_fd()).is_ok();
        assert!(open());
        if crate::os::user_id() == 0 {
            assert!(as_user(12345, 23456, open));
        }
        assert!(open(), "we are who we were");
    }
}
