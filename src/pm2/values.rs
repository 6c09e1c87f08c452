//! PM2's lenient values → the strict ones of an ecosystem file.

use serde_json::Value;

/// A text, or a number written as one.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// True or false, also as text.
pub(super) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_i64().filter(|number| matches!(number, 0 | 1)).map(|number| number == 1),
        _ => None,
    }
}

/// A whole number, also as text.
pub(super) fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| whole_float(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "checked right here")]
fn whole_float(number: f64) -> Option<i64> {
    (number.fract().abs() < f64::EPSILON && number.abs() < 9e15).then_some(number as i64)
}

/// The number that a text begins with, as `parseInt` reads it: `"50%"` is 50.
pub(super) fn leading_number(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    text[..text.len() - digits.len() + length].parse().ok()
}

/// Milliseconds without a unit, or a text with one: a duration with a unit.
pub(super) fn duration(value: &Value) -> Option<String> {
    match whole(value) {
        Some(ms) if ms < 0 => None,
        Some(ms) => Some(duration_of(ms)),
        None => text(value).filter(|text| text.starts_with(|first: char| first.is_ascii_digit())),
    }
}

fn duration_of(ms: i64) -> String {
    match ms {
        0 => "0s".to_owned(),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

/// Bytes without a unit, or a text with one: a size with a unit.
pub(super) fn size(value: &Value) -> Option<String> {
    match whole(value) {
        Some(bytes) if bytes < 0 => None,
        Some(bytes) => Some(size_of(bytes)),
        None => text(value).filter(|text| text.starts_with(|first: char| first.is_ascii_digit())),
    }
}

fn size_of(bytes: i64) -> String {
    match bytes {
        bytes if bytes > 0 && bytes % (1 << 30) == 0 => format!("{}G", bytes >> 30),
        bytes if bytes > 0 && bytes % (1 << 20) == 0 => format!("{}M", bytes >> 20),
        bytes if bytes > 0 && bytes % (1 << 10) == 0 => format!("{}K", bytes >> 10),
        bytes => format!("{bytes}B"),
    }
}

/// A list of texts; one text is a list of one.
pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        other => text(other).map(|one| vec![one]),
    }
}

/// A text in which no `${…}` is meant: PM2 has none.
pub(super) fn literal(text: &str) -> Value {
    Value::from(text.replace('$', "$$"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_get_the_largest_unit_that_is_exact() {
        for (value, expected) in [
            (json!(0), "0s"),
            (json!(1600), "1600ms"),
            (json!("3000"), "3s"),
            (json!(3000.0), "3s"),
            (json!(120_000), "2m"),
            (json!("5s"), "5s"),
        ] {
            assert_eq!(duration(&value).as_deref(), Some(expected), "{value}");
        }
        for (value, expected) in
            [(json!("300M"), "300M"), (json!(314_572_800), "300M"), (json!("1073741824"), "1G"), (json!(1000), "1000B")]
        {
            assert_eq!(size(&value).as_deref(), Some(expected), "{value}");
        }
        for wrong in [json!(-1), json!("soon"), json!(true), json!([])] {
            assert_eq!((duration(&wrong), size(&wrong)), (None, None), "{wrong}");
        }
    }

    #[test]
    fn texts_that_begin_with_a_number_are_read_as_javascript_reads_them() {
        for (text, expected) in
            [("50%", Some(50)), ("-1", Some(-1)), (" 2 ", Some(2)), ("max", None), ("", None), ("-", None)]
        {
            assert_eq!(leading_number(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_dollar_is_never_taken_for_a_variable() {
        assert_eq!(literal("a $HOME"), "a $$HOME");
        assert_eq!(literal("a ${HOME} $1"), "a $${HOME} $$1");
    }
}
