//! The thread that serves all clusters: waits for connections, lines and commands, and does what the primaries say.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::group::SocketOwner;
use super::keep::ClusterVault;
use super::members::JoiningWorker;
use super::metrics::{MetricsQuestion, PartingWords};
use super::service::{CHANNEL_BIT, Service};
use super::{KeptSocket, WorkerWord};
use crate::cluster::WorkerId;
use crate::model::{AppId, Millis};
use crate::os::{self, Poller, Waker};
use crate::supervisor::NotSaid;

/// How soon connections are taken in again for which there were no descriptors.
const STALLED_WAIT: Millis = Millis(20);

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum ClusterCommand {
    Join {
        owner: SocketOwner,
        keep: Arc<ClusterVault>,
        member: JoiningWorker,
    },
    TakeOver {
        owner: SocketOwner,
        keep: Arc<ClusterVault>,
        members: Vec<JoiningWorker>,
        sockets: Vec<KeptSocket>,
    },
    Leave {
        id: WorkerId,
        incarnation: u32,
    },
    Retire {
        id: WorkerId,
    },
    Drain {
        id: WorkerId,
        is_quiet_first: bool,
    },
    Say {
        id: WorkerId,
        line: String,
        reply: oneshot::Sender<Result<(), NotSaid>>,
    },
    AskMetrics(MetricsQuestion),
    TakeParted {
        app: AppId,
        reply: oneshot::Sender<Vec<PartingWords>>,
    },
    Close {
        app: AppId,
    },
    Rename {
        from: AppId,
        to: AppId,
    },
    /// Answered when everything before it is done.
    Settle {
        reply: oneshot::Sender<()>,
    },
}

/// The way to the thread. It ends when this is gone.
#[derive(Debug)]
pub(super) struct ThreadHandle {
    commands: Sender<ClusterCommand>,
    waker: Waker,
}

impl ThreadHandle {
    pub(super) fn send(&self, command: ClusterCommand) {
        // A thread that has failed serves nobody; the daemon says so elsewhere.
        let _ = self.commands.send(command);
        self.waker.wake();
    }
}

impl Drop for ThreadHandle {
    fn drop(&mut self) {
        self.waker.wake();
    }
}

/// Starts it.
pub(super) fn start(words: UnboundedSender<WorkerWord>) -> io::Result<ThreadHandle> {
    let poller = Poller::new()?;
    let (waker, (commands, inbox)) = (poller.waker(), channel());
    let service = Service::new(poller, words);
    os::start_thread("pm-cluster", move || Serving { service, inbox }.run())?;
    Ok(ThreadHandle { commands, waker })
}

/// The service, and who asks it.
struct Serving {
    service: Service,
    inbox: Receiver<ClusterCommand>,
}

impl Serving {
    fn run(mut self) {
        loop {
            let Ok(ready) = self.service.poller.wait(self.timeout()) else { return };
            if ready.is_woken {
                if !self.follow_commands() {
                    return;
                }
                self.service.take_jobs_in();
            }
            for id in std::mem::take(&mut self.service.unfinished) {
                self.service.listen(id);
            }
            for token in ready.tokens {
                match WorkerId::try_from(token & !CHANNEL_BIT) {
                    Ok(id) if token & CHANNEL_BIT != 0 => self.service.channel_ready(id),
                    _ => self.service.connection_came(token),
                }
            }
            self.wake_up();
        }
    }

    fn timeout(&self) -> Option<Millis> {
        if !self.service.unfinished.is_empty() {
            return Some(Millis(0));
        }
        let wakes = self.service.groups.values().filter_map(|group| group.primary.next_wake());
        let next = wakes.chain(self.service.draining.values().copied()).min();
        // A full millisecond more: a wait that ends a little early would be one for nothing.
        let time = next.map(|next| Millis(next.since(os::now()).0 + 1));
        let is_stalled = !self.service.stalled.is_empty() || !self.service.refused_channels.is_empty();
        let again = is_stalled.then_some(STALLED_WAIT);
        time.into_iter().chain(again).min()
    }

    fn wake_up(&mut self) {
        let now = os::now();
        for id in std::mem::take(&mut self.service.refused_channels) {
            self.service.try_again(id);
        }
        for number in std::mem::take(&mut self.service.stalled) {
            self.service.take_in(number);
        }
        let due: Vec<WorkerId> =
            self.service.draining.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        for id in due {
            self.service.draining.remove(&id);
            self.service.with_worker(id, |primary| primary.disconnect(id));
        }
        let due = self.service.groups.iter().filter(|(_, group)| group.primary.next_wake().is_some_and(|at| at <= now));
        for number in due.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.service.with_group(number, |primary| primary.woken(now));
        }
    }

    // ---- commands

    /// False: nobody will ever ask again.
    fn follow_commands(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(command) => self.follow(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn follow(&mut self, command: ClusterCommand) {
        match command {
            ClusterCommand::Join { owner, keep, member } => self.service.join(owner, keep, member),
            ClusterCommand::TakeOver { owner, keep, members, sockets } => {
                self.service.take_over(owner, keep, members, sockets);
            }
            ClusterCommand::Leave { id, incarnation } => self.service.leave(id, incarnation),
            ClusterCommand::Retire { id } => self.service.with_worker(id, |primary| primary.retire(id)),
            ClusterCommand::Drain { id, is_quiet_first } => self.service.drain(id, is_quiet_first),
            // Who asked may have gone away.
            ClusterCommand::Say { id, line, reply } => drop(reply.send(self.service.say(id, &line))),
            ClusterCommand::AskMetrics(question) => self.service.ask_metrics(question),
            ClusterCommand::TakeParted { app, reply } => drop(reply.send(self.service.metrics.take_parted(&app))),
            ClusterCommand::Close { app } => self.service.close(&app),
            ClusterCommand::Settle { reply } => self.service.settle(reply),
            ClusterCommand::Rename { from, to } => self.service.rename(&from, &to),
        }
    }
}
