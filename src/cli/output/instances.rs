//! The table of `pm list`.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::wire::{BriefRow, Row};

use super::status::{label, line, tone};
use super::{Paint, TextTable, Tone, wrap};

/// Sentences below one table.
const SENTENCES_MAX: usize = 12;
/// Columns that cells keep in a narrow terminal, where they need as many.
const SCRIPT_MIN: usize = 10;
const APP_MIN: usize = 16;
const STATUS_MIN: usize = 12;
/// Terminals of so many columns have room for ports.
const PORT_FROM: usize = 100;
/// Apps that are named as pinned.
const PINS_MAX: usize = 6;

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
    let has_ports = width.is_none_or(|width| width >= PORT_FROM) && rows.iter().any(|row| row.port.is_some());
    if has_ports {
        heading.push("port");
    }
    heading.push("script");
    let mut table = TextTable::new(&heading);
    for row in rows {
        table.row().cell(name_of(&row.app, row.slot, row.is_successor));
        if is_many_projects {
            table.cell(&*row.project);
        }
        match &row.status {
            Some(status) => table.toned(label(status), tone(status)),
            None => table.toned("running", Tone::Good),
        };
        table.cell(or_dash(row.pid));
        table.cell(or_dash(row.uptime_ms));
        table.toned(row.restarts.to_string(), if row.restarts > 0 { Tone::Warn } else { Tone::Plain });
        if has_usage {
            table.cell(or_dash(row.cpu_percent.map(|percent| format!("{percent:.1}%"))));
            table.cell(or_dash(row.memory_bytes));
        }
        if has_ports {
            table.cell(or_dash(row.port));
        }
        table.path(&*row.script, Tone::Faint);
    }
    let lines = sentences(rows, is_many_projects, width) + &pins(rows, is_many_projects, width);
    table.narrowed(&[("script", SCRIPT_MIN), ("app", APP_MIN), ("project", APP_MIN), ("status", STATUS_MIN)]);
    table.render(paint, width) + &lines
}

