//! Patterns over real zones, and clocks that are set.

use jiff::Zoned;
use proptest::prelude::*;

use super::*;
use crate::model::Moment;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn wall(zoned: &str) -> WallTime {
    let zoned: Zoned = zoned.parse().unwrap();
    WallTime(u64::try_from(zoned.timestamp().as_millisecond()).unwrap())
}

/// The next times after a local time, as `MM-DD HH:MM:SS +OFFSET`.
fn upcoming(pattern: &str, after: &str, zone_name: &str, count: usize) -> Vec<String> {
    let zone = zone(zone_name);
    let after = wall(&format!("{after}[{zone_name}]"));
    let times = Cron::parse(pattern).unwrap().upcoming(after, &zone, count);
    let text = |at: WallTime| {
        let at = Timestamp::from_millisecond(i64::try_from(at.0).unwrap()).unwrap();
        at.to_zoned(zone.clone()).strftime("%m-%d %H:%M:%S %:z").to_string()
    };
    times.into_iter().map(text).collect()
}

fn check(pattern: &str, after: &str, zone: &str, expected: &[&str]) {
    assert_eq!(upcoming(pattern, after, zone, expected.len()), expected, "{pattern} after {after} in {zone}");
}

#[test]
fn patterns_mean_what_people_know_from_crontab() {
    // 2026-11-22 is a Sunday.
    for (pattern, expected) in [
        ("*/15 * * * *", ["11-22 12:15:00", "11-22 12:30:00", "11-22 12:45:00"]),
        ("*/10 * * * * *", ["11-22 12:00:10", "11-22 12:00:20", "11-22 12:00:30"]),
        ("* * * * * *", ["11-22 12:00:01", "11-22 12:00:02", "11-22 12:00:03"]),
        ("5/20 * * * *", ["11-22 12:05:00", "11-22 12:25:00", "11-22 12:45:00"]),
        ("0 9 * * 1", ["11-23 09:00:00", "11-30 09:00:00", "12-07 09:00:00"]),
        ("0 9 * * 0", ["11-29 09:00:00", "12-06 09:00:00", "12-13 09:00:00"]),
        ("0 9 * * 7", ["11-29 09:00:00", "12-06 09:00:00", "12-13 09:00:00"]),
        ("0 9 * * sat-SUN", ["11-28 09:00:00", "11-29 09:00:00", "12-05 09:00:00"]),
        ("0 9-17/4 * * mon-fri", ["11-23 09:00:00", "11-23 13:00:00", "11-23 17:00:00"]),
        ("0 9 13 * FRI", ["11-27 09:00:00", "12-04 09:00:00", "12-11 09:00:00"]),
        ("0 0 */10 * MON", ["12-21 00:00:00", "01-11 00:00:00", "02-01 00:00:00"]),
        ("30 6 1,15 jan-mar ?", ["01-01 06:30:00", "01-15 06:30:00", "02-01 06:30:00"]),
        ("0 0 L * *", ["11-30 00:00:00", "12-31 00:00:00", "01-31 00:00:00"]),
        ("0 0 L-1 * *", ["11-29 00:00:00", "12-30 00:00:00", "01-30 00:00:00"]),
        ("0 0 LW * *", ["11-30 00:00:00", "12-31 00:00:00", "01-29 00:00:00"]),
        ("0 0 15W * *", ["12-15 00:00:00", "01-15 00:00:00", "02-15 00:00:00"]),
        ("0 0 1W * *", ["12-01 00:00:00", "01-01 00:00:00", "02-01 00:00:00"]),
        ("0 0 * * FRI#2", ["12-11 00:00:00", "01-08 00:00:00", "02-12 00:00:00"]),
        ("0 0 * * 5L", ["11-27 00:00:00", "12-25 00:00:00", "01-29 00:00:00"]),
        ("0 0 * * FRI#L", ["11-27 00:00:00", "12-25 00:00:00", "01-29 00:00:00"]),
        ("@hourly", ["11-22 13:00:00", "11-22 14:00:00", "11-22 15:00:00"]),
        ("@daily", ["11-23 00:00:00", "11-24 00:00:00", "11-25 00:00:00"]),
        ("@weekly", ["11-29 00:00:00", "12-06 00:00:00", "12-13 00:00:00"]),
        ("@monthly", ["12-01 00:00:00", "01-01 00:00:00", "02-01 00:00:00"]),
        ("@Yearly", ["01-01 00:00:00", "01-01 00:00:00", "01-01 00:00:00"]),
        ("0 0 29 2 *", ["02-29 00:00:00", "02-29 00:00:00", "02-29 00:00:00"]),
        ("0 0 * 2 FRI#5", ["02-29 00:00:00", "02-29 00:00:00", "02-29 00:00:00"]),
    ] {
        let expected = expected.map(|time| format!("{time} +00:00"));
        assert_eq!(upcoming(pattern, "2026-11-22T12:00:00", "UTC", 3), expected, "{pattern}");
    }
}

