//! Facts for observers: a bounded bus and a journal with cursors.
//!
//! In:    (subject, fact)                   Out:  numbered [`Event`]s, live and from the journal
//! Never: fsync, waiting, losing the order; an observer that lags is told how much it missed
//! Walk:  [`crate::supervisor`] and [`crate::reconciler`] → here → [`crate::api`]

use std::path::Path;

use tokio::sync::broadcast;

use crate::model::{AppName, Event, Fact, ProjectName, Subject};

/// The way to tell and to listen; cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    bus: broadcast::Sender<Event>,
}

/// Which events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Only of this project.
    pub project: Option<ProjectName>,
    /// Only of this app.
    pub app: Option<AppName>,
    /// Only after this sequence number.
    pub after: Option<u64>,
    /// At most so many, the newest.
    pub limit: usize,
}

impl Events {
    /// Opens the journal `events.jsonl` in `folder` and continues its numbers. Never fails: what does not
    /// work is said in the second value, and events are then kept in memory only.
    pub fn open(_folder: &Path) -> (Self, Vec<String>) {
        unimplemented!()
    }

    /// States a fact. Never waits, never fails.
    pub fn tell(&self, _about: Subject, _fact: Fact) {
        unimplemented!()
    }

    /// Everything from now on. A lagging receiver is told how many events it missed.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.bus.subscribe()
    }

    /// What happened, oldest first; at most 10,000 events.
    pub async fn history(&self, _query: EventQuery) -> Vec<Event> {
        unimplemented!()
    }

    /// Resolves when everything told so far stands in the journal: before the daemon leaves.
    pub async fn flush(&self) {
        unimplemented!()
    }
}
