//! Our end of the channel of one worker: whole lines in, lines with descriptors out.
//!
//! What waits is looked at first and taken off when it was acted on, so that the next daemon reads it again. Only of a line
//! that is longer than the kernel keeps in one piece the beginning is taken off before.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::cluster::Handle;
use crate::os::{self, Sent};

/// So much is looked at in one go.
const LOOK_BYTES: usize = 64 << 10;
/// A line of which so much is there and no end is a long one: the kernel may have no room for more of it.
const LONG_BYTES: usize = 8 << 10;
/// A longer line is read to its end and means nothing.
const LINE_BYTES_MAX: usize = 16 << 20;
/// So much waits for a worker that does not read; then it is not sent any more.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// A channel.
#[derive(Debug)]
pub(super) struct Channel {
    fd: OwnedFd,
    /// The number of the process at the other end.
    pub incarnation: u32,
    long: LongLine,
    waiting: VecDeque<WaitingLine>,
    waiting_bytes: usize,
    pub is_closed: bool,
    /// The kernel passes no descriptor on for now: too many of this user are on their way.
    pub is_refused: bool,
}

/// The beginning of a long line that was taken off.
#[derive(Debug)]
enum LongLine {
    /// There is none.
    None,
    /// The line so far.
    Kept(Vec<u8>),
    /// It is longer than any that means something.
    TooLong,
}

/// A line that does not fit into the channel yet.
#[derive(Debug)]
struct WaitingLine {
    line: Vec<u8>,
    sent: usize,
    handle: Option<Handle>,
}

/// What a look has found.
#[derive(Debug)]
pub(super) enum Heard {
    /// Whole lines with their ends, so many bytes of the buffer: to be taken off.
    Lines(usize),
    /// A long line, which was taken off.
    Long(Vec<u8>),
    /// There may be more.
    More,
    /// Nothing for now.
    Nothing,
    /// The other end is closed.
    Closed,
}

impl Channel {
    pub(super) fn new(fd: OwnedFd, incarnation: u32) -> Self {
        Self {
            fd,
            incarnation,
            long: LongLine::None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            is_closed: false,
            is_refused: false,
        }
    }