#[test]
fn the_nearest_weekday_stays_in_its_month() {
    // 1 August 2026 is a Saturday, 31 May 2026 a Sunday.
    check("0 0 1W * *", "2026-07-15T00:00:00", "UTC", &["08-03 00:00:00 +00:00", "09-01 00:00:00 +00:00"]);
    check("0 0 31W * *", "2026-05-15T00:00:00", "UTC", &["05-29 00:00:00 +00:00", "07-31 00:00:00 +00:00"]);
    check("0 0 LW * *", "2026-05-15T00:00:00", "UTC", &["05-29 00:00:00 +00:00", "06-30 00:00:00 +00:00"]);
}

#[test]
fn a_time_that_is_skipped_comes_once_right_after_the_gap() {
    let (berlin, new_york) = ("Europe/Berlin", "America/New_York");
    check("30 2 * * *", "2026-03-28T12:00:00", berlin, &["03-29 03:00:00 +02:00", "03-30 02:30:00 +02:00"]);
    check("30 2 * * *", "2026-03-07T12:00:00", new_york, &["03-08 03:00:00 -04:00", "03-09 02:30:00 -04:00"]);
    // Several skipped times and one that follows at once are one.
    let expected = ["03-29 01:45:00 +01:00", "03-29 03:00:00 +02:00", "03-29 03:15:00 +02:00"];
    check("*/15 1-4 * * *", "2026-03-29T01:30:00", berlin, &expected);
    check("0 */2 * * *", "2026-03-29T00:00:00", berlin, &["03-29 03:00:00 +02:00", "03-29 04:00:00 +02:00"]);
    // Half an hour, at the other end of the year.
    let expected = ["10-04 02:30:00 +11:00", "10-05 02:15:00 +11:00"];
    check("15 2 * * *", "2026-10-03T12:00:00", "Australia/Lord_Howe", &expected);
    // Midnight that does not exist.
    let expected = ["11-04 01:00:00 -02:00", "11-05 00:00:00 -02:00"];
    check("@daily", "2018-11-03T12:00:00", "America/Sao_Paulo", &expected);
    // A whole day that does not exist.
    let expected = ["12-29 12:00:00 -10:00", "12-31 00:00:00 +14:00", "12-31 12:00:00 +14:00"];
    check("0 12 * * *", "2011-12-29T00:00:00", "Pacific/Apia", &expected);
}

#[test]
fn a_time_that_is_there_twice_comes_the_first_time_only() {
    let (berlin, new_york) = ("Europe/Berlin", "America/New_York");
    check("30 2 * * *", "2026-10-24T12:00:00", berlin, &["10-25 02:30:00 +02:00", "10-26 02:30:00 +01:00"]);
    check("30 1 * * *", "2026-10-31T12:00:00", new_york, &["11-01 01:30:00 -04:00", "11-02 01:30:00 -05:00"]);
    // Asked from inside the second pass.
    check("30 1 * * *", "2026-11-01T01:10:00-05:00", new_york, &["11-02 01:30:00 -05:00"]);
    let expected = ["10-25 02:40:00 +02:00", "10-25 03:00:00 +01:00", "10-25 03:20:00 +01:00"];
    check("*/20 2-3 * * *", "2026-10-25T02:20:00+02:00", berlin, &expected);
    let expected = ["04-05 01:45:00 +11:00", "04-06 01:45:00 +10:30"];
    check("45 1 * * *", "2026-04-04T12:00:00", "Australia/Lord_Howe", &expected);
}

