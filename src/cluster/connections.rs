//! Connections of round-robin sockets: who gets them, and what becomes of those that are not taken.

use super::ids::{ConnectionId, SocketId, WorkerId};
use super::message;
use super::primary::{Handle, Primary, PrimaryAction};
use super::socket::Socket;
use super::worker::Awaited;
use crate::model::{Millis, Moment};

/// How long a worker that has refused a connection, or has no descriptors left, is offered no other.
const PAUSE: Millis = Millis(20);
/// How often a socket is sent to a worker that has no descriptors left.
const SENDS_MAX: u32 = 4;

impl Primary {
    /// Whether a connection of this socket could be given to somebody now.
    pub fn wants_connection(&self, number: SocketId, now: Moment) -> bool {
        let Some(socket) = self.sockets.get(&number) else { return false };
        socket.state.wanted.is_stream() && socket.waiting.is_empty() && self.next_worker(socket, now).is_some()
    }

    /// A connection comes in: to be said before it is taken in, so that it can be passed on at once.
    pub fn connected(&mut self, number: SocketId, now: Moment) -> (ConnectionId, Vec<PrimaryAction>) {
        let connection = self.next_connection;
        self.next_connection += 1;
        let mut actions = Vec::new();
        match self.sockets.get_mut(&number) {
            Some(socket) => {
                socket.waiting.push_back(connection);
                self.hand_out(number, now, &mut actions);
            }
            None => actions.push(PrimaryAction::Release(connection)),
        }
        (connection, actions)
    }

    /// There was none.
    pub fn not_connected(&mut self, number: SocketId, connection: ConnectionId) {
        if let Some(socket) = self.sockets.get_mut(&number) {
            socket.waiting.retain(|waiting| *waiting != connection);
        }
        self.turn = self.turn_before;
        for worker in self.workers.values_mut() {
            let seq = worker.offered.iter().find(|(_, (_, offered))| *offered == connection).map(|(seq, _)| *seq);
            if let Some(seq) = seq {
                worker.offered.remove(&seq);
                worker.awaited.retain(|awaited| !matches!(awaited, Awaited::Connection { seq: it } if *it == seq));
            }
        }
    }

    /// Who gets the next connection: all in turn, but nobody who has answered less than the others.
    fn next_worker(&self, socket: &Socket, now: Moment) -> Option<WorkerId> {
        let free = |id: &&WorkerId| self.workers.get(id).is_some_and(|worker| worker.takes_connections(now));
        let unanswered = |id: WorkerId| self.workers.get(&id).map_or(0, |worker| worker.offered.len());
        let fewest = socket.users.iter().filter(free).map(|id| unanswered(*id)).min()?;
        let order = |id: &&WorkerId| (unanswered(**id) > fewest + 1, **id <= self.turn, **id);
        socket.users.iter().filter(free).min_by_key(order).copied()
    }

    fn hand_out(&mut self, number: SocketId, now: Moment, actions: &mut Vec<PrimaryAction>) {
        while let Some(socket) = self.sockets.get(&number).filter(|socket| !socket.waiting.is_empty()) {
            let Some(id) = self.next_worker(socket, now) else { return };
            let seq = self.take_seq();
            let (Some(socket), Some(worker)) = (self.sockets.get_mut(&number), self.workers.get_mut(&id)) else {
                return;
            };
            let Some(connection) = socket.waiting.pop_front() else { return };
            (self.turn_before, self.turn) = (self.turn, id);
            worker.offered.insert(seq, (number, connection));
            worker.awaited.push_back(Awaited::Connection { seq });
            let line = message::new_connection(&socket.state.key, seq);
            actions.push(PrimaryAction::Send { to: id, line, handle: Some(Handle::Connection(connection)) });
        }
    }

