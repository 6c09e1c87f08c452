//! The loop of `pm run`: apply a file, show what the apps print, and end with them or when a signal asks for it.
//!
//! It may be process 1 of a container. The daemon and its anchor run beside it, as they do everywhere.

mod ending;

use std::collections::BTreeSet;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::dev::events::{DevEvent, DevEvents};
use super::fail::{Code, CommandError, Ending};
use super::output::lines::LineFormat;
use super::output::progress;
use super::session::Session;
use crate::client::Client;
use crate::model::{ApplyGuard, ApplyOptions, InstanceId, Millis, ProjectName, Proposed, WallTime};
use crate::os::{self, Home, Lock};
use crate::wire::{
    ApplyRequest, ChangeMessage, LogLine, LogMessage, LogsQuery, OperationResult, PlanDetail, Progress, Row, Scope,
    Selection,
};
use ending::{Ended, ended, status};

/// How often is looked whether everything has ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The daemon stops all apps within a minute; what takes longer is not waited for.
const STOP_MAX: Millis = Millis::seconds(90);
/// How long the last lines of the apps may take.
const LAST_LINES_MAX: Millis = Millis::seconds(5);
/// Process 1 of a container: the kernel gives it whatever has lost its parent.
const FIRST: u32 = 1;
const SIGTERM: i32 = 15;
const AT_ONCE: &str = "\nleft: apps that still run are being stopped in the background\n";

/// One run of `pm run`.
struct FileRun<'a> {
    session: &'a mut Session,
    home: Home,
    project: ProjectName,
    events: DevEvents,
    lines: LineFormat,
    /// When the newest line that was printed was written.
    printed: Option<WallTime>,
    /// What is to be told of the change is over: from now on what has ended has ended.
    has_begun: bool,
    /// Rows that have failed, in the order in which that was seen.
    failed: Vec<Ended>,
}

/// Runs what is `declared` until all apps have ended, or until it is interrupted.
pub(super) fn run(
    session: &mut Session,
    timestamps: bool,
    declared: impl FnOnce(&mut Session) -> Result<Proposed, CommandError>,
) -> Ending {
    let home = Session::home()?;
    if Session::client_if_running()?.is_some() {
        let message = format!("a daemon is already running for `{}`", home.root.display());
        return Err(CommandError::new(Code::Error, message)
            .hint("`pm run` has a daemon of its own: set PM_HOME to another folder, or use `pm apply`"));
    }
    let interrupts =
        os::Interrupts::listen(AT_ONCE).map_err(|error| CommandError::system("cannot listen for signals", &error))?;
    let began = declared(session).and_then(|proposed| {
        let events = DevEvents::start(&proposed.project, interrupts, false)
            .map_err(|error| CommandError::system("cannot start a thread", &error))?;
        Ok((proposed, events))
    });
    session.screen.has_more_to_do = true;
    let (proposed, events) = match began {
        Ok(began) => began,
        // A daemon that was needed to read the file is not left behind.
        Err(error) => {
            let _it_is_told = stop_daemon(&home);
            return Err(error);
        }
    };
    let copies: Vec<InstanceId> = proposed
        .apps
        .iter()
        .flat_map(|app| (0..app.instances.unwrap_or(1)).map(|slot| app.id().instance(slot)))
        .collect();
    let mut lines = LineFormat::new(copies.len() == 1 && !timestamps, timestamps);
    lines.expect_copies(copies);
    let project = proposed.project.clone();
    let mut this =
        FileRun { session, home, project, events, lines, printed: None, has_begun: false, failed: Vec::new() };
    let ending = this.begin(proposed).and_then(|()| this.follow());
    let stopped = this.stop();
    this.events.end();
    ending.and_then(|code| stopped.map(|()| code)).and_then(finished)
}

/// The status of the apps is that of this command, whatever it means.
fn finished(status: u8) -> Ending {
    if status == 0 { Ok(Code::Ok) } else { Err(CommandError::told(status)) }
}

