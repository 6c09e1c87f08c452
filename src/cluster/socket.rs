//! A socket of an app, as its primary knows it.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::address::WantedSocket;
use super::ids::{ConnectionId, WorkerId};
use super::message::SocketName;
use crate::model::{Millis, Moment};

/// How long a socket that nobody has stays open: a worker of the next revision may open its ports one after the other.
const UNUSED_MAX: Millis = Millis::seconds(5);

/// What of a socket outlives a daemon.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SocketState {
    /// What workers call it.
    pub key: String,
    /// What was opened.
    pub wanted: WantedSocket,
    /// What the first worker has said that all are to know: JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Where it is bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<SocketName>,
}

/// A socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub state: SocketState,
    pub is_open: bool,
    /// Who has a server there.
    pub users: BTreeSet<WorkerId>,
    /// Who waits until it is open, with the number of the question.
    pub asked_by: Vec<(WorkerId, u64)>,
    /// Connections that nobody has taken yet.
    pub waiting: VecDeque<ConnectionId>,
    /// Since when nobody has it.
    unused_since: Option<Moment>,
}

impl Socket {
    pub(super) fn new(state: SocketState) -> Self {
        Self {
            state,
            is_open: false,
            users: BTreeSet::new(),
            asked_by: Vec::new(),
            waiting: VecDeque::new(),
            unused_since: None,
        }
    }

    pub(super) fn taken_over(state: SocketState) -> Self {
        Self { is_open: true, ..Self::new(state) }
    }

    /// Notes whether somebody has it.
    pub(super) fn note_use(&mut self, now: Moment) {
        let is_unused = self.is_open && self.users.is_empty() && self.asked_by.is_empty();
        self.unused_since = is_unused.then(|| self.unused_since.unwrap_or(now));
    }

    /// When it is closed, if nobody asks for it before.
    pub(super) fn closes_at(&self) -> Option<Moment> {
        self.unused_since.map(|since| since.after(UNUSED_MAX))
    }
}
