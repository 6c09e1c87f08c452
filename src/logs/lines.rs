//! Bytes → lines, whatever the bytes are.

use crate::model::WallTime;

/// Longer lines come in pieces of this size.
pub(super) const LINE_BYTES_MAX: usize = 64 << 10;

/// Cuts a stream of bytes into lines; keeps at most one piece of an unfinished one.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    unfinished: Vec<u8>,
    at: WallTime,
    is_skipping: bool,
}

impl Splitter {
    /// Leaves out everything up to and including the next line feed: the stream was entered in mid-line.
    pub(super) fn skip_to_next_line(&mut self) {
        self.unfinished.clear();
        self.is_skipping = true;
    }

    /// Emits every line that ends in `bytes`, with the time of its first byte (of its piece's first byte).
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        time_of: impl Fn(usize) -> WallTime,
        mut emit: impl FnMut(WallTime, Vec<u8>),
    ) {
        let mut from = 0;
        if self.is_skipping {
            let Some(end) = memchr::memchr(b'\n', bytes) else { return };
            self.is_skipping = false;
            from = end + 1;
        }
        while from < bytes.len() {
            if self.unfinished.is_empty() {
                self.at = time_of(from);
            }
            let rest = &bytes[from..];
            let room = LINE_BYTES_MAX - self.unfinished.len();
            let end = memchr::memchr(b'\n', &rest[..rest.len().min(room + 1)]);
            let taken = end.unwrap_or(room.min(rest.len()));
            self.unfinished.extend_from_slice(&rest[..taken]);
            from += taken + usize::from(end.is_some());
            if end.is_some() {
                emit(self.at, std::mem::take(&mut self.unfinished));
            } else if rest.len() > room {
                let whole = self.take_whole();
                emit(self.at, whole);
            }
        }
    }

    /// Whether the next byte belongs to a line that has begun.
    pub(super) fn is_in_line(&self) -> bool {
        self.is_skipping || self.is_holding()
    }

    /// Whether a line without its end is kept.
    pub(super) fn is_holding(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// What is kept, as a line of its own; the beginning of a character stays until its end comes.
    pub(super) fn finish_whole(&mut self) -> Option<(WallTime, Vec<u8>)> {
        let whole = self.take_whole();
        (!whole.is_empty()).then_some((self.at, whole))
    }

    /// All that is kept but the beginning of a character.
    fn take_whole(&mut self) -> Vec<u8> {
        let end = self.unfinished.len() - begun_character(&self.unfinished);
        let begun = self.unfinished.split_off(end);
        std::mem::replace(&mut self.unfinished, begun)
    }

    /// What is kept.
    pub(super) fn unfinished(&self) -> &[u8] {
        &self.unfinished
    }

    /// What is kept, as a line of its own.
    pub(super) fn finish(&mut self) -> Option<(WallTime, Vec<u8>)> {
        self.is_holding().then(|| (self.at, std::mem::take(&mut self.unfinished)))
    }
}

/// How many bytes at the end are the beginning of a UTF-8 character without its end.
fn begun_character(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    let Some(at) = tail.iter().rposition(|byte| byte & 0b1100_0000 != 0b1000_0000) else { return 0 };
    let wanted = match tail[at] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return 0,
    };
    let found = tail.len() - at;
    if found < wanted { found } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(parts: &[&[u8]]) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for part in parts {
            splitter.feed(part, |_| WallTime(0), |_, line| lines.push(line));
        }
        (lines, splitter.finish().map(|(_, line)| line))
    }

    #[test]
    fn lines_are_what_stands_between_line_feeds() {
        assert_eq!(split(&[b"a\n\nb", b"c\nd"]), (vec![b"a".to_vec(), vec![], b"bc".to_vec()], Some(b"d".to_vec())));
        assert_eq!(split(&[b"\xff\x00\r\n"]), (vec![b"\xff\x00\r".to_vec()], None));
    }

    #[test]
    fn long_lines_come_in_pieces_and_nothing_is_added() {
        let mut long = vec![b'x'; LINE_BYTES_MAX];
        long.push(b'\n');
        assert_eq!(split(&[&long]).0.len(), 1, "exactly one piece, no empty line behind it");
        let longer = vec![b'x'; 2 * LINE_BYTES_MAX + 1];
        let (lines, rest) = split(&[&longer[..100], &longer[100..], b"\n"]);
        assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [LINE_BYTES_MAX, LINE_BYTES_MAX, 1]);
        assert_eq!(rest, None);
    }

    #[test]
    fn a_character_is_never_torn() {
        let mut long = vec![b'x'; LINE_BYTES_MAX - 1];
        long.extend("ü€".bytes());
        let (lines, rest) = split(&[&long, b"\n"]);
        assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [LINE_BYTES_MAX - 1, 5]);
        assert_eq!((lines[1].as_slice(), rest), ("ü€".as_bytes(), None));
        for (bytes, begun) in [
            (&b""[..], 0),
            (b"abc", 0),
            ("ü".as_bytes(), 0),
            (b"a\xc3", 1),
            (b"\xe2\x82", 2),
            (b"\xf0\x9f\x98", 3),
            ("😀".as_bytes(), 0),
            (b"\xff", 0),
            (b"\x80\x80\x80", 0),
        ] {
            assert_eq!(begun_character(bytes), begun, "{bytes:x?}");
            let mut splitter = Splitter::default();
            splitter.feed(bytes, |_| WallTime(0), |_, _| ());
            let whole = splitter.finish_whole().map_or(0, |(_, line)| line.len());
            assert_eq!((whole, splitter.is_holding()), (bytes.len() - begun, begun > 0), "{bytes:x?}");
        }
    }

    #[test]
    fn entering_in_mid_line_begins_with_the_next() {
        let mut splitter = Splitter::default();
        splitter.skip_to_next_line();
        let mut lines = Vec::new();
        for part in [b"half".as_slice(), b" a line\nwhole\n"] {
            splitter.feed(part, |at| WallTime(at as u64), |at, line| lines.push((at, line)));
        }
        assert_eq!(lines, [(WallTime(8), b"whole".to_vec())]);
    }
}
