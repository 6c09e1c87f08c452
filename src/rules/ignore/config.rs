//! `core.excludesFile` in a configuration file of git.

/// Longest file of which anything is read.
const LINES_MAX: usize = 10_000;

/// The last value of `core.excludesFile`, as it is written there; `None` if it has none. Files that such a file includes
/// are not looked at.
pub fn excludes_file(text: &str) -> Option<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut is_core, mut found) = (false, None);
    let mut lines = text.lines().take(LINES_MAX);
    while let Some(line) = lines.next() {
        let mut line = line.trim_start();
        if let Some(rest) = line.strip_prefix('[') {
            let Some((section, rest)) = rest.split_once(']') else { continue };
            is_core = section.trim().eq_ignore_ascii_case("core");
            line = rest.trim_start();
        }
        let name_end = line.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-').unwrap_or(line.len());
        let (name, rest) = line.split_at(name_end);
        let value = rest.trim_start().strip_prefix('=').map(|rest| value(rest, &mut lines));
        if is_core && name.eq_ignore_ascii_case("excludesfile") {
            found = value.or(found);
        }
    }
    found
}

/// Without quotes, escapes, and a comment; a backslash at the end of a line joins the next one.
fn value<'a>(first: &'a str, lines: &mut impl Iterator<Item = &'a str>) -> String {
    let (mut value, mut blanks, mut is_quoted) = (String::new(), String::new(), false);
    let mut line = first.trim_start();
    'lines: loop {
        let mut letters = line.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '#' | ';' if !is_quoted => break 'lines,
                '"' => is_quoted = !is_quoted,
                ' ' | '\t' if !is_quoted => blanks.push(letter),
                '\\' => {
                    value.push_str(&std::mem::take(&mut blanks));
                    match letters.next() {
                        Some('n') => value.push('\n'),
                        Some('t') => value.push('\t'),
                        Some('b') => drop(value.pop()),
                        Some(letter) => value.push(letter),
                        None => match lines.next() {
                            Some(next) => {
                                line = next;
                                continue 'lines;
                            }
                            None => break 'lines,
                        },
                    }
                }
                _ => {
                    value.push_str(&std::mem::take(&mut blanks));
                    value.push(letter);
                }
            }
        }
        break;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_the_section_counts() {
        for (text, expected) in [
            ("", None),
            ("[core]\n\texcludesFile = ~/.ignore\n", Some("~/.ignore")),
            ("[CORE]\n\tEXCLUDESFILE=/a\n", Some("/a")),
            ("[core] excludesfile = /a", Some("/a")),
            ("[core]\nexcludesFile = /a\nexcludesFile = /b\n", Some("/b")),
            ("[core]\nexcludesFile = /a\n[user]\nname = x\n[core]\nexcludesFile = /c\n", Some("/c")),
            ("[user]\nexcludesFile = /a\n", None),
            ("[core \"x\"]\nexcludesFile = /a\n", None),
            ("[core]\nexcludesFile = \"/a b # c\" # more\n", Some("/a b # c")),
            ("[core]\nexcludesFile = /a b  ; more\n", Some("/a b")),
            ("[core]\nexcludesFile = /a\\\\b\n", Some("/a\\b")),
            ("[core]\nexcludesFile = /a\\\nb\n", Some("/ab")),
            ("[core]\neditor = x\n# excludesFile = /a\n", None),
            ("[core]\nexcludesFile\n", None),
            ("[core\nexcludesFile = /a\n", None),
            ("\u{feff}[core]\r\nexcludesFile = /a\r\n", Some("/a")),
        ] {
            assert_eq!(excludes_file(text).as_deref(), expected, "{text:?}");
        }
    }
}
