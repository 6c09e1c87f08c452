//! Everything that can happen while `pm dev` runs, in one channel.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::cli::fail::{Code, CommandError};
use crate::cli::session::Session;
use crate::client::{Client, Messages};
use crate::model::{Millis, ProjectName, WallTime};
use crate::os::{self, Interrupts, Keys, Worker};
use crate::wire::{ChangeMessage, EventMessage, EventsQuery, LogMessage, LogsQuery};

/// Events that may wait for the screen; after that their senders wait.
const WAITING_MAX: usize = 1024;
/// Readers: lines, events, keys, interrupts, and a few changes at a time.
const THREADS: usize = 8;
/// Changes that may wait for a reader.
const READS_MAX: usize = 64;
/// A daemon that has died has a successor after this.
const CONNECT_AGAIN_AFTER: Millis = Millis(100);

/// One thing that happened.
pub(in crate::cli) enum DevEvent {
    Log(LogMessage),
    Event(EventMessage),
    Change(ChangeMessage),
    /// A change whose progress is not told to its end.
    Broken(CommandError),
    /// The daemon died in the middle of a change: its successor continues, and nothing more is told of it.
    Unfollowed,
    /// A step of a change at the end; an error, or [`ChangeMessage::Finished`], is the last one.
    Ending(Result<ChangeMessage, CommandError>),
    Key(u8),
    Interrupt,
}

/// The channel and the threads that fill it.
pub(in crate::cli) struct DevEvents {
    sender: SyncSender<DevEvent>,
    receiver: Receiver<DevEvent>,
    threads: Worker,
    project: ProjectName,
    began: WallTime,
    has_logs: bool,
    is_over: Arc<AtomicBool>,
    waiting: Option<DevEvent>,
}

