//! The table of `pm list`.

use std::borrow::Cow;

use crate::model::{Millis, Phase, Readiness, Standing, WallTime};
use crate::wire::{BriefRow, HookRow, Row, WaitsFor};

use super::gate::harmless;
use super::time::Clock;
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
        let state = State {
            slot: row.slot,
            phase: row.phase.as_ref(),
            is_spec_lost: row.is_spec_lost,
            is_unreachable: row.is_unreachable,
            next_start: row.next_start_ms,
            standing: row.standing.as_ref(),
            waits_for: row.waits_for.as_ref(),
            waits: row.waits_ms,
            says: row.says.as_deref(),
            hook: row.hook,
            is_shut_down: row.is_shut_down,
            next_due: row.next_due,
            is_between_runs: row.is_between_runs,
        };
        let (status, tone) = state.words();
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
    let state = State {
        slot: row.slot,
        phase: Some(&row.phase),
        is_spec_lost: row.is_spec_lost,
        is_unreachable: row.is_unreachable,
        next_start: row.next_start_ms,
        standing: row.standing.as_ref(),
        waits_for: row.waits_for.as_ref(),
        waits: row.waits_ms,
        says: row.says.as_deref(),
        hook: row.hook,
        is_shut_down: row.is_shut_down,
        next_due: row.next_due,
        is_between_runs: row.status == "waiting" && row.waits_for.is_none(),
    };
    state.words()
}

/// What a status is made of.
struct State<'a> {
    slot: Option<u32>,
    /// None: it simply runs.
    phase: Option<&'a Phase>,
    is_spec_lost: bool,
    is_unreachable: bool,
    next_start: Option<Millis>,
    standing: Option<&'a Standing>,
    waits_for: Option<&'a WaitsFor>,
    waits: Option<Millis>,
    says: Option<&'a str>,
    hook: Option<HookRow>,
    is_shut_down: bool,
    next_due: Option<WallTime>,
    /// A timed task whose time has not come.
    is_between_runs: bool,
}

impl State<'_> {
    fn words(&self) -> (Cow<'static, str>, Tone) {
        match self.phase {
            _ if self.slot.is_none() => ("no instances".into(), Tone::Faint),
            _ if self.is_between_runs => (self.between_runs().into(), Tone::Faint),
            None | Some(Phase::Running { .. }) if self.is_spec_lost => ("running, spec lost".into(), Tone::Warn),
            None | Some(Phase::Running { readiness: Readiness::Ready, .. }) if self.is_unreachable => {
                ("running, unreachable".into(), Tone::Warn)
            }
            Some(Phase::Running { readiness: Readiness::Waiting { last, .. }, .. }) => {
                (with("starting", self.said(last.as_deref()).as_deref()), Tone::Warn)
            }
            Some(Phase::Running { readiness: Readiness::Failing { last, failures }, .. }) => {
                let said = self.said(Some(last)).unwrap_or_default();
                (format!("unhealthy, {failures} in a row: {}", harmless(&said)).into(), Tone::Bad)
            }
            None | Some(Phase::Running { readiness: Readiness::Ready, .. }) => (with("running", self.says), Tone::Good),
            Some(Phase::Starting) => (with("starting", self.hook_words().as_deref()), Tone::Warn),
            Some(Phase::Stopping { .. }) => (with("stopping", self.hook_words().as_deref()), Tone::Warn),
            Some(Phase::Backoff { attempt, .. }) => {
                let next = self.next_start.unwrap_or_default();
                (format!("backoff, try {} in {next}", attempt.saturating_add(1)).into(), Tone::Warn)
            }
            Some(Phase::Errored { failure }) => {
                let again = self.next_due.map(|due| format!("; again at {}", Clock::local().second(due)));
                (format!("errored: {failure}{}", again.unwrap_or_default()).into(), Tone::Bad)
            }
            Some(Phase::Done { exit }) if self.is_shut_down => (format!("done, {exit}; shut down").into(), Tone::Faint),
            Some(Phase::Done { exit }) => (format!("done, {exit}").into(), Tone::Good),
            Some(Phase::Stopped) => self.words_at_rest(),
        }
    }

    /// What a probe found, and what the process says of itself: `has not said READY=1 yet (says: loading 1/8)`.
    fn said<'t>(&'t self, found: Option<&'t str>) -> Option<Cow<'t, str>> {
        match (found, self.says) {
            (Some(found), Some(says)) => Some(format!("{found} (says: {says})").into()),
            (found, says) => found.or(says).map(Cow::Borrowed),
        }
    }

    /// `hook pre_stop runs, 3s of at most 30s`.
    fn hook_words(&self) -> Option<String> {
        let HookRow { hook, runs_ms, limit_ms } = self.hook?;
        Some(format!("hook {} runs, {runs_ms} of at most {limit_ms}", hook.word()))
    }

    fn between_runs(&self) -> String {
        match self.next_due {
            Some(due) => format!("waiting until {}", Clock::local().second(due)),
            None => "waiting".to_owned(),
        }
    }

    fn words_at_rest(&self) -> (Cow<'static, str>, Tone) {
        match (self.waits_for, self.standing) {
            // `waits 12s for db to be ready: connection refused`
            (Some(WaitsFor { app, condition, why, .. }), _) => {
                let since = self.waits.unwrap_or_default();
                let text = format!("waits {since} for {app} to be {}: {}", condition.word(), harmless(why));
                (text.into(), Tone::Warn)
            }
            (None, Some(Standing::Stopped { is_held: true, .. })) => ("stopped, held".into(), Tone::Faint),
            (None, _) if self.is_shut_down => ("stopped, shut down".into(), Tone::Faint),
            (None, Some(Standing::Parked)) => ("stopped, no autostart".into(), Tone::Faint),
            (None, _) => ("stopped".into(), Tone::Faint),
        }
    }
}

