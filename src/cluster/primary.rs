//! The primary of one app: what its workers say and what comes in at its sockets → what is sent, opened and closed.

use std::collections::{BTreeMap, BTreeSet};

use super::address::{AskedAddress, WantedSocket};
use super::ids::{ConnectionId, SocketId, WorkerId};
use super::message::{self, ARRIVED, DRAIN_SOON, Granted, HandleType, SocketName, WorkerMessage};
use super::socket::{Socket, SocketState};
use super::worker::{Awaited, KnownWorker, WorkerState};
use crate::model::{Moment, Scheduling};

/// So much of a message of an app is passed on: more than anybody is shown.
const MESSAGE_BYTES_MAX: usize = 8 << 10;
/// Messages of apps inside of messages with a handle: no more than one level is Node's own.
const NESTED_MAX: usize = 2;

/// The primary of one app.
#[derive(Debug)]
pub struct Primary {
    pub(super) sockets: BTreeMap<SocketId, Socket>,
    pub(super) workers: BTreeMap<WorkerId, KnownWorker>,
    next_socket: SocketId,
    pub(super) next_connection: ConnectionId,
    /// The number of the next message; each daemon begins above those of the last one.
    next_seq: u64,
    /// Who got the last connection.
    pub(super) turn: WorkerId,
    /// And the one before.
    pub(super) turn_before: WorkerId,
}

/// A descriptor that goes with a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handle {
    /// A socket of the app.
    Socket(SocketId),
    /// A connection.
    Connection(ConnectionId),
    /// Any socket at all: it is closed unread.
    Any,
}

/// What has to be done, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PrimaryAction {
    /// Send a line to a worker, with a descriptor.
    Send {
        /// To whom.
        to: WorkerId,
        /// The line with its end.
        line: String,
        /// What goes with its first byte.
        handle: Option<Handle>,
    },
    /// Open a socket; answered by [`Primary::opened`].
    Open {
        /// Its number from now on.
        socket: SocketId,
        /// The address, and how it is to be opened.
        wanted: WantedSocket,
    },
    /// Close a socket for good.
    Close {
        /// Its number until now.
        socket: SocketId,
        /// What it was.
        state: SocketState,
    },
    /// Take connections in at this socket from now on, if that is not done yet.
    Accept(SocketId),
    /// Close our copy of a connection.
    Release(ConnectionId),
    /// Remember the socket for the next daemon; the socket is open.
    KeepSocket(SocketId),
    /// Remember the state of the worker for the next daemon.
    KeepWorker(WorkerId),
    /// Tell others.
    Report(WorkerId, Said),
}

/// What a worker has said that others want to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// A server of it is up.
    Listening,
    /// A message of the app, as JSON; of a long one the beginning.
    Message(String),
    /// Its metrics, or why it has none.
    Metrics {
        /// The number of the question.
        request: u64,
        /// The whole answer, as JSON.
        line: String,
    },
    /// It cannot listen there.
    Refused {
        /// The address that it does not get.
        wanted: WantedSocket,
        /// The number of the error.
        errno: i32,
    },
}

impl Primary {
    /// One without workers. `first_seq`: the number of its first message.
    pub fn new(first_seq: u64) -> Self {
        Self {
            sockets: BTreeMap::new(),
            workers: BTreeMap::new(),
            next_socket: 0,
            next_connection: 0,
            next_seq: first_seq,
            turn: 0,
            turn_before: 0,
        }
    }

    /// A new worker.
    pub fn join(&mut self, worker: WorkerId, state: WorkerState) {
        self.workers.insert(worker, KnownWorker::new(state));
    }

    /// A socket that an earlier daemon has opened.
    pub fn take_over_socket(&mut self, state: SocketState) -> SocketId {
        let id = self.new_socket_id();
        self.sockets.insert(id, Socket::taken_over(state));
        id
    }

