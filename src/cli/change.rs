//! Following a change to its end: apply, edits and shutdown alike.

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::args::JsonArgs;
use super::fail::{Code, CommandError, Ending};
use super::live::{ChangeView, Steps};
use super::output::{Screen, plan_text, progress};
use super::session::Session;
use crate::client::{ClientError, Messages};
use crate::model::{Millis, Note, Origin, Plan, ProjectName};
use crate::os;
use crate::wire::{AcceptedPlan, ChangeMessage, EditRequest, FORMAT, ProjectReport, ProjectRow, Selection};
use crate::wire::{Edit, OperationResult, Progress};

const GOES_ON: &str = "\ninterrupted: the change continues in the background; `pm list` shows how far it is\n";
const MAY_GO_ON: &str = "\ninterrupted before the daemon answered: if it accepted the change, the change continues in the background; `pm events` shows it\n";

/// How long a command waits for what it has caused.
#[derive(Args, Debug, Clone, Default)]
pub(super) struct WaitArgs {
    /// Wait until everything runs (the default)
    #[arg(long, conflicts_with = "detach")]
    pub wait: bool,
    /// Return as soon as the change is accepted
    #[arg(long)]
    pub detach: bool,
    /// Wait no longer than this (exit 7; the change continues)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Millis>,
    /// Print only failures
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub json: JsonArgs,
}

pub(in crate::cli) fn duration(text: &str) -> Result<Millis, String> {
    Millis::parse(text).map_err(|error| format!("{error}: write `30s`, `500ms`, `2m`"))
}

/// How a change ended, as `--json`.
#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    exit_code: u8,
    plans: &'a [AcceptedPlan],
    reports: &'a [ProjectReport],
}

/// How a command ends in words, where that is not simply the count of what was done.
#[derive(Default)]
pub(super) struct Closing {
    /// In the place of `nothing to do`.
    pub nothing: Option<String>,
    /// Of changes by hand to apps that a file declares: `(files)` is what a later apply does about it.
    pub next_apply: Option<fn(&str) -> String>,
    /// Everything ends: a count is enough, and what failed.
    pub failures_only: bool,
}

/// The message of Ctrl-C between the request of a change and its plan.
pub(super) fn say_on_interrupt() {
    // Refused only by a kernel that refuses everything; then Ctrl-C just ends us.
    let _ = os::say_on_interrupt(MAY_GO_ON);
}

/// Makes a change without a file and follows it.
pub(super) fn edit(session: &mut Session, edit: Edit, selection: Selection, wait: &WaitArgs) -> Ending {
    edit_and_close(session, edit, selection, wait, Closing::default())
}

/// As [`edit`], with words of its own at the end.
pub(super) fn edit_and_close(
    session: &mut Session,
    edit: Edit,
    selection: Selection,
    wait: &WaitArgs,
    closing: Closing,
) -> Ending {
    session.screen.is_json = wait.json.json;
    let mut client = Session::client()?;
    // Asked before: a delete may forget the project.
    let projects = if closing.next_apply.is_some() { client.projects()?.projects } else { Vec::new() };
    say_on_interrupt();
    let messages = client.edit(&EditRequest { edit, selection })?;
    Follower { projects, ..Follower::new(session, wait, None, closing) }.run(messages)
}

/// Follows a change to its end, or as long as the user wants to wait.
///
/// `origin`: the files that the change comes from, for the heading of its plan.
pub(super) fn follow(
    session: &mut Session,
    messages: Messages<ChangeMessage>,
    wait: &WaitArgs,
    origin: Option<&Origin>,
) -> Ending {
    follow_and_close(session, messages, wait, origin, Closing::default())
}

/// As [`follow`], with words of its own at the end.
pub(super) fn follow_and_close(
    session: &mut Session,
    messages: Messages<ChangeMessage>,
    wait: &WaitArgs,
    origin: Option<&Origin>,
    closing: Closing,
) -> Ending {
    session.screen.is_json = wait.json.json;
    Follower::new(session, wait, origin, closing).run(messages)
}

/// The plan of a change, and how it goes.
struct Follower<'a> {
    session: &'a mut Session,
    wait: &'a WaitArgs,
    origin: Option<&'a Origin>,
    closing: Closing,
    /// Who owns what, if the closing words need it.
    projects: Vec<ProjectRow>,
    plans: Vec<AcceptedPlan>,
    /// What is going on.
    live: ChangeView,
    /// Waits that were already reported in a line of their own.
    reported_waits: Vec<String>,
}

