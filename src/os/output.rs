//! Standard output and standard error for a writer that a slow reader must not block.

use std::io;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::stdio::{stderr, stdout};

use super::errno::poll_one;

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
        StandardStream::Output => stdout(),
        StandardStream::Error => stderr(),
    };
    let piece = &bytes[..bytes.len().min(AT_ONCE_BYTES)];
    loop {
        let written = match poll_one(fd, PollFlags::OUT, patience) {
            Ok(ready) if ready.is_empty() => return Ok(0),
            Ok(_) => rustix::io::write(fd, piece).map_err(io::Error::from),
            Err(error) => Err(error),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && patience.is_none() => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            done => return done,
        }
    }
}

/// Whether writing failed because nobody is there to read: of a pipe, or with the terminal.
pub fn is_reader_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe || error.raw_os_error() == Some(libc::EIO)
}
