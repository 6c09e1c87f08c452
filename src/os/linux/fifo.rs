//! The named pipes that the output of apps goes through, and the way out of them.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::model::Stream;
use crate::os::errno::{checked, checked_size};

/// One output of one table row: `run/fifo/ROW.out` or `ROW.err`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    path: PathBuf,
    name: CString,
}

impl Fifo {
    /// Makes the pipe unless it is there, and gives it to `owner` (user, group), who alone may open it.
    ///
    /// # Errors
    /// Something else stands in its place, or the folder cannot be written.
    pub fn create(folder: &Path, row: u32, stream: Stream, owner: Option<(u32, u32)>) -> io::Result<Self> {
        let ending = match stream {
            Stream::Stdout => "out",
            Stream::Stderr => "err",
        };
        let path = folder.join(format!("{row}.{ending}"));
        let name = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: the path is null-terminated.
        match checked(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }) {
            // Ours and new: nothing about it needs a look.
            Ok(_) if owner.is_none() => return Ok(Self { path, name }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let there = fs::symlink_metadata(&path)?;
        if !there.file_type().is_fifo() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        if let Some((uid, gid)) = owner.filter(|owner| *owner != (there.uid(), there.gid())) {
            std::os::unix::fs::lchown(&path, Some(uid), Some(gid))?;
        }
        Ok(Self { path, name })
    }

    /// Removes the pipes of a row; who holds them open keeps them to itself.
    pub fn remove(folder: &Path, row: u32) {
        for ending in ["out", "err"] {
            // Not there is as good as gone.
            let _ = fs::remove_file(folder.join(format!("{row}.{ending}")));
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same, for the process that is to write into it. It opens its own end, read and write, so that no SIGPIPE can
    /// come while it lives; and a new one for every spawn: some programs make theirs non-blocking, and the next one
    /// would inherit that and lose lines.
    pub fn c_path(&self) -> CString {
        self.name.clone()
    }

    /// The end that is read: it never waits, and never sees an end while anybody holds it (read *and* write).
    ///
    /// # Errors
    /// It is gone; no descriptors left.
    pub fn open_reader(&self) -> io::Result<OwnedFd> {
        self.open(libc::O_NONBLOCK)
    }

    /// The end for one process, as it opens it itself.
    ///
    /// # Errors
    /// It is gone; no descriptors left.
    #[cfg(test)]
    pub fn open_writer(&self) -> io::Result<OwnedFd> {
        self.open(0)
    }

    fn open(&self, flags: i32) -> io::Result<OwnedFd> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags | libc::O_NOFOLLOW).open(&self.path)?;
        Ok(file.into())
    }

    /// Makes the pipe hold `bytes` if it is allowed to; returns what it holds now.
    ///
    /// # Errors
    /// `EPERM`: over the limit of this user. The pipe stays as it was.
    pub fn grow(pipe: BorrowedFd<'_>, bytes: u32) -> io::Result<u32> {
        // SAFETY: no pointers are passed.
        let size = checked(unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) })?;
        Ok(size.cast_unsigned())
    }
}

/// Removes pipes that an earlier boot has left in `folder`. Nothing else is touched.
///
/// # Errors
/// The folder cannot be read.
pub fn clear_fifos(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_fifo() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// How many bytes wait in a pipe.
///
/// # Errors
/// It is no pipe.
pub fn queued_bytes(pipe: BorrowedFd<'_>) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int.
    checked(unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) })?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Moves up to `max` bytes from a pipe to a file at `offset`, which moves along. Never waits for bytes: an empty pipe
/// is `WouldBlock`. The file must not be open for appending. Each byte is in the pipe or in the file, at any instant.
///
/// # Errors
/// `WouldBlock`; `ENOSPC`: the bytes stay in the pipe.
pub fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, offset: &mut u64, max: usize) -> io::Result<usize> {
    let mut place = libc::loff_t::try_from(*offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let (source, target) = (from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: `place` is valid for reading and writing; a pipe takes no offset of its own.
    let moved = checked_size(unsafe {
        libc::splice(source, std::ptr::null_mut(), target, &raw mut place, max, libc::SPLICE_F_NONBLOCK)
    })?;
    *offset += moved as u64;
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn bytes_go_from_the_pipe_to_their_place_in_the_file() {
        let home = tempfile::tempdir().unwrap();
        let fifo = Fifo::create(home.path(), 3, Stream::Stderr, None).unwrap();
        assert!(fifo.path().ends_with("3.err"));
        let reader = fifo.open_reader().unwrap();
        let mut writer = File::from(fifo.open_writer().unwrap());
        let path = home.path().join("log");
        fs::write(&path, "old").unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let mut offset = 3;
        let empty = splice(reader.as_fd(), file.as_fd(), &mut offset, 1 << 16).unwrap_err();
        assert_eq!((empty.kind(), offset), (io::ErrorKind::WouldBlock, 3));
        writer.write_all(b" and new").unwrap();
        assert_eq!(queued_bytes(reader.as_fd()).unwrap(), 8);
        assert_eq!(splice(reader.as_fd(), file.as_fd(), &mut offset, 1 << 16).unwrap(), 8);
        assert_eq!((offset, fs::read_to_string(&path).unwrap().as_str()), (11, "old and new"));
    }

    #[test]
    fn an_app_that_makes_its_output_non_blocking_does_not_harm_the_next_one() {
        let home = tempfile::tempdir().unwrap();
        let fifo = Fifo::create(home.path(), 0, Stream::Stdout, None).unwrap();
        let (first, second) = (fifo.open_writer().unwrap(), fifo.open_writer().unwrap());
        // SAFETY: no pointers are passed.
        let flags = |fd: &OwnedFd| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
        // SAFETY: no pointers are passed.
        unsafe { libc::fcntl(first.as_raw_fd(), libc::F_SETFL, libc::O_RDWR | libc::O_NONBLOCK) };
        assert_ne!(flags(&first) & libc::O_NONBLOCK, 0);
        assert_eq!(flags(&second) & libc::O_NONBLOCK, 0);
    }

    #[test]
    fn last_words_wait_for_a_reader_that_comes_later() {
        let home = tempfile::tempdir().unwrap();
        let fifo = Fifo::create(home.path(), 0, Stream::Stdout, None).unwrap();
        let holder = fifo.open_reader().unwrap();
        File::from(fifo.open_writer().unwrap()).write_all(b"bye").unwrap();
        let again = Fifo::create(home.path(), 0, Stream::Stdout, None).unwrap();
        let mut text = [0; 8];
        assert_eq!(File::from(again.open_reader().unwrap()).read(&mut text).unwrap(), 3);
        drop(holder);
    }

    #[test]
    fn only_pipes_are_cleared_and_nothing_else_is_taken_for_one() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("1.out"), "mine").unwrap();
        assert!(Fifo::create(home.path(), 1, Stream::Stdout, None).is_err());
        Fifo::create(home.path(), 2, Stream::Stdout, None).unwrap();
        clear_fifos(home.path()).unwrap();
        let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["1.out"]);
    }
}
