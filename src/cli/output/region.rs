//! Lines at the end of a terminal that the next ones overwrite.

use std::fmt::Write as _;

use super::gate::harmless;
use super::table::cut;

/// What is there to be overwritten.
#[derive(Clone, Debug, Default)]
pub(super) struct Region {
    lines: Vec<String>,
}

impl Region {
    /// What takes the lines away; the cursor is where they began.
    pub(super) fn clear(&mut self) -> String {
        match std::mem::take(&mut self.lines).len() {
            0 => String::new(),
            1 => "\r\x1b[K".to_owned(),
            lines => format!("\r\x1b[{}A\x1b[J", lines - 1),
        }
    }

    /// What shows these lines in the place of the ones before. A line that reached the last column would make two.
    pub(super) fn show(&mut self, lines: &[String], width: usize) -> String {
        let lines: Vec<String> =
            lines.iter().map(|line| cut(&harmless(line), width.saturating_sub(1)).into_owned()).collect();
        if lines == self.lines {
            return String::new();
        }
        let text = self.clear() + &lines.join("\n");
        self.lines = lines;
        text
    }
}

/// The whole screen with this text on it: from the top, each line to its end, nothing below.
pub(super) fn screenful(text: &str, rows: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let room = rows.saturating_sub(1).max(1);
    let mut drawn = "\x1b[H".to_owned();
    let is_cut = lines.len() > room;
    let shown = if is_cut { room - 1 } else { lines.len() };
    for line in &lines[..shown] {
        drawn.push_str(line);
        drawn.push_str("\x1b[K\n");
    }
    if is_cut {
        let _ = writeln!(drawn, "… {} more lines\x1b[K", lines.len() - shown);
    }
    drawn.push_str("\x1b[J");
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_never_longer_than_the_terminal() {
        assert_eq!(screenful("a\nb\n", 3), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(screenful("a\nb\nc\n", 3), "\x1b[Ha\x1b[K\n… 2 more lines\x1b[K\n\x1b[J");
        for rows in 0..9 {
            assert!(screenful("a\nb\nc\nd\n", rows).matches('\n').count() <= rows.saturating_sub(1).max(1));
        }
    }

    #[test]
    fn lines_take_the_place_of_the_ones_before() {
        let mut region = Region::default();
        let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(region.show(&lines(&["one"]), 80), "one");
        assert_eq!(region.show(&lines(&["a", "too long"]), 5), "\r\x1b[Ka\ntoo…");
        assert_eq!(region.show(&lines(&["\x1b[2Jx"]), 80), "\r\x1b[1A\x1b[J\\u{1b}[2Jx");
        assert_eq!(region.show(&lines(&["\x1b[2Jx"]), 80), "", "it is there already");
        assert_eq!(region.clear(), "\r\x1b[K");
        assert_eq!(region.clear(), "");
    }
}