/// What the words of the table do not say, below it: one sentence for each copy, cut between words.
fn sentences(rows: &[BriefRow<'_>], with_project: bool, width: Option<usize>) -> String {
    let mut text = String::new();
    let told = rows.iter().filter_map(|row| Some((row, line(row.status.as_ref()?)?)));
    for (at, (row, line)) in told.enumerate() {
        if at == SENTENCES_MAX {
            text.push_str("more: `pm why APP`\n");
            break;
        }
        let project = if with_project { format!("{}:", row.project) } else { String::new() };
        let name = name_of(&row.app, row.slot, row.is_successor);
        if at == 0 {
            text.push('\n');
        }
        wrap(&mut text, &format!("{project}{name} {line}"), width);
    }
    text
}

/// The apps that a rollback has pinned, below the table.
fn pins(rows: &[BriefRow<'_>], with_project: bool, width: Option<usize>) -> String {
    let mut names: Vec<String> = Vec::new();
    for row in rows.iter().filter(|row| row.pinned_to.is_some()) {
        let name = if with_project { format!("{}:{}", row.project, row.app) } else { row.app.to_string() };
        if names.last() != Some(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return String::new();
    }
    let more = names.len().saturating_sub(PINS_MAX);
    let mut shown = names.iter().take(PINS_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more > 0 {
        let _ = write!(shown, " and {more} more");
    }
    let mut text = "\n".to_owned();
    wrap(&mut text, &format!("pinned by a rollback: {shown}"), width);
    text
}

/// `api/0`.
pub(in crate::cli) fn name(row: &Row) -> Cow<'_, str> {
    name_of(row.app.as_str(), row.slot, row.is_successor)
}

/// `api/0`; `api/0+` takes the slot over.
fn name_of(app: &str, slot: Option<u32>, is_successor: bool) -> Cow<'_, str> {
    match slot {
        Some(slot) => format!("{app}/{slot}{}", if is_successor { "+" } else { "" }).into(),
        None => app.into(),
    }
}

fn or_dash<T: ToString>(value: Option<T>) -> Cow<'static, str> {
    value.map_or(Cow::Borrowed("-"), |value| Cow::Owned(value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Bytes, Condition, Exit, Failure, Hook, Millis, NextStep, Severity, Status, StatusWord, Unmet, Why,
    };

    fn brief(app: &'static str) -> BriefRow<'static> {
        BriefRow {
            project: "shop".into(),
            app: app.into(),
            slot: Some(0),
            is_successor: false,
            status: None,
            pid: None,
            uptime_ms: None,
            restarts: 0,
            memory_bytes: None,
            cpu_percent: None,
            port: None,
            pinned_to: None,
            script: "server.js".into(),
        }
    }

    #[test]
    fn ports_are_shown_where_there_is_room_and_pins_are_named_once() {
        let rows: Vec<_> = (0..2)
            .map(|slot| BriefRow { slot: Some(slot), port: Some(8080), pinned_to: Some(3), ..brief("api") })
            .collect();
        for (width, has_port) in [(None, true), (Some(200), true), (Some(100), true), (Some(99), false)] {
            let text = table(&rows, Paint::default(), width);
            assert_eq!(text.contains("8080"), has_port, "{width:?}: {text}");
            assert!(text.ends_with("\n\npinned by a rollback: api\n"), "{text}");
        }
        let many: Vec<_> =
            ["a", "b", "c", "d", "e", "f", "g"].map(|app| BriefRow { pinned_to: Some(1), ..brief(app) }).into();
        assert!(table(&many, Paint::default(), None).ends_with("pinned by a rollback: a, b, c, d, e, f and 1 more\n"));
        assert!(!table(&[brief("api")], Paint::default(), None).contains("port"));
    }

    fn status(word: StatusWord, count: Option<u32>, because: Vec<Why>, next: Vec<NextStep>) -> Status {
        let severity = match word {
            StatusWord::Errored | StatusWord::Unhealthy => Severity::Error,
            _ => Severity::Pending,
        };
        Status { word, count, severity, because, next, since: None }
    }

    fn rows() -> Vec<BriefRow<'static>> {
        let exit = Exit::Code(3);
        let failure = Failure::TooManyRestarts { starts: 3, exit, trouble: None };
        let errored = status(StatusWord::Errored, Some(3), vec![Why::Failed { failure }], vec![NextStep::TryAgain]);
        let unstable = Why::Unstable { starts: 4, delay_ms: Millis(1500), at_once: 5, stable_ms: Millis(10_000) };
        let start = vec![NextStep::StartIn { in_ms: Millis(1500) }];
        let backoff = status(StatusWord::Backoff, Some(4), vec![unstable, Why::LastExit { exit }], start);
        let held = Why::StoppedBy { by: "alice".into(), is_held: true };
        let stopped = status(StatusWord::Stopped, None, vec![held], vec![NextStep::Unhold]);
        let none = status(StatusWord::Stopped, None, vec![Why::NoInstances], vec![NextStep::Start]);
        let usage = |row| BriefRow { memory_bytes: Some(Bytes(52 << 20)), cpu_percent: Some(1.5), ..row };
        let running = BriefRow { pid: Some(4_194_304), uptime_ms: Some(Millis(125_000)), restarts: 2, ..brief("api") };
        let long = BriefRow { script: "/srv/shop/current/packages/mailer/dist/server.js".into(), ..brief("mailer") };
        vec![
            usage(running),
            BriefRow { status: Some(backoff), restarts: 8, ..brief("b") },
            BriefRow { status: Some(errored), restarts: 2, ..brief("c") },
            BriefRow { status: Some(stopped), ..brief("d") },
            BriefRow { slot: None, status: Some(none), ..brief("e") },
            usage(BriefRow { pid: Some(77), ..long }),
        ]
    }

    #[test]
    fn one_app_in_trouble_takes_nothing_from_the_others_at_80_columns() {
        let expected = "\
app       status         pid      uptime  restarts  cpu   memory  script
api/0     running        4194304  2m 5s   2         1.5%  52M     server.js
b/0       backoff 4×     -        -       8         -     -       server.js
c/0       errored 3×     -        -       2         -     -       server.js
d/0       stopped, held  -        -       0         -     -       server.js
e         no instances   -        -       0         -     -       server.js
mailer/0  running        77       -       0         1.5%  52M     …ist/server.js

b/0 backoff: 4 unstable starts in a row; restarts in 1.5s
c/0 errored: gave up after 3 unstable starts in a row, the last one ended with
  exit code 3
";
        let text = table(&rows(), Paint::default(), Some(80));
        assert_eq!(text, expected, "\n{text}");
        let wide = table(&rows(), Paint::default(), Some(200));
        assert!(wide.contains("/srv/shop/current/packages/mailer/dist/server.js"), "{wide}");
        assert!(wide.contains("the last one ended with exit code 3\n"), "{wide}");
    }

    #[test]
    fn what_is_not_good_yet_says_why() {
        let (last, text) = (Some("not yet".to_owned()), "loading 1/8".to_owned());
        let hook = Why::Hook { hook: Hook::PreStart, runs_ms: Millis(12_000), limit_ms: Millis(30_000) };
        let failing = |failures| Why::Unhealthy { failures, last: "HTTP 503".into() };
        let waits_for = Why::WaitsFor {
            app: "db".parse().unwrap(),
            condition: Condition::Ready,
            why: Unmet::NotReady { last: Some("HTTP 503".into()) },
            waits_ms: Millis(12_000),
        };
        let builds = Why::Builds { runs_ms: Millis(12_000), limit_ms: Millis(900_000) };
        let next = || vec![NextStep::StartWhenMet];
        for (word, because, expected) in [
            (StatusWord::Starting, vec![Why::NotReady { last: None }], None),
            (StatusWord::Starting, vec![Why::NotReady { last: last.clone() }], Some("starting: not yet")),
            (StatusWord::Running, vec![Why::StatusText { text: text.clone() }], Some("running: loading 1/8")),
            (
                StatusWord::Starting,
                vec![Why::NotReady { last }, Why::StatusText { text }],
                Some("starting: not yet (status: loading 1/8)"),
            ),
            (StatusWord::Unhealthy, vec![failing(2)], Some("unhealthy: 2 in a row: HTTP 503")),
            (StatusWord::Starting, vec![hook], Some("starting: hook pre_start runs, 12s of at most 30s")),
            (StatusWord::Waiting, vec![builds], Some("waiting: its build runs, 12s of at most 15m")),
            (StatusWord::Waiting, vec![waits_for], Some("waiting: 12s for db to be ready: HTTP 503")),
        ] {
            assert_eq!(line(&status(word, None, because, next())).as_deref(), expected);
        }
    }

    #[test]
    fn the_project_is_shown_where_there_are_several() {
        let other = BriefRow { project: "blog".into(), ..brief("api") };
        assert!(table(&[other, brief("api")], Paint::default(), None).starts_with("app    project"));
        assert!(!table(&[brief("api")], Paint::default(), None).contains("project"));
    }
}
