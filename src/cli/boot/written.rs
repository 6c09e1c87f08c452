//! Telling a file that `pm` wrote from one that somebody has edited: its first line holds the digest of the rest.

use crate::model::Digest;

const MARK: &str = "# Written by `pm boot enable`; `pm boot disable` removes it. To change it: systemctl edit. ";

/// What stands where the file belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum FileState {
    Absent,
    /// Exactly what would be written.
    Current,
    /// `pm` wrote it and nobody has changed it, but now something else would be written.
    Outdated,
    /// Somebody wrote or changed it by hand.
    Edited,
}

/// The text below the mark.
pub(in crate::cli) fn signed(text: &str) -> String {
    format!("{MARK}{}\n{text}", Digest::of(text.as_bytes()))
}

/// Compares what is there with what would be written.
pub(in crate::cli) fn compare(found: Option<&str>, wanted: &str) -> FileState {
    let Some(found) = found else { return FileState::Absent };
    let is_untouched = found.split_once('\n').is_some_and(|(_, rest)| signed(rest) == found);
    match (found == wanted, is_untouched) {
        (true, _) => FileState::Current,
        (false, true) => FileState::Outdated,
        (false, false) => FileState::Edited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_ours_is_told_from_an_edited_one() {
        let (wanted, older) = (signed("a\nb\n"), signed("a\n"));
        let edited = older.replace("a\n", "a\nmore\n");
        for (found, expected) in [
            (None, FileState::Absent),
            (Some(wanted.as_str()), FileState::Current),
            (Some(&older), FileState::Outdated),
            (Some(&edited), FileState::Edited),
            (Some("[Unit]\n"), FileState::Edited),
            (Some(""), FileState::Edited),
        ] {
            assert_eq!(compare(found, &wanted), expected, "{found:?}");
        }
    }
}
