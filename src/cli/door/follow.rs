//! A change until its end, without the words of `pm`'s own commands.

use std::collections::BTreeSet;

use super::super::change::lost;
use super::super::fail::{Code, CommandError, Ending};
use super::super::output::progress;
use super::super::session::Session;
use super::scene::everywhere;
use crate::client::{ClientError, Messages};
use crate::model::AppId;
use crate::os;
use crate::wire::{ChangeMessage, Edit, EditRequest, OperationResult, Progress, ProjectReport};

const GOES_ON: &str = "\ninterrupted: an accepted change continues in the background; `pm list` shows how far it is\n";

/// How a change ended.
#[derive(Debug)]
pub(super) struct DoorChange {
    pub code: Code,
    /// Apps that have got new processes by it.
    pub renewed: BTreeSet<AppId>,
}

/// Makes a change to these apps and follows it.
///
/// # Errors
/// The daemon refuses it, or is lost.
pub(super) fn edit(session: &mut Session, edit: Edit, selectors: Vec<String>) -> Ending {
    if selectors.is_empty() {
        return Ok(Code::Ok);
    }
    // Refused only by a kernel that refuses everything; then Ctrl-C just ends us.
    let _ = os::say_on_interrupt(GOES_ON);
    let request = EditRequest { edit, selection: everywhere(selectors) };
    let messages = Session::client()?.edit(&request)?;
    follow(session, messages).map(|change| change.code)
}

/// Follows a change to its end; what fails is told on standard error.
///
/// # Errors
/// The daemon ended in the middle.
pub(super) fn follow(session: &mut Session, mut messages: Messages<ChangeMessage>) -> Result<DoorChange, CommandError> {
    let mut renewed = BTreeSet::new();
    let cut_off = |error| match error {
        ClientError::CutOff { source } => lost(&format!("lost the connection to the daemon: {source}")),
        error => error.into(),
    };
    while let Some(message) = messages.read().map_err(cut_off)? {
        match message {
            ChangeMessage::Accepted { plans, warnings } => {
                session.warn(&warnings);
                for accepted in plans {
                    let project = &accepted.plan.project;
                    let operations = accepted.plan.operations.iter();
                    let new = operations.filter(|operation| !operation.verb.new_processes().is_empty());
                    renewed.extend(new.map(|operation| AppId::new(project.clone(), operation.app.clone())));
                }
            }
            ChangeMessage::Progress { progress: Progress::Ended(report), .. } => {
                if !matches!(report.result, OperationResult::Done | OperationResult::Completed) {
                    let paint = session.screen.paint_notes();
                    session.screen.note(&progress::ended(&report, paint));
                }
            }
            ChangeMessage::Progress { .. } | ChangeMessage::Missed { .. } => {}
            ChangeMessage::Finished { reports } => return Ok(DoorChange { code: code_of(&reports), renewed }),
            ChangeMessage::Interrupted { problem } => return Err(problem.into()),
        }
    }
    Err(lost("the daemon stopped before the change was complete"))
}

/// Whether everything was done; PM2 has no more exit codes than two.
fn code_of(reports: &[ProjectReport]) -> Code {
    let mut results = reports.iter().flat_map(|report| &report.report.operations).map(|operation| &operation.result);
    let is_bad =
        |result: &OperationResult| matches!(result, OperationResult::Failed { .. } | OperationResult::Skipped { .. });
    if results.any(is_bad) { Code::Unhealthy } else { Code::Ok }
}
