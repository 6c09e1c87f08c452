//! Env files: `KEY=value` lines as Node's dotenv and compose read them. No variable is filled in.

/// What is wrong or doubtful, and in which byte range.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub start: usize,
    pub end: usize,
    pub message: &'static str,
}

/// The contents of an env file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    pub pairs: Vec<(String, String)>,
    pub mistakes: Vec<Mistake>,
    /// Lines that mean something else to another reader of such files.
    pub doubts: Vec<Mistake>,
}

const VARIABLE_STAYS: &str =
    "a variable in an env file stays as it is written; in single quotes it is certainly meant so";
const TWO_MEANINGS_HASH: &str =
    "`#` without a blank before it begins a comment for some readers and not for others: put the value in quotes";
const TWO_MEANINGS_BACKTICK: &str = "a backtick is a quote for some readers and a letter for others: use ' or \"";

/// Reads all lines; a mistake never hides the other lines. Later lines win over earlier ones of the same key.
///
/// * `export KEY=value` and blanks around `=` are fine; lines that begin with `#` are comments.
/// * Unquoted: to the end of the line, blanks at the ends removed, ` #` begins a comment.
/// * `'single'`: as written, over several lines.
/// * `"double"`: the same, with `\n \r \t \" \\ \$`.
///
/// Where the readers of such files disagree about what would be cut off, the line is refused.
pub(super) fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let text_start = if text.starts_with('\u{FEFF}') { 3 } else { 0 };
    let mut at = text_start;
    while at < text.len() {
        let rest = &text[at..];
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        match one(line, rest) {
            Ok((pair, length)) => {
                if pair.is_some() && names_variable(&rest[..length]) {
                    let end = at + line.trim_end().len();
                    parsed.doubts.push(Mistake { start: at, end, message: VARIABLE_STAYS });
                }
                parsed.pairs.extend(pair);
                at += length;
            }
            Err(message) => {
                parsed.mistakes.push(Mistake { start: at, end: at + line.trim_end().len(), message });
                at += line.len();
            }
        }
        at += usize::from(text[at..].starts_with('\n'));
    }
    parsed
}

/// Whether an entry has a variable in it, outside of single quotes: compose would fill it in.
fn names_variable(entry: &str) -> bool {
    let value = entry.split_once('=').map_or("", |(_, value)| value.trim_start());
    let begins_name = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '{');
    !value.starts_with('\'')
        && value
            .match_indices('$')
            .any(|(at, _)| !value[..at].ends_with(['\\', '$']) && value[at + 1..].starts_with(begins_name))
}

/// Reads one entry; `rest` continues behind the line, for quoted values over several lines.
#[expect(clippy::type_complexity, reason = "a pair, if the line is not blank, and the bytes taken")]
fn one(line: &str, rest: &str) -> Result<(Option<(String, String)>, usize), &'static str> {
    let content = line.trim();
    if content.is_empty() || content.starts_with('#') {
        return Ok((None, line.len()));
    }
    let equals = line.find('=').ok_or("expected `NAME=value`, but this line has no `=`")?;
    let key = line[..equals].trim();
    let key = key.strip_prefix("export ").map_or(key, str::trim);
    let is_name_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if key.is_empty() || !key.chars().all(is_name_letter) {
        return Err("no variable name before `=`");
    }
    let value_line = &line[equals + 1..];
    let blanks = value_line.len() - value_line.trim_start().len();
    let value_at = equals + 1 + blanks;
    let quote = rest[value_at..].chars().next().filter(|_| value_at < line.len());
    match quote {
        Some('`') => Err(TWO_MEANINGS_BACKTICK),
        Some(quote @ ('"' | '\'')) => {
            let (value, length) = quoted(&rest[value_at + 1..], quote).ok_or("the quote is never closed")?;
            let end = value_at + 1 + length;
            let tail = &rest[end..];
            let tail = &tail[..tail.find('\n').unwrap_or(tail.len())];
            // A `#` right behind the quote may have been meant as part of the value.
            if !(tail.trim().is_empty() || (tail.trim_start().starts_with('#') && tail.starts_with([' ', '\t']))) {
                return Err("text after the closing quote");
            }
            Ok((Some((key.to_owned(), value)), end + tail.len()))
        }
        _ => Ok((Some((key.to_owned(), unquoted(value_line)?.to_owned())), line.len())),
    }
    .and_then(|found: (Option<(String, String)>, usize)| match &found.0 {
        Some((_, value)) if value.contains('\0') => Err("the value holds a NUL character"),
        _ => Ok(found),
    })
}

