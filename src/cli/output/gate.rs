//! The one gate to the terminal: no foreign text may control it, fake lines of `pm`, or hide what it shows.
//!
//! Everything that [`super::Screen`] writes goes through [`ours`] or [`log_line`]; text of others (output, paths,
//! names, messages of probes) goes through [`harmless`] where it is put into a sentence, so that not even a colour of
//! it is left. Whoever forgets that loses no more than the colour.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// Blanks in the place of a tab.
const TAB: &str = "    ";
/// A terminal's own tab stops.
const TAB_COLUMNS: usize = 8;

/// Text of others within a line: nothing that a terminal obeys, no line break, no colour.
pub(in crate::cli) fn harmless(text: &str) -> Cow<'_, str> {
    through(text, Keep::Nothing)
}

/// Text of others that may have several lines.
pub(in crate::cli) fn harmless_lines(text: &str) -> Cow<'_, str> {
    through(text, Keep::Lines)
}

/// Whole lines that we have made: line breaks and our own colours pass, and nothing else.
pub(in crate::cli) fn ours(text: &str) -> Cow<'_, str> {
    through(text, Keep::OurColours)
}

/// A line that an app has printed, for a terminal: its colours stay, and end with the line.
pub(in crate::cli) fn log_line(text: &str) -> String {
    let shown = through(text, Keep::Colours);
    if shown.contains('\x1b') { format!("{shown}\x1b[0m") } else { shown.into_owned() }
}

/// Equivalent JSON without control characters, which occur in strings only.
pub(in crate::cli) fn json(text: &str) -> Cow<'_, str> {
    if is_plain(text, true) || !text.chars().any(|letter| letter != '\n' && steers(letter)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut units = [0; 2];
    for letter in text.chars() {
        if letter != '\n' && steers(letter) {
            out.extend(letter.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(letter);
        }
    }
    Cow::Owned(out)
}

/// Whether a text is nothing but printable ASCII, and perhaps line breaks: most are, and many bytes are looked at at once.
pub(super) fn is_plain(text: &str, may_have_lines: bool) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') || may_have_lines && byte == b'\n')
}

/// Whether a terminal obeys a character instead of showing it, or shows what follows out of order or not at all.
pub(super) fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' // soft hyphen, joiners without a look, Arabic mark
            | '\u{200b}' | '\u{200e}' | '\u{200f}' // zero width space, direction marks
            | '\u{2028}'..='\u{202e}' // line and paragraph separators, embeddings and overrides
            | '\u{2060}'..='\u{206f}' // invisible operators, isolates
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' // byte order mark, annotations
            | '\u{e0000}'..='\u{e007f}') // tags
}

/// What is passed on in addition to harmless characters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Nothing,
    Lines,
    OurColours,
    Colours,
}

