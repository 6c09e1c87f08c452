//! Values of a spec as a file would write them.

use serde_json::Value;

use super::keys::signal_name;
use super::{Bytes, HIDDEN, Leaf, ListenAddress, Millis, Template, Unit, is_group, leaf};

/// Digits of a digest that are enough to see that it is another one.
const DIGEST_DIGITS: usize = 8;

impl Unit {
    /// The text that is meant by a template: literal dollars stand twice in it.
    pub fn revealed(self, value: &Value) -> Value {
        match value {
            Value::String(text) if matches!(self, Self::Template | Self::CommandLine) => {
                Value::String(Template::prepared(text.clone()).revealed())
            }
            Value::Array(values) => values.iter().map(|value| self.revealed(value)).collect(),
            _ => value.clone(),
        }
    }

    /// A value as a file would write it: `10s`, `300M`, `SIGTERM`, `"debug"`. Templates have been revealed.
    pub fn written(self, value: &Value) -> String {
        let hidden = (value == HIDDEN).then(|| HIDDEN.to_owned());
        let number = || value.as_u64();
        let text = hidden.or_else(|| match self {
            Self::Plain | Self::Template => None,
            Self::CommandLine => Some(Value::String(command_line(value.as_array()?)).to_string()),
            Self::Duration => Some(Millis(number()?).written()),
            Self::Size => Some(Bytes(number()?).written()),
            Self::Signal => i32::try_from(number()?).ok().and_then(signal_name).map(str::to_owned),
            Self::Mode => Some(format!("{:04o}", number()?)),
            Self::Mask => Some(format!("{:03o}", number()?)),
            Self::CpuShare => Some(cpu_share(number()?)),
            Self::Address => Some(Value::from(addresses(value)?).to_string()),
            Self::Contents => {
                let digest = value.as_str()?;
                Some(format!("contents {}", digest.get(..DIGEST_DIGITS).unwrap_or(digest)))
            }
        });
        text.unwrap_or_else(|| value.to_string())
    }
}

/// A spec as JSON, its quantities as a file would write them: `"10s"` where the code counts 10000.
pub fn write_units(spec: &mut Value) {
    let Some(keys) = spec.as_object_mut() else { return };
    for (name, value) in keys {
        match value.as_object_mut().filter(|_| is_group(name)) {
            Some(group) => group.iter_mut().for_each(|(name, value)| write_unit(name, value)),
            None => write_unit(name, value),
        }
    }
}

fn write_unit(path: &str, value: &mut Value) {
    if let Some(keys) = value.as_object_mut() {
        return keys.iter_mut().for_each(|(name, value)| write_unit(&format!("{path}.{name}"), value));
    }
    let Some(Leaf { unit, .. }) = leaf(path).filter(|_| !value.is_null()) else { return };
    match unit {
        // A signal without a name is a number in the file, too.
        Unit::Signal if value.as_i64().and_then(|number| signal_name(i32::try_from(number).ok()?)).is_none() => {}
        Unit::Duration | Unit::Size | Unit::Signal | Unit::Mode | Unit::Mask | Unit::CpuShare => {
            *value = Value::String(unit.written(value));
        }
        Unit::Address => {
            if let Some(addresses) = addresses(value) {
                *value = addresses.into();
            }
        }
        Unit::Plain | Unit::Template | Unit::CommandLine | Unit::Contents => {}
    }
}

/// `2` for two CPUs, `50%` for half of one.
fn cpu_share(percent: u64) -> String {
    if percent.is_multiple_of(100) { (percent / 100).to_string() } else { format!("{percent}%") }
}

fn addresses(value: &Value) -> Option<Vec<String>> {
    let addresses: Vec<ListenAddress> = serde_json::from_value(value.clone()).ok()?;
    Some(addresses.iter().map(ToString::to_string).collect())
}

/// Words as one text that is split into the same words again. A single one (`shell = true`) is the whole line.
fn command_line(words: &[Value]) -> String {
    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    match words.as_slice() {
        [line] => (*line).to_owned(),
        words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    }
}

fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./:=,@%+^~${}".contains(letter);
    if !word.is_empty() && word.replace(HIDDEN, "").chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_written_in_the_unit_of_its_key() {
        for (unit, value, expected) in [
            (Unit::Duration, json!(10_000), "10s"),
            (Unit::Duration, json!(0), "0s"),
            (Unit::Duration, json!(1501), "1501ms"),
            (Unit::Duration, json!(5_400_000), "1h30m"),
            (Unit::Duration, json!(5_401_000), "5401000ms"),
            (Unit::Size, json!(314_572_800), "300M"),
            (Unit::Size, json!(314_572_801), "314572801B"),
            (Unit::Signal, json!(15), "SIGTERM"),
            (Unit::Signal, json!(28), "SIGWINCH"),
            (Unit::Signal, json!(30), "30"),
            (Unit::Mask, json!(18), "022"),
            (Unit::Mode, json!(432), "0660"),
            (Unit::CpuShare, json!(200), "2"),
            (Unit::CpuShare, json!(150), "150%"),
            (Unit::Address, json!([{ "tcp": "0.0.0.0:80" }, { "unix": "/run/x" }]), r#"["0.0.0.0:80","unix:/run/x"]"#),
            (Unit::Contents, json!("0123456789abcdef0123456789abcdef"), "contents 01234567"),
            (Unit::CommandLine, json!(["echo hi"]), r#""echo hi""#),
            (Unit::CommandLine, json!(["a", "b c", "it's", "--x=$HOME"]), r#""a 'b c' 'it'\\''s' --x=$HOME""#),
            (Unit::CommandLine, json!(["a", "--token", HIDDEN]), r#""a --token (sensitive)""#),
            (Unit::Plain, json!("debug"), r#""debug""#),
            (Unit::Plain, json!(HIDDEN), HIDDEN),
        ] {
            assert_eq!(unit.written(&value), expected, "{unit:?} {value}");
        }
    }

    #[test]
    fn a_spec_is_shown_in_the_units_of_the_file() {
        let mut spec = json!({
            "name": "api", "max_memory_restart": 314_572_800, "ready": { "timeout": 10_000, "http": { "url": "http://a$$b" } },
            "stop": { "kill_timeout": 1500, "kill_signal": 2 }, "logs": { "log_rotate": { "size": 1 << 20 } },
            "run": { "umask": 18, "env": { "TTL": "10" }, "listen": [{ "tcp": "0.0.0.0:80" }], "port": 80 },
            "restart": { "restart": "always", "min_uptime": 10_000, "max_restarts": null }, "health": null,
        });
        write_units(&mut spec);
        let expected = json!({
            "name": "api", "max_memory_restart": "300M", "ready": { "timeout": "10s", "http": { "url": "http://a$$b" } },
            "stop": { "kill_timeout": "1.5s", "kill_signal": "SIGINT" }, "logs": { "log_rotate": { "size": "1M" } },
            "run": { "umask": "022", "env": { "TTL": "10" }, "listen": ["0.0.0.0:80"], "port": 80 },
            "restart": { "restart": "always", "min_uptime": "10s", "max_restarts": null }, "health": null,
        });
        assert_eq!(spec, expected);
        let mut odd = json!({ "stop": { "kill_signal": 35 }, "unknown": 1 });
        let before = odd.clone();
        write_units(&mut odd);
        assert_eq!(odd, before);
        write_units(&mut json!("no spec"));
    }

    #[test]
    fn what_is_written_is_read_as_the_same_quantity() {
        for number in [0, 1, 999, 1000, 1001, 1500, 1550, 59_999, 60_000, 61_000, 3_661_000, 90_000_000, 314_572_800] {
            assert_eq!(Millis::parse(&Millis(number).written()), Ok(Millis(number)), "{number}");
            assert_eq!(Bytes::parse(&Bytes(number).written()), Ok(Bytes(number)), "{number}");
        }
    }
}
