//! Sync windows: when commits of a source may be deployed. Clock and zone are arguments.
//!
//! A window is a time on the wall: `Mon-Fri 09:00-17:00`, `Sat,Sun 10:00-12:00`, `22:00-04:00` (every day; what goes past midnight
//! belongs to the day on which it begins). Between windows a commit waits for the next one.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::{SyncPolicy, WallTime};
use crate::rules::Cron;

/// Days of a week as they are written, Monday first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Minutes of a day.
const MIDNIGHT: u16 = 24 * 60;
/// Days after which a week begins again.
const WEEK: usize = DAYS.len();

/// A time in every week.
#[derive(Clone, PartialEq, Eq, Debug)]
struct SyncWindow {
    days: [bool; WEEK],
    /// In minutes since midnight.
    from: u16,
    /// The first minute that is not in it any more; at most [`MIDNIGHT`]. Not after `from`: it ends on the next day.
    until: u16,
}

/// Why a text is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a window: {problem}; write `Mon-Fri 09:00-17:00` or `22:00-04:00`")]
pub struct WindowError {
    /// As written.
    pub text: String,
    /// What is wrong with it.
    pub problem: String,
}

impl SyncWindow {
    fn parse(text: &str) -> Result<Self, WindowError> {
        let wrong = |problem: String| WindowError { text: text.to_owned(), problem };
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (days, times) = match words.as_slice() {
            [times] => ([true; WEEK], *times),
            [days, times] => (days_in(days).map_err(wrong)?, *times),
            _ => return Err(wrong("it has days and two times".to_owned())),
        };
        let (from, until) = times.split_once('-').ok_or_else(|| wrong(format!("`{times}` is not two times")))?;
        let (from, until) = (minutes(from).map_err(wrong)?, minutes(until).map_err(wrong)?);
        if from == until || from == MIDNIGHT {
            return Err(wrong("it is empty".to_owned()));
        }
        Ok(Self { days, from, until })
    }

    fn is_open(&self, now: WallTime, zone: &TimeZone) -> Option<bool> {
        let now = Timestamp::from_millisecond(i64::try_from(now.0).ok()?).ok()?;
        let wall = zone.to_offset(now).to_datetime(now);
        let day = usize::try_from(wall.weekday().to_monday_zero_offset()).ok()?;
        let minute = u16::try_from(wall.hour()).ok()? * 60 + u16::try_from(wall.minute()).ok()?;
        let (is_today, was_yesterday) = (self.days.get(day)?, self.days.get((day + WEEK - 1) % WEEK)?);
        Some(if self.from < self.until {
            *is_today && (self.from..self.until).contains(&minute)
        } else {
            (*is_today && minute >= self.from) || (*was_yesterday && minute < self.until)
        })
    }

    fn next_opening(&self, now: WallTime, zone: &TimeZone) -> Option<WallTime> {
        let days: Vec<&str> = DAYS.iter().zip(self.days).filter_map(|(name, is_in)| is_in.then_some(*name)).collect();
        let pattern = format!("{} {} * * {}", self.from % 60, self.from / 60, days.join(","));
        Cron::parse(&pattern).ok()?.next(now, zone)
    }
}

fn days_in(text: &str) -> Result<[bool; WEEK], String> {
    let mut days = [false; WEEK];
    let place = |name: &str| {
        let found = DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("`{name}` is not one of Mon, Tue, Wed, Thu, Fri, Sat and Sun"))
    };
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (place(first)?, place(last)?);
        loop {
            if let Some(is_in) = days.get_mut(day) {
                *is_in = true;
            }
            if day == last {
                break;
            }
            day = (day + 1) % WEEK;
        }
    }
    Ok(days)
}

/// `09:00` → 540.
fn minutes(text: &str) -> Result<u16, String> {
    let wrong = || format!("`{text}` is not a time of the day");
    let number = |text: &str| -> Option<u16> {
        let is_plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_plain)
    };
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let (hour, minute) = number(hour).zip(number(minute)).ok_or_else(wrong)?;
    let all = hour * 60 + minute;
    if minute < 60 && minute_is_two(text) && all <= MIDNIGHT { Ok(all) } else { Err(wrong()) }
}

fn minute_is_two(text: &str) -> bool {
    text.split_once(':').is_some_and(|(_, minute)| minute.len() == 2)
}

/// Whether each of these is a window.
///
/// # Errors
/// The first that is none.
pub fn check_windows(policy: &SyncPolicy) -> Result<(), WindowError> {
    policy.windows.iter().try_for_each(|text| SyncWindow::parse(text).map(drop))
}