    /// A worker of an earlier daemon. What was sent to it and not answered is of no interest any more; until it has answered
    /// something new, its answers say nothing.
    pub fn take_over_worker(&mut self, id: WorkerId, state: WorkerState, actions: &mut Vec<PrimaryAction>) {
        for (number, socket) in &mut self.sockets {
            if state.keys.contains(&socket.state.key) {
                socket.users.insert(id);
                if socket.state.wanted.is_stream() && state.scheduling == Scheduling::RoundRobin {
                    actions.push(PrimaryAction::Accept(*number));
                }
            }
        }
        self.workers.insert(id, KnownWorker::new(state));
        self.ask_barrier(id, actions);
    }

    pub(super) fn ask_barrier(&mut self, id: WorkerId, actions: &mut Vec<PrimaryAction>) {
        let seq = self.take_seq();
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.barrier = Some(seq);
            actions.push(PrimaryAction::Send { to: id, line: message::barrier(seq), handle: Some(Handle::Any) });
        }
    }

    /// What the next daemon has to know of a worker.
    pub fn worker_state(&self, id: WorkerId) -> Option<&WorkerState> {
        self.workers.get(&id).map(|worker| &worker.state)
    }

    /// What the next daemon has to know of a socket.
    pub fn socket_state(&self, id: SocketId) -> Option<&SocketState> {
        self.sockets.get(&id).map(|socket| &socket.state)
    }

    /// One line of a worker.
    pub fn line(&mut self, worker: WorkerId, line: &[u8], now: Moment) -> Vec<PrimaryAction> {
        let mut actions = Vec::new();
        if self.workers.contains_key(&worker) {
            self.message(worker, WorkerMessage::read(line), now, 0, &mut actions);
        }
        actions
    }

    fn message(
        &mut self,
        id: WorkerId,
        message: WorkerMessage<'_>,
        now: Moment,
        depth: usize,
        actions: &mut Vec<PrimaryAction>,
    ) {
        match message {
            WorkerMessage::QueryServer { seq, asked, data, index } => {
                self.query(id, seq, &asked, (data, index), now, actions);
            }
            WorkerMessage::Listening => {
                if let Some(worker) = self.workers.get_mut(&id).filter(|worker| !worker.state.is_listening) {
                    worker.state.is_listening = true;
                    actions.push(PrimaryAction::KeepWorker(id));
                    actions.push(PrimaryAction::Report(id, Said::Listening));
                }
                self.close_unused(now, actions);
            }
            WorkerMessage::Close { key } => self.close(id, &key, now, actions),
            WorkerMessage::Leaving { seq } => {
                let line = message::may_leave(seq, self.take_seq());
                actions.push(PrimaryAction::Send { to: id, line, handle: None });
            }
            WorkerMessage::Answer { ack, is_accepted } => self.answered(id, ack, is_accepted, now, actions),
            WorkerMessage::Arrived => {
                if let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.barrier.is_none()) {
                    worker.awaited.pop_front();
                }
            }
            WorkerMessage::NotArrived => self.not_arrived(id, now, actions),
            WorkerMessage::WithHandle(inner) => {
                actions.push(PrimaryAction::Send { to: id, line: ARRIVED.to_owned(), handle: None });
                if let Some(inner) = inner.filter(|_| depth < NESTED_MAX) {
                    self.message(id, WorkerMessage::read(inner.as_bytes()), now, depth + 1, actions);
                }
            }
            WorkerMessage::Metrics { request, line } => {
                actions.push(PrimaryAction::Report(id, Said::Metrics { request, line: line.to_owned() }));
            }
            WorkerMessage::Said(text) => {
                actions.push(PrimaryAction::Report(id, Said::Message(beginning(text).to_owned())));
            }
            WorkerMessage::Other => {}
        }
    }

    // ---- sockets

    fn query(
        &mut self,
        id: WorkerId,
        ack: u64,
        asked: &AskedAddress,
        (data, index): (Option<&str>, u64),
        now: Moment,
        actions: &mut Vec<PrimaryAction>,
    ) {
        let Some(worker) = self.workers.get(&id).filter(|worker| !worker.state.is_draining) else { return };
        let state = &worker.state;
        let wanted = match asked.wanted() {
            Ok(wanted) => wanted,
            Err(invalid) => return self.refuse(id, ack, "", invalid.0, actions),
        };
        let base = match wanted {
            // The same number is another socket where other ones are declared.
            WantedSocket::Inherited { .. } => format!("{}@{}", asked.key(index), state.listen),
            _ => asked.key(index),
        };
        // A second server of one worker at one address is one of its own, as without a cluster; a question that is heard
        // again, because a daemon died after its answer, is the same one.
        let mut key = base.clone();
        let mut nth = 1;
        while state.keys.contains(&key) && !state.is_asked_again(ack, &key) {
            nth += 1;
            key = format!("{base}#{nth}");
        }
        let number = self.number_of(&key).unwrap_or_else(|| self.new_socket_id());
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.state.last_query = Some((ack, key.clone()));
        }
        let socket = self.sockets.entry(number).or_insert_with(|| {
            actions.push(PrimaryAction::Open { socket: number, wanted: wanted.clone() });
            Socket::new(SocketState { key, wanted, data: None, name: None })
        });
        if socket.state.data.is_none() && data.is_some() {
            socket.state.data = data.map(str::to_owned);
            if socket.is_open {
                actions.push(PrimaryAction::KeepSocket(number));
            }
        }
        if socket.is_open {
            self.grant(id, ack, number, now, actions);
        } else {
            socket.asked_by.push((id, ack));
        }
    }

    /// A socket was opened, or could not be. `errno`: as the kernel counts them.
    pub fn opened(
        &mut self,
        number: SocketId,
        result: Result<Option<SocketName>, i32>,
        now: Moment,
    ) -> Vec<PrimaryAction> {
        let mut actions = Vec::new();
        let Some(socket) = self.sockets.get_mut(&number) else { return actions };
        let asked_by = std::mem::take(&mut socket.asked_by);
        match result {
            Ok(name) => {
                socket.is_open = true;
                socket.state.name = name;
                actions.push(PrimaryAction::KeepSocket(number));
                for (worker, ack) in asked_by {
                    self.grant(worker, ack, number, now, &mut actions);
                }
            }
            Err(errno) => {
                let Some(socket) = self.sockets.remove(&number) else { return actions };
                for (worker, ack) in asked_by {
                    self.refuse(worker, ack, &socket.state.key, errno, &mut actions);
                    let wanted = socket.state.wanted.clone();
                    actions.push(PrimaryAction::Report(worker, Said::Refused { wanted, errno }));
                }
            }
        }
        actions
    }

    fn grant(&mut self, id: WorkerId, ack: u64, number: SocketId, now: Moment, actions: &mut Vec<PrimaryAction>) {
        let seq = self.take_seq();
        let (Some(worker), Some(socket)) = (self.workers.get_mut(&id), self.sockets.get_mut(&number)) else { return };
        socket.users.insert(id);
        worker.state.keys.insert(socket.state.key.clone());
        let granted = Granted { ack, seq, key: &socket.state.key, data: socket.state.data.as_deref() };
        // Before the worker knows it: it may be all that the next daemon finds.
        actions.push(PrimaryAction::KeepWorker(id));
        if socket.state.wanted.is_stream() && worker.state.scheduling == Scheduling::RoundRobin {
            let line = granted.round_robin(socket.state.name.as_ref());
            actions.push(PrimaryAction::Send { to: id, line, handle: None });
            actions.push(PrimaryAction::Accept(number));
            self.hand_out_all(now, actions);
        } else {
            let kind = if socket.state.wanted.is_stream() { HandleType::Stream } else { HandleType::Datagram };
            let line = granted.shared(kind);
            worker.awaited.push_back(Awaited::Socket { number, line: line.clone(), sends: 1 });
            actions.push(PrimaryAction::Send { to: id, line, handle: Some(Handle::Socket(number)) });
        }
    }

    fn refuse(&mut self, id: WorkerId, ack: u64, key: &str, errno: i32, actions: &mut Vec<PrimaryAction>) {
        let granted = Granted { ack, seq: self.take_seq(), key, data: None };
        actions.push(PrimaryAction::Send { to: id, line: granted.refused(errno), handle: None });
    }

    fn close(&mut self, id: WorkerId, key: &str, now: Moment, actions: &mut Vec<PrimaryAction>) {
        if !self.workers.get_mut(&id).is_some_and(|worker| worker.state.keys.remove(key)) {
            return;
        }
        if let Some(socket) = self.sockets.values_mut().find(|socket| socket.state.key == key) {
            socket.users.remove(&id);
        }
        actions.push(PrimaryAction::KeepWorker(id));
        self.close_unused(now, actions);
    }

    /// Closes what no worker has had for a while, once all of them have what they want: while one is on its way, it may want
    /// it.
    pub(super) fn close_unused(&mut self, now: Moment, actions: &mut Vec<PrimaryAction>) {
        for socket in self.sockets.values_mut() {
            socket.note_use(now);
        }
        if !self.is_settled() {
            return;
        }
        let unused = self.sockets.iter().filter(|(_, socket)| socket.closes_at().is_some_and(|at| at <= now));
        for number in unused.map(|(number, _)| *number).collect::<Vec<_>>() {
            if let Some(Socket { state, waiting, .. }) = self.sockets.remove(&number) {
                actions.push(PrimaryAction::Close { socket: number, state });
                actions.extend(waiting.into_iter().map(PrimaryAction::Release));
            }
        }
    }

    /// Whether all workers have what they want, and there are some.
    pub(super) fn is_settled(&self) -> bool {
        let states = self.workers.values().map(|worker| &worker.state);
        let mut staying = states.filter(|state| !state.is_draining).peekable();
        staying.peek().is_some() && staying.all(|state| state.is_listening)
    }

    // ---- leaving

    /// This worker gets no more connections; a server that it asks for now is not opened.
    pub fn retire(&mut self, id: WorkerId) -> Vec<PrimaryAction> {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| !worker.state.is_draining) else {
            return Vec::new();
        };
        worker.state.is_draining = true;
        vec![PrimaryAction::KeepWorker(id), PrimaryAction::Send { to: id, line: DRAIN_SOON.to_owned(), handle: None }]
    }

    /// This worker is to close its servers, let its connections end and leave.
    pub fn disconnect(&mut self, id: WorkerId) -> Vec<PrimaryAction> {
        if !self.workers.contains_key(&id) {
            return Vec::new();
        }
        let line = message::disconnect(self.take_seq());
        vec![PrimaryAction::Send { to: id, line, handle: None }]
    }

    /// This worker is gone, or does not listen to us any more. What it was offered and has not taken goes to others.
    pub fn leave(&mut self, id: WorkerId, now: Moment) -> Vec<PrimaryAction> {
        let mut actions = Vec::new();
        let Some(worker) = self.workers.remove(&id) else { return actions };
        for socket in self.sockets.values_mut() {
            socket.users.remove(&id);
            socket.asked_by.retain(|(asker, _)| *asker != id);
        }
        // The oldest first.
        for (number, connection) in worker.offered.into_values().rev() {
            match self.sockets.get_mut(&number) {
                Some(socket) => socket.waiting.push_front(connection),
                None => actions.push(PrimaryAction::Release(connection)),
            }
        }
        self.hand_out_all(now, &mut actions);
        self.close_unused(now, &mut actions);
        actions
    }

    /// All workers that are known.
    pub fn worker_ids(&self) -> BTreeSet<WorkerId> {
        self.workers.keys().copied().collect()
    }

    fn number_of(&self, key: &str) -> Option<SocketId> {
        self.sockets.iter().find(|(_, socket)| socket.state.key == key).map(|(number, _)| *number)
    }

    fn new_socket_id(&mut self) -> SocketId {
        self.next_socket += 1;
        self.next_socket
    }

    pub(super) fn take_seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq - 1
    }
}

fn beginning(text: &str) -> &str {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
