//! Texts of a compose file: command lines, variables, durations, sizes, mounts.

use serde_json::Value;

/// A text, or a number written as one.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// A list; one value is a list of one.
pub(super) fn list(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
    }
}

/// A command line, and whether a shell runs it. `["sh", "-c", LINE]` is the line itself.
pub(super) fn line_of(value: &Value) -> Option<(String, bool)> {
    let words: Vec<String> = match value {
        Value::String(line) => match shell_words::split(line) {
            Ok(words) if !words.is_empty() => match through_shell(&words) {
                Some(inner) => return Some((inner, true)),
                None => return Some((line.trim().to_owned(), false)),
            },
            Ok(_) => return None,
            Err(_) => return Some((line.trim().to_owned(), true)),
        },
        Value::Array(words) => words.iter().map(plain).collect::<Option<_>>()?,
        _ => return None,
    };
    if words.is_empty() {
        return None;
    }
    match through_shell(&words) {
        Some(line) => Some((line, true)),
        None => Some((words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "), false)),
    }
}

fn through_shell(words: &[String]) -> Option<String> {
    let [shell, flag, line] = words else { return None };
    let is_plain = matches!(shell.as_str(), "sh" | "/bin/sh") && matches!(flag.as_str(), "-c" | "-ec");
    is_plain.then(|| line.trim().to_owned())
}

/// A word for a command line. Variables are filled in afterwards, so that they need no quotes.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "_@%+=:,./-${}?".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { shell_words::quote(word).into_owned() }
}

/// A text in which compose fills in variables, as we write it: `$NAME` is `${NAME}`, `$$` is a dollar in both.
pub(super) fn meant(text: &str) -> Value {
    let mut written = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        written.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let length = behind.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let is_name = length > 0 && !behind.starts_with(|first: char| first.is_ascii_digit());
        rest = match behind.chars().next() {
            Some('$') => {
                written.push_str("$$");
                &behind[1..]
            }
            Some('{') => {
                written.push('$');
                behind
            }
            _ if is_name => {
                written.extend(["${", &behind[..length], "}"]);
                &behind[length..]
            }
            _ => {
                written.push_str("$$");
                behind
            }
        };
    }
    written.push_str(rest);
    Value::from(written)
}

/// A duration of compose (`1m30s`, `500ms`), which is one of ours.
pub(super) fn duration(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = &rest[digits..digits + letters];
        if digits == 0 || !matches!(unit, "ms" | "s" | "m" | "h") {
            return None;
        }
        rest = &rest[digits + letters..];
    }
    (!text.is_empty()).then(|| text.to_owned())
}

/// How long a duration of compose is.
pub(super) fn milliseconds(text: &str) -> u64 {
    let (mut total, mut rest) = (0_u64, text);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let factor = match &rest[digits..digits + letters] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return total,
        };
        total = total.saturating_add(rest[..digits].parse::<u64>().unwrap_or(u64::MAX).saturating_mul(factor));
        rest = &rest[digits + letters..];
    }
    total
}

/// A size of compose (`512m`, `1gb`, bytes), as we write it.
pub(super) fn size(value: &Value) -> Option<String> {
    let text = plain(value)?.trim().to_lowercase();
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let unit = match &text[digits..] {
        "" | "b" => "B",
        "k" | "kb" => "K",
        "m" | "mb" => "M",
        "g" | "gb" => "G",
        _ => return None,
    };
    (digits > 0).then(|| format!("{}{unit}", &text[..digits]))
}

/// The folder outside, if this mount shows it at, or above, the folder inside.
pub(super) fn mounted(mount: &Value, inside: &str) -> Option<String> {
    let (source, target) = match mount {
        Value::String(short) => {
            let mut parts = short.split(':');
            (parts.next()?.to_owned(), parts.next()?.to_owned())
        }
        long => (long.get("source")?.as_str()?.to_owned(), long.get("target")?.as_str()?.to_owned()),
    };
    // A name without a slash is a volume, which is no folder of this machine.
    if !source.starts_with(['.', '/', '~']) {
        return None;
    }
    let below = inside.strip_prefix(target.trim_end_matches('/'))?;
    if !below.is_empty() && !below.starts_with('/') {
        return None;
    }
    let below = below.trim_matches('/');
    let source = source.trim_end_matches('/');
    let source = if source.is_empty() { "/" } else { source };
    Some(match (source, below) {
        (source, "") => source.to_owned(),
        (".", below) => below.to_owned(),
        (source, below) => format!("{}/{below}", source.trim_end_matches('/')),
    })
}
