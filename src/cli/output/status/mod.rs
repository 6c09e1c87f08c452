//! A status in words: a short one for tables, a line, and whole sentences.

pub(in crate::cli) mod project;

use std::borrow::Cow;

use crate::model::{
    DueThen, Exit, Failure, HealAim, HealWhen, Millis, NextStep, RestartWhen, Severity, Status, StatusWord, WallTime,
    Why,
};
use crate::os;

use crate::cli::output::event::because;
use crate::cli::output::gate::harmless;
use crate::cli::output::reasons::{rejected, rejection, unmet};
use crate::cli::output::table::Tone;
use crate::cli::output::time::Clock;

/// For a table: `errored 3×`, `stopped, held`. What it means is said by [`line()`] and by [`causes`].
pub(in crate::cli) fn label(status: &Status) -> Cow<'static, str> {
    let word = status.word.as_str();
    if let Some(count) = status.count {
        return format!("{word} {count}×").into();
    }
    if let Some(at) = next_run(status) {
        return format!("waiting, {}", Clock::local().short(at, os::wall())).into();
    }
    match (status.word, status.because.first()) {
        (StatusWord::Running, Some(Why::SpecLost)) => "running, spec lost".into(),
        (_, Some(Why::Suspended)) => format!("{word}, suspended").into(),
        (StatusWord::Running, Some(Why::Unreachable)) => "running, unreachable".into(),
        (StatusWord::Stopped, Some(Why::NoInstances)) => "no instances".into(),
        (StatusWord::Stopped, Some(Why::StoppedBy { is_held: true, .. })) => "stopped, held".into(),
        (StatusWord::Stopped, Some(Why::ShutDown)) => "stopped, shut down".into(),
        (StatusWord::Done, _) if status.because.contains(&Why::ShutDown) => "done, shut down".into(),
        (StatusWord::Stopped, Some(Why::NoAutostart)) => "stopped, no autostart".into(),
        (StatusWord::Stopped, _) if status.severity == Severity::Error => "stopped, failed".into(),
        _ => word.into(),
    }
}

/// When a task runs that waits for nothing but its time.
fn next_run(status: &Status) -> Option<WallTime> {
    match (status.word, status.next.as_slice()) {
        (StatusWord::Waiting, [NextStep::Due { at, then: DueThen::Run }]) => Some(*at),
        _ => None,
    }
}

/// How it is painted.
pub(in crate::cli) fn tone(status: &Status) -> Tone {
    match status.severity {
        Severity::Ok => Tone::Good,
        Severity::Idle => Tone::Faint,
        Severity::Pending | Severity::Warning => Tone::Warn,
        Severity::Error => Tone::Bad,
    }
}

/// What a list says below its table, where the word is not enough: `starting: connection refused`.
pub(in crate::cli) fn line(status: &Status) -> Option<String> {
    let status_text = status.because.iter().find_map(|why| match why {
        Why::StatusText { text } => Some(text.as_str()),
        _ => None,
    });
    let found = status.because.iter().find_map(found);
    let more = match (found, status_text) {
        (Some(found), Some(status_text)) => format!("{found} (status: {status_text})"),
        (Some(found), None) => found,
        (None, Some(status_text)) => status_text.to_owned(),
        (None, None) => return None,
    };
    let of_itself = |step: &&NextStep| !matches!(step, NextStep::Heal { .. });
    let again = match status.next.iter().rev().find(of_itself) {
        Some(NextStep::Due { at, .. }) if status.word == StatusWord::Errored => {
            format!("; again at {}", Clock::local().second(*at))
        }
        Some(NextStep::StartIn { in_ms }) => format!("; restarts in {in_ms}"),
        _ => String::new(),
    };
    Some(format!("{}: {}{again}", status.word.as_str(), harmless(&more)))
}

/// A cause as shown after a colon; none where the word is enough.
fn found(why: &Why) -> Option<String> {
    Some(match why {
        Why::NotReady { last } => last.clone()?,
        Why::Unhealthy { failures: 1, last } => last.clone(),
        Why::Unhealthy { failures, last } => format!("{failures} in a row: {last}"),
        Why::Hook { hook, runs_ms, limit_ms } => {
            format!("hook {} runs, {runs_ms} of at most {limit_ms}", hook.as_str())
        }
        Why::Failed { failure } | Why::Refused { failure } => failure.to_string(),
        Why::Unstable { starts: 1, .. } => "its last start was unstable".to_owned(),
        Why::Unstable { starts, .. } => format!("{starts} unstable starts in a row"),
        Why::EndedFor { failure } if failure.is_passing() => failure.to_string(),
        Why::WaitsFor { app, condition, why, waits_ms } => {
            format!("{waits_ms} for {app} to be {}: {}", condition.as_str(), unmet(why))
        }
        Why::AwaitsPlace { limit, is_declared } => place(*limit, *is_declared),
        Why::Builds { runs_ms, limit_ms } => format!("its build runs, {runs_ms} of at most {limit_ms}"),
        Why::Awaits { app, condition, why } => format!("{app} is not {} yet: {}", condition.as_str(), unmet(why)),
        Why::Blocked { app, condition, why } => format!("{app} is not {}: {}", condition.as_str(), unmet(why)),
        Why::Rejected { why } => rejection(why),
        Why::Completed { exit } if !exit.is_success() => exit.to_string(),
        _ => return None,
    })
}

