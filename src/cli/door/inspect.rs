//! A value as Node shows it: names without quotes, one key a line.

use serde_json::Value;

/// The whole text.
pub(super) fn text(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0);
    text.push('\n');
    text
}

fn write(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth + 1);
    let is_plain = |item: &Value| !item.is_object() && !item.is_array();
    match value {
        Value::Array(items) if items.is_empty() => text.push_str("[]"),
        Value::Object(items) if items.is_empty() => text.push_str("{}"),
        Value::Array(items) if items.iter().all(is_plain) => {
            text.push_str("[ ");
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                write(text, item, depth);
            }
            text.push_str(" ]");
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at > 0 { ",\n" } else { "\n" });
                text.push_str(&indent);
                write(text, item, depth + 1);
            }
            text.extend(["\n", &"  ".repeat(depth), "]"]);
        }
        Value::Object(items) => {
            text.push('{');
            for (at, (name, item)) in items.iter().enumerate() {
                text.push_str(if at > 0 { ",\n" } else { "\n" });
                let is_word = |name: &str| {
                    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                        && !name.starts_with(|one: char| one.is_ascii_digit())
                };
                let name = if is_word(name) { name.clone() } else { quoted(name) };
                text.extend([&indent, name.as_str(), ": "]);
                write(text, item, depth + 1);
            }
            text.extend(["\n", &"  ".repeat(depth), "}"]);
        }
        Value::String(string) => text.push_str(&quoted(string)),
        other => text.push_str(&other.to_string()),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_shown_as_node_shows_it() {
        assert_eq!(text(&json!([])), "[]\n");
        let value = json!([{ "pid": 1, "name": "it's", "args": ["a", "b"], "env": {}, "a-b": null }]);
        let shown = text(&value);
        for line in ["    pid: 1", "    name: 'it\\'s'", "    args: [ 'a', 'b' ]", "    env: {}", "    'a-b': null"] {
            assert!(shown.lines().any(|found| found.trim_end_matches(',') == line), "{line} in {shown}");
        }
    }
}
