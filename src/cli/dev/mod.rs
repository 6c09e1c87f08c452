//! The loop of `pm dev`: apply, show, apply again when the file is saved, clean up.
//!
//! One loop owns the screen. Everything that can happen (lines, events, steps of a change, keys, Ctrl-C) waits for it
//! in one channel, filled by threads that only read.

mod ending;
pub(super) mod events;
mod region;
mod saved;

use std::collections::BTreeSet;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::fail::{Code, CommandError, Ending};
use super::file::{self, Daemon, FileArgs};
use super::output::lines::LineFormat;
use super::output::{event, harmless, plan_text, progress};
use super::session::Session;
use crate::model::{App, AppName, ApplyGuard, ApplyOptions, Event, Fact, Millis, ProjectName, Proposed, WallTime};
use crate::os;
use crate::wire::{
    ApplyRequest, ChangeMessage, Edit, EditRequest, EventMessage, LogMessage, OperationResult, PlanDetail, Progress,
    Scope, Selection,
};
use events::{DevEvent, DevEvents};
use region::DevRegion;
use saved::SavedFiles;

/// How often a reader who does not read is tried again.
const READ_AGAIN_AFTER: Millis = Millis(20);
/// How often the file is looked at. Few files, any file system.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const AT_ONCE: &str = "\nleft: apps that still run are being stopped in the background; `pm list` shows them\n";

/// One run of `pm dev`.
struct Dev<'a> {
    session: &'a mut Session,
    file: FileArgs,
    has_watch: bool,
    project: ProjectName,
    files: SavedFiles,
    lines: LineFormat,
    events: DevEvents,
    region: DevRegion,
    /// The newest line that was shown.
    printed: Option<WallTime>,
}

/// Runs until it is interrupted.
pub(super) fn run(session: &mut Session, file: FileArgs, no_watch: bool, timestamps: bool) -> Ending {
    let was_running = Session::client_if_running()?.is_some();
    // Before anything is declared: from here on an interrupt means that it is cleared away again.
    let interrupts =
        os::Interrupts::listen(AT_ONCE).map_err(|error| CommandError::system("cannot listen for Ctrl-C", &error))?;
    let worktree = Some(file.worktree == Some(true) && !is_applied_here(&file)?);
    let file = FileArgs { worktree, ..file };
    let resolved = file::resolve(session, &file, false, Daemon::MayStart)?;
    let files = SavedFiles::of(&resolved.reading.files);
    let proposed = file::accept(session, resolved.reading)?;
    let project = proposed.project.clone();
    let file = FileArgs { files: proposed.origin.files.clone(), more_files: Vec::new(), ..file };
    let before = apps_of(&project)?;
    let keys = os::Keys::open().map_err(|error| CommandError::system("cannot read keys", &error))?;
    let events = DevEvents::start(&project, interrupts, keys.is_some())
        .map_err(|error| CommandError::system("cannot start a thread", &error))?;
    let lines = LineFormat::new(false, timestamps);
    session.screen.has_more_to_do = true;
    let mut dev = Dev {
        session,
        file,
        has_watch: !no_watch,
        project,
        files,
        lines,
        events,
        region: DevRegion::default(),
        printed: None,
    };
    let begun = dev.begin(proposed, keys.is_some());
    let has_begun = begun.is_ok();
    let ran = begun.and_then(|()| dev.follow());
    drop(keys);
    let cleared = dev.clear_away(&before, has_begun, was_running);
    ran.and(cleared)
}

/// Whether the project of these files was applied from their folder without its worktree: then that is what is worked on.
fn is_applied_here(file: &FileArgs) -> Result<bool, CommandError> {
    let (paths, _) = file::paths(file)?;
    let Some(folder) = paths.first().and_then(|path| path.parent()) else { return Ok(false) };
    let Some(mut client) = Session::client_if_running()? else { return Ok(false) };
    let projects = client.projects()?.projects;
    Ok(projects.iter().any(|row| row.folder == folder && !row.files.is_empty() && !row.project.is_of_worktree()))
}

