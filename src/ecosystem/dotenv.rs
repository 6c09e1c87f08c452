//! Env files: `KEY=value` lines as Node's dotenv and compose read them. No variable is filled in.

/// What is wrong, and in which byte range.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub start: usize,
    pub end: usize,
    pub message: &'static str,
}

/// Reads all lines; a mistake never hides the other lines. Later lines win over earlier ones of the same key.
///
/// * `export KEY=value` and blanks around `=` are fine; lines that begin with `#` are comments.
/// * Unquoted: to the end of the line, blanks at the ends removed, ` #` begins a comment.
/// * `'single'` and `` `backtick` ``: as written, over several lines.
/// * `"double"`: the same, with `\n \r \t \" \\ \$`.
pub(super) fn parse(text: &str) -> (Vec<(String, String)>, Vec<Mistake>) {
    let (mut pairs, mut mistakes) = (Vec::new(), Vec::new());
    let text_start = if text.starts_with('\u{FEFF}') { 3 } else { 0 };
    let mut at = text_start;
    while at < text.len() {
        let rest = &text[at..];
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        match one(line, rest) {
            Ok((pair, length)) => {
                pairs.extend(pair);
                at += length;
            }
            Err(message) => {
                mistakes.push(Mistake { start: at, end: at + line.trim_end().len(), message });
                at += line.len();
            }
        }
        at += usize::from(text[at..].starts_with('\n'));
    }
    (pairs, mistakes)
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
        Some(quote @ ('"' | '\'' | '`')) => {
            let (value, length) = quoted(&rest[value_at + 1..], quote).ok_or("the quote is never closed")?;
            let end = value_at + 1 + length;
            let tail = &rest[end..];
            let tail = &tail[..tail.find('\n').unwrap_or(tail.len())];
            if !(tail.trim().is_empty() || tail.trim_start().starts_with('#')) {
                return Err("text after the closing quote");
            }
            Ok((Some((key.to_owned(), value)), end + tail.len()))
        }
        _ => Ok((Some((key.to_owned(), unquoted(value_line).to_owned())), line.len())),
    }
    .and_then(|found: (Option<(String, String)>, usize)| match &found.0 {
        Some((_, value)) if value.contains('\0') => Err("the value holds a NUL character"),
        _ => Ok(found),
    })
}

fn unquoted(value: &str) -> &str {
    let bytes = value.as_bytes();
    let comment = (0..bytes.len()).find(|at| bytes[*at] == b'#' && (*at == 0 || bytes[at - 1].is_ascii_whitespace()));
    value[..comment.unwrap_or(value.len())].trim()
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
            ("A=x#y # z", "A", "x#y"),
            ("A='x # y' # z", "A", "x # y"),
            ("A=\"a\\nb\\\"c\\x\"", "A", "a\nb\"c\\x"),
            ("A='a\\nb'", "A", "a\\nb"),
            ("A=\"one\ntwo\"", "A", "one\ntwo"),
            ("A=`it's`", "A", "it's"),
            ("A={\"j\":1}", "A", "{\"j\":1}"),
            ("A=${HOME}", "A", "${HOME}"),
            ("A=b=c", "A", "b=c"),
            ("\u{FEFF}A=1\r\n", "A", "1"),
            ("a.b-c=1", "a.b-c", "1"),
        ] {
            let (pairs, mistakes) = parse(text);
            assert_eq!(pairs, [(key.to_owned(), value.to_owned())], "{text:?}");
            assert_eq!(mistakes, [], "{text:?}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_hides_no_other_line() {
        let (pairs, mistakes) = parse("A=1\nnonsense\nB='open\nC=3\n1 2=4\nD=\"x\" y\nE=5");
        let keys: Vec<&str> = pairs.iter().map(|pair| pair.0.as_str()).collect();
        assert_eq!(keys, ["A", "C", "E"]);
        assert_eq!(mistakes.iter().map(|mistake| mistake.start).collect::<Vec<_>>(), [4, 13, 25, 31]);
    }
}
