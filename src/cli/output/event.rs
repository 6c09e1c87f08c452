//! Events in words: one sentence each, with its subject first.

use std::collections::BTreeMap;

use crate::model::{
    AppName, Cause, CommitWait, Event, Fact, LeaveReason, LeftProcess, SourceAftermath, SourceName, SourceNews, Stream,
    Subject, VerbKind, short_commit,
};

use super::gate::{harmless, harmless_lines};
use super::progress::aftermath;
use super::reasons::{reason, run_skip, unmet};
use super::time::Clock;

/// An event as a sentence: `shop:api/0 started as process 4711 (apply by alice, generation 3)`.
pub fn sentence(event: &Event) -> String {
    // The last words of a build are several lines; whatever else others have said stays in one.
    let predicate = predicate(&event.fact);
    let predicate =
        if let Fact::BuildFailed { .. } = event.fact { harmless_lines(&predicate) } else { harmless(&predicate) };
    format!("{} {predicate}", subject(&event.about))
}

fn subject(about: &Subject) -> String {
    match about {
        Subject::Daemon => "the daemon".to_owned(),
        Subject::Project(project) => format!("project {project}"),
        Subject::App(project, app) => format!("{project}:{app}"),
        Subject::Instance(id) => id.to_string(),
    }
}

fn predicate(fact: &Fact) -> String {
    match fact {
        Fact::Accepted { cause, generation, changes, .. } => {
            format!("changed to generation {generation}: {} ({})", in_short(changes), because(cause))
        }
        Fact::Started { pid, restarts, cause, .. } if *restarts > 0 && cause.is_trouble() => {
            format!("started again as process {pid}, restart {restarts} ({})", because(cause))
        }
        Fact::Started { pid, cause, .. } => format!("started as process {pid} ({})", because(cause)),
        Fact::MainProcessChanged { pid, previous } => {
            format!("goes on with process {pid} as its main process, instead of process {previous} (MAINPID)")
        }
        Fact::Signalled { signal, pid, by } => format!("got {signal} in process {pid} (by {})", by.name),
        Fact::StartFailed { failure } => format!("could not be started: {failure}"),
        Fact::Exited { exit, uptime, is_asked: true, .. } => format!("stopped as requested with {exit} after {uptime}"),
        Fact::Exited { exit, uptime, is_asked: false, .. } => format!("ended on its own with {exit} after {uptime}"),
        Fact::BackingOff { delay, attempt, restart } => {
            let next = if *restart == 0 { "it is started again".to_owned() } else { format!("restart {restart}") };
            match attempt {
                0 => format!("waits {delay} before {next}"),
                1 => format!("waits {delay} before {next} (its last start was unstable)"),
                attempt => format!("waits {delay} before {next} ({attempt} unstable starts in a row)"),
            }
        }
        Fact::GaveUp { failure } => format!("is not restarted any more: {failure}"),
        Fact::Completed { exit } => format!("completed: {exit}"),
        Fact::Message { text, skipped: 0 } => format!("says: {text}"),
        Fact::Message { text, skipped } => format!("says (after {skipped} messages that are not shown): {text}"),
        Fact::Stopping { cause } => format!("is stopping ({})", because(cause)),
        Fact::ForceKilled { processes: 1 } => "did not stop in time: 1 process was killed".to_owned(),
        Fact::ForceKilled { processes } => format!("did not stop in time: {processes} processes were killed"),
        Fact::Stopped { left, is_unsure } => stopped(left, *is_unsure),
        Fact::Ready { after } => format!("became ready after {after}"),
        Fact::NotReady { after, last } => match last {
            Some(last) => format!("was not ready after {after}: {last}"),
            None => format!("was not ready after {after}"),
        },
        Fact::HealthFailed { why, failures } => format!("failed its health probe ({failures} in a row): {why}"),
        Fact::Healthy => "is healthy again".to_owned(),
        Fact::WaitsFor { app, condition, why } => {
            format!("waits for {app} to be {}: {}", condition.as_str(), unmet(why))
        }
        Fact::OutOfMemory { is_child: true, .. } => {
            "lost a process of its tree: the kernel killed it because memory ran out".to_owned()
        }
        Fact::OutOfMemory { is_certain: true, .. } => "was killed by the kernel because memory ran out".to_owned(),
        Fact::OutOfMemory { is_certain: false, .. } => {
            "was probably killed by the kernel because memory ran out: nobody else sent SIGKILL".to_owned()
        }
        Fact::LimitsUnavailable { message } => format!("runs without some of its limits: {message}"),
        Fact::HookFailed { hook, message } => format!("hook `{}` failed: {message}", hook.as_str()),
        Fact::CronSkipped { due, why } => {
            format!("skipped the run due at {}: {}", Clock::local().text(*due), run_skip(*why))
        }
        Fact::SelfHealPaused { until, count } => {
            let until = Clock::local().text(*until);
            format!("is not put right by self_heal before {until}: that was done {count} times in a row")
        }
        Fact::WatchTrouble { message } => format!("has a problem with its watched files: {message}"),
        Fact::BuildFailed { message } => format!("keeps its processes, since the build failed: {message}"),
        Fact::RolloutFailed { instance, failure, exit, rollback } => {
            let (slot, why) = (instance.slot, reason(failure.as_ref(), *exit));
            let text = format!("could not be rolled out: {}/{slot} {why}", instance.app.name);
            text + aftermath(*rollback)
        }
        Fact::Deleted => "was deleted".to_owned(),
        Fact::Reconfigured { fields } => format!("uses new values of {} without a restart", list(fields)),
        Fact::Renamed { from } => format!("was renamed from {from}; its process was kept"),
        Fact::OutputDropped { stream, bytes } => format!(
            "lost {bytes} {} of {}: its log could not be written",
            if *bytes == 1 { "byte" } else { "bytes" },
            output(*stream)
        ),
        Fact::LogDiskFull { message } => format!("waits because its log cannot be written: {message}"),
        Fact::DaemonStarted { pid, found, version } => {
            format!("({version}) started as process {pid} and found {found} running instances")
        }
        Fact::DaemonStopping { why } => format!("is stopping ({})", reason_to_leave(*why)),
        Fact::Source { source, news } => about_source(source, news),
        Fact::Trouble { message } => format!("reports a problem: {message}"),
    }
}