impl Dev<'_> {
    fn begin(&mut self, proposed: Proposed, has_keys: bool) -> Result<(), CommandError> {
        let what = if has_keys { "r restarts all, q or Ctrl-C quits" } else { "Ctrl-C quits" };
        self.session.screen.note(&format!("dev: project {}; {what}", self.project));
        // What cannot be applied at all is an error of this command; later ones wait for the next save.
        self.apply(proposed)
    }

    /// Shows what happens until the user has enough.
    fn follow(&mut self) -> Result<(), CommandError> {
        let mut next_look = Instant::now() + LOOK_EVERY;
        loop {
            match self.events.next(next_look.saturating_duration_since(Instant::now())) {
                Ok(DevEvent::Interrupt | DevEvent::Key(b'q')) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                // Nobody looks any more, as after Ctrl-C.
                _ if self.session.screen.is_unread() => return Ok(()),
                Ok(DevEvent::Key(b'r')) => self.restart()?,
                Ok(DevEvent::Key(_) | DevEvent::Ending(_)) => {}
                Ok(DevEvent::Log(message)) => self.log(message),
                Ok(DevEvent::Event(message)) => self.event(message),
                Ok(DevEvent::Change(message)) => self.change(message),
                Ok(DevEvent::Broken(error)) => {
                    self.region.end();
                    self.session.screen.fail(&error);
                }
                Ok(DevEvent::Unfollowed) => self.region.end(),
                Err(RecvTimeoutError::Timeout) => self.session.screen.write_now(),
            }
            // Whoever does not read holds up the lines, and not Ctrl-C.
            while self.session.screen.is_full() && !os::Interrupts::have_come() {
                self.session.screen.write_now();
                os::pause(READ_AGAIN_AFTER);
            }
            if self.events.is_quiet() {
                self.region.draw(&mut self.session.screen);
            }
            if Instant::now() >= next_look {
                next_look = Instant::now() + LOOK_EVERY;
                if self.files.were_saved() {
                    self.apply_again();
                }
                for path in self.files.gone() {
                    let path = harmless(&path.to_string_lossy()).into_owned();
                    self.session.screen.note(&format!("dev: {path} is gone; the apps go on as it declared them"));
                }
            }
        }
    }

    /// The file was saved: an error in it is shown and changes nothing.
    fn apply_again(&mut self) {
        self.session.screen.note("dev: the file was saved");
        let read = file::resolve(self.session, &self.file, false, Daemon::MayStart).and_then(|resolved| {
            self.files.renew(&resolved.reading);
            file::accept(self.session, resolved.reading)
        });
        let applied = read.and_then(|proposed| {
            if proposed.project == self.project {
                return self.apply(proposed);
            }
            let message = format!(
                "the file now declares project `{}`, but this command runs `{}`",
                proposed.project, self.project
            );
            Err(CommandError::new(Code::File, message).hint("quit this command and start it again"))
        });
        if let Err(error) = applied {
            self.session.screen.fail(&error);
            self.session.screen.note("dev: nothing was changed");
        }
    }

    fn apply(&mut self, mut proposed: Proposed) -> Result<(), CommandError> {
        if !self.has_watch {
            proposed.apps.iter_mut().for_each(|app| app.watching.watch = None);
        }
        let copies =
            |app: &App| (0..app.instances.unwrap_or(1)).map(|slot| app.id().instance(slot)).collect::<Vec<_>>();
        self.lines.expect_copies(proposed.apps.iter().flat_map(copies));
        // Apps come and go while a file is written: that is what this command is for.
        let options = ApplyOptions {
            yes: true,
            guard: ApplyGuard { again: true, ..ApplyGuard::default() },
            ..ApplyOptions::default()
        };
        let messages = Session::client()?.apply(&ApplyRequest { proposed, options }, PlanDetail::Changes)?;
        self.region.begin();
        self.events.follow_change(messages);
        Ok(())
    }

    fn restart(&mut self) -> Result<(), CommandError> {
        let request = EditRequest { edit: Edit::Restart, selection: all_of(&self.project) };
        match Session::client()?.edit(&request) {
            Ok(messages) => {
                self.region.begin();
                self.events.follow_change(messages);
            }
            Err(error) => self.session.screen.fail(&error.into()),
        }
        Ok(())
    }

    fn log(&mut self, message: LogMessage) {
        self.region.clear(&mut self.session.screen);
        match message {
            LogMessage::Line(line) => {
                self.printed = self.printed.max(Some(line.at));
                self.lines.print(&mut self.session.screen, &line);
            }
            // The events tell it, and the names are known.
            LogMessage::Event { .. } | LogMessage::Begins { .. } => {}
            LogMessage::Unread { why } | LogMessage::LeftOut { why } => self.session.screen.note(&why),
            LogMessage::Missed { bytes } => {
                self.session.screen.note(&format!("({bytes} bytes skipped; the files have them)"));
            }
        }
        if self.events.is_quiet() {
            self.session.screen.write_now();
        }
    }

    fn event(&mut self, message: EventMessage) {
        let EventMessage::Event { event } = message else { return };
        if event.about.project() == Some(&self.project) && is_worth_telling(&event) {
            let paint = self.session.screen.paint_notes();
            self.session.screen.note(&paint.faint(&format!("dev: {}", event::sentence(&event))));
        }
    }

    fn change(&mut self, message: ChangeMessage) {
        self.region.note(&message);
        let paint = self.session.screen.paint_notes();
        let screen = &mut self.session.screen;
        match message {
            ChangeMessage::Accepted { plans, .. } => {
                for accepted in plans.iter().filter(|accepted| !accepted.plan.is_empty()) {
                    screen.note(plan_text(&accepted.plan, None, paint, screen.notes_width()).trim_end());
                }
                self.events.follow_logs();
            }
            ChangeMessage::Progress { progress: Progress::Ended(report), .. }
                if !matches!(report.result, OperationResult::Done | OperationResult::Completed) =>
            {
                screen.note(&progress::ended(&report, paint));
            }
            ChangeMessage::Finished { reports } => screen.note(&format!("dev: {}", progress::summary(&reports))),
            ChangeMessage::Progress { .. } | ChangeMessage::Missed { .. } | ChangeMessage::Interrupted { .. } => {}
        }
    }
}

