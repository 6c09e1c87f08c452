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
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
            self.is_skipping = false;
            from = end + 1;
        }
        while from < bytes.len() {
            if self.unfinished.is_empty() {
                self.at = time_of(from);
            }
            let rest = &bytes[from..];
            let room = LINE_BYTES_MAX - self.unfinished.len();
            let end = rest.iter().take(room + 1).position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(room.min(rest.len()));
            self.unfinished.extend_from_slice(&rest[..taken]);
            from += taken + usize::from(end.is_some());
            if end.is_some() || rest.len() > room {
                emit(self.at, std::mem::take(&mut self.unfinished));
            }
        }
    }

    /// Whether a line without its end is kept.
    pub(super) fn is_holding(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// What is kept, as a line of its own.
    pub(super) fn finish(&mut self) -> Option<(WallTime, Vec<u8>)> {
        self.is_holding().then(|| (self.at, std::mem::take(&mut self.unfinished)))
    }
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
