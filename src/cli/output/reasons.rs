//! Typed reasons in words: why something waits, is skipped or is not tried again.

use crate::model::{AppName, Condition, Exit, Failure, Rejection, RunSkip, Skip, Unmet};

/// Why a dependency is not met: `it is still running`.
pub(super) fn unmet(why: &Unmet) -> String {
    match why {
        Unmet::NotStarted => "it has not been started yet".to_owned(),
        Unmet::NotDue => "its next run is not due yet".to_owned(),
        Unmet::Starting => "it is being started".to_owned(),
        Unmet::NotReady { last: None } => "it is not ready yet".to_owned(),
        Unmet::NotReady { last: Some(last) } => last.clone(),
        Unmet::Running => "it is still running".to_owned(),
        Unmet::Stopping => "it is being stopped".to_owned(),
        Unmet::Backoff { starts, exit } => {
            let exit = exit.map(|exit| format!(", its last process ended with {exit}")).unwrap_or_default();
            match starts {
                0 => format!("it waits for its next start{exit}"),
                1 => format!("it waits for its next start after an unstable one{exit}"),
                starts => format!("it waits for its next start after {starts} unstable ones{exit}"),
            }
        }
        Unmet::Undeclared => "it is no longer declared".to_owned(),
        Unmet::StoppedBy { by } => format!("it was stopped by {by}"),
        Unmet::NoAutostart => "it has not been started yet (autostart = false)".to_owned(),
        Unmet::Leaving => "an apply deletes it".to_owned(),
        Unmet::Rejected { why: Rejection::Skipped { why } } => format!("its rollout was skipped: {}", skip(why)),
        Unmet::Rejected { why } => rejection(why),
        Unmet::Ended { exit } => format!("it ended with {exit}"),
        Unmet::Failed { failure } => failure.to_string(),
        Unmet::Blocked { app, condition, why } => blocked(app, *condition, why),
    }
}

fn blocked(app: &AppName, condition: Condition, why: &Unmet) -> String {
    format!("{app}, which it depends on, is not {}: {}", condition.as_str(), unmet(why))
}

/// Why an operation was skipped: `a dependency did not start`.
pub(super) fn skip(why: &Skip) -> String {
    match why {
        Skip::Blocked { app, condition, why } => blocked(app, *condition, why),
        Skip::DependencyFailed => "a dependency did not start".to_owned(),
        Skip::EarlierFailed => "an earlier step for this app did not succeed".to_owned(),
        Skip::DidNotComeUp => "its processes did not come up".to_owned(),
        Skip::DeletesWithheld => "nothing is deleted, because another operation did not succeed".to_owned(),
        Skip::Superseded => "a later command took over".to_owned(),
    }
}

/// What is wrong with a revision: `api/0 ended with exit code 7`.
pub(super) fn rejection(why: &Rejection) -> String {
    match why {
        Rejection::Failed { instance, failure, exit } => {
            format!("{}/{} {}", instance.app.name, instance.slot, reason(failure.as_ref(), *exit))
        }
        Rejection::Skipped { why } => skip(why),
    }
}

/// What became of a revision: `failed`, or it `was not rolled out`.
pub(super) fn rejected(why: &Rejection) -> &'static str {
    match why {
        Rejection::Failed { .. } => "failed",
        Rejection::Skipped { .. } => "was not rolled out",
    }
}

/// What was wrong with a new process.
pub(super) fn reason(failure: Option<&Failure>, exit: Option<Exit>) -> String {
    match (failure, exit) {
        (Some(failure), _) => failure.to_string(),
        (None, Some(exit)) => format!("ended with {exit}"),
        (None, None) => "did not come up".to_owned(),
    }
}

/// Why a scheduled run was skipped.
pub(super) fn run_skip(why: RunSkip) -> &'static str {
    match why {
        RunSkip::LastRuns => "the last run is still going",
        RunSkip::LastWaits => "the last run is still waiting for its dependencies",
        RunSkip::Queued => "another run is already waiting for the last one to end",
        RunSkip::ClockSet => "the clock was set forward past it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_every_app_up_to_the_one_that_failed() {
        let instance = "shop:migrate/0".parse().unwrap();
        let failed = Rejection::Failed { instance, failure: None, exit: Some(Exit::Code(7)) };
        let mid = Unmet::Blocked {
            app: "migrate".parse().unwrap(),
            condition: Condition::Completed,
            why: Box::new(Unmet::Rejected { why: failed }),
        };
        let web = Skip::Blocked { app: "mid".parse().unwrap(), condition: Condition::Ready, why: mid };
        assert_eq!(
            skip(&web),
            "mid, which it depends on, is not ready: migrate, which it depends on, is not completed: migrate/0 ended \
             with exit code 7"
        );
    }

    #[test]
    fn a_reason_is_data_in_json() {
        let exit = Exit::Code(1);
        for (why, json) in [
            (Unmet::Running, r#"{"is":"running"}"#.to_owned()),
            (Unmet::NotReady { last: Some("refused".into()) }, r#"{"is":"not_ready","last":"refused"}"#.to_owned()),
            (
                Unmet::Failed { failure: Failure::Exited { exit } },
                format!(
                    r#"{{"is":"failed","failure":{{"because":"exited","exit":{}}}}}"#,
                    serde_json::to_string(&exit).unwrap()
                ),
            ),
        ] {
            assert_eq!(serde_json::to_string(&why).unwrap(), json);
            assert_eq!(serde_json::from_str::<Unmet>(&json).unwrap(), why);
        }
    }
}
