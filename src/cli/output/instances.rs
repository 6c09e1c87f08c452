//! The table of `pm list`.

use crate::model::{Phase, Standing};
use crate::wire::Row;

use super::{Paint, Table, Tone};

/// All rows as a table.
pub(in crate::cli) fn table(rows: &[Row], paint: Paint, width: Option<usize>) -> String {
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
        table.row().cell(name(row));
        if is_many_projects {
            table.cell(row.project.as_str());
        }
        let (status, tone) = status(row);
        table.toned(status, tone);
        table.cell(or_dash(row.pid));
        table.cell(or_dash(row.uptime_ms));
        table.toned(row.restarts.to_string(), if row.restarts > 0 { Tone::Warn } else { Tone::Plain });
        if has_usage {
            table.cell(or_dash(row.cpu_percent.map(|percent| format!("{percent:.1}%"))));
            table.cell(or_dash(row.memory_bytes));
        }
        table.toned(row.script.as_str(), Tone::Faint);
    }
    table.render(paint, width)
}

/// `api/0`.
pub(in crate::cli) fn name(row: &Row) -> String {
    match row.slot {
        Some(slot) => format!("{}/{slot}", row.app),
        None => row.app.to_string(),
    }
}

/// The word for the state, with what is most worth knowing about it.
pub(in crate::cli) fn status(row: &Row) -> (String, Tone) {
    match &row.phase {
        _ if row.slot.is_none() => ("no instances".to_owned(), Tone::Faint),
        Phase::Running { .. } => ("running".to_owned(), Tone::Good),
        Phase::Starting => ("starting".to_owned(), Tone::Warn),
        Phase::Stopping { .. } => ("stopping".to_owned(), Tone::Warn),
        Phase::Backoff { attempt, .. } => {
            let next = row.next_start_ms.unwrap_or_default();
            (format!("backoff, try {} in {next}", attempt.saturating_add(1)), Tone::Warn)
        }
        Phase::Errored { failure } => (format!("errored: {failure}"), Tone::Bad),
        Phase::Done { exit } => (format!("done, {exit}"), Tone::Good),
        Phase::Stopped => match &row.standing {
            Some(Standing::Stopped { is_held: true, .. }) => ("stopped, held".to_owned(), Tone::Faint),
            Some(Standing::Parked) => ("stopped, no autostart".to_owned(), Tone::Faint),
            _ => ("stopped".to_owned(), Tone::Faint),
        },
    }
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
pub(in crate::cli) mod tests {
    use super::*;
    use crate::model::{Exit, Failure, Millis, Moment, Readiness, WallTime};

    pub(in crate::cli) fn row(app: &str, phase: Phase) -> Row {
        Row {
            id: format!("shop:{app}/0"),
            project: "shop".parse().unwrap(),
            app: app.parse().unwrap(),
            slot: Some(0),
            namespace: String::new(),
            status: phase.word().to_owned(),
            pid: phase.pid(),
            phase,
            standing: None,
            uptime_ms: None,
            started_at: None,
            generation: 1,
            restarts: 0,
            force_kills: 0,
            next_start_ms: None,
            last_exit: None,
            memory_bytes: None,
            cpu_percent: None,
            script: "server.js".to_owned(),
        }
    }

    #[test]
    fn the_list_says_what_each_instance_is_doing() {
        let running = Row {
            uptime_ms: Some(Millis(125_000)),
            restarts: 2,
            ..row("api", Phase::Running { pid: 42, since: Moment(0), readiness: Readiness::Ready })
        };
        let waiting = Row {
            next_start_ms: Some(Millis(1500)),
            ..row("b", Phase::Backoff { until: Moment(0), delay: Millis(0), attempt: 3 })
        };
        let failure = Failure::Exited { exit: Exit::Code(3) };
        let held = Standing::Stopped { by: "alice".into(), at: WallTime(0), is_held: true };
        let rows = [
            running,
            waiting,
            row("c", Phase::Errored { failure }),
            Row { standing: Some(held), ..row("d", Phase::Stopped) },
            Row { slot: None, ..row("e", Phase::Stopped) },
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
        let other = Row { project: "blog".parse().unwrap(), ..row("api", Phase::Stopped) };
        assert!(table(&[other, row("api", Phase::Stopped)], Paint::default(), None).starts_with("app    project"));
        assert!(!table(&[row("api", Phase::Stopped)], Paint::default(), None).contains("project"));
    }
}