/// # Errors
/// A `#` that not every reader takes for the beginning of a comment.
fn unquoted(value: &str) -> Result<&str, &'static str> {
    let Some(at) = value.find('#') else { return Ok(value.trim()) };
    match value[..at].ends_with(|before: char| before.is_ascii_whitespace()) {
        true => Ok(value[..at].trim()),
        false => Err(TWO_MEANINGS_HASH),
    }
}

/// The value up to the closing quote, and how many bytes were read with it.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            _ if letter == quote => return Some((value.replace("\r\n", "\n"), at + letter.len_utf8())),
            '\\' if quote == '"' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, 't')) => value.push('\t'),
                Some((_, same @ ('"' | '\\' | '$'))) => value.push(same),
                Some((_, other)) => value.extend(['\\', other]),
                None => return None,
            },
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_node_and_compose_read_them() {
        for (text, key, value) in [
            ("A=1", "A", "1"),
            ("  export A = a b c  ", "A", "a b c"),
            ("A=", "A", ""),
            ("A= # only a comment", "A", ""),
            ("A=x y # z#", "A", "x y"),
            ("A='x#y' # z", "A", "x#y"),
            ("A='x # y' # z", "A", "x # y"),
            ("A=\"a\\nb\\\"c\\x\"", "A", "a\nb\"c\\x"),
            ("A='a\\nb'", "A", "a\\nb"),
            ("A=\"one\ntwo\"", "A", "one\ntwo"),
            ("A={\"j\":1}", "A", "{\"j\":1}"),
            ("A='${HOME}'", "A", "${HOME}"),
            ("A=5$", "A", "5$"),
            ("A=\"\\$HOME\"", "A", "$HOME"),
            ("A=b=c", "A", "b=c"),
            ("\u{FEFF}A=1\r\n", "A", "1"),
            ("a.b-c=1", "a.b-c", "1"),
        ] {
            let pairs = vec![(key.to_owned(), value.to_owned())];
            assert_eq!(parse(text), Parsed { pairs, ..Parsed::default() }, "{text:?}");
        }
    }

    #[test]
    fn what_readers_disagree_about_is_refused_and_never_cut() {
        for text in ["A=x#y", "A=#x", "A=`it's`", "A='p\\'#ss'", "A=\"x\"y", "A='it''s'", "A=\"x", "A=http://h/#/a"] {
            let parsed = parse(text);
            assert_eq!((parsed.pairs.len(), parsed.mistakes.len()), (0, 1), "{text}");
        }
    }

    #[test]
    fn a_variable_that_stays_is_told() {
        for (text, is_told) in [
            ("A=$HOME/x", true),
            ("A=${HOME}", true),
            ("A=\"$HOME\"", true),
            ("A='$HOME'", false),
            ("A=\"\\$HOME\"", false),
            ("A=$1", false),
            ("# $HOME", false),
        ] {
            let parsed = parse(text);
            assert_eq!((parsed.doubts.len() == 1, parsed.mistakes.len()), (is_told, 0), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_hides_no_other_line() {
        let Parsed { pairs, mistakes, .. } = parse("A=1\nnonsense\nB='open\nC=3\n1 2=4\nD=\"x\" y\nE=5");
        let keys: Vec<&str> = pairs.iter().map(|pair| pair.0.as_str()).collect();
        assert_eq!(keys, ["A", "C", "E"]);
        assert_eq!(mistakes.iter().map(|mistake| mistake.start).collect::<Vec<_>>(), [4, 13, 25, 31]);
    }
}
