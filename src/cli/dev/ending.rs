//! The end of `pm dev`: everything stops, and what the apps print meanwhile is still shown.

use std::collections::BTreeSet;
use std::time::Duration;

use super::events::DevEvent;
use super::{Dev, apps_of};
use crate::cli::change::code_of;
use crate::cli::fail::{Code, CommandError, Ending};
use crate::cli::output::progress;
use crate::cli::session::Session;
use crate::client::{DaemonEnd, Messages};
use crate::model::{AppName, Millis, OperationResult, Progress};
use crate::os;
use crate::wire::{ChangeMessage, Edit, EditRequest, LogMessage, LogsQuery, Scope, Selection};

/// How long there is nothing to be shown before the screen is written.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the last lines may take, when it is known which is the last one.
const LAST_LINES_MAX: Millis = Millis::seconds(2);
/// A daemon that leaves has sent everything; it is read without waiting for more.
const LAST_LINE: Duration = Duration::from_millis(50);

impl Dev<'_> {
    /// Everything stops; what was declared here is deleted, and a daemon that was started for it ends.
    /// A command that could not even begin leaves alone what others had declared.
    pub(super) fn clear_away(mut self, before: &BTreeSet<AppName>, has_begun: bool, was_running: bool) -> Ending {
        self.region.clear(&mut self.session.screen);
        if has_begun {
            self.session.screen.note("dev: stopping all apps");
        }
        let all = apps_of(&self.project)?;
        let (old, new): (BTreeSet<AppName>, BTreeSet<AppName>) =
            all.iter().cloned().partition(|app| before.contains(app));
        // All of it is requested before any of it is waited for: a second Ctrl-C must not leave a half. What fails keeps
        // nothing else from being done.
        let (mut ending, mut waits_for) = (Ok(Code::Ok), 0);
        for (edit, apps) in [(Edit::Delete, new), (Edit::Stop { is_held: false }, old)] {
            if has_begun && !apps.is_empty() {
                let request = EditRequest { edit, selection: self.selection_of(&apps) };
                match ask_for(&request, was_running) {
                    Ok(messages) => {
                        self.events.follow_ending(messages);
                        waits_for += 1;
                    }
                    Err(error) => ending = first_bad(ending, Err(error)),
                }
            }
        }
        while waits_for > 0 {
            if let Some(ended) = self.next_of_ending() {
                ending = first_bad(ending, ended);
                waits_for -= 1;
            }
        }
        if has_begun {
            self.print_last_lines(&all);
        }
        if !was_running && let Ok(Some(mut client)) = Session::client_if_running() {
            // Refused if somebody else's apps run by now, which is right.
            let _ = client.end_daemon(DaemonEnd::Stop);
        }
        let Self { session, events, .. } = self;
        events.end();
        if has_begun {
            session.screen.note(if ending.is_ok() {
                "dev: everything is cleaned up"
            } else {
                "dev: not everything could be cleaned up"
            });
        }
        ending
    }

    fn selection_of(&self, apps: &BTreeSet<AppName>) -> Selection {
        let scope = Scope { project: Some(self.project.clone()), ..Scope::default() };
        Selection { selectors: apps.iter().map(AppName::to_string).collect(), scope }
    }

    /// Shows what happens next, if it does so in time. How it went, if it was the end of one of the changes.
    fn next_of_ending(&mut self) -> Option<Ending> {
        let message = match self.events.next_of_ending(LOOK_EVERY) {
            Some(DevEvent::Ending(Ok(message))) => message,
            Some(DevEvent::Ending(Err(error))) => return Some(Err(error)),
            Some(DevEvent::Log(message)) => {
                self.last_words(message);
                return None;
            }
            _ => {
                self.session.screen.write_now();
                return None;
            }
        };
        match message {
            ChangeMessage::Progress { progress: Progress::Ended(report), .. }
                if !matches!(report.result, OperationResult::Done | OperationResult::Completed) =>
            {
                let paint = self.session.screen.paint_notes();
                self.session.screen.note(&progress::ended(&report, paint));
            }
            ChangeMessage::Progress { progress: Progress::Left { app, processes, .. }, .. } => {
                self.session.screen.note(&progress::left(&app, &processes));
            }
            ChangeMessage::Finished { reports } => return Some(Ok(code_of(&reports))),
            ChangeMessage::Interrupted { problem } => {
                return Some(Err(CommandError { exit_code: Code::TimedOut as u8, ..problem.into() }));
            }
            ChangeMessage::Accepted { .. } | ChangeMessage::Progress { .. } | ChangeMessage::Missed { .. } => {}
        }
        None
    }

    /// A line, unless nobody reads: the end does not wait for that.
    fn last_words(&mut self, message: LogMessage) {
        self.session.screen.write_now();
        if let LogMessage::Line(line) = &message {
            self.printed = self.printed.max(Some(line.at));
        }
        if !self.session.screen.is_full() && !self.session.screen.is_unread() {
            self.log(message);
        }
    }

    /// What the apps have printed last is still on its way.
    fn print_last_lines(&mut self, apps: &BTreeSet<AppName>) {
        let query = LogsQuery { selection: self.selection_of(apps), lines: Some(1), ..LogsQuery::default() };
        let newest = Session::client_if_running().ok().flatten().and_then(|mut client| client.logs(&query).ok());
        let newest = newest.and_then(|answer| answer.lines.iter().map(|line| line.at).max());
        // What was printed before this command began is not shown.
        let newest = newest.filter(|at| *at >= self.events.began());
        let give_up = os::now().after(LAST_LINES_MAX);
        while os::now() < give_up {
            match self.events.next_of_ending(LAST_LINE) {
                Some(DevEvent::Log(message)) => self.last_words(message),
                Some(_) => {}
                None if newest > self.printed => {}
                None => return,
            }
        }
    }
}

/// The first that is not good is how it ended.
fn first_bad(before: Ending, now: Ending) -> Ending {
    if let Ok(Code::Ok) = before { now } else { before }
}

fn ask_for(request: &EditRequest, was_running: bool) -> Result<Messages<ChangeMessage>, CommandError> {
    let client = Session::client()?;
    Ok(if was_running { client.edit(request) } else { client.edit_and_leave(request) }?)
}
