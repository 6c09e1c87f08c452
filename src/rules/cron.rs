//! Times of a schedule: a pattern, a zone and a moment → the next moment. Clock and zone are arguments.
//!
//! What happens when clocks change: a pattern that names hours means times on the wall. A time that is skipped in
//! spring comes at the first moment that exists after it; a time that is there twice in autumn comes the first time.
//! A pattern for every hour means a rhythm: it continues through both changes, nothing is made up for and nothing is
//! left out.

mod field;
#[cfg(test)]
mod tests;
mod timer;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

use crate::model::WallTime;
use field::{Days, Weekdays};

pub use timer::{Ring, Timer};

/// The calendar repeats itself after so many years: a pattern that does not come in them never does.
const CALENDAR_YEARS: i16 = 400;
/// The longest wait between two days of a pattern: a fifth Friday in February around a century without a leap day.
const WAIT_YEARS_MAX: i16 = 50;

/// A checked pattern: five fields (minute, hour, day, month, weekday), six (seconds before them), or a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cron {
    seconds: u64,
    minutes: u64,
    hours: u64,
    months: u64,
    days: Days,
    weekdays: Weekdays,
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Neither five nor six fields.
    #[error(
        "`{pattern}` has {found} fields; a pattern has 5 (minute, hour, day, month, weekday), or 6 with seconds first"
    )]
    Fields {
        /// The whole text.
        pattern: String,
        /// How many it has.
        found: usize,
    },
    /// `@often`.
    #[error("`{word}` is not one of @yearly, @monthly, @weekly, @daily and @hourly")]
    Word {
        /// As written.
        word: String,
    },
    /// One field is wrong.
    #[error("`{part}` {problem} in the field for the {field}")]
    Part {
        /// `minute`.
        field: &'static str,
        /// As written.
        part: String,
        /// What is wrong with it.
        problem: String,
    },
    /// 30 February.
    #[error("`{pattern}` never runs: no such day exists in its months")]
    Never {
        /// The whole text.
        pattern: String,
    },
}

impl CronError {
    /// What to write instead.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Fields { found: 7, .. } => "there is no field for the year",
            Self::Fields { .. } => "\"0 3 * * *\" is every night at three, \"*/10 * * * * *\" every ten seconds",
            Self::Word { word } if word.eq_ignore_ascii_case("@reboot") => {
                "remove it: what should run starts with the daemon (after a reboot with the first `pm` command, or with `pm daemon run` in a service unit)"
            }
            Self::Word { .. } => "\"@daily\" is \"0 0 * * *\"",
            Self::Part { .. } => {
                "`*`, `5`, `1-5`, `*/15`, `8,12,16`; days also `L`, `15W`; weekdays also `FRI#2`, `FRIL`"
            }
            Self::Never { .. } => "`L` is the last day of a month",
        }
    }
}

impl Cron {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, by field; a pattern that never comes.
    pub fn parse(pattern: &str) -> Result<Self, CronError> {
        let text = match pattern.trim() {
            word if word.starts_with('@') => long_form(word)?,
            fields => fields,
        };
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let (second, rest) = match fields.as_slice() {
            [second, rest @ ..] if rest.len() == 5 => (*second, rest),
            rest => ("0", rest),
        };
        let [minute, hour, day, month, weekday] = rest else {
            return Err(CronError::Fields { pattern: pattern.to_owned(), found: fields.len() });
        };
        let cron = Self {
            seconds: field::SECOND.read(second)?,
            minutes: field::MINUTE.read(minute)?,
            hours: field::HOUR.read(hour)?,
            months: field::MONTH.read(month)?,
            days: Days::read(day)?,
            weekdays: Weekdays::read(weekday)?,
        };
        let first = Date::constant(2000, 1, 1);
        let has_any = cron.has_day(first) || cron.day_after(first, CALENDAR_YEARS).is_some();
        if has_any { Ok(cron) } else { Err(CronError::Never { pattern: pattern.to_owned() }) }
    }

    /// The first time after `after`, in this zone; `None` only near the end of the calendar.
    pub fn next(&self, after: WallTime, zone: &TimeZone) -> Option<WallTime> {
        let after_s = i64::try_from(after.0 / 1000).ok()?;
        let after = Timestamp::from_second(after_s).ok()?;
        let next = if self.is_rhythm() { self.next_beat(after, zone) } else { self.next_on_wall(after, zone) }?;
        // Whatever a zone's rules may say: a schedule that went back would never sleep.
        let next_s = u64::try_from(next.as_second()).ok().filter(|_| next > after)?;
        Some(WallTime(next_s * 1000))
    }