fn through(text: &str, keep: Keep) -> Cow<'_, str> {
    let keeps_lines = matches!(keep, Keep::Lines | Keep::OurColours);
    if is_plain(text, keeps_lines) || !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(steers) {
        out.push_str(&rest[..at]);
        let from = &rest[at..];
        let letter = from.chars().next().unwrap_or_default();
        let colour = colour_at(from);
        let passes = colour.is_some_and(|colour| match keep {
            Keep::Colours => true,
            Keep::OurColours => is_ours(&from[..colour]),
            Keep::Nothing | Keep::Lines => false,
        });
        match (letter, colour) {
            (_, Some(colour)) if passes => out.push_str(&from[..colour]),
            // Foreign colours are dropped where `pm` sets its own; shown as text they would make the line unreadable.
            (_, Some(_)) => {}
            ('\n', None) if keeps_lines => out.push('\n'),
            ('\t', None) if keep == Keep::Colours => out.extend(std::iter::repeat_n(' ', to_tab_stop(&out))),
            ('\t', None) => out.push_str(TAB),
            (letter, None) => out.extend(letter.escape_default()),
        }
        rest = &from[colour.unwrap_or(letter.len_utf8())..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Blanks up to the next tab stop of a line with this text.
fn to_tab_stop(line: &str) -> usize {
    let mut columns = 0;
    let mut is_colour = false;
    for letter in line.chars() {
        match letter {
            '\x1b' => is_colour = true,
            'm' if is_colour => is_colour = false,
            _ if is_colour => {}
            letter => columns += letter.width().unwrap_or(0),
        }
    }
    TAB_COLUMNS - columns % TAB_COLUMNS
}

/// The length of a colour sequence (`ESC [ … m`) at the beginning of a text.
fn colour_at(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("\x1b[")?;
    let end = inner.find(|letter: char| !(letter.is_ascii_digit() || letter == ';'))?;
    inner[end..].starts_with('m').then_some(2 + end + 1)
}

/// Bold, faint, underlined, the simple colours, and the end of them: what our own text is painted with.
fn is_ours(colour: &str) -> bool {
    let inner = colour.trim_start_matches("\x1b[").trim_end_matches('m');
    let is_simple = |part: &str| part.is_empty() || matches!(part.parse::<u8>(), Ok(0..=2 | 4 | 31..=37 | 90..=97));
    inner.split(';').all(is_simple)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts that try to steer a terminal.
    pub(super) const HOSTILE: &[&str] = &[
        "\x1b]0;title\x07",
        "\x1b[2J\x1b[H",
        "\x1b]52;c;aGk=\x07",
        "\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\",
        "a\rb",
        "a\x08\x08b",
        "\u{9b}2J",
        "\u{9d}0;x\u{9c}",
        "\x7f",
        "\u{202e}gpj.exe",
        "\u{2066}x\u{2069}",
        "\0",
        "\x1b[8mhidden",
        "\x1b[5mblink",
        "\x1b[38;5;1mred",
        "\x1bc",
        "\x1b(0",
        "\x0e",
        "\u{200b}",
        "\u{feff}",
        "\x1b",
        "\x1b[31",
        "\x1bP+q\x1b\\",
        "\u{e0041}",
    ];

    #[test]
    fn nothing_hostile_passes() {
        for text in HOSTILE {
            for shown in [harmless(text), harmless_lines(text), ours(text), json(text)] {
                assert!(!shown.chars().any(steers), "{text:?}: {shown:?}");
            }
            let line = log_line(text);
            let pieces = line.split("\x1b[").skip(1).all(|piece| colour_at(&format!("\x1b[{piece}")).is_some());
            assert!(pieces && !line.replace('\x1b', "").chars().any(steers), "{text:?}: {line:?}");
        }
    }

    #[test]
    fn what_is_meant_passes() {
        for (text, shown) in [
            ("plain\ttab", "plain   tab"),
            ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m\x1b[0m"),
            ("\x1b[38;5;9mx", "\x1b[38;5;9mx\x1b[0m"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("a\rb", "a\\rb"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("漢字\tx", "漢字    x"),
            ("👩\u{200d}👩\u{200d}👧", "👩\u{200d}👩\u{200d}👧"),
        ] {
            assert_eq!(log_line(text), shown, "{text:?}");
        }
        assert_eq!(ours("\x1b[1m\x1b[31merror\x1b[0m: x\n"), "\x1b[1m\x1b[31merror\x1b[0m: x\n");
        assert_eq!(harmless("a\nb\x1b[31mc"), "a\\nbc");
        assert_eq!(json("{\"a\":\"\u{9b}\u{202e}\u{e0041}ä\"}"), "{\"a\":\"\\u009b\\u202e\\udb40\\udc41ä\"}");
    }

    #[test]
    fn json_says_the_same() {
        proptest!(|(text in any::<String>())| {
            let data = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(&serde_json::from_str::<String>(&json(&data)).unwrap(), &text);
            prop_assert!(!json(&data).chars().any(steers));
        });
    }

    #[test]
    fn whatever_goes_through_is_harmless_afterwards() {
        let any = prop_oneof![proptest::sample::select(HOSTILE).prop_map(str::to_owned), any::<String>()];
        proptest!(|(pieces in proptest::collection::vec(any, 0..6))| {
            let text = pieces.concat();
            prop_assert!(!harmless(&text).chars().any(steers));
            prop_assert!(!harmless_lines(&text).chars().any(|letter| letter != '\n' && steers(letter)));
            let shown = ours(&text);
            let mut rest = &*shown;
            while let Some(at) = rest.find(|letter| letter != '\n' && steers(letter)) {
                let colour = colour_at(&rest[at..]);
                prop_assert!(colour.is_some_and(|colour| is_ours(&rest[at..at + colour])), "{:?}", shown);
                rest = &rest[at + colour.unwrap_or(1)..];
            }
            prop_assert_eq!(&ours(&shown), &shown, "twice is as good as once");
        });
    }
}
