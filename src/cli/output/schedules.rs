//! The table of `pm cron list`, and the times of `pm cron next`.

use std::fmt::Write as _;

use crate::model::{DesiredState, Kind, Millis, WallTime};
use crate::os;
use crate::wire::{CronAnswer, ScheduleRow};

use super::time::Clock;
use super::{Paint, TextTable, Tone, harmless};

/// A terminal of so many columns has room for dates and seconds.
const WIDTH_OF_SECONDS: usize = 110;

/// All schedules as a table; times are those of the schedule's own zone, marked where that is not the machine's.
pub(in crate::cli) fn table(answer: &CronAnswer, paint: Paint, width: Option<usize>) -> String {
    table_beside(answer, paint, width, &Clock::local())
}

fn table_beside(answer: &CronAnswer, paint: Paint, width: Option<usize>, machine: &Clock) -> String {
    let is_many_projects = answer.schedules.windows(2).any(|pair| pair[0].project != pair[1].project);
    let mut heading = vec!["app"];
    if is_many_projects {
        heading.push("project");
    }
    heading.extend(["does", "pattern", "zone", "next", "in", "last start", "last exit"]);
    let mut table = TextTable::new(&heading);
    let is_narrow = width.is_some_and(|width| width < WIDTH_OF_SECONDS);
    let shown = |clock: &Clock, at: WallTime| {
        if is_narrow { clock.short(at, answer.now) } else { clock.second_beside(at, machine) }
    };
    for row in &answer.schedules {
        table.row().cell(row.app.as_str());
        if is_many_projects {
            table.cell(row.project.as_str());
        }
        table.cell(if row.kind == Kind::Task { "run" } else { "restart" });
        table.cell(harmless(&row.pattern)).cell(harmless(&row.zone));
        let clock = clock(row);
        match row.next.first() {
            Some(next) => {
                table.cell(shown(&clock, *next)).cell(until(*next, answer.now));
            }
            None => {
                table.toned(suspended(row), Tone::Faint).cell("-");
            }
        }
        let dash = || "-".to_owned();
        table.cell(row.last_start.map_or_else(dash, |at| shown(&clock, at)));
        let result = match (row.status.as_str(), row.last_exit) {
            (status @ ("running" | "starting" | "stopping" | "backoff"), _) => status.to_owned(),
            (_, exit) => exit.map_or_else(dash, |exit| exit.to_string()),
        };
        let is_bad = row.kind == Kind::Task && row.status == "errored";
        table.toned(result, if is_bad { Tone::Bad } else { Tone::Plain });
    }
    table.render(paint, width)
}

/// The next times of one app, one a line.
pub(in crate::cli) fn next(row: &ScheduleRow, now: WallTime) -> String {
    let mut text = String::new();
    let clock = clock(row);
    for at in &row.next {
        let _ = writeln!(text, "{}  in {}", clock.second_with_offset(*at), until(*at, now));
    }
    if row.next.is_empty() {
        let _ = writeln!(text, "{}: {}", row.app, suspended(row));
    }
    text
}

fn clock(row: &ScheduleRow) -> Clock {
    os::zone_named(&row.zone).map_or_else(Clock::local, Clock::of)
}

fn until(at: WallTime, now: WallTime) -> String {
    Millis(at.0.saturating_sub(now.0)).to_string()
}

fn suspended(row: &ScheduleRow) -> &'static str {
    match &row.desired_state {
        None if row.is_shut_down => "suspended since `pm shutdown`",
        Some(DesiredState::Stopped { is_held: true, .. }) => "suspended, held",
        Some(DesiredState::NotStarted) => "suspended until `pm start`",
        Some(_) => "suspended, stopped",
        None => "never",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CronOverlap, Exit};

    fn row(app: &str) -> ScheduleRow {
        ScheduleRow {
            project: "shop".parse().unwrap(),
            app: app.parse().unwrap(),
            kind: Kind::Task,
            pattern: "0 3 * * *".into(),
            zone: "Europe/Berlin".into(),
            overlap: CronOverlap::Skip,
            status: "waiting".into(),
            desired_state: None,
            is_shut_down: false,
            next: vec![WallTime(1_795_399_200_000), WallTime(1_795_485_600_000)],
            last_start: None,
            last_exit: Some(Exit::Code(0)),
        }
    }

    #[test]
    fn schedules_are_shown_in_their_own_zone() {
        let stopped = DesiredState::Stopped { by: "alice".into(), at: WallTime(0), is_held: false };
        let suspended =
            ScheduleRow { next: Vec::new(), desired_state: Some(stopped), kind: Kind::Service, ..row("web") };
        let now = WallTime(1_795_348_800_000);
        let shut_down = ScheduleRow { next: Vec::new(), is_shut_down: true, ..row("q") };
        let answer = CronAnswer { format: 1, now, schedules: vec![row("backup"), suspended, shut_down] };
        let lines = |machine: &str| -> Vec<String> {
            let machine = Clock::of(os::zone_named(machine).unwrap());
            let text = table_beside(&answer, Paint::default(), None, &machine);
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
        };
        let at_home = lines("Europe/Paris");
        assert_eq!(at_home[1], "backup run 0 3 * * * Europe/Berlin 2026-11-23 03:00:00 14h - exit code 0");
        let lines = lines("UTC");
        assert_eq!(lines[1], "backup run 0 3 * * * Europe/Berlin 2026-11-23 03:00:00 +01:00 14h - exit code 0");
        assert_eq!(lines[3], "q run 0 3 * * * Europe/Berlin suspended since `pm shutdown` - - exit code 0");
        assert_eq!(lines[2], "web restart 0 3 * * * Europe/Berlin suspended, stopped - - exit code 0");
        assert_eq!(
            next(&row("backup"), now),
            "2026-11-23 03:00:00 +01:00  in 14h\n2026-11-24 03:00:00 +01:00  in 1d 14h\n"
        );
    }
}
