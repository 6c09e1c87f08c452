//! What the thread does for its clusters: hears workers, takes connections in, and does what the primaries say.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::channel::{Channel, Heard};
use super::group::{ClusterGroup, SocketOwner, name_of};
use super::jobs::{Jobs, OpenedSocket};
use super::metrics::MetricsTalks;
use super::{Queued, WorkerSaid, WorkerWord};
use crate::cluster::{Handle, Primary, PrimaryAction, Said, SocketId, WantedSocket, WorkerId};
use crate::model::{Millis, Moment};
use crate::os::{self, Poller};

/// Marks the tokens of channels; those of sockets are a group and a socket.
pub(super) const CHANNEL_BIT: u64 = 1 << 62;
/// So often one channel is looked at in one turn; the others have to get theirs.
const LOOKS_MAX: usize = 64;
/// So many connections are taken in for one socket in one turn.
const CONNECTIONS_MAX: usize = 64;
/// Messages of apps that the supervisor has not heard yet; more are thrown away.
const MESSAGES_MAX: usize = 1024;
/// How soon the same refusal is told again.
const REFUSED_AGAIN: Millis = Millis::seconds(10);
/// What an app sends that is ready.
const READY: &str = "\"ready\"";

/// Everything that the thread knows.
pub(super) struct Service {
    pub poller: Poller,
    pub words: UnboundedSender<WorkerWord>,
    /// Messages that are on their way to the supervisor.
    pub unheard: Arc<AtomicUsize>,
    pub groups: BTreeMap<u32, ClusterGroup>,
    pub last_group: u32,
    /// With the number of their group.
    pub channels: BTreeMap<WorkerId, (u32, Channel)>,
    /// Channels on which there may be more than was looked at.
    pub unfinished: BTreeSet<WorkerId>,
    /// Channels that have to wait for the kernel to pass descriptors on again.
    pub refused_channels: BTreeSet<WorkerId>,
    /// Groups for which no connection could be taken in, for want of descriptors.
    pub stalled: BTreeSet<u32>,
    /// Who is told to disconnect, and when.
    pub draining: BTreeMap<WorkerId, Moment>,
    pub buffer: Vec<u8>,
    pub metrics: MetricsTalks,
    jobs: Jobs,
    /// What was told last of an address that a worker does not get: it may ask again and again.
    refused: BTreeMap<WorkerId, (WantedSocket, i32, Moment)>,
}

impl Service {
    pub(super) fn new(poller: Poller, words: UnboundedSender<WorkerWord>) -> Self {
        let jobs = Jobs::new(poller.waker());
        Self {
            jobs,
            refused: BTreeMap::new(),
            poller,
            words,
            unheard: Arc::new(AtomicUsize::new(0)),
            groups: BTreeMap::new(),
            last_group: 0,
            channels: BTreeMap::new(),
            unfinished: BTreeSet::new(),
            stalled: BTreeSet::new(),
            refused_channels: BTreeSet::new(),
            draining: BTreeMap::new(),
            buffer: Vec::new(),
            metrics: MetricsTalks::default(),
        }
    }

    // ---- channels

    pub(super) fn channel_ready(&mut self, id: WorkerId) {
        let Some((number, channel)) = self.channels.get_mut(&id) else { return };
        if channel.is_blocked() && !channel.is_refused {
            if let Some(group) = self.groups.get(number) {
                channel.flush(|handle| group.descriptors.of(handle));
            }
            self.watch_room(id);
        }
        self.listen(id);
    }

    /// Sends what the kernel would not pass on.
    pub(super) fn try_again(&mut self, id: WorkerId) {
        let Some((number, channel)) = self.channels.get_mut(&id) else { return };
        if let Some(group) = self.groups.get(number) {
            channel.flush(|handle| group.descriptors.of(handle));
        }
        self.watch_room(id);
    }

