//! The messages between the two ends of a remote command: one byte that says what it is, its length, its bytes.

use std::io::{self, BufRead, Read, Write};

use crate::cli::remote_caller::RemoteCaller;

/// How the other end begins. What a login shell prints before is skipped.
const MAGIC: &str = "\u{1}pm-remote ";
/// The version of these messages.
const PROTOCOL: u32 = 1;
/// What a login shell may print before, and the longest line of it.
const CHATTER_BYTES_MAX: u64 = 64 << 10;
/// A message may be as long as the longest ecosystem file, and a little.
const FRAME_BYTES_MAX: u32 = 8 << 20;
/// Files that one command may send along.
const FILES_MAX: usize = 64;

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FrameKind {
    /// There: who calls what, as JSON.
    Call,
    /// There: the text of a file.
    File,
    /// There: bytes for standard input; none = its end.
    Input,
    /// There: Ctrl-C.
    Interrupt,
    /// Back: bytes of standard output.
    Output,
    /// Back: bytes of standard error.
    Notes,
    /// Back: the exit code. The last one.
    End,
}

impl FrameKind {
    const ALL: [(Self, u8); 7] = [
        (Self::Call, b'c'),
        (Self::File, b'f'),
        (Self::Input, b'i'),
        (Self::Interrupt, b'x'),
        (Self::Output, b'o'),
        (Self::Notes, b'n'),
        (Self::End, b'e'),
    ];

    fn byte(self) -> u8 {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or(0, |(_, byte)| *byte)
    }
}

/// Writes a message.
///
/// # Errors
/// As `write(2)`; it is too long.
pub(super) fn write_frame(to: &mut impl Write, kind: FrameKind, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= FRAME_BYTES_MAX);
    let length = length.ok_or(io::ErrorKind::FileTooLarge)?;
    let mut message = Vec::with_capacity(5 + bytes.len());
    message.push(kind.byte());
    message.extend(length.to_be_bytes());
    message.extend(bytes);
    to.write_all(&message)?;
    to.flush()
}

/// Reads a message; `None` if there is none any more.
///
/// # Errors
/// As `read(2)`; it ends early, or is none of ours.
pub(super) fn read_frame(from: &mut impl Read) -> io::Result<Option<(FrameKind, Vec<u8>)>> {
    let mut head = [0; 5];
    if from.take(1).read(&mut head)? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut head[1..])?;
    let [byte, length @ ..] = head;
    let length = u32::from_be_bytes(length);
    let kind = FrameKind::ALL.iter().find(|(_, known)| *known == byte).map(|(kind, _)| *kind);
    let kind = kind.filter(|_| length <= FRAME_BYTES_MAX).ok_or(io::ErrorKind::InvalidData)?;
    let mut bytes = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != u64::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((kind, bytes)))
}

/// The first line from the other end: the protocol and the version of its `pm`.
pub(super) fn greeting(version: &str) -> String {
    format!("{MAGIC}{PROTOCOL} {version}\n")
}

/// Reads up to the greeting: the version of the other `pm`, and whether it speaks the same protocol. `None` if the other
/// end closed before, or says something else all the time.
pub(super) fn read_greeting(from: &mut impl BufRead) -> io::Result<Option<(String, bool)>> {
    let mut from = from.take(CHATTER_BYTES_MAX);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        if let Some((_, found)) = text.split_once(MAGIC)
            && let Some((protocol, version)) = found.trim_end().split_once(' ')
        {
            return Ok(Some((version.to_owned(), protocol == PROTOCOL.to_string())));
        }
        line.clear();
    }
    Ok(None)
}

/// Sends a call and its files.
///
/// # Errors
/// As [`write_frame`].
pub(super) fn write_call(to: &mut impl Write, call: &RemoteCaller) -> io::Result<()> {
    write_frame(to, FrameKind::Call, &serde_json::to_vec(call)?)?;
    for file in call.files.iter().filter(|file| file.is_sent) {
        write_frame(to, FrameKind::File, &file.text)?;
    }
    Ok(())
}

/// Reads what [`write_call`] writes.
///
/// # Errors
/// It is something else, or ends early.
pub(super) fn read_call(from: &mut impl Read) -> io::Result<RemoteCaller> {
    let mut next = |wanted: FrameKind| match read_frame(from)? {
        Some((kind, bytes)) if kind == wanted => Ok(bytes),
        Some(_) => Err(io::Error::from(io::ErrorKind::InvalidData)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    };
    let mut call: RemoteCaller = serde_json::from_slice(&next(FrameKind::Call)?)?;
    if call.files.len() > FILES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    for file in call.files.iter_mut().filter(|file| file.is_sent) {
        file.text = next(FrameKind::File)?;
    }
    Ok(call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::remote_caller::{CallerTerminal, SentFile};

    #[test]
    fn a_call_arrives_as_it_was_sent() {
        let file = |name: &str, text: &str| SentFile {
            path: name.into(),
            is_sent: !text.is_empty(),
            text: text.as_bytes().to_vec(),
        };
        let call = RemoteCaller {
            args: vec!["apply".into(), "a.toml".into()],
            host: "box".into(),
            folder: "/home/me".into(),
            home: None,
            files: vec![file("/home/me/a.toml", "project = \"shop\""), file("/srv/b.toml", "")],
            is_found: false,
            commit: None,
            worktree: None,
            terminal: CallerTerminal::default(),
        };
        let mut wire = Vec::new();
        write_call(&mut wire, &call).unwrap();
        let read = read_call(&mut wire.as_slice()).unwrap();
        assert_eq!((read.args, read.files[0].text.clone()), (call.args, b"project = \"shop\"".to_vec()));
        assert!(!read.files[1].is_sent && read.files[1].text.is_empty());
        for cut in 0..wire.len() {
            assert!(read_call(&mut &wire[..cut]).is_err(), "cut after {cut} bytes");
        }
    }

    #[test]
    fn what_is_none_of_ours_is_no_message() {
        assert!(read_frame(&mut &b""[..]).unwrap().is_none());
        for bad in [&b"z\0\0\0\0"[..], b"o\xff\xff\xff\xff", b"o\0\0\0\x02a", b"o\0"] {
            assert!(read_frame(&mut &bad[..]).is_err(), "{bad:?}");
        }
        assert_eq!(read_frame(&mut &b"o\0\0\0\x02ab"[..]).unwrap(), Some((FrameKind::Output, b"ab".to_vec())));
    }

    #[test]
    fn what_a_login_shell_prints_comes_before_the_greeting() {
        let mut from = format!("Welcome!\nno newline here{}rest", greeting("1.2.3"));
        assert_eq!(read_greeting(&mut from.as_bytes()).unwrap(), Some(("1.2.3".to_owned(), true)));
        from = from.replace("pm-remote 1", "pm-remote 2");
        assert_eq!(read_greeting(&mut from.as_bytes()).unwrap(), Some(("1.2.3".to_owned(), false)));
        assert_eq!(read_greeting(&mut &b"motd\nmotd"[..]).unwrap(), None);
        let endless = "y\n".repeat(1 << 20);
        assert_eq!(read_greeting(&mut endless.as_bytes()).unwrap(), None);
    }
}
