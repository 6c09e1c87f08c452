//! Lines broken between words where the terminal is too narrow for them: a word is never torn.

use unicode_width::UnicodeWidthChar;

/// What follows the first line is indented by so much more than the line itself.
const HANG: usize = 2;
/// An indentation never takes more than one part of so many of the terminal.
const INDENT_PART: usize = 3;

/// Adds a line and its line break. `width` counts from the beginning of the line; none = as long as it is.
pub(in crate::cli) fn wrap(text: &mut String, line: &str, width: Option<usize>) {
    wrap_hanging(text, line, width, HANG);
}

/// As [`wrap`], the lines after the first indented by this much.
pub(in crate::cli) fn wrap_hanging(text: &mut String, line: &str, width: Option<usize>, indent: usize) {
    let limit = width.unwrap_or(usize::MAX);
    let indent = indent.min(limit / INDENT_PART);
    if columns(line) <= limit {
        text.push_str(line);
        text.push('\n');
        return;
    }
    let body = line.trim_start_matches(' ');
    let mut used = (line.len() - body.len()).min(limit / INDENT_PART);
    text.extend(std::iter::repeat_n(' ', used));
    let mut blanks = 0;
    for (at, word) in body.split(' ').enumerate() {
        if at > 0 {
            blanks += 1;
        }
        if word.is_empty() {
            continue;
        }
        let wide = columns(word);
        if used + blanks + wide > limit && at > 0 {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            used = indent;
        } else {
            text.extend(std::iter::repeat_n(' ', blanks));
            used += blanks;
        }
        blanks = 0;
        text.push_str(word);
        used += wide;
    }
    text.push('\n');
}

/// Whole lines, each broken where it is too long and indented as it begins.
pub(in crate::cli) fn wrap_lines(lines: &str, width: Option<usize>) -> String {
    let mut text = String::with_capacity(lines.len() + 16);
    for line in lines.lines() {
        let indent = line.len() - line.trim_start_matches(' ').len();
        wrap_hanging(&mut text, line, width, indent + HANG);
    }
    if !lines.ends_with('\n') {
        text.pop();
    }
    text
}

/// The findings of a file as a compiler shows them: what quotes the file stays as it is, sentences are broken.
pub(in crate::cli) fn wrap_findings(lines: &str, width: Option<usize>) -> String {
    let mut text = String::with_capacity(lines.len() + 16);
    for line in lines.lines() {
        let shown = visible(line);
        let remark = shown.trim_start();
        if let Some(after) = remark.strip_prefix("= ") {
            let label = after.find(": ").map_or(0, |at| at + ": ".len());
            wrap_hanging(&mut text, line, width, shown.len() - after.len() + label);
        } else if shown.len() == remark.len() && remark.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            wrap_hanging(&mut text, line, width, HANG);
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// A text without its colours.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut is_colour = false;
    for letter in text.chars() {
        match letter {
            '\x1b' => is_colour = true,
            'm' if is_colour => is_colour = false,
            _ if is_colour => {}
            letter => shown.push(letter),
        }
    }
    shown
}

/// How wide a terminal shows a text of ours: colours take no room.
pub(super) fn columns(text: &str) -> usize {
    let (mut columns, mut is_colour) = (0, false);
    for letter in text.chars() {
        match letter {
            '\x1b' => is_colour = true,
            'm' if is_colour => is_colour = false,
            _ if is_colour => {}
            letter => columns += letter.width().unwrap_or(0),
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_between_words_only() {
        let wrapped = |line: &str, width: usize| {
            let mut text = String::new();
            wrap_hanging(&mut text, line, Some(width), 4);
            text
        };
        assert_eq!(wrapped("one two three", 80), "one two three\n");
        assert_eq!(wrapped("one two three", 9), "one two\n   three\n", "no indent wider than a third");
        assert_eq!(wrapped("one two three four", 12), "one two\n    three\n    four\n");
        assert_eq!(wrapped("  a  bb  cc dd", 8), "  a  bb\n  cc dd\n", "blanks between columns stay");
        assert_eq!(wrapped("/a/very/long/path x", 8), "/a/very/long/path\n  x\n", "a word is never torn");
        assert_eq!(wrapped("\x1b[31mone\x1b[0m two", 7), "\x1b[31mone\x1b[0m two\n", "colours take no room");
        for width in 0..30 {
            let text = wrapped("  some words of some length, and a few more of them", width);
            assert_eq!(
                text.split_whitespace().collect::<Vec<_>>().join(" "),
                "some words of some length, and a few more of them"
            );
        }
    }

    #[test]
    fn of_a_finding_only_sentences_are_broken() {
        let text =
            "warning[x]: one two\n --> /a b c d\n  |\n5 | instances = 3 or more\n  = \x1b[1mhelp\x1b[0m: aa bb cc\n";
        assert_eq!(
            wrap_findings(text, Some(16)),
            "warning[x]: one\n  two\n --> /a b c d\n  |\n5 | instances = 3 or more\n  = \x1b[1mhelp\x1b[0m: aa bb\n     cc\n"
        );
    }

    #[test]
    fn lines_keep_their_own_indentation() {
        assert_eq!(wrap_lines("a\n  b c d\n", Some(5)), "a\n b c\n d\n");
        assert_eq!(wrap_lines("a b", None), "a b");
        assert_eq!(wrap_lines("", Some(9)), "");
    }
}