impl<'a> Follower<'a> {
    fn new(session: &'a mut Session, wait: &'a WaitArgs, origin: Option<&'a Origin>, closing: Closing) -> Self {
        let (projects, plans, live, reported_waits) =
            (Vec::new(), Vec::new(), ChangeView::new(session.began), Vec::new());
        Self { session, wait, origin, closing, projects, plans, live, reported_waits }
    }

    /// Progress is shown in lines that are overwritten.
    fn is_live(&self) -> bool {
        !self.wait.quiet && !self.wait.json.json && self.session.screen.has_live_region()
    }

    fn run(mut self, messages: Messages<ChangeMessage>) -> Ending {
        let mut messages = if self.is_live() { Steps::watched(messages) } else { Steps::plain(messages) };
        let until = self.wait.timeout.and_then(|timeout| Instant::now().checked_add(timeout.duration()));
        messages.wait_until(until.or_else(|| Instant::now().checked_add(FIRST_ANSWER)));
        loop {
            let Some(step) = messages.next() else {
                self.live.look(Screen::live_lines_max());
                self.draw();
                continue;
            };
            let message = match step {
                Ok(Some(message)) => message,
                Ok(None) => return Err(lost("the daemon stopped before the change was complete")),
                // The answer has begun, so the change is kept already.
                Err(ClientError::TimedOut) => return Err(timed_out()),
                Err(ClientError::CutOff { source }) => {
                    return Err(lost(&format!("lost the connection to the daemon: {source}")));
                }
                Err(error) => return Err(error.into()),
            };
            match message {
                ChangeMessage::Accepted { plans, warnings } => {
                    let _ = os::say_on_interrupt(GOES_ON);
                    self.session.warn(&warnings);
                    self.accepted(plans);
                    if self.wait.detach {
                        return self.finish(&[], Code::Ok);
                    }
                    messages.wait_until(until);
                }
                ChangeMessage::Progress { project, progress } => self.progress(&project, progress),
                ChangeMessage::Missed { count, .. } => {
                    self.session.screen.note(&format!("  ({count} updates skipped)"));
                }
                ChangeMessage::Finished { reports } => {
                    let code = code_of(&reports);
                    return self.finish(&reports, code);
                }
                ChangeMessage::Interrupted { problem } => {
                    return Err(CommandError { exit_code: Code::TimedOut as u8, ..problem.into() });
                }
            }
        }
    }

    fn accepted(&mut self, plans: Vec<AcceptedPlan>) {
        if !self.wait.quiet && !self.wait.json.json && !self.closing.failures_only {
            let is_worth_telling = |plan: &Plan| !plan.is_empty() || !plan.notes.is_empty() || plan.summary.held > 0;
            for accepted in plans.iter().filter(|accepted| is_worth_telling(&accepted.plan)) {
                let (paint, width) = (self.session.screen.paint_notes(), self.session.screen.notes_width());
                let text = plan_text(&accepted.plan, self.origin, paint, width);
                self.session.screen.note(text.trim_end());
            }
        }
        self.plans = plans;
    }

    fn draw(&mut self) {
        if self.is_live() {
            let lines = self.live.lines(Screen::live_lines_max());
            self.session.screen.live(&lines);
        }
    }

    fn progress(&mut self, project: &ProjectName, progress: Progress) {
        match progress {
            Progress::Began { app, verb } => self.live.began(project, &app, verb),
            Progress::Ended(report) => {
                self.live.ended(&report.app);
                let is_bad = !matches!(report.result, OperationResult::Done | OperationResult::Completed);
                let is_wanted = !self.wait.quiet && !self.wait.json.json && !self.closing.failures_only;
                if is_bad || is_wanted {
                    let paint = self.session.screen.paint_notes();
                    self.session.screen.note(&progress::ended(&report, paint));
                }
            }
            Progress::Waits { app, waits_for } => {
                let text = progress::waits(&app, &waits_for);
                self.waits(&format!("{app} {}", waits_for.app), &text);
                self.live.waits(&app, text);
            }
            // The live region knows it, and knows when it is over.
            Progress::Unready { instance, why } => {
                self.waits(&instance.to_string(), &progress::unready(&instance, &why));
            }
            Progress::Paused { app } => {
                let text = progress::paused(&app);
                self.waits(&format!("{app} paused"), &text);
                self.live.waits(&app, text);
            }
            Progress::Left { app, processes, .. } if !self.wait.json.json => {
                self.session.screen.note(&progress::left(&app, &processes));
            }
            Progress::Left { .. } | Progress::Finished(_) => {}
        }
        self.draw();
    }

