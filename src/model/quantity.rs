//! Sizes, durations and the two clocks, as users write and read them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// `300`: nobody can know whether that is bytes or megabytes.
    #[error("`{0}` has no unit")]
    NoUnit(String),
    /// `3x`.
    #[error("`{0}` has an unknown unit `{1}`")]
    UnknownUnit(String, String),
    /// `abc`, `1..2`, the empty text.
    #[error("`{0}` is not a number with a unit")]
    NotANumber(String),
    /// More than 64 bits hold.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

/// `port = "auto"`: among which TCP ports free ones are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AutoPort {
    /// The first of them.
    pub first: u16,
    /// The last of them.
    pub last: u16,
}

impl AutoPort {
    /// Where the file names no range: above the well-known ports, below those that Linux gives to outgoing connections.
    pub const DEFAULT: Self = Self { first: 20_000, last: 32_767 };

    /// Reads `auto` or `auto:8000-8100`; `None` if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let range = text.strip_prefix("auto")?;
        if range.is_empty() {
            return Some(Self::DEFAULT);
        }
        let (first, last) = range.strip_prefix(':')?.split_once('-')?;
        let number = |digits: &str| {
            let is_plain = digits.starts_with(|first| ('1'..='9').contains(&first));
            digits.parse::<u16>().ok().filter(|_| is_plain)
        };
        let (first, last) = (number(first)?, number(last)?);
        (first <= last).then_some(Self { first, last })
    }

    /// Whether a port is one of them.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl fmt::Display for AutoPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DEFAULT => f.write_str("auto"),
            Self { first, last } => write!(f, "auto:{first}-{last}"),
        }
    }
}

impl From<AutoPort> for String {
    fn from(range: AutoPort) -> Self {
        range.to_string()
    }
}

impl TryFrom<String> for AutoPort {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is no range of ports"))
    }
}

/// A size in bytes. `K`, `M`, `G` are powers of 1024, as PM2 means them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Reads `300M`, `1.5G`, `512KiB`, `10MB`, `42B`, `0`.
    ///
    /// # Errors
    /// A number without a unit (0 excepted), an unknown unit, or no number.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (number, unit) = split(text)?;
        let factor: u64 = match unit.to_ascii_lowercase().as_str() {
            "" if number == 0.0 => 1,
            "" => return Err(QuantityError::NoUnit(text.to_owned())),
            "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            "t" | "tb" | "tib" => 1 << 40,
            _ => return Err(QuantityError::UnknownUnit(text.to_owned(), unit.to_owned())),
        };
        scaled(text, number, factor).map(Self)
    }

    /// As a file would write it: not rounded.
    pub fn written(self) -> String {
        let short = self.to_string();
        if Self::parse(&short) == Ok(self) { short } else { format!("{}B", self.0) }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
        for (size, unit) in UNITS {
            if self.0 >= size {
                #[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
                let number = self.0 as f64 / size as f64;
                let text =
                    if self.0.is_multiple_of(size) { format!("{number}{unit}") } else { format!("{number:.1}{unit}") };
                return f.pad(&text);
            }
        }
        f.pad(&format!("{}B", self.0))
    }
}

/// A duration in milliseconds, the finest unit of the ecosystem file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// Whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds * 1000)
    }

    /// As the standard library's type.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// Reads `1500ms`, `5s`, `1h30m`, `2d`, `0`.
    ///
    /// # Errors
    /// A number without a unit (0 excepted), an unknown unit, or no number.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let mut rest = text.trim();
        let mut total: u64 = 0;
        if rest.is_empty() {
            return Err(QuantityError::NotANumber(text.to_owned()));
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
            let after = &rest[digits..];
            let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            let (number, unit) =
                split(&rest[..digits + letters]).map_err(|_| QuantityError::NotANumber(text.to_owned()))?;
            let factor: u64 = match unit {
                "" if number == 0.0 && rest.len() == digits => 1,
                "" => return Err(QuantityError::NoUnit(text.to_owned())),
                "ms" => 1,
                "s" | "sec" => 1000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(QuantityError::UnknownUnit(text.to_owned(), unit.to_owned())),
            };
            total = scaled(text, number, factor)?
                .checked_add(total)
                .ok_or_else(|| QuantityError::TooLarge(text.to_owned()))?;
            rest = after[letters..].trim_start();
        }
        Ok(Self(total))
    }

    /// As a file would write it: not rounded.
    pub fn written(self) -> String {
        let short = self.to_string().replace(' ', "");
        match self.0 {
            0 => "0s".to_owned(),
            _ if Self::parse(&short) == Ok(self) => short,
            ms => format!("{ms}ms"),
        }
    }
}

