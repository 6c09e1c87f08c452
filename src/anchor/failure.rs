//! A daemon that cannot start: the anchor answers requests with the reason that the daemon gave.
//!
//! The reason is never older than the question: while there is no daemon, a connection starts one, and is answered by it,
//! or by the anchor once that one has failed, too.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::link::{ANCHOR_SOCKET, FIXED_END};
use super::protocol::Message;
use crate::os;

/// Header of an answer that the anchor gives in the daemon's place; the body is the reason.
pub const ANSWER_HEADER: &str = "pm-anchor";
/// The anchor continues trying.
pub const ANSWER_FAILED: &str = "failed";
/// The anchor was asked to end: it stops the apps, and leaves.
pub const ANSWER_ENDING: &str = "ending";

/// The request that ends the anchor, daemon or not.
const SHUTDOWN: &[u8] = b"POST /v1/shutdown ";
/// Longest reason.
pub(super) const TEXT_BYTES_MAX: usize = 700;
/// A caller that has connected has sent its question within this, and reads the answer.
const CALLER_PATIENCE: Duration = Duration::from_millis(100);

/// The daemon's way to say how its boot went, open from its first moment to the end of the boot.
#[derive(Debug)]
pub struct BootReport(Option<OwnedFd>);

impl BootReport {
    /// `None` if we were not started by an anchor. To be called first of all: what is opened later may get the number of
    /// the link, and what fails later may close it.
    pub fn open() -> Option<Self> {
        match os::copy_above(link(), FIXED_END) {
            Ok(socket) => Some(Self(Some(socket))),
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => None,
            // Without a free number it is reported through the link itself, which nobody has taken then.
            Err(_) => Some(Self(None)),
        }
    }

    /// Questions are answered from now on.
    pub fn ready(self) {
        let _anchor_gone = Message::Ready.send(self.socket(), &[]);
    }

    /// There will be no answers.
    pub fn failed(self, reason: &str) {
        let _anchor_gone = Message::send_failure(self.socket(), reason);
    }

    fn socket(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Some(socket) => socket.as_fd(),
            None => link(),
        }
    }
}

fn link() -> BorrowedFd<'static> {
    // SAFETY: a daemon has its number for as long as it lives; without one, using it is an error and nothing else.
    unsafe { BorrowedFd::borrow_raw(ANCHOR_SOCKET) }
}

/// A reason, in memory of its own: the anchor does not allocate.
#[derive(Clone, Copy)]
pub(super) struct Text {
    bytes: [u8; TEXT_BYTES_MAX],
    length: usize,
}

impl Text {
    /// The beginning of the reason.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut text = Self { bytes: [0; TEXT_BYTES_MAX], length: bytes.len().min(TEXT_BYTES_MAX) };
        text.bytes.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        text
    }

    /// The beginning of what is formatted.
    pub(super) fn format(what: fmt::Arguments<'_>) -> Self {
        let mut bytes = [0; TEXT_BYTES_MAX];
        let mut rest = &mut bytes[..];
        let _cut = rest.write_fmt(what);
        let left = rest.len();
        Self { bytes, length: TEXT_BYTES_MAX - left }
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.bytes()).fmt(f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.bytes()).fmt(f)
    }
}

/// Answers one caller; true if the question was to end. A caller that says nothing, or reads nothing, holds us up for a
/// fraction of a second.
pub(super) fn answer(mut caller: UnixStream, reason: &Text) -> io::Result<bool> {
    caller.set_nonblocking(false)?;
    caller.set_read_timeout(Some(CALLER_PATIENCE))?;
    caller.set_write_timeout(Some(CALLER_PATIENCE))?;
    let mut question = [0; 4096];
    let length = caller.read(&mut question)?;
    let is_ending = question.get(..length).is_some_and(|question| question.starts_with(SHUTDOWN));
    let word = if is_ending { ANSWER_ENDING } else { ANSWER_FAILED };
    let mut head = [0; 256];
    let mut rest = &mut head[..];
    let length = reason.bytes().len();
    write!(rest, "HTTP/1.1 503 Service Unavailable\r\n{ANSWER_HEADER}: {word}\r\ncontent-type: text/plain\r\n")?;
    write!(rest, "content-length: {length}\r\nconnection: close\r\n\r\n")?;
    let left = rest.len();
    let end = head.len() - left;
    // What the caller makes of it is the caller's affair; what was asked counts.
    let _caller_gone = caller.write_all(&head[..end]).and_then(|()| caller.write_all(reason.bytes()));
    Ok(is_ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_answered_whatever_it_says_and_ends_us_by_one_question_only() {
        let long = "x".repeat(5000);
        for (question, reason, is_ending) in [
            ("GET /v1/list HTTP/1.1\r\n\r\n", "the state is broken", false),
            ("POST /v1/shutdown HTTP/1.1\r\n\r\n", "the state is broken", true),
            ("POST /v1/shutdowns HTTP/1.1\r\n\r\n", "", false),
            ("", &long, false),
        ] {
            let (mut client, server) = UnixStream::pair().unwrap();
            client.write_all(question.as_bytes()).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(answer(server, &Text::of(reason.as_bytes())).unwrap(), is_ending, "{question}");
            let mut text = String::new();
            client.read_to_string(&mut text).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let expected = reason.get(..TEXT_BYTES_MAX).unwrap_or(reason);
            assert!(head.contains(&format!("content-length: {}", expected.len())), "{head}");
            assert_eq!(body, expected);
        }
        let (client, server) = UnixStream::pair().unwrap();
        assert!(answer(server, &Text::of(b"x")).is_err(), "nothing was asked");
        drop(client);
        assert_eq!(Text::format(format_args!("{long}")).bytes(), &long.as_bytes()[..TEXT_BYTES_MAX]);
        assert_eq!(Text::format(format_args!("a {}", 1)).bytes(), b"a 1");
    }
}