fn with(word: &'static str, more: Option<&str>) -> Cow<'static, str> {
    more.map_or(Cow::Borrowed(word), |more| format!("{word}: {}", harmless(more)).into())
}

fn or_dash<T: ToString>(value: Option<T>) -> Cow<'static, str> {
    value.map_or(Cow::Borrowed("-"), |value| Cow::Owned(value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Condition, Exit, Failure, Hook, Moment, WallTime};

    fn brief(app: &'static str, phase: Option<Phase>) -> BriefRow<'static> {
        BriefRow {
            project: "shop".into(),
            app: app.into(),
            slot: Some(0),
            is_successor: false,
            phase,
            is_spec_lost: false,
            is_unreachable: false,
            standing: None,
            pid: None,
            uptime_ms: None,
            restarts: 0,
            next_start_ms: None,
            waits_for: None,
            waits_ms: None,
            says: None,
            hook: None,
            is_shut_down: false,
            next_due: None,
            is_between_runs: false,
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
        let between_runs = BriefRow { is_between_runs: true, ..brief("f", Some(Phase::Stopped)) };
        let held = Standing::Stopped { by: "alice".into(), at: WallTime(0), is_held: true };
        let rows = [
            running,
            waiting,
            brief("c", Some(Phase::Errored { failure })),
            BriefRow { standing: Some(held), ..brief("d", Some(Phase::Stopped)) },
            BriefRow { slot: None, ..brief("e", Some(Phase::Stopped)) },
            between_runs,
        ];
        let expected = "\
app    status                                               pid  uptime  restarts  script
api/0  running                                              42   2m 5s   2         server.js
b/0    backoff, try 4 in 1.5s                               -    -       0         server.js
c/0    errored: ended with exit code 3 and is not restarted  -    -       0         server.js
d/0    stopped, held                                        -    -       0         server.js
e      no instances                                         -    -       0         server.js
f/0    waiting                                              -    -       0         server.js
";
        let text = table(&rows, Paint::default(), None);
        let squeeze = |text: &str| {
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        assert_eq!(squeeze(&text), squeeze(expected));
    }

    #[test]
    fn what_is_not_good_yet_says_why() {
        let running = |readiness| Phase::Running { pid: 1, since: Moment(0), readiness };
        let last = |text: &str| Some(text.to_owned());
        let waits_for = WaitsFor {
            app: "db".parse().unwrap(),
            condition: Condition::Ready,
            why: "HTTP 503".into(),
            since: Moment(0),
        };
        let waits_ms = Some(Millis(12_000));
        for (row, expected) in [
            (brief("a", Some(running(Readiness::Waiting { deadline: Moment(9), last: None }))), "starting"),
            (
                brief("a", Some(running(Readiness::Waiting { deadline: Moment(9), last: last("connection refused") }))),
                "starting: connection refused",
            ),
            (
                brief("a", Some(running(Readiness::Failing { last: "HTTP 503".into(), failures: 2 }))),
                "unhealthy, 2 in a row: HTTP 503",
            ),
            (BriefRow { says: Some("3 users".into()), ..brief("a", None) }, "running: 3 users"),
            (
                BriefRow {
                    says: Some("loading 1/8".into()),
                    ..brief("a", Some(running(Readiness::Waiting { deadline: Moment(9), last: last("not yet") })))
                },
                "starting: not yet (says: loading 1/8)",
            ),
            (
                BriefRow {
                    says: Some("busy".into()),
                    ..brief("a", Some(running(Readiness::Failing { last: "HTTP 503".into(), failures: 2 })))
                },
                "unhealthy, 2 in a row: HTTP 503 (says: busy)",
            ),
            (
                BriefRow {
                    hook: Some(HookRow { hook: Hook::PreStart, runs_ms: Millis(12_000), limit_ms: Millis(30_000) }),
                    ..brief("a", Some(Phase::Starting))
                },
                "starting: hook pre_start runs, 12s of at most 30s",
            ),
            (BriefRow { is_shut_down: true, ..brief("a", Some(Phase::Stopped)) }, "stopped, shut down"),
            (
                BriefRow { waits_for: Some(waits_for), waits_ms, ..brief("a", Some(Phase::Stopped)) },
                "waits 12s for db to be ready: HTTP 503",
            ),
        ] {
            let text = table(&[row], Paint::default(), None);
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn the_project_is_shown_where_there_are_several() {
        let other = BriefRow { project: "blog".into(), ..brief("api", None) };
        assert!(table(&[other, brief("api", None)], Paint::default(), None).starts_with("app    project"));
        assert!(!table(&[brief("api", None)], Paint::default(), None).contains("project"));
    }
}
