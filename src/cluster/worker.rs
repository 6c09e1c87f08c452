//! A worker of an app, as its primary knows it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::ids::{ConnectionId, SocketId};
use crate::model::{Moment, Scheduling};

/// Connections that a worker may have been offered without having answered. More would wait for one that hangs.
const OFFERED_MAX: usize = 4;

/// What of a worker outlives a daemon.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkerState {
    /// Who accepts its connections.
    pub scheduling: Scheduling,
    /// The sockets that it has.
    pub keys: BTreeSet<String>,
    /// A server of it was up.
    pub is_listening: bool,
    /// It is about to leave.
    pub is_draining: bool,
    /// Names the sockets that it was started with.
    #[serde(default)]
    pub listen: String,
    /// Its last question for a socket, by number, and what it got.
    #[serde(default)]
    pub last_query: Option<(u64, String)>,
}

impl WorkerState {
    /// Of one that has just begun.
    pub fn new(scheduling: Scheduling) -> Self {
        Self {
            scheduling,
            keys: BTreeSet::new(),
            is_listening: false,
            is_draining: false,
            listen: String::new(),
            last_query: None,
        }
    }

    /// Whether this question was answered before, with this key.
    pub(super) fn is_asked_again(&self, seq: u64, key: &str) -> bool {
        self.last_query.as_ref().is_some_and(|(known, got)| *known == seq && got == key)
    }
}

/// A descriptor that was sent and whose arrival was not told yet.
#[derive(Debug)]
pub(super) enum Awaited {
    Connection { seq: u64 },
    Socket { number: SocketId, line: String, sends: u32 },
}

/// A worker.
#[derive(Debug)]
pub(super) struct KnownWorker {
    pub state: WorkerState,
    /// What it was offered, by the number of the message.
    pub offered: BTreeMap<u64, (SocketId, ConnectionId)>,
    /// What is on its way, in order: arrivals are told without a number.
    pub awaited: VecDeque<Awaited>,
    /// It does not read what it is sent.
    pub is_blocked: bool,
    pub paused_until: Option<Moment>,
    /// It was taken over: its answers count from the answer to this message on.
    pub barrier: Option<u64>,
}

impl KnownWorker {
    pub(super) fn new(state: WorkerState) -> Self {
        Self {
            state,
            offered: BTreeMap::new(),
            awaited: VecDeque::new(),
            is_blocked: false,
            paused_until: None,
            barrier: None,
        }
    }

    pub(super) fn takes_connections(&self, now: Moment) -> bool {
        let is_paused = self.paused_until.is_some_and(|until| until > now);
        self.state.scheduling == Scheduling::RoundRobin
            && !self.state.is_draining
            && !self.is_blocked
            && !is_paused
            && self.barrier.is_none()
            && self.offered.len() < OFFERED_MAX
    }
}