/// When the next window opens; `None`: commits may be deployed now.
///
/// # Errors
/// A text is no window: another version has taken it for one.
pub fn closed_until(policy: &SyncPolicy, now: WallTime, zone: &TimeZone) -> Result<Option<WallTime>, WindowError> {
    let windows: Vec<SyncWindow> =
        policy.windows.iter().map(|text| SyncWindow::parse(text)).collect::<Result<_, _>>()?;
    // Beyond the end of the calendar nothing is closed.
    if windows.is_empty() || windows.iter().any(|window| window.is_open(now, zone).unwrap_or(true)) {
        return Ok(None);
    }
    Ok(windows.iter().filter_map(|window| window.next_opening(now, zone)).min())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> WallTime {
        let stamp: Timestamp = text.parse().unwrap();
        WallTime(u64::try_from(stamp.as_millisecond()).unwrap())
    }

    fn until(windows: &[&str], now: &str, zone: &str) -> Option<WallTime> {
        let windows = windows.iter().map(|&text| text.to_owned()).collect();
        let policy = SyncPolicy { windows, ..SyncPolicy::default() };
        check_windows(&policy).unwrap();
        closed_until(&policy, at(now), &TimeZone::get(zone).unwrap()).unwrap()
    }

    #[test]
    fn a_commit_waits_for_the_next_window() {
        // 2026-12-01 is a Tuesday; Berlin is an hour ahead of UTC in winter, two in summer.
        let office: &[&str] = &["Mon-Fri 09:00-17:00"];
        let night: &[&str] = &["22:00-04:00"];
        let friday_night: &[&str] = &["fri 22:00-04:00"];
        let weekend: &[&str] = &["Sat-Sun 10:00-12:00", "Wed 00:00-24:00"];
        for (windows, now, zone, expected) in [
            (office, "2026-12-01T09:00:00Z", "UTC", None),
            (office, "2026-12-01T16:59:59Z", "UTC", None),
            (office, "2026-12-01T17:00:00Z", "UTC", Some("2026-12-02T09:00:00Z")),
            (office, "2026-12-01T08:59:59.999Z", "UTC", Some("2026-12-01T09:00:00Z")),
            (office, "2026-12-04T17:00:00Z", "UTC", Some("2026-12-07T09:00:00Z")),
            (office, "2026-12-01T08:30:00Z", "Europe/Berlin", None),
            (office, "2026-12-01T07:30:00Z", "Europe/Berlin", Some("2026-12-01T08:00:00Z")),
            (office, "2026-07-01T06:30:00Z", "Europe/Berlin", Some("2026-07-01T07:00:00Z")),
            (night, "2026-12-01T23:00:00Z", "UTC", None),
            (night, "2026-12-02T03:59:59Z", "UTC", None),
            (night, "2026-12-02T04:00:00Z", "UTC", Some("2026-12-02T22:00:00Z")),
            (friday_night, "2026-12-05T03:00:00Z", "UTC", None),
            (friday_night, "2026-12-04T03:00:00Z", "UTC", Some("2026-12-04T22:00:00Z")),
            (weekend, "2026-12-01T23:59:59Z", "UTC", Some("2026-12-02T00:00:00Z")),
            (weekend, "2026-12-02T23:59:59Z", "UTC", None),
            (weekend, "2026-12-03T00:00:00Z", "UTC", Some("2026-12-05T10:00:00Z")),
            (&[], "2026-12-03T00:00:00Z", "UTC", None),
            // A window that the change of the clocks leaves out comes on the next day.
            (&["02:00-02:30"], "2026-03-29T00:59:00Z", "Europe/Berlin", Some("2026-03-29T01:00:00Z")),
            (&["02:00-02:30"], "2026-03-29T01:00:00Z", "Europe/Berlin", Some("2026-03-30T00:00:00Z")),
        ] {
            assert_eq!(until(windows, now, zone), expected.map(at), "{windows:?} {now} {zone}");
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for wrong in [
            "",
            "Mon-Fri",
            "09:00",
            "09:00-09:00",
            "24:00-04:00",
            "9-17",
            "09:00-17:60",
            "25:00-26:00",
            "09:0-17:00",
            "Mo-Fr 09:00-17:00",
            "Mon- 09:00-17:00",
            "Mon,,Tue 09:00-17:00",
            "Mon Tue 09:00-17:00",
            "-1:00-02:00",
            "09:00-17:00 Mon",
            "+9:00-17:00",
            "009:00-17:00",
            "٠٩:00-17:00",
        ] {
            let policy = SyncPolicy { windows: vec![wrong.to_owned()], ..SyncPolicy::default() };
            assert!(check_windows(&policy).is_err(), "{wrong}");
        }
        let wrapped = SyncWindow::parse("sat-MON 00:00-24:00").unwrap();
        assert_eq!(wrapped.days, [true, false, false, false, false, true, true]);
    }
}