/// The causes as sentences without their beginning `because`, nearest first.
pub(in crate::cli) fn causes(status: &Status) -> Vec<String> {
    status.because.iter().map(|why| harmless(&cause(why)).into_owned()).collect()
}

fn cause(why: &Why) -> String {
    match why {
        Why::Started { cause } => format!("its process was started ({})", because(cause)),
        Why::Declared => "it is declared and was not stopped".to_owned(),
        Why::NotReady { last: Some(last) } => format!("it is not ready yet: {last}"),
        Why::NotReady { last: None } => "it is not ready yet".to_owned(),
        Why::Unhealthy { failures, last } => format!("its health probe failed {failures} times in a row: {last}"),
        Why::Restarted { restarts: 1 } => "it has had 1 restart that nobody requested".to_owned(),
        Why::Restarted { restarts } => format!("it has had {restarts} restarts that nobody requested"),
        Why::EndedFor { failure } => ended_for(failure),
        Why::LastExit { exit: Exit::Unknown } => {
            "its last process ended with an unknown exit status (nothing was watching)".to_owned()
        }
        Why::LastExit { exit } => format!("its last process ended with {exit}"),
        Why::SpecLost => "its spec was lost; an apply that declares it replaces it".to_owned(),
        Why::Unreachable => {
            "nobody can connect to its socket: the file was removed or replaced, or the socket was shut \
                             down; an apply, a restart or a reload opens it again"
                .to_owned()
        }
        Why::Hook { hook, runs_ms, .. } => format!("its hook `{}` has been running for {runs_ms}", hook.as_str()),
        Why::StatusText { text } => format!("its status text is: {text}"),
        Why::Asked => "it was asked to stop".to_owned(),
        Why::Unstable { starts, delay_ms, at_once, stable_ms } => unstable(*starts, *delay_ms, *at_once, *stable_ms),
        Why::UnstableBefore { starts: 1, at_once } => {
            format!("the start before this one was unstable; up to {at_once} in a row are followed by the next at once")
        }
        Why::UnstableBefore { starts, at_once } => format!(
            "{starts} starts in a row before this one were unstable; up to {at_once} are followed by the next at once"
        ),
        Why::FixedDelay { delay_ms } => format!("every restart of it waits {delay_ms} (restart_delay)"),
        Why::Failed { failure } => failure.to_string(),
        Why::Completed { exit } => format!("it ended with {exit}, which its policy counts as done"),
        Why::WaitsFor { app, condition, why, waits_ms } => {
            format!("it has been waiting {waits_ms} for {app} to be {}: {}", condition.as_str(), unmet(why))
        }
        Why::Suspended => "its process is suspended by a signal and does nothing until it gets SIGCONT".to_owned(),
        Why::AwaitsPlace { limit, is_declared } => format!("it waits for its turn: {}", place(*limit, *is_declared)),
        Why::Builds { runs_ms, limit_ms } => {
            format!("its build has been running for {runs_ms}, of at most {limit_ms}")
        }
        Why::Awaits { app, condition, why } => {
            format!("it depends on {app}, which is not {} yet: {}", condition.as_str(), unmet(why))
        }
        Why::Blocked { app, condition, why } => {
            format!("it depends on {app}, which is not {}: {}", condition.as_str(), unmet(why))
        }
        Why::Rejected { why } => format!("the declared revision {}: {}", rejected(why), rejection(why)),
        Why::Refused { failure } => format!("it could not be started: {failure}"),
        Why::Leaving => "an apply deletes it once everything else in that apply has succeeded".to_owned(),
        Why::Undeclared => "no file declares it any more".to_owned(),
        Why::ShutDown => "everything was stopped by `pm shutdown`".to_owned(),
        Why::StoppedBy { by, is_held: true } => format!("it was stopped by {by} and is held"),
        Why::StoppedBy { by, is_held: false } => format!("it was stopped by {by}"),
        Why::SlotStopped => "only this copy was stopped".to_owned(),
        Why::NoAutostart => "it has not been started yet (autostart = false)".to_owned(),
        Why::NoInstances => "it is declared with 0 instances".to_owned(),
        Why::NotDue => "its next run is not due yet".to_owned(),
        Why::NotStarted => "nothing has started it yet".to_owned(),
        Why::Outdated => "its process runs an older revision than the last applied one".to_owned(),
    }
}

fn place(limit: u32, is_declared: bool) -> String {
    let whose = if is_declared { "start_concurrency" } else { "what starts by itself" };
    match limit {
        1 => format!("one process starts at a time ({whose})"),
        limit => format!("only {limit} processes start at the same time ({whose})"),
    }
}