fn about_source(source: &SourceName, news: &SourceNews) -> String {
    match news {
        SourceNews::Added { by, url, branch } => {
            format!("follows the source {source}: branch {branch} of {url} (source add by {})", by.name)
        }
        SourceNews::Removed { by } => format!("follows the source {source} no longer (source remove by {})", by.name),
        SourceNews::Suspended { by } => format!("waits with the source {source} (source suspend by {})", by.name),
        SourceNews::Resumed { by } => format!("follows the source {source} again (source resume by {})", by.name),
        SourceNews::Waiting { commit, wait: CommitWait::Approval } => {
            format!("waits with {} of the source {source} until it is approved", short_commit(commit))
        }
        SourceNews::Waiting { commit, wait: CommitWait::Window { .. } } => {
            format!("waits with {} of the source {source} until the next window opens", short_commit(commit))
        }
        SourceNews::Approved { by, commit } => {
            format!("may deploy {} of the source {source} (source approve by {})", short_commit(commit), by.name)
        }
        SourceNews::WebhookAdded { by, listen } => {
            format!("takes calls about the source {source} at {listen} (source webhook by {})", by.name)
        }
        SourceNews::WebhookRemoved { by } => {
            format!("takes no calls about the source {source} any more (source webhook by {})", by.name)
        }
        SourceNews::Deployed { commit, generation } => {
            format!("runs commit {} of the source {source} (generation {generation})", short_commit(commit))
        }
        SourceNews::Failed { commit, reason, aftermath } => {
            format!("could not deploy {} of the source {source}: {reason}{}", short_commit(commit), left_by(*aftermath))
        }
        SourceNews::Stalled { commit, reason } => {
            format!("does not deploy {} of the source {source}: {reason}", short_commit(commit))
        }
    }
}

/// What a failed commit has left, to be put behind its reason.
fn left_by(aftermath: SourceAftermath) -> String {
    match aftermath {
        SourceAftermath::Untouched => "; nothing was changed".to_owned(),
        SourceAftermath::RolledBack { to } => format!("; rolled back to generation {to}"),
        SourceAftermath::Left => "; there is no earlier commit to go back to".to_owned(),
    }
}

/// Apps that a line names for each verb.
const NAMED_MAX: usize = 3;

/// One line, however many apps there are: `start a1, a2, a3 and 297 more; roll web`.
fn in_short(changes: &BTreeMap<VerbKind, Vec<AppName>>) -> String {
    let part = |(verb, apps): (&VerbKind, &Vec<AppName>)| {
        let names = apps.iter().take(NAMED_MAX).map(AppName::as_str).collect::<Vec<_>>().join(", ");
        match apps.len().saturating_sub(NAMED_MAX) {
            0 => format!("{} {names}", verb.as_str()),
            more => format!("{} {names} and {more} more", verb.as_str()),
        }
    };
    changes.iter().map(part).collect::<Vec<_>>().join("; ")
}

fn reason_to_leave(why: LeaveReason) -> &'static str {
    match why {
        LeaveReason::Restart => "the next daemon takes over",
        LeaveReason::Stop => "it was told to stop; the apps keep running",
        LeaveReason::Shutdown => "shutdown",
        LeaveReason::Signal => "shutdown by a signal",
        LeaveReason::AnchorGone => "its anchor has died; the next daemon takes over",
    }
}

