//! The progress of a change: one line per finished action, and what holds others up.

use crate::model::{AppName, InstanceId, LeftProcess, Millis, Unready, VerbKind};
use crate::wire::ProjectReport;
use crate::wire::{OperationReport, OperationResult, Rollback, WaitsFor};

use super::Paint;
use super::gate::harmless;
use super::reasons;

/// Longest wall of output shown for one failure.
const LINES_MAX: usize = 20;

/// One finished action.
pub(in crate::cli) fn ended(report: &OperationReport, paint: Paint) -> String {
    let app = report.app.as_str();
    let took = report.took;
    match &report.result {
        OperationResult::Done => {
            format!("  {} {app}: {} in {took}", paint.good("ok     "), past(report.verb))
        }
        OperationResult::Completed => format!("  {} {app}: completed in {took}", paint.good("ok     ")),
        OperationResult::Superseded => {
            format!("  {} {app}: {}: a later command took over", paint.warn("left   "), report.verb)
        }
        OperationResult::Skipped { why } => {
            let why = reasons::skip(why);
            format!("  {} {app}: {}: {}", paint.warn("skipped"), report.verb, harmless(&why))
        }
        OperationResult::Failed { instance, failure, exit, last_lines, rollback } => {
            let why = reasons::reason(failure.as_ref(), *exit);
            let slot = instance.slot;
            let mut text = format!("  {} {app}: {} failed: {app}/{slot} {why}", paint.bad("FAILED "), report.verb);
            text.push_str(aftermath(*rollback));
            if *rollback == Rollback::Failed {
                text.push_str(": see `pm list`");
            }
            let skipped = last_lines.len().saturating_sub(LINES_MAX);
            for line in &last_lines[skipped..] {
                text.push_str("\n          | ");
                text.push_str(&harmless(line));
            }
            text
        }
    }
}

/// What became of the version before.
pub(super) fn aftermath(rollback: Rollback) -> &'static str {
    match rollback {
        Rollback::None => "",
        Rollback::NotNeeded => "; the old version kept running",
        Rollback::Done => "; rolled back to the old version",
        Rollback::Failed => "; rollback failed: the old version could not be started",
    }
}

/// The last line.
pub(in crate::cli) fn summary(reports: &[ProjectReport]) -> String {
    let operations = || reports.iter().flat_map(|report| &report.report.operations);
    let count = |is_it: fn(&OperationResult) -> bool| operations().filter(|operation| is_it(&operation.result)).count();
    // What came up was no action of this command.
    let ready = operations().filter(|one| one.verb == VerbKind::Wait && one.result == OperationResult::Done).count();
    let took = reports.iter().map(|report| report.report.took).max().unwrap_or(Millis(0));
    if operations().next().is_none() {
        return "nothing to do".to_owned();
    }
    let mut parts = Vec::new();
    for (number, word) in [
        (count(|result| matches!(result, OperationResult::Done | OperationResult::Completed)) - ready, "done"),
        (ready, "ready"),
        (count(|result| matches!(result, OperationResult::Failed { .. })), "failed"),
        (count(|result| matches!(result, OperationResult::Skipped { .. })), "skipped"),
        (count(|result| matches!(result, OperationResult::Superseded)), "taken over by a later command"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {word}"));
        }
    }
    format!("{} in {took}", parts.join(", "))
}

/// What a start waits for: `  ... api waits for db to be ready: connection refused`.
pub(in crate::cli) fn waits(app: &AppName, waits_for: &WaitsFor) -> String {
    let WaitsFor { app: other, condition, why, .. } = waits_for;
    format!("  ... {app} waits for {other} to be {}: {}", condition.as_str(), harmless(&reasons::unmet(why)))
}

/// Why a new process does not count as up yet: `  ... api/0 is not ready yet: connection refused`. A hook may hold up a stop
/// as well.
pub(in crate::cli) fn unready(instance: &InstanceId, why: &Unready) -> String {
    let name = format!("{}/{}", instance.app.name, instance.slot);
    match why {
        Unready::Hook { hook, limit_ms } => {
            format!("  ... {name} waits for its hook `{}`, at most {limit_ms}", hook.as_str())
        }
        Unready::Build { limit_ms } => format!("  ... {name} waits for its build, at most {limit_ms}"),
        Unready::Probe { last, status_text: None } => format!("  ... {name} is not ready yet: {}", harmless(last)),
        Unready::Probe { last, status_text: Some(text) } => {
            format!("  ... {name} is not ready yet: {} (status: {})", harmless(last), harmless(text))
        }
    }
}

/// What a stop has left alone. No process: there may be one that cannot be found.
pub(in crate::cli) fn left(app: &AppName, processes: &[LeftProcess]) -> String {
    if processes.is_empty() {
        return format!(
            "  note: a process of {app} that had left its session before the anchor died may still run: it cannot be told \
             apart from others"
        );
    }
    let names = LeftProcess::list(processes);
    let names = harmless(&names);
    format!("  warning: left running, since it may belong to {app} or to another app: {names}; `pm shutdown` ends it")
}

/// Why a rollout does not continue.
pub(in crate::cli) fn paused(app: &AppName) -> String {
    format!("  ... the rollout of {app} is paused; `pm rollout resume {app}`")
}

fn past(verb: VerbKind) -> &'static str {
    match verb {
        VerbKind::Start => "started",
        VerbKind::Stop => "stopped",
        VerbKind::Roll | VerbKind::Replace => "replaced",
        VerbKind::Restart => "restarted",
        VerbKind::Wait => "ready",
        VerbKind::Scale => "scaled",
        VerbKind::Reconfigure => "reconfigured",
        VerbKind::Schedule => "scheduled",
        VerbKind::Rename => "renamed",
        VerbKind::Delete => "deleted",
        VerbKind::Keep => "kept",
        VerbKind::Hold => "held",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Exit, Skip};

    fn report(verb: VerbKind, result: OperationResult) -> OperationReport {
        OperationReport { app: "api".parse().unwrap(), verb, result, took: Millis(312) }
    }

    #[test]
    fn a_failure_is_told_with_its_exit_and_its_last_words() {
        let failed = OperationResult::Failed {
            instance: "shop:api/1".parse().unwrap(),
            failure: None,
            exit: Some(Exit::Code(3)),
            last_lines: vec!["no database".to_owned(), "\x1b[2Jbye".to_owned()],
            rollback: Rollback::Done,
        };
        assert_eq!(
            ended(&report(VerbKind::Roll, failed), Paint::default()),
            "  FAILED  api: roll failed: api/1 ended with exit code 3; rolled back to the old version\n          | no database\n          | \\u{1b}[2Jbye"
        );
        assert_eq!(
            ended(&report(VerbKind::Scale, OperationResult::Done), Paint::default()),
            "  ok      api: scaled in 312ms"
        );
    }

    #[test]
    fn the_summary_counts_what_became_of_the_actions() {
        let operations = vec![
            report(VerbKind::Start, OperationResult::Done),
            report(VerbKind::Start, OperationResult::Done),
            report(VerbKind::Wait, OperationResult::Done),
            report(VerbKind::Delete, OperationResult::Skipped { why: Skip::DeletesWithheld }),
        ];
        let report = crate::wire::Report { operations, generation: 1, took: Millis(1500) };
        let project = ProjectReport { project: "shop".parse().unwrap(), report };
        assert_eq!(summary(&[project]), "2 done, 1 ready, 1 skipped in 1.5s");
        assert_eq!(summary(&[]), "nothing to do");
    }
}
