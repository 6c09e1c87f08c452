//! The table of `pm list`.

use std::borrow::Cow;

use crate::model::{Millis, Phase, Readiness, Standing};
use crate::wire::{BriefRow, Row};

use super::{Paint, Table, Tone};

/// All rows as a table.
pub(in crate::cli) fn table(rows: &[BriefRow<'_>], paint: Paint, width: Option<usize>) -> String {
    let is_many_projects = rows.windows(2).any(|pair| pair[0].project != pair[1].project);
    let has_usage = rows.iter().any(|row| row.memory_bytes.is_some() || row.cpu_percent.is_some());
    let mut heading = vec!["app"];
    if is_many_projects {
        heading.push("project");
    }
    heading.extend(["status", "pid", "uptime", "restarts"]);
    if has_usage {
        heading.extend(["cpu", "memory"]);
    }
    heading.push("script");
    let mut table = Table::new(&heading);
    for row in rows {
        table.row().cell(match row.slot {
            Some(slot) => Cow::Owned(format!("{}/{slot}{}", row.app, if row.is_successor { "+" } else { "" })),
            None => Cow::Borrowed(&*row.app),
        });
        if is_many_projects {
            table.cell(&*row.project);
        }
        let (status, tone) = if row.is_spec_lost && row.phase.is_none() {
            (Cow::Borrowed("running, spec lost"), Tone::Warn)
        } else {
            words(row.slot, row.phase.as_ref(), row.next_start_ms, row.standing.as_ref())
        };
        table.toned(status, tone);
        table.cell(or_dash(row.pid));
        table.cell(or_dash(row.uptime_ms));
        table.toned(row.restarts.to_string(), if row.restarts > 0 { Tone::Warn } else { Tone::Plain });
        if has_usage {
            table.cell(or_dash(row.cpu_percent.map(|percent| format!("{percent:.1}%"))));
            table.cell(or_dash(row.memory_bytes));
        }
        table.toned(&*row.script, Tone::Faint);
    }
    table.render(paint, width)
}

/// `api/0`.
pub(in crate::cli) fn name(row: &Row) -> String {
    match row.slot {
        Some(slot) => format!("{}/{slot}{}", row.app, if row.is_successor { "+" } else { "" }),
        None => row.app.to_string(),
    }
}

/// The word for the state, with what is most worth knowing about it.
pub(in crate::cli) fn status(row: &Row) -> (Cow<'static, str>, Tone) {
    match row.phase {
        Phase::Running { .. } if row.is_spec_lost => ("running, spec lost".into(), Tone::Warn),
        _ => words(row.slot, Some(&row.phase), row.next_start_ms, row.standing.as_ref()),
    }
}

/// No phase: it simply runs.
fn words(
    slot: Option<u32>,
    phase: Option<&Phase>,
    next_start: Option<Millis>,
    standing: Option<&Standing>,
) -> (Cow<'static, str>, Tone) {
    match phase {
        _ if slot.is_none() => ("no instances".into(), Tone::Faint),
        Some(Phase::Running { readiness: Readiness::Waiting { last, .. }, .. }) => match last {
            Some(last) => (format!("starting: {last}").into(), Tone::Warn),
            None => ("starting, not ready yet".into(), Tone::Warn),
        },
        Some(Phase::Running { readiness: Readiness::Failing { last, failures }, .. }) => {
            (format!("running, {failures} failed health probes: {last}").into(), Tone::Bad)
        }
        None | Some(Phase::Running { .. }) => ("running".into(), Tone::Good),
        Some(Phase::Starting) => ("starting".into(), Tone::Warn),
        Some(Phase::Stopping { .. }) => ("stopping".into(), Tone::Warn),
        Some(Phase::Backoff { attempt, .. }) => {
            let next = next_start.unwrap_or_default();
            (format!("backoff, try {} in {next}", attempt.saturating_add(1)).into(), Tone::Warn)
        }
        Some(Phase::Errored { failure }) => (format!("errored: {failure}").into(), Tone::Bad),
        Some(Phase::Done { exit }) => (format!("done, {exit}").into(), Tone::Good),
        Some(Phase::Stopped) => match standing {
            Some(Standing::Stopped { is_held: true, .. }) => ("stopped, held".into(), Tone::Faint),
            Some(Standing::Parked) => ("stopped, no autostart".into(), Tone::Faint),
            _ => ("stopped".into(), Tone::Faint),
        },
    }
}

fn or_dash<T: ToString>(value: Option<T>) -> Cow<'static, str> {
    value.map_or(Cow::Borrowed("-"), |value| Cow::Owned(value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Exit, Failure, Moment, WallTime};

    fn brief(app: &'static str, phase: Option<Phase>) -> BriefRow<'static> {
        BriefRow {
            project: "shop".into(),
            app: app.into(),
            slot: Some(0),
            is_successor: false,
            phase,
            is_spec_lost: false,
            standing: None,
            pid: None,
            uptime_ms: None,
            restarts: 0,
            next_start_ms: None,
            memory_bytes: None,
            cpu_percent: None,
            script: "server.js".into(),
        }
    }

    #[test]
    fn the_list_says_what_each_instance_is_doing() {
        let running = BriefRow { pid: Some(42), uptime_ms: Some(Millis(125_000)), restarts: 2, ..brief("api", None) };
        let backoff = Phase::Backoff { until: Moment(0), delay: Millis(0), attempt: 3 };
        let waiting = BriefRow { next_start_ms: Some(Millis(1500)), ..brief("b", Some(backoff)) };
        let failure = Failure::Exited { exit: Exit::Code(3) };
        let held = Standing::Stopped { by: "alice".into(), at: WallTime(0), is_held: true };
        let rows = [
            running,
            waiting,
            brief("c", Some(Phase::Errored { failure })),
            BriefRow { standing: Some(held), ..brief("d", Some(Phase::Stopped)) },
            BriefRow { slot: None, ..brief("e", Some(Phase::Stopped)) },
        ];
        let expected = "\
app    status                                               pid  uptime  restarts  script
api/0  running                                              42   2m 5s   2         server.js
b/0    backoff, try 4 in 1.5s                               -    -       0         server.js
c/0    errored: ended with exit code 3 and is not restarted  -    -       0         server.js
d/0    stopped, held                                        -    -       0         server.js
e      no instances                                         -    -       0         server.js
";
        let text = table(&rows, Paint::default(), None);
        let squeeze = |text: &str| {
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        assert_eq!(squeeze(&text), squeeze(expected));
    }

    #[test]
    fn the_project_is_shown_where_there_are_several() {
        let other = BriefRow { project: "blog".into(), ..brief("api", None) };
        assert!(table(&[other, brief("api", None)], Paint::default(), None).starts_with("app    project"));
        assert!(!table(&[brief("api", None)], Paint::default(), None).contains("project"));
    }
}