/// What is known of the processes that an app has started itself.
fn stopped(left: &[LeftProcess], is_unsure: bool) -> String {
    match (left, is_unsure) {
        ([], false) => "stopped; no process is left".to_owned(),
        ([], true) => "stopped; a process that had left its session before the anchor died may still run: it cannot \
             be told apart from others"
            .to_owned(),
        (left, _) => {
            let names = LeftProcess::list(left);
            format!("stopped; left running, since it may belong to another app: {names}; `pm shutdown` ends it")
        }
    }
}

/// Why something was done: `apply by alice, generation 3`.
pub(super) fn because(cause: &Cause) -> String {
    match cause {
        Cause::Apply { by, generation } => format!("apply by {}, generation {generation}", by.name),
        Cause::Command { by, verb } => format!("{verb} by {}", by.name),
        Cause::Policy => "its restart policy".to_owned(),
        Cause::Boot => "to match the declaration".to_owned(),
        Cause::NotReady => "it was not ready in time".to_owned(),
        Cause::Unhealthy { why } => format!("unhealthy: {why}"),
        Cause::OverMemory { used, limit } => format!("memory: {used} of {limit}"),
        Cause::Watch { path, others: 0 } => format!("{path} changed"),
        Cause::Watch { path, others } => format!("{path} and {others} more changed"),
        Cause::Cron { due } => format!("due at {}", Clock::local().text(*due)),
        Cause::Dependency { app } => format!("{app} got a new process"),
        Cause::Revert => "the newer revision failed".to_owned(),
        Cause::SelfHeal => "self_heal".to_owned(),
    }
}

fn output(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "standard output",
        Stream::Stderr => "standard error",
    }
}

fn list(keys: &[String]) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rollback;
    use crate::model::{Actor, Exit, Failure, Millis, WallTime};

    fn check(fact: Fact, expected: &str) {
        let about = Subject::Instance("shop:api/0".parse().unwrap());
        assert_eq!(sentence(&Event { seq: 1, at: WallTime(0), about, fact }), format!("shop:api/0 {expected}"));
    }

    #[test]
    fn every_sentence_names_the_subject_and_the_cause() {
        let alice = || Actor { uid: 1000, name: "alice".into() };
        check(
            Fact::Started {
                pid: 4711,
                incarnation: 4,
                restarts: 2,
                cause: Cause::Apply { by: alice(), generation: 3 },
            },
            "started as process 4711 (apply by alice, generation 3)",
        );
        let app = |name: &str| name.parse::<AppName>().unwrap();
        let changes =
            [(VerbKind::Roll, vec![app("web")]), (VerbKind::Start, ["a1", "a2", "a3", "a4", "a5"].map(app).to_vec())];
        check(
            Fact::Accepted { cause: Cause::Boot, generation: 7, changes: changes.into(), other_apps: vec![app("old")] },
            "changed to generation 7: start a1, a2, a3 and 2 more; roll web (to match the declaration)",
        );
        check(
            Fact::DaemonStopping { why: LeaveReason::AnchorGone },
            "is stopping (its anchor has died; the next daemon takes over)",
        );
        check(
            Fact::Started { pid: 9, incarnation: 22, restarts: 8, cause: Cause::Policy },
            "started again as process 9, restart 8 (its restart policy)",
        );
        let waits = |attempt, restart| Fact::BackingOff { delay: Millis(100), attempt, restart };
        check(waits(6, 9), "waits 100ms before restart 9 (6 unstable starts in a row)");
        check(waits(0, 9), "waits 100ms before restart 9");
        check(waits(6, 0), "waits 100ms before it is started again (6 unstable starts in a row)");
        check(
            Fact::Exited { exit: Exit::Signal(9), incarnation: 1, uptime: Millis(1500), is_asked: false },
            "ended on its own with signal SIGKILL after 1.5s",
        );
        check(
            Fact::GaveUp { failure: Failure::TooManyRestarts { starts: 3, exit: Exit::Code(1), trouble: None } },
            "is not restarted any more: gave up after 3 unstable starts in a row, the last one ended with exit code 1",
        );
        let failed = |failure, exit, rollback| {
            let instance = "shop:api/1".parse().unwrap();
            Fact::RolloutFailed { instance, failure, exit, rollback }
        };
        check(
            failed(None, Some(Exit::Code(3)), Rollback::Done),
            "could not be rolled out: api/1 ended with exit code 3; rolled back to the old version",
        );
        check(
            failed(Some(Failure::NotReady { after: Millis(2000), last: None }), None, Rollback::None),
            "could not be rolled out: api/1 was not ready after 2s",
        );
        check(
            Fact::Stopping { cause: Cause::Command { by: alice(), verb: "stop".into() } },
            "is stopping (stop by alice)",
        );
        check(
            Fact::OutputDropped { stream: Stream::Stdout, bytes: 1 },
            "lost 1 byte of standard output: its log could not be written",
        );
        check(
            Fact::Reconfigured { fields: vec!["kill_timeout".into(), "log_rotate".into()] },
            "uses new values of `kill_timeout`, `log_rotate` without a restart",
        );
    }
}