/// What a user in front of the logs would not see otherwise.
fn is_worth_telling(event: &Event) -> bool {
    match &event.fact {
        Fact::Started { incarnation, .. } => *incarnation > 1,
        Fact::Exited { is_asked, .. } => !is_asked,
        Fact::StartFailed { .. }
        | Fact::GaveUp { .. }
        | Fact::BackingOff { .. }
        | Fact::ForceKilled { .. }
        | Fact::NotReady { .. }
        | Fact::HealthFailed { .. }
        | Fact::HookFailed { .. }
        | Fact::WatchTrouble { .. }
        | Fact::BuildFailed { .. } => true,
        _ => false,
    }
}

fn all_of(project: &ProjectName) -> Selection {
    let scope = Scope { project: Some(project.clone()), ..Scope::default() };
    Selection { selectors: vec!["all".to_owned()], scope }
}

/// The apps of a project that exist; none if it does not.
fn apps_of(project: &ProjectName) -> Result<BTreeSet<AppName>, CommandError> {
    let selection = Selection { selectors: Vec::new(), scope: Scope { everywhere: true, ..Scope::default() } };
    let rows = Session::client()?.list(&selection)?.apps;
    Ok(rows.into_iter().filter(|row| row.project == *project).map(|row| row.app).collect())
}
