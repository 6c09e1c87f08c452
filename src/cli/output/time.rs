//! Points in time for users: local clock, and how long ago.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::{Millis, WallTime};

/// Prints times in the zone of this machine, which is looked up once.
#[derive(Debug)]
pub(in crate::cli) struct Clock {
    zone: TimeZone,
}

impl Clock {
    pub(in crate::cli) fn local() -> Self {
        Self { zone: TimeZone::system() }
    }

    /// In another zone.
    pub(in crate::cli) fn of(zone: TimeZone) -> Self {
        Self { zone }
    }

    /// `2026-11-22 16:03:05.123`.
    pub(in crate::cli) fn text(&self, at: WallTime) -> String {
        self.format(at, "%Y-%m-%d %H:%M:%S.%3f")
    }

    /// `2026-11-22 16:03:05`.
    pub(in crate::cli) fn second(&self, at: WallTime) -> String {
        self.format(at, "%Y-%m-%d %H:%M:%S")
    }

    /// `2026-11-22 16:03:05 +01:00`.
    pub(in crate::cli) fn second_with_offset(&self, at: WallTime) -> String {
        self.format(at, "%Y-%m-%d %H:%M:%S %:z")
    }

    /// `16:03`, `16:03:05`; on another day `11-23 16:03`, in another year `2027-01-01`.
    pub(in crate::cli) fn short(&self, at: WallTime, now: WallTime) -> String {
        let is_same = |part| self.format(at, part) == self.format(now, part);
        let time = if (at.0 / 1000).is_multiple_of(60) { "%H:%M" } else { "%H:%M:%S" };
        match (is_same("%Y"), is_same("%Y-%m-%d")) {
            (_, true) => self.format(at, time),
            (true, false) => self.format(at, &format!("%m-%d {time}")),
            (false, false) => self.format(at, "%Y-%m-%d"),
        }
    }

    /// As [`Self::second`], with the offset where another clock shows another time.
    pub(in crate::cli) fn second_beside(&self, at: WallTime, other: &Self) -> String {
        if self.second(at) == other.second(at) { self.second(at) } else { self.second_with_offset(at) }
    }

    fn format(&self, at: WallTime, format: &str) -> String {
        let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
        match Timestamp::from_millisecond(ms) {
            Ok(time) => time.to_zoned(self.zone.clone()).strftime(format).to_string(),
            Err(_) => at.0.to_string(),
        }
    }
}

/// `--since`: `10m`, `2h30m` ago, a date, or a date and a time.
pub(in crate::cli) fn since(text: &str, now: WallTime) -> Result<WallTime, String> {
    if let Ok(ago) = Millis::parse(text) {
        return Ok(WallTime(now.0.saturating_sub(ago.0)));
    }
    let instant = text.parse::<Timestamp>().or_else(|_| {
        let local = text.parse::<jiff::civil::DateTime>()?;
        local.to_zoned(TimeZone::system()).map(|zoned| zoned.timestamp())
    });
    let wrong = || format!("`{text}` is no time: write `10m`, `2h`, `2026-11-22` or `2026-11-22T14:30`");
    let ms = instant.map_err(|_| wrong())?.as_millisecond();
    u64::try_from(ms).map(WallTime).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_today_needs_no_date() {
        let clock = Clock::of(TimeZone::UTC);
        let at = |hour: u64, second: u64| WallTime(1_795_305_600_000 + (hour * 3600 + second) * 1000);
        for (time, expected) in
            [(at(3, 0), "03:00"), (at(3, 5), "03:00:05"), (at(27, 0), "11-23 03:00"), (at(24 * 50, 0), "2027-01-11")]
        {
            assert_eq!(clock.short(time, at(1, 0)), expected);
        }
    }

    #[test]
    fn since_takes_a_duration_or_a_date() {
        let now = WallTime(1_000_000_000);
        assert_eq!(since("10m", now), Ok(WallTime(1_000_000_000 - 600_000)));
        assert_eq!(since("2026-11-22T14:30:00Z", now), Ok(WallTime(1_795_357_800_000)));
        assert!(since("2026-11-22", now).is_ok());
        assert!(since("2026-11-22T14:30", now).is_ok());
        for wrong in ["soon", "10", ""] {
            assert!(since(wrong, now).unwrap_err().contains("10m"), "{wrong}");
        }
    }
}