fn unstable(starts: u32, delay: Millis, at_once: u32, stable: Millis) -> String {
    let count = match starts {
        1 => "its last start was unstable".to_owned(),
        starts => format!("{starts} starts in a row were unstable"),
    };
    match at_once {
        0 => format!("{count}; every restart waits {delay} (restart_delay), a run of {stable} ends the count"),
        most => format!(
            "{count}: the first {most} are followed by the next at once, then each after a longer wait, now {delay}; \
             a run of {stable} ends the count"
        ),
    }
}

fn ended_for(failure: &Failure) -> String {
    match failure {
        Failure::OverMemory { used, limit } => {
            format!("its last process was stopped over its memory limit: {used} of {limit}")
        }
        Failure::Unhealthy { why } => format!("its last process was stopped as unhealthy: {why}"),
        Failure::Spawn { error } => format!("its last start failed: {error}"),
        other => format!("its last process {other}"),
    }
}

/// What happens next, in one sentence.
pub(in crate::cli) fn next(status: &Status) -> String {
    let steps: Vec<String> = status.next.iter().map(|step| self::step(step, &Clock::local())).collect();
    steps.join("; ")
}

fn step(step: &NextStep, clock: &Clock) -> String {
    match step {
        NextStep::RunsOn { restart: RestartWhen::Never } => "nothing; if it ends, it is not restarted".to_owned(),
        NextStep::RunsOn { restart: RestartWhen::OnFailure } => "nothing; if it fails, it is restarted".to_owned(),
        NextStep::RunsOn { restart: RestartWhen::Always } => "nothing; if it ends, it is restarted".to_owned(),
        NextStep::ReadyWithin { within_ms } => {
            format!("it is probed again; if it is not ready within {within_ms}, it has failed")
        }
        NextStep::RestartAfterFailures { failures } => format!("it is restarted after {failures} more failures"),
        NextStep::OnlyReported => "nothing; a failing health probe is only reported (action = \"none\")".to_owned(),
        NextStep::Spawn { after_hook_ms: Some(limit) } => {
            format!("its process starts once the hook succeeds, within {limit}")
        }
        NextStep::Spawn { after_hook_ms: None } => "it is being started".to_owned(),
        NextStep::Kill { patience_ms, after_hook_ms: Some(limit) } => format!(
            "it is asked to stop once the hook ends, after {limit} at the latest; SIGKILL follows if it still runs \
             {patience_ms} after that"
        ),
        NextStep::Kill { patience_ms, after_hook_ms: None } => {
            format!("SIGKILL, if it still runs in {patience_ms}")
        }
        NextStep::StartIn { in_ms } => format!("it is restarted in {in_ms}"),
        NextStep::StartWhenMet => "it is started as soon as that has happened".to_owned(),
        NextStep::TryAgain => "nothing until `pm apply`, `pm start` or `pm restart`".to_owned(),
        NextStep::RunAgain => "nothing; `pm restart` runs it again".to_owned(),
        NextStep::Unhold => "nothing until `pm unhold`, and then `pm start` or `pm apply`".to_owned(),
        NextStep::Start => "nothing until `pm start` or `pm apply`".to_owned(),
        NextStep::Scale => "nothing until `pm scale`, or an apply of a file with more `instances`".to_owned(),
        NextStep::StartByHand => "nothing until `pm start`".to_owned(),
        NextStep::Removal => "it is removed".to_owned(),
        NextStep::Heal { aim, when } => heal(aim, *when, clock),
        NextStep::Due { at, then } => due(&clock.second(*at), *then),
    }
}

/// What `self_heal` does about an app, and when.
pub(super) fn heal(aim: &HealAim, when: HealWhen, clock: &Clock) -> String {
    let what = match aim {
        HealAim::Contents { .. } => "replaces its processes".to_owned(),
        HealAim::Scale { to, .. } => format!("restores {to} as in the file"),
    };
    match when {
        HealWhen::At { at } => format!("self_heal {what}, not before {}", clock.second(at)),
        HealWhen::Paused { until, count } => {
            format!("self_heal {what} at {}: it pauses after {count} times in a row", clock.second(until))
        }
        HealWhen::Failed => {
            "self_heal does not replace its processes: those with these contents have failed".to_owned()
        }
    }
}

fn due(at: &str, then: DueThen) -> String {
    match then {
        DueThen::Restart => format!("a restart is due at {at}"),
        DueThen::Run => format!("it runs at {at}; `pm cron run` runs it now"),
        DueThen::LeftOutIfWaiting => format!("the run due at {at} is skipped if it is still waiting then"),
        DueThen::LeftOutIfRunning => format!("the run due at {at} is skipped if this run is still going"),
        DueThen::Queued => format!("the run due at {at} waits until this one ends"),
        DueThen::Replaced => format!("the run due at {at} replaces this one"),
    }
}