impl DevEvents {
    pub(in crate::cli) fn start(project: &ProjectName, interrupts: Interrupts, has_keys: bool) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let threads = Worker::start("pm-dev", THREADS, READS_MAX)?;
        let (project, began, is_over) = (project.clone(), os::wall(), Arc::new(AtomicBool::new(false)));
        let events = Self { sender, receiver, threads, project, began, has_logs: false, is_over, waiting: None };
        events.read_interrupts(interrupts);
        events.read_events();
        if has_keys {
            events.read_keys();
        }
        Ok(events)
    }

    /// The next one, if there is one in time. An interrupt does not wait behind the others.
    pub(in crate::cli) fn next(&mut self, patience: Duration) -> Result<DevEvent, RecvTimeoutError> {
        if Interrupts::have_come() {
            return Ok(DevEvent::Interrupt);
        }
        match self.waiting.take() {
            Some(event) => Ok(event),
            None => self.receiver.recv_timeout(patience),
        }
    }

    /// The next line, if there is one in time; whatever else happens meanwhile is of no interest any more.
    pub(in crate::cli) fn next_line(&mut self, patience: Duration) -> Option<LogMessage> {
        loop {
            let event = self.waiting.take().or_else(|| self.receiver.recv_timeout(patience).ok())?;
            if let DevEvent::Log(message) = event {
                return Some(message);
            }
        }
    }

    /// The next line or step of the ending, if there is one in time; whatever else happens meanwhile is of no interest
    /// any more.
    pub(in crate::cli) fn next_of_ending(&mut self, patience: Duration) -> Option<DevEvent> {
        loop {
            let event = self.waiting.take().or_else(|| self.receiver.recv_timeout(patience).ok())?;
            if matches!(event, DevEvent::Log(_) | DevEvent::Ending(_)) {
                return Some(event);
            }
        }
    }

    /// Lines are told from then on.
    pub(in crate::cli) fn began(&self) -> WallTime {
        self.began
    }

    /// Whether nothing waits at this moment.
    pub(in crate::cli) fn is_quiet(&mut self) -> bool {
        if self.waiting.is_none() {
            self.waiting = self.receiver.try_recv().ok();
        }
        self.waiting.is_none()
    }

    /// Nobody listens any more: whoever wants to tell something ends.
    pub(in crate::cli) fn end(self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// Tells the steps of a change.
    pub(in crate::cli) fn follow_change(&self, mut messages: Messages<ChangeMessage>) {
        let sender = self.sender.clone();
        self.spawn(move || {
            loop {
                let event = match messages.read() {
                    Ok(Some(message)) => DevEvent::Change(message),
                    // The events tell how it goes on.
                    Ok(None) => DevEvent::Unfollowed,
                    Err(error) => DevEvent::Broken(error.into()),
                };
                let is_last = matches!(
                    event,
                    DevEvent::Broken(_)
                        | DevEvent::Unfollowed
                        | DevEvent::Change(ChangeMessage::Finished { .. } | ChangeMessage::Interrupted { .. })
                );
                if sender.send(event).is_err() || is_last {
                    return;
                }
            }
        });
    }

    /// Tells the steps of a change at the end, and how it ended.
    pub(in crate::cli) fn follow_ending(&self, mut messages: Messages<ChangeMessage>) {
        let sender = self.sender.clone();
        self.spawn(move || {
            loop {
                let step = match messages.read() {
                    Ok(Some(message)) => Ok(message),
                    Ok(None) => Err(CommandError::new(Code::TimedOut, "the daemon stopped before the apps did")
                        .hint("the next daemon stops them; `pm list` shows how far it is")),
                    Err(error) => Err(error.into()),
                };
                let is_last =
                    matches!(step, Err(_) | Ok(ChangeMessage::Finished { .. } | ChangeMessage::Interrupted { .. }));
                if sender.send(DevEvent::Ending(step)).is_err() || is_last {
                    return;
                }
            }
        });
    }

    /// Tells the lines of all apps since the beginning; the project exists from now on.
    pub(in crate::cli) fn follow_logs(&mut self) {
        if std::mem::replace(&mut self.has_logs, true) {
            return;
        }
        let (sender, is_over, selection) =
            (self.sender.clone(), Arc::clone(&self.is_over), super::all_of(&self.project));
        let mut query = LogsQuery { selection, since: Some(self.began), follow: true, ..LogsQuery::default() };
        self.spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                if let Some(mut messages) = connected().and_then(|client| client.follow_logs(&query).ok()) {
                    while let Ok(Some(message)) = messages.read() {
                        // The next daemon is asked for what came after what was shown.
                        if let LogMessage::Line(line) = &message {
                            query.since = Some(WallTime(line.at.0 + 1));
                        }
                        if sender.send(DevEvent::Log(message)).is_err() {
                            return;
                        }
                    }
                }
                os::pause(CONNECT_AGAIN_AFTER);
            }
        });
    }

    fn read_events(&self) {
        let (sender, is_over) = (self.sender.clone(), Arc::clone(&self.is_over));
        let query = EventsQuery { limit: Some(0), follow: true, ..EventsQuery::default() };
        self.spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                if let Some(mut messages) = connected().and_then(|client| client.follow_events(&query).ok()) {
                    while let Ok(Some(message)) = messages.read() {
                        if sender.send(DevEvent::Event(message)).is_err() {
                            return;
                        }
                    }
                }
                os::pause(CONNECT_AGAIN_AFTER);
            }
        });
    }

    fn read_interrupts(&self, mut interrupts: Interrupts) {
        let sender = self.sender.clone();
        self.spawn(move || {
            // Whatever ends the waiting: without it nobody could end this command in good order.
            let _ = interrupts.wait();
            let _ = sender.send(DevEvent::Interrupt);
        });
    }

    fn read_keys(&self) {
        let sender = self.sender.clone();
        self.spawn(move || {
            while let Ok(Some(key)) = Keys::read() {
                if sender.send(DevEvent::Key(key)).is_err() {
                    return;
                }
            }
        });
    }

    fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        // Full only if 64 changes are in progress at once; then their steps are not shown.
        let _ = self.threads.submit(Box::new(work));
    }
}

/// A reader starts no daemon: at the end it would bring back what has just been cleared away.
fn connected() -> Option<Client> {
    Session::client_if_running().ok().flatten()
}