    /// Hears what a worker has said.
    pub(super) fn listen(&mut self, id: WorkerId) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for look in 0..=LOOKS_MAX {
            if look == LOOKS_MAX {
                self.unfinished.insert(id);
                break;
            }
            let Some((_, channel)) = self.channels.get_mut(&id).filter(|(_, channel)| !channel.is_closed) else {
                break;
            };
            match channel.hear(&mut buffer) {
                Heard::Lines(length) => {
                    for line in buffer[..length].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                        self.hear_line(id, line);
                    }
                    if let Some((_, channel)) = self.channels.get(&id) {
                        channel.take(&mut buffer[..length]);
                    }
                }
                Heard::Long(line) => self.hear_line(id, &line),
                Heard::More => {}
                Heard::Nothing => break,
                Heard::Closed => {
                    self.closed(id);
                    break;
                }
            }
        }
        self.buffer = buffer;
    }

    fn hear_line(&mut self, id: WorkerId, line: &[u8]) {
        let now = os::now();
        self.with_worker(id, |primary| primary.line(id, line, now));
    }

    /// The worker has left its channel, or has ended.
    fn closed(&mut self, id: WorkerId) {
        let Some((_, channel)) = self.channels.get_mut(&id) else { return };
        channel.is_closed = true;
        let incarnation = channel.incarnation;
        let _ = self.poller.remove(channel.as_fd());
        let now = os::now();
        self.with_worker(id, |primary| primary.leave(id, now));
        self.draining.remove(&id);
        self.metrics.forget(id);
        self.tell(id, incarnation, WorkerSaid::Left);
    }

    /// Where something waits for room, the room is watched, and others get the connections.
    pub(super) fn watch_room(&mut self, id: WorkerId) {
        let Some((_, channel)) = self.channels.get(&id).filter(|(_, channel)| !channel.is_closed) else { return };
        let is_blocked = channel.is_blocked();
        // Room is not what it waits for, if the kernel passes nothing on for now: it is tried again in a moment.
        let _ = self.poller.tell_room(channel.as_fd(), CHANNEL_BIT | u64::from(id), is_blocked && !channel.is_refused);
        if channel.is_refused {
            self.refused_channels.insert(id);
        }
        let now = os::now();
        self.with_worker(id, |primary| primary.set_blocked(id, is_blocked, now));
    }

    // ---- sockets

    pub(super) fn watch_socket(&mut self, number: u32, id: SocketId) {
        let Some(group) = self.groups.get_mut(&number) else { return };
        let Some(socket) = group.descriptors.sockets.get(&id) else { return };
        let _known = self.poller.add_news(socket.as_fd(), socket_token(number, id));
        group.descriptors.fresh.insert(id);
    }

    pub(super) fn connection_came(&mut self, token: u64) {
        let (number, id) = group_and_socket(token);
        if let Some(group) = self.groups.get_mut(&number) {
            group.descriptors.fresh.insert(id);
            self.take_in(number);
        }
    }

    /// Takes connections in for as long as somebody can have them; the others wait in the kernel.
    pub(super) fn take_in(&mut self, number: u32) {
        let Some(group) = self.groups.get(&number) else { return };
        for id in group.descriptors.fresh.clone() {
            for _ in 0..CONNECTIONS_MAX {
                let now = os::now();
                let Some(group) = self.groups.get_mut(&number) else { return };
                if !group.primary.wants_connection(id, now) {
                    break;
                }
                // Who gets it is known first, so that nothing is between taking it in and passing it on.
                let (known, actions) = group.primary.connected(id, now);
                let (Some(socket), [PrimaryAction::Send { to, line, handle }]) =
                    (group.descriptors.sockets.get(&id), actions.as_slice())
                else {
                    group.primary.not_connected(id, known);
                    break;
                };
                let to = *to;
                let Some((_, channel)) = self.channels.get_mut(&to) else { break };
                match channel.pass_connection_on(socket.as_fd(), line, *handle) {
                    Ok(Some(connection)) => {
                        let is_blocked = channel.is_blocked();
                        group.descriptors.connections.insert(known, connection);
                        if is_blocked {
                            self.watch_room(to);
                        }
                    }
                    Ok(None) => {
                        group.primary.not_connected(id, known);
                        group.descriptors.fresh.remove(&id);
                        break;
                    }
                    Err(error) => {
                        group.primary.not_connected(id, known);
                        if os::is_passing(&error) {
                            // No descriptors left: they wait in the kernel until there are some.
                            self.stalled.insert(number);
                            return;
                        }
                        // It does not listen any more.
                        group.descriptors.fresh.remove(&id);
                        break;
                    }
                }
            }
        }
    }

    // ---- what the primaries say

    pub(super) fn with_worker(&mut self, id: WorkerId, ask: impl FnOnce(&mut Primary) -> Vec<PrimaryAction>) {
        if let Some((number, _)) = self.channels.get(&id) {
            self.with_group(*number, ask);
        }
    }

    pub(super) fn with_group(&mut self, number: u32, ask: impl FnOnce(&mut Primary) -> Vec<PrimaryAction>) {
        let Some(group) = self.groups.get_mut(&number) else { return };
        let actions = ask(&mut group.primary);
        self.perform(number, actions);
        self.take_in(number);
    }

    fn perform(&mut self, number: u32, actions: Vec<PrimaryAction>) {
        for action in actions {
            let Some(group) = self.groups.get_mut(&number) else { return };
            match action {
                PrimaryAction::Send { to, line, handle } => {
                    let Some((_, channel)) = self.channels.get_mut(&to) else { continue };
                    if handle == Some(Handle::Any) && group.descriptors.any.is_none() {
                        group.descriptors.any = os::open_channel().ok().map(|(any, _)| any);
                    }
                    let was_blocked = channel.is_blocked();
                    channel.send(&line, handle, |handle| group.descriptors.of(handle));
                    if channel.is_blocked() && !was_blocked {
                        self.watch_room(to);
                    }
                }
                PrimaryAction::Open { socket, wanted } => {
                    let owner = Arc::clone(&group.owner);
                    let begun = self.jobs.open(owner, number, socket, wanted.clone());
                    if let Err(errno) = begun {
                        self.opened(OpenedSocket { group: number, socket, wanted, result: Err(errno) });
                    }
                }
                PrimaryAction::Accept(socket) => self.watch_socket(number, socket),
                PrimaryAction::Close { socket, state } => {
                    let Some(open) = group.descriptors.sockets.remove(&socket) else { continue };
                    group.descriptors.fresh.remove(&socket);
                    let _ = self.poller.remove(open.as_fd());
                    group.keep.forget_socket(&state.key);
                    let owner = Arc::clone(&group.owner);
                    self.close_socket(&owner, state.wanted, open);
                }
                PrimaryAction::Release(connection) => drop(group.descriptors.connections.remove(&connection)),
                PrimaryAction::KeepSocket(socket) => {
                    if let (Some(state), Some(open)) =
                        (group.primary.socket_state(socket), group.descriptors.sockets.get(&socket))
                    {
                        // On failure it survives only as long as this daemon.
                        let _unkept = group.keep.put_socket(state, open);
                    }
                }
                PrimaryAction::KeepWorker(id) => {
                    if let (Some(state), Some((_, channel))) = (group.primary.worker_state(id), self.channels.get(&id))
                    {
                        let _unkept = group.keep.put_worker(id, channel.incarnation, state, channel);
                    }
                }
                PrimaryAction::Report(id, said) => self.tell_said(id, said),
            }
        }
    }

    /// What is done apart is taken up.
    pub(super) fn take_jobs_in(&mut self) {
        while let Some(opened) = self.jobs.next() {
            self.opened(opened);
        }
    }

    fn opened(&mut self, opened: OpenedSocket) {
        let OpenedSocket { group: number, socket, wanted, result } = opened;
        let Some(group) = self.groups.get_mut(&number) else { return };
        let answer = result.map(|open| {
            let name = name_of(&wanted, &open);
            group.descriptors.sockets.insert(socket, open);
            name
        });
        let now = os::now();
        self.with_group(number, |primary| primary.opened(socket, answer, now));
    }

    pub(super) fn close_socket(&mut self, owner: &Arc<SocketOwner>, wanted: WantedSocket, socket: OwnedFd) {
        self.jobs.close(Arc::clone(owner), wanted, socket);
    }

    /// Answers when everything that is done apart is done.
    pub(super) fn settle(&mut self, reply: oneshot::Sender<()>) {
        self.jobs.settle(reply);
    }

    fn tell_said(&mut self, id: WorkerId, said: Said) {
        let Some((_, channel)) = self.channels.get(&id) else { return };
        let said = match said {
            Said::Listening => WorkerSaid::Listening,
            Said::Metrics { request, line } => return self.metrics_came(id, request, line),
            Said::Message(text) if text == READY => WorkerSaid::Ready,
            Said::Message(text) => match Queued::new(&self.unheard, MESSAGES_MAX) {
                Some(place) => WorkerSaid::Message(text, place),
                None => return,
            },
            Said::Refused { wanted, errno } => {
                let now = os::now();
                let told = self.refused.get(&id);
                if told.is_some_and(|(to, why, at)| (to, *why) == (&wanted, errno) && now.since(*at) < REFUSED_AGAIN) {
                    return;
                }
                self.refused.insert(id, (wanted.clone(), errno, now));
                // Who has the address is looked for apart: that takes a while.
                let (words, incarnation) = (self.words.clone(), channel.incarnation);
                return self.jobs.explain(words, id, incarnation, wanted, errno);
            }
        };
        let incarnation = channel.incarnation;
        self.tell(id, incarnation, said);
    }

    pub(super) fn tell(&self, id: WorkerId, incarnation: u32, said: WorkerSaid) {
        // The loop is gone only when the daemon leaves.
        let _ = self.words.send(WorkerWord { row: id - 1, incarnation, said });
    }
}

fn socket_token(group: u32, socket: SocketId) -> u64 {
    u64::from(group) << 32 | socket & u64::from(u32::MAX)
}

fn group_and_socket(token: u64) -> (u32, SocketId) {
    (u32::try_from(token >> 32).unwrap_or(0), token & u64::from(u32::MAX))
}
