//! Patterns in the syntax of `.gitignore` → whether a path is ignored, as git does it.

mod config;
mod wildmatch;

use std::path::{Path, PathBuf};

pub use config::excludes_file;
use wildmatch::wildmatch;

/// Lines of one file that are read.
const PATTERNS_MAX: usize = 10_000;

/// The patterns of one `.gitignore`, valid in its folder and below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoreRules {
    folder: PathBuf,
    rules: Vec<IgnoreRule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct IgnoreRule {
    glob: String,
    /// `!pattern`: what it matches is not left out after all.
    is_negated: bool,
    /// `pattern/`: only folders.
    is_folder_only: bool,
    /// A slash in it binds it to the folder; otherwise any name below matches.
    is_bound: bool,
}

impl IgnoreRules {
    /// From the text of a file in `folder`.
    pub fn parse(folder: &Path, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self::new(folder, text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)))
    }

    /// From single patterns that are meant relative to `folder`.
    pub fn new<'a>(folder: &Path, patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let rules = patterns.into_iter().take(PATTERNS_MAX).filter_map(rule).collect();
        Self { folder: folder.to_owned(), rules }
    }

    /// Whether nothing is said at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the last matching pattern says: `true` = left out. `None`: no pattern matches.
    pub fn verdict(&self, path: &Path, is_folder: bool) -> Option<bool> {
        let inside = path.strip_prefix(&self.folder).ok().filter(|inside| !inside.as_os_str().is_empty())?;
        let inside = inside.as_os_str().as_encoded_bytes();
        let name = path.file_name()?.as_encoded_bytes();
        let matches = |rule: &&IgnoreRule| {
            (is_folder || !rule.is_folder_only)
                && if rule.is_bound {
                    matches_path(rule.glob.as_bytes(), inside)
                } else {
                    wildmatch(rule.glob.as_bytes(), name)
                }
        };
        self.rules.iter().rev().find(matches).map(|rule| !rule.is_negated)
    }
}

/// Git compares what stands before the first special letter by itself: `a**/b` is `a` and `**/b`, which matches `ab`.
fn matches_path(glob: &[u8], path: &[u8]) -> bool {
    let literal = glob.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(glob.len());
    let (begin, rest) = glob.split_at(literal);
    path.strip_prefix(begin).is_some_and(|path| wildmatch(rest, path))
}

fn rule(line: &str) -> Option<IgnoreRule> {
    if line.starts_with('#') {
        return None;
    }
    let line = without_trailing_blanks(line);
    let (is_negated, pattern) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
    let (is_folder_only, pattern) = pattern.strip_suffix('/').map_or((false, pattern), |rest| (true, rest));
    let is_bound = pattern.contains('/');
    let glob = pattern.strip_prefix('/').unwrap_or(pattern).to_owned();
    (!glob.is_empty()).then_some(IgnoreRule { glob, is_negated, is_folder_only, is_bound })
}

/// Blanks at the end do not count, unless they are escaped.
fn without_trailing_blanks(line: &str) -> &str {
    let (mut blanks_at, mut letters) = (None, line.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            ' ' => blanks_at = blanks_at.or(Some(at)),
            '\\' if letters.next().is_none() => return line,
            _ => blanks_at = None,
        }
    }
    &line[..blanks_at.unwrap_or(line.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        const LEFT_OUT: Option<bool> = Some(true);
        for (text, path, is_folder, expected) in [
            ("*.log", "a.log", false, LEFT_OUT),
            ("*.log", "x/y/a.log", false, LEFT_OUT),
            ("/*.log", "x/a.log", false, None),
            ("x/*.log", "x/a.log", false, LEFT_OUT),
            ("x/*.log", "y/x/a.log", false, None),
            ("**/x/*.log", "y/x/a.log", false, LEFT_OUT),
            ("x/**", "x/y/z", false, LEFT_OUT),
            ("x/**/z", "x/z", false, LEFT_OUT),
            ("tmp/", "tmp", true, LEFT_OUT),
            ("tmp/", "tmp", false, None),
            ("tmp/", "a/tmp", true, LEFT_OUT),
            ("*.log\n!keep.log", "keep.log", false, Some(false)),
            ("!keep.log\n*.log", "keep.log", false, LEFT_OUT),
            ("# a comment\n\n", "# a comment", false, None),
            ("\\#x", "#x", false, LEFT_OUT),
            ("\\!x", "!x", false, LEFT_OUT),
            ("a[0-9]", "a5", false, LEFT_OUT),
            ("a[!0-9]", "a5", false, None),
            ("{a,b}", "a", false, None),
            ("{a,b}", "{a,b}", false, LEFT_OUT),
            ("x   ", "x", false, LEFT_OUT),
            ("x\\ ", "x ", false, LEFT_OUT),
            ("x\r\n", "x", false, LEFT_OUT),
            ("./x", "x", false, None),
            ("\u{feff}x", "x", false, LEFT_OUT),
            ("[[:digit:]]", "5", false, LEFT_OUT),
            ("[[:digit:]]", "a", false, None),
            ("[[:nonsense:]]", "n", false, None),
            ("\\{", "{", false, LEFT_OUT),
            ("\\b", "b", false, LEFT_OUT),
            ("a***", "abc", false, LEFT_OUT),
            ("x/***/z", "x/y/z", false, LEFT_OUT),
            ("x\\\\ ", "x\\", false, LEFT_OUT),
            ("x\\ y ", "x y", false, LEFT_OUT),
            ("[]a]", "]", false, LEFT_OUT),
            ("[a-", "a", false, None),
            ("a**/b", "ab", false, LEFT_OUT),
            ("#x", "#x", false, None),
            (" #x", " #x", false, LEFT_OUT),
            ("x\\", "x\\", false, None),
        ] {
            let rules = IgnoreRules::parse(Path::new("/srv"), text);
            assert_eq!(rules.verdict(&Path::new("/srv").join(path), is_folder), expected, "{text:?} on {path}");
        }
        let rules = IgnoreRules::parse(Path::new("/srv/a"), "*");
        assert_eq!(rules.verdict(Path::new("/srv/b"), false), None, "outside of its folder it says nothing");
    }
}