#[test]
fn a_rhythm_goes_on_through_both_changes() {
    let berlin = "Europe/Berlin";
    let expected = ["03-29 01:30:00 +01:00", "03-29 03:00:00 +02:00", "03-29 03:30:00 +02:00"];
    check("*/30 * * * *", "2026-03-29T01:00:00", berlin, &expected);
    check("15 * * * *", "2026-03-29T01:00:00", berlin, &["03-29 01:15:00 +01:00", "03-29 03:15:00 +02:00"]);
    let expected = ["10-25 02:30:00 +02:00", "10-25 02:00:00 +01:00", "10-25 02:30:00 +01:00", "10-25 03:00:00 +01:00"];
    check("*/30 * * * *", "2026-10-25T02:00:00+02:00", berlin, &expected);
    let expected = ["04-05 01:30:00 +11:00", "04-05 01:30:00 +10:30", "04-05 02:00:00 +10:30"];
    check("*/30 * * * *", "2026-04-05T01:00:00", "Australia/Lord_Howe", &expected);
    check("@hourly", "2026-11-22T00:20:00", "Asia/Kathmandu", &["11-22 01:00:00 +05:45", "11-22 02:00:00 +05:45"]);
}

#[test]
fn a_wrong_pattern_is_told_with_its_field() {
    for (pattern, words) in [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("0 0 0 1 1 ? 2026", "7 fields"),
        ("@often", "@often"),
        ("@reboot", "@reboot"),
        ("60 * * * *", "within 0 to 59 in the field for the minute"),
        ("* 24 * * *", "in the field for the hour"),
        ("* * 0 * *", "within 1 to 31 in the field for the day"),
        ("* * 32 * *", "in the field for the day"),
        ("* * * 13 *", "in the field for the month"),
        ("* * * foo *", "neither a number nor a name"),
        ("* * * * 8", "in the field for the weekday"),
        ("* * * * FRI#6", "first to fifth"),
        ("* * L-31 * *", "before the last"),
        ("* * xW * *", "not a number"),
        ("50-10 * * * *", "runs backwards"),
        ("* * * * FRI-MON", "runs backwards"),
        ("*/0 * * * *", "step of 0"),
        ("*/90 * * * *", "step beyond 59"),
        ("*/x * * * *", "step that is not a number"),
        ("1,,2 * * * *", "is not a number"),
        ("+5 * * * *", "is not a number"),
        ("-5 * * * *", "is not a number"),
        ("99999999999 * * * *", "is not a number"),
        ("61 * * * * *", "in the field for the second"),
        ("0 0 30 2 *", "never runs"),
        ("0 0 31 4,6,9,11 *", "never runs"),
        ("0 0 30W 2 *", "never runs"),
    ] {
        let problem = Cron::parse(pattern).unwrap_err();
        assert!(problem.to_string().contains(words), "{pattern}: {problem}");
        assert!(!problem.hint().is_empty());
    }
}

const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
/// A Sunday, 12:00:00 UTC.
const NOON: u64 = 1_795_348_800_000;

/// Both clocks `elapsed` later, the one on the wall set by `set` ms altogether.
fn look(timer: &mut Timer, elapsed: u64, set: i64) -> Option<Ring> {
    timer.look(WallTime((NOON + elapsed).saturating_add_signed(set)), Moment(5 + elapsed))
}

fn timer(pattern: &str) -> Timer {
    Timer::new(Cron::parse(pattern).unwrap(), TimeZone::UTC, WallTime(NOON), Moment(5))
}

fn due(elapsed: u64) -> Ring {
    Ring::Due(WallTime(NOON + elapsed))
}

#[test]
fn a_time_comes_once_however_late_it_is_looked_at() {
    let mut hourly = timer("@hourly");
    assert_eq!(hourly.due(), Some(WallTime(NOON + HOUR)), "now is over already");
    assert_eq!(look(&mut hourly, HOUR - 1, 0), None);
    assert_eq!(look(&mut hourly, HOUR, 0), Some(due(HOUR)));
    assert_eq!(look(&mut hourly, HOUR, 0), None);
    // The machine slept for five hours: once, and then the next one.
    assert_eq!(look(&mut hourly, 6 * HOUR + SECOND, 0), Some(due(2 * HOUR)));
    assert_eq!(hourly.due(), Some(WallTime(NOON + 7 * HOUR)));
}

