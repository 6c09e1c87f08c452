//! Standard output and standard error for a writer that a slow reader must not block.

use std::io;
use std::time::Duration;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StandardStream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// A pipe that can be written to takes at least so much at once (`PIPE_BUF` of pipe(7)).
const AT_ONCE_BYTES: usize = 4096;

/// Writes a piece of `bytes` as soon as that is possible, within `patience`; `None` waits for as long as it takes.
/// How many bytes were written: 0 = the reader does not read. Whether the descriptor blocks or not makes no difference.
///
/// # Errors
/// As `write(2)`.
pub fn write_within(stream: StandardStream, bytes: &[u8], patience: Option<Duration>) -> io::Result<usize> {
    let fd = match stream {
        StandardStream::Output => libc::STDOUT_FILENO,
        StandardStream::Error => libc::STDERR_FILENO,
    };
    let timeout = patience.map_or(-1, |patience| i32::try_from(patience.as_millis()).unwrap_or(i32::MAX));
    loop {
        let mut entry = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
        // SAFETY: one valid entry.
        match unsafe { libc::poll(&raw mut entry, 1, timeout) } {
            0 => return Ok(0),
            1.. => {}
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => continue,
                error => return Err(error),
            },
        }
        let piece = &bytes[..bytes.len().min(AT_ONCE_BYTES)];
        // SAFETY: a valid piece of memory and its length.
        let written = unsafe { libc::write(fd, piece.as_ptr().cast(), piece.len()) };
        if let Ok(written) = usize::try_from(written) {
            return Ok(written);
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error if error.kind() == io::ErrorKind::WouldBlock && patience.is_none() => {}
            error if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            error => return Err(error),
        }
    }
}

/// Whether writing failed because nobody is there to read: of a pipe, or with the terminal.
pub fn is_reader_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe || error.raw_os_error() == Some(libc::EIO)
}
