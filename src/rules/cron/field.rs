//! The fields of a pattern: text → sets of small numbers.

use jiff::civil::{Date, Weekday};

use super::{CronError, is_member, weekday_number};

/// What one field may hold.
pub(super) struct Field {
    name: &'static str,
    first: u32,
    last: u32,
    /// Words for the numbers from `first` on.
    words: &'static [&'static str],
}

pub(super) const SECOND: Field = Field { name: "second", first: 0, last: 59, words: &[] };
pub(super) const MINUTE: Field = Field { name: "minute", first: 0, last: 59, words: &[] };
pub(super) const HOUR: Field = Field { name: "hour", first: 0, last: 23, words: &[] };
const DAY: Field = Field { name: "day", first: 1, last: 31, words: &[] };
pub(super) const MONTH: Field = Field {
    name: "month",
    first: 1,
    last: 12,
    words: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
/// 7 is Sunday, too.
const WEEKDAY: Field =
    Field { name: "weekday", first: 0, last: 7, words: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] };
const SUNDAY_AGAIN: u32 = 7;

impl Field {
    /// Everything that the field may hold.
    pub(super) fn all(&self) -> u64 {
        (self.first..=self.last).fold(0, |set, number| set | 1 << number)
    }

    /// A list of numbers, ranges and steps.
    pub(super) fn read(&self, text: &str) -> Result<u64, CronError> {
        text.split(',').try_fold(0, |set, part| Ok(set | self.part(part)?))
    }

    fn part(&self, part: &str) -> Result<u64, CronError> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step, part)?)),
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if is_star(range) => (self.first, self.last),
            Some((first, last)) => (self.number(first, part)?, self.number(last, part)?),
            // `5/15`: from 5 on.
            None => {
                let number = self.number(range, part)?;
                (number, if step.is_some() { self.last } else { number })
            }
        };
        // `SAT-SUN` ends with the other Sunday.
        let last = if self.last == SUNDAY_AGAIN && last == 0 && first > 0 { SUNDAY_AGAIN } else { last };
        if first > last {
            return Err(self.wrong(part, "runs backwards"));
        }
        let numbers = (first..=last).step_by(step.unwrap_or(1) as usize);
        Ok(numbers.fold(0, |set, number| set | 1 << number))
    }

    fn step(&self, text: &str, part: &str) -> Result<u32, CronError> {
        match digits(text) {
            Some(0) => Err(self.wrong(part, "has a step of 0")),
            Some(step) if step > self.last => Err(self.wrong(part, format!("has a step beyond {}", self.last))),
            Some(step) => Ok(step),
            None => Err(self.wrong(part, "has a step that is not a number")),
        }
    }

    fn number(&self, text: &str, part: &str) -> Result<u32, CronError> {
        let word = self.words.iter().position(|word| word.eq_ignore_ascii_case(text));
        let by_word = word.and_then(|at| u32::try_from(at).ok()).map(|at| at + self.first);
        let Some(number) = by_word.or_else(|| digits(text)) else {
            let problem = if self.words.is_empty() { "is not a number" } else { "is neither a number nor a name" };
            return Err(self.wrong(part, problem));
        };
        if (self.first..=self.last).contains(&number) {
            Ok(number)
        } else {
            Err(self.wrong(part, format!("is not within {} to {}", self.first, self.last)))
        }
    }

    fn wrong(&self, part: &str, problem: impl Into<String>) -> CronError {
        CronError::Part { field: self.name, part: part.to_owned(), problem: problem.into() }
    }
}

/// Days of a month.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Days {
    /// The field names days, instead of `*`.
    pub is_restricted: bool,
    plain: u64,
    /// `L` and `L-2`: days before the last one.
    before_last: u64,
    /// `15W`: the weekday nearest to this day, in the same month.
    near: u64,
    /// `LW`: the last one from Monday to Friday.
    has_last_weekday: bool,
}

