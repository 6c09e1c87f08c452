//! Reading what a user names: a file, a pipe, a device. All of it or an error, within a limit of time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::errno::{poll_one, uninterrupted};

/// How often a file is read again that was written to meanwhile.
const ATTEMPTS_MAX: u32 = 3;
const CHUNK_BYTES: usize = 64 << 10;
const SMALL_BYTES: usize = 8 << 10;

/// Reads the whole contents of whatever has this path, at most `bytes_max` bytes. What is no regular file is read
/// until its writers have closed it, for at most `limit`. Reading a pipe takes its contents away: nobody can read them
/// again.
///
/// # Errors
/// `FileTooLarge`: there is more. `TimedOut`: the end did not come within `limit`. `ResourceBusy`: a file is written to
/// whenever it is read. `IsADirectory`; `Unsupported`: a socket; others as the kernel reports them.
pub fn read_contents(path: &Path, bytes_max: u64, limit: Duration) -> io::Result<Vec<u8>> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if kind.is_socket() {
        return Err(ErrorKind::Unsupported.into());
    }
    if kind.is_file() {
        return read_unchanged(path, bytes_max);
    }
    let deadline = Instant::now() + limit;
    let mut file = open(path)?;
    loop {
        let bytes = read_to_end(&file, bytes_max, deadline)?;
        // The writer of a named pipe that was about to leave when we came has written all of it for somebody else.
        let is_left_over = bytes.is_empty() && kind.is_fifo() && fs::canonicalize(path).is_ok();
        if !is_left_over {
            return Ok(bytes);
        }
        // Before this one is closed: without any reader a pipe forgets what a writer has just put into it.
        file = open(path)?;
    }
}

/// Not waiting for a writer, should the path be a pipe.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// Up to `bytes_max` bytes from where the file stands.
pub(super) fn take(file: &File, bytes_max: u64) -> io::Result<Vec<u8>> {
    // Most files fit: two calls, not ten of growing length.
    let mut bytes = Vec::with_capacity(usize::try_from(bytes_max).map_or(SMALL_BYTES, |most| most.min(SMALL_BYTES)));
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max { Err(ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// A regular file as it was at one moment, as far as its size and times tell: one that changes while it is read is read
/// again. (Who replaces a file by `rename(2)` is safe in any case.)
fn read_unchanged(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    for _ in 0..ATTEMPTS_MAX {
        match read_watching(path, bytes_max) {
            Ok(Some(bytes)) => return Ok(bytes),
            Ok(None) => {}
            // Replaced on a network file system.
            Err(error) if error.kind() == ErrorKind::StaleNetworkFileHandle => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::ResourceBusy.into())
}

/// `None`: it was changed meanwhile.
fn read_watching(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = open(path)?;
    let state = || file.metadata().map(|found| (found.len(), found.mtime(), found.mtime_nsec()));
    let before = state()?;
    let bytes = take(&file, bytes_max)?;
    Ok((state()? == before).then_some(bytes))
}

/// Everything until the last writer closes.
fn read_to_end(mut file: &File, bytes_max: u64, deadline: Instant) -> io::Result<Vec<u8>> {
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; CHUNK_BYTES]);
    let mut must_wait = true;
    loop {
        if must_wait {
            wait_for_input(file, deadline)?;
        }
        must_wait = false;
        match file.read(&mut chunk) {
            Ok(0) => return Ok(bytes),
            // After this its end is seen by reading only: who opened the pipe between two writers waits for a third.
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => must_wait = true,
            Err(error) => return Err(error),
        }
        if bytes.len() as u64 > bytes_max {
            return Err(ErrorKind::FileTooLarge.into());
        }
    }
}

/// Waits for bytes or for the end. A named pipe that nobody has written into yet has neither (poll(2) on Linux).
fn wait_for_input(file: &File, deadline: Instant) -> io::Result<()> {
    let left = || deadline.saturating_duration_since(Instant::now());
    let ready = uninterrupted(|| poll_one(file, PollFlags::IN, Some(left())))?;
    if ready.is_empty() { Err(ErrorKind::TimedOut.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(30);

    fn fifo(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        path
    }

    #[test]
    fn a_pipe_is_read_to_its_end_however_its_writer_divides_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path());
        let all = [&[1][..], &[70_000, 70_000], &[1, 2, 3], &[1 << 20]].into_iter();
        for parts in all.chain(std::iter::repeat_n(&[0][..], 100)) {
            let (parts, path_of_writer) = (parts.to_vec(), path.clone());
            let expected: usize = parts.iter().sum();
            let writer = thread::spawn(move || {
                let mut file = OpenOptions::new().write(true).open(&path_of_writer).unwrap();
                for part in &parts {
                    file.write_all(&vec![b'x'; *part]).unwrap();
                    thread::yield_now();
                }
                drop(file);
                // A reader that met nothing waits for the next writer.
                if expected == 0 {
                    fs::write(&path_of_writer, "late").unwrap();
                }
            });
            let read = read_contents(&path, 2 << 20, LONG).expect("what a writer has put in is there");
            assert_eq!(read.len(), if expected == 0 { 4 } else { expected });
            writer.join().unwrap();
        }
    }

    #[test]
    fn what_does_not_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path());
        assert_eq!(read_contents(&path, 9, SHORT).unwrap_err().kind(), ErrorKind::TimedOut, "no writer");
        let held = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        (&held).write_all(b"half").unwrap();
        assert_eq!(read_contents(&path, 9, SHORT).unwrap_err().kind(), ErrorKind::TimedOut, "it never closes");
        (&held).write_all(b"too much of it").unwrap();
        assert_eq!(read_contents(&path, 9, SHORT).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read_contents(Path::new("/dev/zero"), 9, LONG).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read_contents(Path::new("/dev/null"), 9, LONG).unwrap(), b"");
        assert_eq!(read_contents(folder.path(), 9, LONG).unwrap_err().kind(), ErrorKind::IsADirectory);
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(read_contents(&socket, 9, LONG).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn the_end_of_a_pipe_without_a_name_counts_at_once() {
        let (reader, writer) = io::pipe().unwrap();
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        (&writer).write_all(b"last words").unwrap();
        drop(writer);
        assert_eq!(read_contents(Path::new(&path), 99, SHORT).unwrap(), b"last words");
        assert_eq!(read_contents(Path::new(&path), 99, SHORT).unwrap(), b"");
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_refused_or_read_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        let is_over = AtomicBool::new(false);
        let results: Vec<_> = thread::scope(|scope| {
            scope.spawn(|| {
                let mut file = OpenOptions::new().append(true).open(&path).unwrap();
                // Bounded by the limit of the reader.
                while !is_over.load(Ordering::Relaxed) && file.metadata().unwrap().len() < 8 << 20 {
                    file.write_all(b"xxxxxxxx").unwrap();
                }
            });
            let results = (0..20).map(|_| read_contents(&path, 16 << 20, LONG)).collect();
            is_over.store(true, Ordering::Relaxed);
            results
        });
        for result in results {
            match result {
                Ok(bytes) => assert!(bytes.len() >= 1 << 20),
                Err(error) => assert_eq!(error.kind(), ErrorKind::ResourceBusy),
            }
        }
    }
}
