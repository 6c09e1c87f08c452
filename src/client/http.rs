//! HTTP/1.1 as far as it is needed: a request as bytes, an answer out of bytes in any pieces.

use std::io::{self, BufRead, Read};

use crate::anchor::{ANSWER_ENDING, ANSWER_HEADER};

/// Longest response head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Longest line that gives the size of a chunk.
const SIZE_BYTES_MAX: usize = 1 << 10;
/// Largest body that is read into memory.
const BODY_BYTES_MAX: u64 = 256 << 20;

/// A request, ready to be written.
pub(super) fn request(method: &str, path: &str, body: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: pm\r\n").into_bytes();
    if let Some(body) = body {
        bytes.extend(format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()).bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body.unwrap_or_default());
    bytes
}

/// The part of an answer before its body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub status: u16,
    pub body: BodyLength,
    pub version: Option<String>,
    pub protocol: Option<u32>,
    /// The anchor answers in the place of a daemon that cannot begin; true: and ends.
    pub anchor: Option<bool>,
}

/// Where the body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// So many bytes.
    Known(u64),
    /// In chunks, each with its size.
    Chunked,
    /// With the connection.
    #[default]
    UntilClose,
}

/// Reads the head; what follows stays in `from`.
pub(super) fn read_head(from: &mut impl BufRead) -> io::Result<Head> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        if read_line(from, &mut bytes, HEAD_BYTES_MAX)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let text = std::str::from_utf8(&bytes).map_err(malformed)?;
    let mut lines = text.split_terminator("\r\n");
    let mut head = Head { status: status(lines.next().unwrap_or_default())?, ..Head::default() };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (header, value) = line.split_once(':').ok_or_else(|| malformed("a header without a colon"))?;
        let value = value.trim();
        let is = |name: &str| header.eq_ignore_ascii_case(name);
        if is("content-length") {
            head.body = BodyLength::Known(value.parse().map_err(malformed)?);
        } else if is("transfer-encoding") && value.to_ascii_lowercase().contains("chunked") {
            head.body = BodyLength::Chunked;
        } else if is(crate::wire::VERSION_HEADER) {
            head.version = Some(value.to_owned());
        } else if is(ANSWER_HEADER) {
            head.anchor = Some(value == ANSWER_ENDING);
        } else if is(crate::wire::PROTOCOL_HEADER) {
            head.protocol = value.parse().ok();
        }
    }
    Ok(head)
}

/// `HTTP/1.1 200 OK` → 200.
fn status(line: &str) -> io::Result<u16> {
    let mut words = line.split(' ');
    let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    let code = words.next().filter(|_| is_http).ok_or_else(|| malformed("no HTTP status"))?;
    code.parse().map_err(malformed)
}

/// The bytes of one body, then end of file.
#[derive(Debug)]
pub(super) struct Body<R> {
    from: R,
    length: BodyLength,
    /// Bytes left of the body, or of the current chunk.
    left: u64,
    is_first_chunk: bool,
    is_over: bool,
}

impl<R: BufRead> Body<R> {
    pub(super) fn new(from: R, length: BodyLength) -> Self {
        let left = if let BodyLength::Known(length) = length { length } else { 0 };
        Self { from, length, left, is_first_chunk: true, is_over: false }
    }

    pub(super) fn source(&self) -> &R {
        &self.from
    }

    /// All of it.
    pub(super) fn read_all(self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let BodyLength::Known(length) = self.length {
            bytes.reserve(usize::try_from(length.min(BODY_BYTES_MAX)).unwrap_or(0));
        }
        self.take(BODY_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Goes on to the next chunk; false after the last.
    fn next_chunk(&mut self) -> io::Result<bool> {
        let mut line = Vec::new();
        if !self.is_first_chunk {
            read_line(&mut self.from, &mut line, SIZE_BYTES_MAX)?; // the line feed after the chunk before
            line.clear();
        }
        self.is_first_chunk = false;
        if read_line(&mut self.from, &mut line, SIZE_BYTES_MAX)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = std::str::from_utf8(&line).map_err(malformed)?;
        let size = text.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(size, 16).map_err(malformed)?;
        if self.left > 0 {
            return Ok(true);
        }
        // Trailers, up to an empty line.
        loop {
            line.clear();
            if read_line(&mut self.from, &mut line, SIZE_BYTES_MAX)? <= 2 {
                return Ok(false);
            }
        }
    }
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.is_over || into.is_empty() {
            return Ok(0);
        }
        if self.length == BodyLength::UntilClose {
            return self.from.read(into);
        }
        if self.left == 0 && (self.length != BodyLength::Chunked || !self.next_chunk()?) {
            self.is_over = true;
            return Ok(0);
        }
        let most = usize::try_from(self.left).map_or(into.len(), |left| left.min(into.len()));
        let count = self.from.read(&mut into[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Appends one line with its end; 0 = end of file.
fn read_line(from: &mut impl BufRead, into: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
    let left = bytes_max.saturating_sub(into.len()) as u64;
    let count = from.take(left).read_until(b'\n', into)?;
    let is_cut = count > 0 && !into.ends_with(b"\n");
    if is_cut || left == 0 {
        return Err(malformed("a line does not end"));
    }
    Ok(count)
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// Gives its bytes in pieces of the given size: an answer may be split anywhere.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(self.1).min(into.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn answer(bytes: &[u8], piece: usize) -> io::Result<(Head, Vec<u8>)> {
        let mut from = BufReader::with_capacity(piece, Pieces(bytes, piece));
        let head = read_head(&mut from)?;
        let body = Body::new(&mut from, head.body).read_all()?;
        Ok((head, body))
    }

    #[test]
    fn an_answer_is_the_same_however_it_is_split() {
        let plain =
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nPM-Version: 9.9\r\npm-protocol: 7\r\n\r\nhello".to_vec();
        let chunked =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\ntrailer: x\r\n\r\n";
        let open = b"HTTP/1.1 200 OK\r\n\r\nhello";
        for piece in [1, 2, 3, 7, 1000] {
            let (head, body) = answer(&plain, piece).unwrap();
            assert_eq!((head.status, head.version.as_deref(), head.protocol), (404, Some("9.9"), Some(7)));
            assert_eq!(body, b"hello");
            assert_eq!(answer(chunked, piece).unwrap().1, b"hello", "chunked in pieces of {piece}");
            assert_eq!(answer(open, piece).unwrap().1, b"hello");
        }
    }

    #[test]
    fn two_answers_on_one_connection_do_not_run_together() {
        let bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nc";
        let mut from = BufReader::new(&bytes[..]);
        for expected in [&b"ab"[..], b"c"] {
            let head = read_head(&mut from).unwrap();
            assert_eq!(Body::new(&mut from, head.body).read_all().unwrap(), expected);
        }
    }

    #[test]
    fn an_answer_that_is_cut_off_is_never_taken_for_a_whole_one() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_vec();
        for length in 0..whole.len() {
            assert!(answer(&whole[..length], 4).is_err(), "{length} bytes");
        }
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n";
        assert!(answer(chunked, 4).is_err());
        for wrong in [&b"junk\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"] {
            assert_eq!(answer(wrong, 9).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        let endless = vec![b'a'; HEAD_BYTES_MAX + 10];
        assert_eq!(answer(&endless, 4096).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_request_carries_its_length() {
        assert_eq!(request("GET", "/v1/list", None), b"GET /v1/list HTTP/1.1\r\nhost: pm\r\n\r\n");
        let post = String::from_utf8(request("POST", "/x", Some(b"{}"))).unwrap();
        assert!(post.ends_with("content-length: 2\r\n\r\n{}"), "{post}");
    }
}