    /// The next `count` times after `after`.
    pub fn upcoming(&self, after: WallTime, zone: &TimeZone, count: usize) -> Vec<WallTime> {
        std::iter::successors(self.next(after, zone), |last| self.next(*last, zone)).take(count).collect()
    }

    /// Every hour alike: what counts is the time between two runs, not the hour on the wall.
    fn is_rhythm(&self) -> bool {
        self.hours == field::HOUR.all()
    }

    /// Between two changes of the clocks wall and time run alike; at each change the search begins again.
    fn next_beat(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut from = after.checked_add(1.second()).ok()?;
        loop {
            let offset = zone.to_offset(from);
            let next = offset.to_timestamp(self.matching_from(offset.to_datetime(from))?).ok()?;
            match zone.following(from).next().map(|change| change.timestamp()) {
                Some(change) if change <= next => from = change,
                _ => return Some(next),
            }
        }
    }

    /// Later times on the wall are never earlier moments here, so the first one that lies ahead is the next.
    fn next_on_wall(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut wall = zone.to_offset(after).to_datetime(after);
        loop {
            wall = self.matching_from(wall.checked_add(1.second()).ok()?)?;
            let moment = match zone.to_ambiguous_timestamp(wall).offset() {
                AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                    offset.to_timestamp(wall).ok()?
                }
                AmbiguousOffset::Gap { after: offset, .. } => {
                    zone.following(offset.to_timestamp(wall).ok()?).next()?.timestamp()
                }
            };
            if moment > after {
                return Some(moment);
            }
        }
    }

    /// The first matching time on a calendar without zones, `from` included.
    fn matching_from(&self, from: DateTime) -> Option<DateTime> {
        let date = from.date();
        if self.has_day(date)
            && let Some(time) = self.time_from(from.time())
        {
            return Some(date.to_datetime(time));
        }
        let date = self.day_after(date, WAIT_YEARS_MAX)?;
        Some(date.to_datetime(self.time_from(Time::midnight())?))
    }

    fn time_from(&self, from: Time) -> Option<Time> {
        let [from_hour, from_minute, from_second] = [from.hour(), from.minute(), from.second()];
        for hour in members(self.hours, from_hour) {
            let minutes_from = if hour == from_hour { from_minute } else { 0 };
            for minute in members(self.minutes, minutes_from) {
                let is_first = hour == from_hour && minute == from_minute;
                let second = members(self.seconds, if is_first { from_second } else { 0 }).next();
                if let Some(second) = second {
                    return Time::new(hour, minute, second, 0).ok();
                }
            }
        }
        None
    }

    fn day_after(&self, date: Date, years_max: i16) -> Option<Date> {
        let mut date = date.tomorrow().ok()?;
        let last_year = date.year().saturating_add(years_max);
        while date.year() <= last_year {
            if !is_member(self.months, date.month()) {
                date = date.last_of_month().tomorrow().ok()?;
            } else if self.has_day(date) {
                return Some(date);
            } else {
                date = date.tomorrow().ok()?;
            }
        }
        None
    }

    /// Day and weekday: if both are restricted, either is enough; a field with `*` restricts nothing on its own.
    fn has_day(&self, date: Date) -> bool {
        let (day, weekday) = (self.days.has(date), self.weekdays.has(date));
        let is_either = self.days.is_restricted && self.weekdays.is_restricted;
        is_member(self.months, date.month()) && if is_either { day || weekday } else { day && weekday }
    }
}

fn long_form(word: &str) -> Result<&'static str, CronError> {
    Ok(match word.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => return Err(CronError::Word { word: word.to_owned() }),
    })
}

/// Whether a number is in a set of small numbers.
fn is_member(set: u64, number: i8) -> bool {
    u32::try_from(number).is_ok_and(|number| set >> number.min(63) & 1 == 1)
}

/// The numbers of a set from `from` on.
fn members(set: u64, from: i8) -> impl Iterator<Item = i8> {
    (from..60).filter(move |number| is_member(set, *number))
}

/// From Sunday = 0, as in the field.
fn weekday_number(weekday: Weekday) -> i8 {
    weekday.to_sunday_zero_offset()
}
