//! Who belongs to a cluster: workers that join, are taken over, are told something, drain and leave.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use super::channel::Channel;
use super::group::{ClusterGroup, Descriptors, SocketOwner};
use super::keep::ClusterVault;
use super::service::{CHANNEL_BIT, Service};
use super::{KeptSocket, WorkerSaid};
use crate::cluster::{Primary, WorkerId, WorkerState};
use crate::model::{AppId, Millis};
use crate::os;
use crate::supervisor::NotSaid;

/// How long a worker that gets no more connections may go on with those that it has not read yet.
const QUIET: Millis = Millis(300);

/// How long that is.
pub(super) fn quiet(is_quiet_first: bool) -> Millis {
    if is_quiet_first { QUIET } else { Millis(0) }
}

/// A worker that joins.
#[derive(Debug)]
pub(super) struct JoiningWorker {
    pub id: WorkerId,
    pub incarnation: u32,
    pub channel: OwnedFd,
    pub state: WorkerState,
}

impl Service {
    pub(super) fn join(&mut self, owner: SocketOwner, keep: Arc<ClusterVault>, member: JoiningWorker) {
        let number = self.group_of(owner, keep);
        let (id, state) = (member.id, member.state.clone());
        self.connect(number, member);
        self.with_group(number, |primary| {
            primary.join(id, state);
            Vec::new()
        });
    }

    pub(super) fn say(&mut self, id: WorkerId, line: &str) -> Result<(), NotSaid> {
        let Some((_, channel)) = self.channels.get_mut(&id).filter(|(_, channel)| !channel.is_closed) else {
            return Err(NotSaid::NoChannel);
        };
        // What waits already is of the cluster itself, and comes first.
        if channel.is_blocked() {
            return Err(NotSaid::Full);
        }
        channel.send(line, None, |_| None);
        self.watch_room(id);
        Ok(())
    }

    fn group_of(&mut self, owner: SocketOwner, keep: Arc<ClusterVault>) -> u32 {
        let known = self.groups.iter_mut().find(|(_, group)| group.app == owner.app);
        if let Some((number, group)) = known {
            group.owner = Arc::new(owner);
            return *number;
        }
        self.last_group += 1;
        // Above whatever an earlier daemon has sent.
        let primary = Primary::new(os::wall().0.saturating_mul(1000));
        let (workers, descriptors) = (BTreeSet::new(), Descriptors::default());
        self.groups.insert(
            self.last_group,
            ClusterGroup { app: owner.app.clone(), owner: Arc::new(owner), primary, keep, workers, descriptors },
        );
        self.last_group
    }

    fn connect(&mut self, number: u32, member: JoiningWorker) {
        let channel = Channel::new(member.channel, member.incarnation);
        // A channel that cannot be watched would never be heard: the process will fail its deadline.
        let _unwatched = self.poller.add_news(channel.as_fd(), CHANNEL_BIT | u64::from(member.id));
        self.channels.insert(member.id, (number, channel));
        if let Some(group) = self.groups.get_mut(&number) {
            group.workers.insert(member.id);
        }
    }

    pub(super) fn take_over(
        &mut self,
        owner: SocketOwner,
        keep: Arc<ClusterVault>,
        members: Vec<JoiningWorker>,
        sockets: Vec<KeptSocket>,
    ) {
        let number = self.group_of(owner, keep);
        for (state, socket) in sockets {
            let Some(group) = self.groups.get_mut(&number) else { return };
            let id = group.primary.take_over_socket(state);
            // Whoever has it may have changed that, and we must not wait in it.
            let _closed = os::never_wait(&socket);
            group.descriptors.sockets.insert(id, socket);
        }
        for member in members {
            let (id, incarnation, state) = (member.id, member.incarnation, member.state.clone());
            let (was_listening, was_draining) = (state.is_listening, state.is_draining);
            self.connect(number, member);
            self.with_group(number, |primary| {
                let mut actions = Vec::new();
                primary.take_over_worker(id, state, &mut actions);
                actions
            });
            if was_draining {
                self.tell(id, incarnation, WorkerSaid::Unserved);
            }
            if was_listening {
                // The last daemon may not have acted on it.
                self.tell(id, incarnation, WorkerSaid::Listening);
            }
        }
    }

    pub(super) fn drain(&mut self, id: WorkerId, is_quiet_first: bool) {
        let Some((_, channel)) = self.channels.get(&id) else { return };
        if channel.is_closed {
            let incarnation = channel.incarnation;
            return self.tell(id, incarnation, WorkerSaid::Left);
        }
        self.ask_parting_metrics(id);
        self.with_worker(id, |primary| primary.retire(id));
        let wait = quiet(is_quiet_first).max(self.metrics.wait_for(id));
        self.draining.insert(id, os::now().after(wait));
    }

    /// The process is over: its last words, then nothing.
    pub(super) fn leave(&mut self, id: WorkerId, incarnation: u32) {
        if self.channels.get(&id).is_none_or(|(_, channel)| channel.incarnation != incarnation) {
            return;
        }
        self.listen(id);
        let now = os::now();
        self.with_worker(id, |primary| primary.leave(id, now));
        self.draining.remove(&id);
        self.unfinished.remove(&id);
        self.metrics.forget(id);
        let Some((number, channel)) = self.channels.remove(&id) else { return };
        if !channel.is_closed {
            let _ = self.poller.remove(channel.as_fd());
        }
        if let Some(group) = self.groups.get_mut(&number) {
            group.workers.remove(&id);
            group.keep.forget_worker(id);
        }
    }

    pub(super) fn close(&mut self, app: &AppId) {
        let numbers: Vec<u32> =
            self.groups.iter().filter(|(_, group)| group.app == *app).map(|(number, _)| *number).collect();
        for number in numbers {
            let Some(group) = self.groups.remove(&number) else { continue };
            for (id, socket) in group.descriptors.sockets {
                let _ = self.poller.remove(socket.as_fd());
                if let Some(state) = group.primary.socket_state(id) {
                    group.keep.forget_socket(&state.key);
                    self.close_socket(&group.owner, state.wanted.clone(), socket);
                }
            }
            for id in &group.workers {
                if let Some((_, channel)) = self.channels.remove(id) {
                    let _ = self.poller.remove(channel.as_fd());
                }
            }
        }
    }

    pub(super) fn rename(&mut self, from: &AppId, to: &AppId) {
        for group in self.groups.values_mut().filter(|group| group.app == *from) {
            group.app = to.clone();
        }
        self.metrics.rename(from, to);
    }
}