#[test]
fn a_clock_that_is_set_forward_misses_what_it_jumps_over() {
    let mut hourly = timer("@hourly");
    let missed = Some(Ring::Missed(WallTime(NOON + HOUR)));
    assert_eq!(look(&mut hourly, SECOND, 3 * 3_600_000), missed);
    assert_eq!(hourly.due(), Some(WallTime(NOON + 4 * HOUR)));
    assert_eq!(look(&mut hourly, HOUR, 3 * 3_600_000), Some(due(4 * HOUR)));
    // A small correction is none.
    let mut hourly = timer("@hourly");
    assert_eq!(look(&mut hourly, HOUR - 3 * SECOND, 5000), Some(due(HOUR)));
}

#[test]
fn a_clock_that_is_set_back_repeats_nothing() {
    let mut hourly = timer("@hourly");
    assert_eq!(look(&mut hourly, HOUR, 0), Some(due(HOUR)));
    // Half an hour back: 13:00 is on the wall once more.
    assert_eq!(look(&mut hourly, HOUR + SECOND, -1_800_000), None);
    assert_eq!(look(&mut hourly, HOUR + HOUR / 2 + SECOND, -1_800_000), None);
    assert_eq!(look(&mut hourly, 2 * HOUR + HOUR / 2, -1_800_000), Some(due(2 * HOUR)));
}

#[test]
fn a_clock_that_was_wrong_by_far_is_believed_no_longer() {
    let mut hourly = timer("@hourly");
    let year = 365 * 24 * 3_600_000;
    assert_eq!(look(&mut hourly, SECOND, -year), None);
    let next = hourly.due().unwrap();
    assert!(next.0 < NOON - 364 * 24 * HOUR, "it waits an hour, not a year");
    assert!(matches!(look(&mut hourly, HOUR, -year), Some(Ring::Due(_))));
}

#[test]
fn a_clock_that_goes_a_day_back_and_forth_misses_nothing_that_has_happened() {
    let day = 24 * 3_600_000;
    let mut hourly = timer("@hourly");
    assert_eq!(look(&mut hourly, HOUR, 0), Some(due(HOUR)));
    assert_eq!(look(&mut hourly, HOUR + SECOND, -day), None);
    assert_eq!(look(&mut hourly, HOUR + 5 * SECOND, 0), None, "13:00 has happened");
    assert_eq!(hourly.due(), Some(WallTime(NOON + 2 * HOUR)));
    assert_eq!(look(&mut hourly, 2 * HOUR, 0), Some(due(2 * HOUR)));
    // What nobody has seen is missed all the same.
    assert_eq!(look(&mut hourly, 2 * HOUR + SECOND, -day), None);
    let missed = Some(Ring::Missed(WallTime(NOON + 3 * HOUR)));
    assert_eq!(look(&mut hourly, 2 * HOUR + 5 * SECOND, 2 * 3_600_000), missed);
}

fn field(last: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => (0..=last).prop_map(|number| number.to_string()),
        1 => (0..=last, 1..=last).prop_map(|(first, step)| format!("{first}/{step}")),
        1 => (1..=last).prop_map(|step| format!("*/{step}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Times lie ahead, in order, and asking again gives the same.
    #[test]
    fn the_next_time_lies_ahead(
        second in field(59), minute in field(59), hour in field(23), after in 0..4_000_000_000_000_u64,
        zone_name in prop::sample::select(vec![
            "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia",
        ]),
    ) {
        let cron = Cron::parse(&format!("{second} {minute} {hour} * * *")).unwrap();
        let zone = zone(zone_name);
        let mut last = WallTime(after);
        for next in cron.upcoming(last, &zone, 20) {
            prop_assert!(next > last);
            prop_assert_eq!(cron.next(last, &zone), Some(next));
            prop_assert_eq!(cron.next(WallTime(next.0 - 1), &zone), Some(next), "nothing lies between");
            last = next;
        }
        prop_assert!(last > WallTime(after));
    }

    /// Whatever a person writes, nothing panics.
    #[test]
    fn any_text_is_a_pattern_or_told(text in "[ -~]{0,40}|([0-9*/,LW#?A-Z-]{1,6} ){5}[0-9*/,LW#?A-Z-]{1,6}") {
        if let Ok(cron) = Cron::parse(&text) {
            let _ = cron.upcoming(WallTime(NOON), &zone("Europe/Berlin"), 3);
        }
    }
}