impl FileRun<'_> {
    fn begin(&mut self, proposed: Proposed) -> Result<(), CommandError> {
        // Nobody is there to be asked.
        let options = ApplyOptions {
            yes: true,
            replace_files: true,
            guard: ApplyGuard { again: true, ..ApplyGuard::default() },
            ..ApplyOptions::default()
        };
        let messages = Session::client()?.apply(&ApplyRequest { proposed, options }, PlanDetail::Changes)?;
        self.events.follow_change(messages);
        Ok(())
    }

    /// Shows what happens until all has ended; the status of that.
    fn follow(&mut self) -> Result<u8, CommandError> {
        let mut next_look = Instant::now() + LOOK_EVERY;
        loop {
            match self.events.next(next_look.saturating_duration_since(Instant::now())) {
                Ok(DevEvent::Interrupt) | Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Ok(DevEvent::Log(message)) => self.log(message),
                Ok(DevEvent::Change(message)) => self.change(message),
                Ok(DevEvent::Broken(error)) => return Err(error),
                Ok(DevEvent::Event(_) | DevEvent::Key(_) | DevEvent::Unfollowed | DevEvent::Ending(_)) => {}
                Err(RecvTimeoutError::Timeout) => self.session.screen.write_now(),
            }
            if Instant::now() >= next_look {
                next_look = Instant::now() + LOOK_EVERY;
                reap_orphans();
                if let Some(status) = self.look() {
                    self.print_last_lines();
                    return Ok(status);
                }
            }
        }
    }

    /// The status with which everything has ended. A daemon that was killed is started again by looking.
    fn look(&mut self) -> Option<u8> {
        let mut client = Session::client().ok()?;
        // `pm shutdown` from outside.
        if client.daemon().is_ok_and(|daemon| daemon.is_shut_down) {
            return Some(0);
        }
        let rows = rows_of(&mut client, &self.project)?;
        let all: Vec<Option<Ended>> = rows.iter().map(ended).collect();
        let known: BTreeSet<String> = self.failed.iter().map(|one| one.id.clone()).collect();
        self.failed.retain(|one| all.iter().flatten().any(|now| now.id == one.id && now.is_failure));
        let new = all.iter().flatten().filter(|one| one.is_failure && !known.contains(&one.id));
        self.failed.extend(new.cloned());
        if !self.has_begun || all.iter().any(Option::is_none) {
            return None;
        }
        let others = all.into_iter().flatten().filter(|one| !one.is_failure);
        Some(status(&self.failed.iter().cloned().chain(others).collect::<Vec<_>>()))
    }

    fn log(&mut self, message: LogMessage) {
        match message {
            LogMessage::Line(line) => self.print(&line),
            // The lines of the apps are what is wanted, and the names are known.
            LogMessage::Event { .. } | LogMessage::Begins { .. } => {}
            LogMessage::Unread { why } | LogMessage::LeftOut { why } => self.session.screen.note(&why),
            LogMessage::Missed { bytes } => {
                self.session.screen.note(&format!("({bytes} bytes skipped; the files have them)"));
            }
        }
        if self.events.is_quiet() {
            self.session.screen.write_now();
        }
        // A reader that does not read holds up the lines, and no signal.
        while self.session.screen.is_full() && !os::Interrupts::have_come() {
            self.session.screen.write_now();
            os::pause(Millis(20));
        }
    }

    fn print(&mut self, line: &LogLine) {
        self.printed = self.printed.max(Some(line.at));
        self.lines.print(&mut self.session.screen, line);
    }

    fn change(&mut self, message: ChangeMessage) {
        let paint = self.session.screen.paint_notes();
        match message {
            ChangeMessage::Accepted { .. } => self.events.follow_logs(),
            ChangeMessage::Progress { progress: Progress::Ended(report), .. }
                if !matches!(report.result, OperationResult::Done | OperationResult::Completed) =>
            {
                self.session.screen.note(&progress::ended(&report, paint));
            }
            ChangeMessage::Finished { .. } | ChangeMessage::Interrupted { .. } => self.has_begun = true,
            ChangeMessage::Progress { .. } | ChangeMessage::Missed { .. } => {}
        }
    }

    /// What the apps have printed last is still on its way.
    fn print_last_lines(&mut self) {
        let selection = selection_of(&self.project);
        let query = LogsQuery { selection, lines: Some(1), ..LogsQuery::default() };
        let newest = Session::client_if_running().ok().flatten().and_then(|mut client| client.logs(&query).ok());
        let newest = newest.and_then(|answer| answer.lines.last().map(|line| line.at));
        let give_up = os::now().after(LAST_LINES_MAX);
        while os::now() < give_up && newest > self.printed && !os::Interrupts::have_come() {
            if let Ok(DevEvent::Log(message)) = self.events.next(LOOK_EVERY) {
                self.log(message);
            }
        }
        while let Ok(event) = self.events.next(Duration::ZERO) {
            match event {
                DevEvent::Log(message) => self.log(message),
                DevEvent::Interrupt => return,
                _ => {}
            }
        }
    }

    /// The apps are stopped in order, the daemon and its anchor leave. What is printed meanwhile is shown.
    fn stop(&mut self) -> Result<(), CommandError> {
        if let Err(error) = stop_daemon(&self.home) {
            self.session.screen.note(&format!("warning: {}", error.message));
        }
        let give_up = os::now().after(STOP_MAX);
        while !has_left(&self.home) {
            if os::now() >= give_up {
                return Err(CommandError::new(Code::TimedOut, format!("not everything has stopped within {STOP_MAX}")));
            }
            while let Some(message) = self.events.next_line(Duration::from_millis(20)) {
                self.log(message);
            }
            reap_orphans();
        }
        while let Some(message) = self.events.next_line(Duration::ZERO) {
            self.log(message);
        }
        Ok(())
    }
}

/// Asks the anchor to leave, as a service manager does: the apps run again when the next daemon starts.
fn stop_daemon(home: &Home) -> Result<(), CommandError> {
    let Some(mut client) = Session::client_if_running()? else { return Ok(()) };
    let failed = |error| CommandError::system(format!("cannot stop the daemon of `{}`", home.root.display()), &error);
    let anchor = os::PidFd::open(client.daemon()?.anchor_pid).map_err(failed)?;
    // A daemon that still answers is the child of this very process.
    if client.daemon()?.anchor_pid != anchor.pid() {
        return stop_daemon(home);
    }
    anchor.signal(SIGTERM).map_err(failed)
}

/// The anchor holds the lock of the home for as long as it lives.
fn has_left(home: &Home) -> bool {
    !matches!(Lock::try_exclusive(&home.lock()), Ok(None))
}

/// Whatever lost its parent and ended. Only process 1 gets such children: of daemons that were killed, of `docker exec`.
fn reap_orphans() {
    if os::own_pid() != FIRST {
        return;
    }
    while let Ok(Some(dead)) = os::next_dead_child() {
        if os::reap(dead.pid).is_err() {
            return;
        }
    }
}

fn rows_of(client: &mut Client, project: &ProjectName) -> Option<Vec<Row>> {
    let selection = Selection { selectors: Vec::new(), scope: Scope { everywhere: true, ..Scope::default() } };
    let rows = client.list(&selection).ok()?.apps;
    Some(rows.into_iter().filter(|row| row.project == *project).collect())
}

fn selection_of(project: &ProjectName) -> Selection {
    let scope = Scope { project: Some(project.clone()), ..Scope::default() };
    Selection { selectors: vec!["all".to_owned()], scope }
}