    /// Without a live region each wait (by its key) is reported once.
    fn waits(&mut self, key: &str, text: &str) {
        if self.wait.quiet || self.wait.json.json {
            return;
        }
        if self.session.screen.has_live_region() {
            return;
        }
        if !self.reported_waits.iter().any(|told| told == key) {
            self.reported_waits.push(key.to_owned());
            self.session.screen.note(text);
        }
    }

    fn finish(self, reports: &[ProjectReport], code: Code) -> Ending {
        let after = self.next_apply();
        let Self { session, wait, plans, origin, closing, .. } = self;
        let is_saved = plans.iter().any(|accepted| {
            accepted.accepted_generation != accepted.plan.generation
                || accepted.plan.notes.iter().any(Note::is_about_a_change)
        });
        if wait.json.json {
            session.screen.json(&Document { format: FORMAT, exit_code: code as u8, plans: &plans, reports })?;
            session.screen.is_json = false;
        } else if !wait.quiet {
            let is_nothing = reports.iter().all(|report| report.report.operations.is_empty());
            let last = match closing.nothing {
                _ if wait.detach => "accepted; the change continues in the background".to_owned(),
                Some(words) if is_nothing => words,
                _ if is_nothing && is_saved => "saved; no process had to be started or stopped".to_owned(),
                _ => progress::summary(reports),
            };
            // The plan shows the profile; without a plan it has not been shown yet.
            let profile = origin.and_then(|origin| origin.profile.as_deref()).filter(|_| is_nothing && !wait.detach);
            let profile = profile.map(|name| format!(" (profile {name})")).unwrap_or_default();
            session.screen.note(&format!("{last}{profile}"));
            if let Some(after) = after {
                session.screen.note(&after);
            }
        }
        Ok(code)
    }

    /// What a later apply will do about a change by hand.
    fn next_apply(&self) -> Option<String> {
        let words = self.closing.next_apply?;
        let touched = self.plans.iter().filter(|accepted| !accepted.plan.is_empty()).map(|accepted| &accepted.plan);
        let of_plan = |plan: &Plan| self.projects.iter().find(|row| row.project == plan.project);
        let files: Vec<String> =
            touched.filter_map(of_plan).flat_map(|row| &row.files).map(|file| file.display().to_string()).collect();
        (!files.is_empty()).then(|| words(&files.join(", ")))
    }
}

/// The daemon went away after it had accepted: the next one carries on. Its answer begins only when the change is kept.
pub(super) fn lost(message: &str) -> CommandError {
    CommandError::new(Code::TimedOut, message)
        .hint("the change is accepted and saved; the next daemon continues it; `pm list` shows how far it is")
}

/// The daemon accepts a change (planning and one write to the disk) within this.
const FIRST_ANSWER: Duration = Duration::from_mins(1);

fn timed_out() -> CommandError {
    CommandError::new(Code::TimedOut, "timed out; the change continues in the background")
        .hint("`pm list` shows how far it is")
}

/// Failed before skipped. What a later command has taken over was not done by this one.
pub(super) fn code_of(reports: &[ProjectReport]) -> Code {
    let results = || reports.iter().flat_map(|report| &report.report.operations).map(|operation| &operation.result);
    if results().any(|result| matches!(result, OperationResult::Failed { .. })) {
        Code::Unhealthy
    } else if results().any(|result| matches!(result, OperationResult::Skipped { .. } | OperationResult::Superseded)) {
        Code::Partly
    } else {
        Code::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Skip, VerbKind};
    use crate::wire::{OperationReport, Report, Rollback};

    #[test]
    fn a_failure_counts_before_a_skip() {
        let failed = || OperationResult::Failed {
            instance: "shop:api/0".parse().unwrap(),
            failure: None,
            exit: None,
            last_lines: Vec::new(),
            rollback: Rollback::None,
        };
        let skipped = || OperationResult::Skipped { why: Skip::DeletesWithheld };
        let code = |results: Vec<OperationResult>| {
            let operation = |result| OperationReport {
                app: "api".parse().unwrap(),
                verb: VerbKind::Start,
                result,
                took: Millis(1),
            };
            let operations = results.into_iter().map(operation).collect();
            let report = Report { operations, ..Report::default() };
            code_of(&[ProjectReport { project: "shop".parse().unwrap(), report }]) as u8
        };
        assert_eq!(code(vec![]), 0);
        assert_eq!(code(vec![OperationResult::Done, OperationResult::Completed]), 0);
        assert_eq!(code(vec![OperationResult::Done, OperationResult::Superseded]), 3);
        assert_eq!(code(vec![OperationResult::Superseded, failed()]), 6);
        assert_eq!(code(vec![OperationResult::Done, skipped()]), 3);
        assert_eq!(code(vec![skipped(), failed()]), 6);
    }
}
