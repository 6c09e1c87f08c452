//! Facts for observers: a bounded bus and a journal with cursors.
//!
//! In:    (subject, fact)                   Out:  numbered [`Event`]s, live and from the journal
//! Never: fsync, waiting, losing the order; an observer that lags is told how much it missed
//! Walk:  [`crate::supervisor`] and [`crate::reconciler`] → here → [`crate::api`]

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
    /// States a fact. Never waits, never fails.
    pub fn tell(&self, _about: Subject, _fact: Fact) {
        unimplemented!()
    }

    /// Everything from now on. A lagging receiver is told how many events it missed.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.bus.subscribe()
    }

    /// What happened, oldest first.
    pub async fn history(&self, _query: EventQuery) -> Vec<Event> {
        unimplemented!()
    }
}