impl fmt::Display for Millis {
    /// Prints the two largest units: `250ms`, `1.5s`, `2m 5s`, `3h 20m`, `5d 2h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0;
        let two = |big: u64, b: &str, small: u64, s: &str| match ms % big / small {
            0 => format!("{}{b}", ms / big),
            rest => format!("{}{b} {rest}{s}", ms / big),
        };
        let text = match ms {
            0..1000 => format!("{ms}ms"),
            1000..60_000 if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
            1000..60_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
            60_000..3_600_000 => two(60_000, "m", 1000, "s"),
            3_600_000..86_400_000 => two(3_600_000, "h", 60_000, "m"),
            _ => two(86_400_000, "d", 3_600_000, "h"),
        };
        f.pad(&text)
    }
}

fn split(text: &str) -> Result<(f64, &str), QuantityError> {
    let text = text.trim();
    let at = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number: f64 = text[..at].parse().map_err(|_| QuantityError::NotANumber(text.to_owned()))?;
    Ok((number, text[at..].trim()))
}

fn scaled(text: &str, number: f64, factor: u64) -> Result<u64, QuantityError> {
    #[expect(clippy::cast_precision_loss, reason = "factors are far below 2^52")]
    let value = number * factor as f64;
    // Beyond 2^53 a double no longer holds every integer; no honest size or time is that large.
    if value > 9_007_199_254_740_992.0 {
        return Err(QuantityError::TooLarge(text.to_owned()));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above, never negative")]
    Ok(value as u64)
}

/// A point on `CLOCK_BOOTTIME` in milliseconds: never set back, runs on in suspend, ends with the boot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment `later` after this one.
    #[must_use]
    pub const fn after(self, later: Millis) -> Self {
        Self(self.0.saturating_add(later.0))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

/// Wall-clock time: milliseconds since 1970 UTC. For users and logs, never for timers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_and_need_a_unit() {
        for (text, bytes) in
            [("300M", 300 << 20), ("1.5G", 3 << 29), ("512KiB", 512 << 10), ("10mb", 10 << 20), ("42B", 42), ("0", 0)]
        {
            assert_eq!(Bytes::parse(text), Ok(Bytes(bytes)), "{text}");
        }
        assert!(matches!(Bytes::parse("300"), Err(QuantityError::NoUnit(_))));
        assert!(matches!(Bytes::parse("3x"), Err(QuantityError::UnknownUnit(..))));
        assert!(matches!(Bytes::parse("-3M"), Err(QuantityError::NotANumber(_))));
        assert!(matches!(Bytes::parse("99999999T"), Err(QuantityError::TooLarge(_))));
    }

    #[test]
    fn durations_add_their_parts() {
        for (text, ms) in
            [("1500ms", 1500), ("5s", 5000), ("1h30m", 5_400_000), ("1.5s", 1500), ("2d", 172_800_000), ("0", 0)]
        {
            assert_eq!(Millis::parse(text), Ok(Millis(ms)), "{text}");
        }
        for bad in ["5", "", "s", "5x", "1h30", "-1s"] {
            assert!(Millis::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn quantities_print_short() {
        for (ms, text) in [(250, "250ms"), (1500, "1.5s"), (5000, "5s"), (125_000, "2m 5s"), (7_200_000, "2h")] {
            assert_eq!(Millis(ms).to_string(), text);
        }
        for (bytes, text) in [(42, "42B"), (300 << 20, "300M"), ((3 << 20) / 2, "1.5M")] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
