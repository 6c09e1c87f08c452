//! The live region of a change: a few times a second the daemon is asked how far it is.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::output::underway::{self, Underway};
use super::session::Session;
use crate::client::{Client, ClientError, Messages};
use crate::model::{AppName, ProjectName, VerbKind, WallTime};
use crate::os;
use crate::wire::{ChangeMessage, DescribeAnswer, PhaseRow, ReadinessRow, Row, Scope, Selection};

/// How often the region is drawn anew.
const TICK: Duration = Duration::from_millis(250);
/// A daemon with much to tell is asked less often: this many times as long as it took to answer lies in between.
const REST_FACTOR: u32 = 10;
/// Steps that may wait to be shown.
const WAITING_MAX: usize = 256;

/// A message, the end, or an error.
type NextMessage = Result<Option<ChangeMessage>, ClientError>;

/// The messages of a change; on a terminal also the moments in between.
pub(super) enum Steps {
    Plain(Messages<ChangeMessage>),
    Watched { steps: Receiver<NextMessage>, until: Option<Instant> },
}

impl Steps {
    pub(super) fn plain(messages: Messages<ChangeMessage>) -> Self {
        Self::Plain(messages)
    }

    /// Read by a thread; without one there are no moments in between.
    pub(super) fn watched(messages: Messages<ChangeMessage>) -> Self {
        let (sender, steps) = sync_channel(WAITING_MAX);
        let messages = Arc::new(Mutex::new(Some(messages)));
        let theirs = Arc::clone(&messages);
        let take =
            |from: &Mutex<Option<Messages<ChangeMessage>>>| from.lock().unwrap_or_else(PoisonError::into_inner).take();
        let started = os::start_thread("pm-steps", move || {
            let Some(mut messages) = take(&theirs) else { return };
            loop {
                let step = messages.read();
                let is_last = !matches!(step, Ok(Some(_)));
                if sender.send(step).is_err() || is_last {
                    return;
                }
            }
        });
        match started {
            Ok(()) => Self::Watched { steps, until: None },
            Err(_) => take(&messages).map_or(Self::Watched { steps, until: None }, Self::Plain),
        }
    }

    /// Waits no longer than until then.
    pub(super) fn wait_until(&mut self, moment: Option<Instant>) {
        match self {
            Self::Plain(messages) => messages.wait_until(moment),
            Self::Watched { until, .. } => *until = moment,
        }
    }

    /// The next step; none if a moment has passed without one.
    pub(super) fn next(&mut self) -> Option<NextMessage> {
        let (steps, until) = match self {
            Self::Plain(messages) => return Some(messages.read()),
            Self::Watched { steps, until } => (steps, *until),
        };
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        match steps.recv_timeout(left.unwrap_or(TICK).min(TICK)) {
            Ok(step) => Some(step),
            Err(RecvTimeoutError::Timeout) if left.is_some_and(|left| left <= TICK) => Some(Err(ClientError::TimedOut)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Ok(None)),
        }
    }
}

/// What is going on, and what is known about it.
#[derive(Default)]
pub(super) struct ChangeView {
    /// When the command was called: a process that was started later is new.
    began: WallTime,
    /// In the order in which they began.
    operations: Vec<Underway>,
    /// What apps wait for that have not begun, by app.
    waits: BTreeMap<String, String>,
    client: Option<Client>,
    known: Option<DescribeAnswer>,
    /// Since when each process is healthy, by its id: its instance gets another name when it takes a slot over.
    healthy: BTreeMap<u32, Instant>,
    asked: Option<(Instant, Duration)>,
}

impl ChangeView {
    pub(super) fn new(began: WallTime) -> Self {
        Self { began, ..Self::default() }
    }

    pub(super) fn began(&mut self, project: &ProjectName, app: &AppName, verb: VerbKind) {
        self.waits.remove(app.as_str());
        let (project, app) = (project.to_string(), app.to_string());
        self.operations.push(Underway { project, app, verb, began: self.began });
    }

    pub(super) fn ended(&mut self, app: &AppName) {
        self.waits.remove(app.as_str());
        self.operations.retain(|operation| operation.app != app.as_str());
    }

    /// What an app waits for.
    pub(super) fn waits(&mut self, app: &AppName, text: String) {
        self.waits.insert(app.to_string(), text);
    }

    /// The lines as far as they are known, at most so many.
    pub(super) fn lines(&self, lines_max: usize) -> Vec<String> {
        let healthy = |row: &Row| row.pid.and_then(|pid| self.healthy.get(&pid)).map(Instant::elapsed);
        let is_told = |operation: &Underway| self.waits.contains_key(&operation.app);
        let mut lines: Vec<String> = self.waits.values().cloned().collect();
        let operations = self.operations.iter().filter(|operation| !is_told(operation));
        lines.extend(operations.map(|operation| underway::line(operation, self.known.as_ref(), &healthy)));
        if lines.len() > lines_max {
            let more = lines.len() - lines_max + 1;
            lines.truncate(lines_max - 1);
            lines.push(format!("  ... and {more} more"));
        }
        lines
    }

    /// Asks again if it is time to. Nothing depends on the answer.
    pub(super) fn look(&mut self, apps_max: usize) {
        let is_early = self.asked.is_some_and(|(at, took)| at.elapsed() < took * REST_FACTOR);
        if is_early || self.operations.is_empty() {
            return;
        }
        let began = Instant::now();
        let selectors =
            self.operations.iter().take(apps_max).map(|operation| format!("{}:{}", operation.project, operation.app));
        let selection = Selection { selectors: selectors.collect(), scope: Scope::default() };
        if self.client.is_none() {
            self.client = Session::client_if_running().ok().flatten();
        }
        self.known = self.client.as_mut().and_then(|client| client.describe(&selection).ok());
        if self.known.is_none() {
            self.client = None;
        }
        self.asked = Some((Instant::now(), began.elapsed()));
        self.note_healthy();
    }

    fn note_healthy(&mut self) {
        let rows = self.known.iter().flat_map(|known| &known.apps).flat_map(|app| &app.instances);
        let is_ready = |row: &&Row| matches!(row.phase, PhaseRow::Running { readiness: ReadinessRow::Ready, .. });
        let before = std::mem::take(&mut self.healthy);
        let now = Instant::now();
        for pid in rows.filter(is_ready).filter_map(|row| row.pid) {
            self.healthy.insert(pid, before.get(&pid).copied().unwrap_or(now));
        }
    }
}