    pub(super) fn answered(
        &mut self,
        id: WorkerId,
        ack: u64,
        is_accepted: bool,
        now: Moment,
        actions: &mut Vec<PrimaryAction>,
    ) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.barrier == Some(ack) {
            worker.barrier = None;
            return self.hand_out_all(now, actions);
        }
        let Some((number, connection)) = worker.offered.remove(&ack) else { return };
        // Some runtimes do not tell of an arrival.
        worker.awaited.retain(|awaited| !matches!(awaited, Awaited::Connection { seq } if *seq == ack));
        if is_accepted {
            actions.push(PrimaryAction::Release(connection));
        } else {
            self.take_back(id, (number, connection), now, actions);
        }
        // What waits at another socket may have waited for this worker.
        self.hand_out_all(now, actions);
    }

    /// The worker has no descriptors left: what it was to get comes again later, or to another one.
    pub(super) fn not_arrived(&mut self, id: WorkerId, now: Moment, actions: &mut Vec<PrimaryAction>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.barrier.is_some() {
            // Perhaps it was the question itself.
            worker.paused_until = Some(now.after(PAUSE));
            return;
        }
        match worker.awaited.pop_front() {
            Some(Awaited::Connection { seq }) => {
                if let Some((number, connection)) = worker.offered.remove(&seq) {
                    self.take_back(id, (number, connection), now, actions);
                    self.hand_out_all(now, actions);
                }
            }
            Some(Awaited::Socket { number, line, sends }) if sends < SENDS_MAX => {
                worker.awaited.push_back(Awaited::Socket { number, line: line.clone(), sends: sends + 1 });
                actions.push(PrimaryAction::Send { to: id, line, handle: Some(Handle::Socket(number)) });
            }
            Some(Awaited::Socket { .. }) | None => {}
        }
    }

    fn take_back(
        &mut self,
        id: WorkerId,
        (number, connection): (SocketId, ConnectionId),
        now: Moment,
        actions: &mut Vec<PrimaryAction>,
    ) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.paused_until = Some(now.after(PAUSE));
        }
        match self.sockets.get_mut(&number) {
            Some(socket) => socket.waiting.push_front(connection),
            // Its server was closed meanwhile: there is nobody whom it could be meant for.
            None => actions.push(PrimaryAction::Release(connection)),
        }
    }

    pub(super) fn hand_out_all(&mut self, now: Moment, actions: &mut Vec<PrimaryAction>) {
        let waiting = self.sockets.iter().filter(|(_, socket)| !socket.waiting.is_empty());
        for number in waiting.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.hand_out(number, now, actions);
        }
    }

    /// When [`Self::woken`] is to be called.
    pub fn next_wake(&self) -> Option<Moment> {
        let closes = self.sockets.values().filter_map(Socket::closes_at);
        // While a worker is on its way, nothing is closed.
        let closes = closes.filter(|_| self.is_settled());
        self.workers.values().filter_map(|worker| worker.paused_until).chain(closes).min()
    }

    /// The moment of [`Self::next_wake`] has come.
    pub fn woken(&mut self, now: Moment) -> Vec<PrimaryAction> {
        let mut actions = Vec::new();
        let over = self.workers.iter().filter(|(_, worker)| worker.paused_until.is_some_and(|until| until <= now));
        for id in over.map(|(id, _)| *id).collect::<Vec<_>>() {
            let Some(worker) = self.workers.get_mut(&id) else { continue };
            worker.paused_until = None;
            if worker.barrier.is_some() {
                self.ask_barrier(id, &mut actions);
            }
        }
        self.hand_out_all(now, &mut actions);
        self.close_unused(now, &mut actions);
        actions
    }

    /// What is sent to this worker waits, or no longer does: meanwhile others get the connections.
    pub fn set_blocked(&mut self, id: WorkerId, is_blocked: bool, now: Moment) -> Vec<PrimaryAction> {
        let mut actions = Vec::new();
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.is_blocked = is_blocked;
            self.hand_out_all(now, &mut actions);
        }
        actions
    }
}