    /// Looks at what waits.
    pub(super) fn hear(&mut self, buffer: &mut Vec<u8>) -> Heard {
        buffer.resize(LOOK_BYTES, 0);
        let length = match os::peek_channel(self.fd.as_fd(), buffer) {
            Ok(Some(0)) | Err(_) => return Heard::Closed,
            Ok(None) => return Heard::Nothing,
            Ok(Some(length)) => length,
        };
        let seen = &buffer[..length];
        if !matches!(self.long, LongLine::None) || length >= LONG_BYTES && !seen.contains(&b'\n') {
            let end = seen.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            return self.take_long(end.unwrap_or(length), end.is_some(), buffer);
        }
        match seen.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => Heard::Lines(last + 1),
            None => Heard::Nothing,
        }
    }

    fn take_long(&mut self, length: usize, is_end: bool, buffer: &mut [u8]) -> Heard {
        let Ok(Some(taken)) = os::take_from_channel(self.fd.as_fd(), &mut buffer[..length]) else {
            return Heard::Closed;
        };
        if matches!(self.long, LongLine::None) {
            self.long = LongLine::Kept(Vec::new());
        }
        match &mut self.long {
            LongLine::Kept(long) if long.len() + taken <= LINE_BYTES_MAX => long.extend_from_slice(&buffer[..taken]),
            long => *long = LongLine::TooLong,
        }
        if !is_end {
            return Heard::More;
        }
        match std::mem::replace(&mut self.long, LongLine::None) {
            LongLine::Kept(long) => Heard::Long(long),
            LongLine::None | LongLine::TooLong => Heard::More,
        }
    }

    /// What was heard was acted on.
    pub(super) fn take(&self, buffer: &mut [u8]) {
        let _closed = os::take_from_channel(self.fd.as_fd(), buffer);
    }

    /// Sends a line, or keeps it until there is room. False: too much waits already, and it is not sent.
    pub(super) fn send<'a>(
        &mut self,
        line: &str,
        handle: Option<Handle>,
        descriptor: impl Fn(Handle) -> Option<BorrowedFd<'a>>,
    ) -> bool {
        if self.is_closed {
            return true;
        }
        if self.waiting_bytes + line.len() > WAITING_BYTES_MAX {
            return false;
        }
        self.waiting_bytes += line.len();
        self.waiting.push_back(WaitingLine { line: line.as_bytes().to_vec(), sent: 0, handle });
        self.flush(descriptor);
        true
    }

    /// Takes the next connection in at `listening` and passes it on with `line`. `None`: there is none. To be called only while
    /// nothing waits.
    pub(super) fn pass_connection_on(
        &mut self,
        listening: BorrowedFd<'_>,
        line: &str,
        handle: Option<Handle>,
    ) -> io::Result<Option<OwnedFd>> {
        let passed = os::pass_connection_on(listening, self.fd.as_fd(), line.as_bytes())?;
        let Some((connection, sent)) = passed else { return Ok(None) };
        let (sent, handle) = match sent {
            Ok(Sent::Bytes(bytes)) => (bytes, None),
            // A worker that is gone is told of by its channel; all else is as good as full.
            Ok(Sent::Nothing) | Err(_) => (0, handle),
        };
        if sent < line.len() {
            self.waiting_bytes += line.len();
            self.waiting.push_back(WaitingLine { line: line.as_bytes().to_vec(), sent, handle });
        }
        Ok(Some(connection))
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn flush<'a>(&mut self, descriptor: impl Fn(Handle) -> Option<BorrowedFd<'a>>) {
        self.is_refused = false;
        while let Some(first) = self.waiting.front_mut() {
            let passed = first.handle.and_then(&descriptor);
            match os::send_line(self.fd.as_fd(), &first.line[first.sent..], passed) {
                Ok(Sent::Bytes(bytes)) => {
                    first.sent += bytes;
                    first.handle = None;
                    if first.sent < first.line.len() {
                        continue;
                    }
                    self.waiting_bytes -= first.line.len();
                    self.waiting.pop_front();
                }
                Ok(Sent::Nothing) => return,
                Err(error) if !os::is_peer_gone(&error) => {
                    self.is_refused = true;
                    return;
                }
                Err(_) => {
                    self.waiting.clear();
                    self.waiting_bytes = 0;
                    return;
                }
            }
        }
    }

    /// Whether something waits for room.
    pub(super) fn is_blocked(&self) -> bool {
        !self.waiting.is_empty()
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (Channel, UnixStream) {
        let (ours, theirs) = os::open_channel().unwrap();
        (Channel::new(ours, 1), theirs.into())
    }

    /// Everything that is heard now, line by line.
    fn heard(channel: &mut Channel) -> Vec<Vec<u8>> {
        let (mut buffer, mut lines) = (Vec::new(), Vec::new());
        loop {
            match channel.hear(&mut buffer) {
                Heard::Lines(length) => {
                    lines.extend(buffer[..length].split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec));
                    channel.take(&mut buffer[..length]);
                }
                Heard::Long(line) => lines.push(line),
                Heard::More => {}
                Heard::Nothing | Heard::Closed => return lines,
            }
        }
    }

    #[test]
    fn half_a_line_waits_in_the_kernel_for_the_next_daemon() {
        let (mut channel, mut worker) = pair();
        worker.write_all(b"{\"a\":1}\n{\"b\"").unwrap();
        assert_eq!(heard(&mut channel), [b"{\"a\":1}\n"]);
        let mut next = Channel::new(channel.fd.try_clone().unwrap(), 1);
        drop(channel);
        worker.write_all(b":2}\n").unwrap();
        assert_eq!(heard(&mut next), [b"{\"b\":2}\n"]);
        drop(worker);
        assert!(matches!(next.hear(&mut Vec::new()), Heard::Closed));
    }

    #[test]
    fn a_line_of_megabytes_is_read_and_one_without_end_is_given_up() {
        let (mut channel, mut worker) = pair();
        let long = [vec![b'x'; 4 << 20], b"\n".to_vec()].concat();
        let endless = [vec![b'y'; LINE_BYTES_MAX + 1], b"\nlast\n".to_vec()].concat();
        let text = [long.clone(), b"next\n".to_vec(), endless].concat();
        let writer = std::thread::spawn(move || worker.write_all(&text));
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != b"last\n") {
            lines.extend(heard(&mut channel));
            std::thread::yield_now();
        }
        writer.join().unwrap().unwrap();
        assert_eq!(lines.len(), 3, "{:?}", lines.iter().map(Vec::len).collect::<Vec<_>>());
        assert!(lines[0] == long && lines[1] == b"next\n");
    }

    #[test]
    fn what_does_not_fit_waits_in_order_and_within_bounds() {
        let (mut channel, mut worker) = pair();
        let line = format!("{}\n", "z".repeat(1 << 20));
        let sent = (0..100).take_while(|_| channel.send(&line, None, |_| None)).count();
        assert!(channel.is_blocked() && (2..10).contains(&sent), "{sent}");
        let reader = std::thread::spawn(move || {
            let mut text = vec![0; sent * ((1 << 20) + 1)];
            worker.read_exact(&mut text).map(|()| text)
        });
        while channel.is_blocked() {
            channel.flush(|_| None);
            std::thread::yield_now();
        }
        let text = reader.join().unwrap().unwrap();
        assert_eq!(text, line.repeat(sent).into_bytes());
    }
}