impl Days {
    pub(super) fn read(text: &str) -> Result<Self, CronError> {
        let mut days = Self { is_restricted: !text.starts_with(is_star_letter), ..Self::default() };
        for part in text.split(',') {
            let upper = part.to_ascii_uppercase();
            if upper == "LW" {
                days.has_last_weekday = true;
            } else if upper == "L" {
                days.before_last |= 1;
            } else if let Some(before) = upper.strip_prefix("L-") {
                let before = digits(before).filter(|before| *before < DAY.last);
                days.before_last |= 1 << before.ok_or_else(|| DAY.wrong(part, "is not a day before the last"))?;
            } else if let Some(day) = upper.strip_suffix('W') {
                days.near |= 1 << DAY.number(day, part)?;
            } else {
                days.plain |= DAY.part(part)?;
            }
        }
        Ok(days)
    }

    pub(super) fn has(&self, date: Date) -> bool {
        let (day, last) = (date.day(), date.days_in_month());
        is_member(self.plain, day)
            || is_member(self.before_last, last - day)
            || (self.near != 0
                && (1..=last).any(|near| is_member(self.near, near) && day == nearest_weekday(date, near)))
            || (self.has_last_weekday && day == nearest_weekday_before(date, last))
    }
}

/// The day from Monday to Friday that is nearest to a day of `month`, without leaving the month.
fn nearest_weekday(month: Date, day: i8) -> i8 {
    match weekday_of(month, day) {
        Weekday::Saturday if day == 1 => 3,
        Weekday::Saturday => day - 1,
        Weekday::Sunday if day == month.days_in_month() => day - 2,
        Weekday::Sunday => day + 1,
        _ => day,
    }
}

fn nearest_weekday_before(month: Date, day: i8) -> i8 {
    match weekday_of(month, day) {
        Weekday::Saturday => day - 1,
        Weekday::Sunday => day - 2,
        _ => day,
    }
}

fn weekday_of(month: Date, day: i8) -> Weekday {
    month.first_of_month().weekday().wrapping_add(day - 1)
}

/// Days of a week.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Weekdays {
    /// The field names weekdays, instead of `*`.
    pub is_restricted: bool,
    plain: u64,
    /// `FRI#2`, by number of the week: the second Friday of a month.
    nth: [u64; 6],
    /// `FRIL`, `5L`, `FRI#L`: the last Friday of a month.
    last: u64,
}

impl Weekdays {
    pub(super) fn read(text: &str) -> Result<Self, CronError> {
        let mut weekdays = Self { is_restricted: !text.starts_with(is_star_letter), ..Self::default() };
        for part in text.split(',') {
            let upper = part.to_ascii_uppercase();
            if let Some((day, nth)) = upper.split_once('#') {
                let day = WEEKDAY.number(day, part)? % SUNDAY_AGAIN;
                if nth == "L" {
                    weekdays.last |= 1 << day;
                    continue;
                }
                let nth = digits(nth).filter(|nth| (1..=5).contains(nth));
                let nth = nth.ok_or_else(|| WEEKDAY.wrong(part, "does not name the first to fifth of a month"))?;
                weekdays.nth[nth as usize] |= 1 << day;
            } else if let Some(day) = upper.strip_suffix('L').filter(|day| !day.is_empty()) {
                weekdays.last |= 1 << (WEEKDAY.number(day, part)? % SUNDAY_AGAIN);
            } else {
                weekdays.plain |= WEEKDAY.part(part)?;
            }
        }
        weekdays.plain |= weekdays.plain >> SUNDAY_AGAIN & 1;
        Ok(weekdays)
    }

    pub(super) fn has(&self, date: Date) -> bool {
        let weekday = weekday_number(date.weekday());
        let nth = usize::try_from((date.day() - 1) / 7 + 1).unwrap_or(0);
        let is_last = date.day() + 7 > date.days_in_month();
        is_member(self.plain, weekday)
            || self.nth.get(nth).is_some_and(|set| is_member(*set, weekday))
            || (is_last && is_member(self.last, weekday))
    }
}

fn is_star(text: &str) -> bool {
    text == "*" || text == "?"
}

fn is_star_letter(letter: char) -> bool {
    letter == '*' || letter == '?'
}

/// A number without sign or anything else around it.
fn digits(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}
