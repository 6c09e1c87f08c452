//! Clusters of Node workers: their channels and sockets, served by a thread of its own that nothing else can hold up.
//!
//! The thread takes connections in and hands them out, and answers what workers ask for; [`crate::cluster`] decides. What a
//! worker says to others goes to the supervisor's loop. Channels and sockets are in the vault of their app (`keep`), which
//! every worker and the anchor have open: they survive the daemon, the anchor, and both.

mod asking;
mod channel;
mod group;
mod hook;
mod jobs;
mod keep;
mod members;
mod metrics;
mod refused;
mod service;
mod thread;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::anchor::{AnchorLink, HELD_VAULT};
use crate::cluster::{SocketState, WorkerId, WorkerState};
use crate::model::{App, AppId, Digest, Identity, Run, Scheduling};
use crate::os::{self, PidFd};
use crate::supervisor::NotSaid;
use crate::supervisor::handover::Handover;

use group::SocketOwner;
pub(super) use group::SocketUser;
pub(super) use hook::preload_hook;
use keep::{ClusterVault, Kept};
use members::JoiningWorker;
use metrics::MetricsQuestion;
pub(super) use metrics::PartingWords;
use thread::{ClusterCommand, ThreadHandle};

/// What a worker has said.
#[derive(Debug)]
pub(super) struct WorkerWord {
    pub row: u32,
    pub incarnation: u32,
    pub said: WorkerSaid,
}

/// What that can be.
#[derive(Debug)]
pub(super) enum WorkerSaid {
    /// It listens.
    Listening,
    /// `process.send('ready')`.
    Ready,
    /// A message of the app, as JSON.
    Message(String, Queued),
    /// It cannot listen somewhere: why, in words.
    Refused(String),
    /// It gets no connections any more, and nobody has said that it should not: an earlier daemon has left it so.
    Unserved,
    /// It has left its channel.
    Left,
}

/// The place of a message among those that nobody has heard yet.
#[derive(Debug)]
pub(super) struct Queued(Arc<AtomicUsize>);

impl Queued {
    fn new(count: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        if count.fetch_add(1, Ordering::Relaxed) < max {
            return Some(Self(Arc::clone(count)));
        }
        count.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl WorkerSaid {
    /// A message that nobody else waits behind.
    pub(super) fn message(text: &str) -> Self {
        Self::Message(text.to_owned(), Queued(Arc::default()))
    }
}

/// The way to all clusters.
#[derive(Debug, Default)]
pub struct Clusters {
    names: Mutex<ClusterNames>,
    thread: OnceLock<ThreadHandle>,
    words: OnceLock<mpsc::UnboundedSender<WorkerWord>>,
}

/// Which name means which cluster.
#[derive(Debug, Default)]
struct ClusterNames {
    keeps: BTreeMap<AppId, Arc<ClusterVault>>,
    /// Apps of the workers that are being started, by row: they may be renamed meanwhile.
    starting: BTreeMap<u32, AppId>,
}

impl ClusterNames {
    fn rename_starting(&mut self, from: &AppId, to: &AppId) {
        for app in self.starting.values_mut().filter(|app| *app == from) {
            *app = to.clone();
        }
    }
}

/// How long sockets may take to be closed at a shutdown.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// The number of the worker in a row: `cluster.worker.id`.
fn worker_of(row: u32) -> WorkerId {
    row + 1
}

impl Clusters {
    /// Where words of workers go. To be called once, before anything else.
    pub(super) fn tell(&self, words: mpsc::UnboundedSender<WorkerWord>) {
        let _once = self.words.set(words);
    }

    /// A worker of this app is about to be started in a row.
    pub(super) fn begin(&self, row: u32, app: &AppId) {
        self.names().starting.insert(row, app.clone());
    }

    /// What a new process needs in order to be a worker, added to what it gets.
    pub(super) fn hand_over(
        &self,
        anchor: &AnchorLink,
        (row, incarnation): (u32, u32),
        (app, spec): (&AppId, &App),
        user: Option<&Identity>,
        mut handover: Handover,
    ) -> io::Result<Handover> {
        let thread = self.thread()?;
        // To the end: a rename comes before all of this, or after it.
        let mut names = self.names();
        let app = &names.starting.remove(&row).unwrap_or_else(|| app.clone());
        let keep = Self::keep_of(&mut names, anchor, app)?;
        let (ours, theirs) = os::open_channel()?;
        let (id, state) = (worker_of(row), state_of(&spec.run));
        keep.put_worker(id, incarnation, &state, &ours)?;
        let inherited = handover.descriptors.iter().map(OwnedFd::try_clone).collect::<io::Result<Vec<_>>>()?;
        let owner = owner(app, spec, known_user(user), inherited);
        let number = (3 + handover.descriptors.len()).to_string();
        for (name, value) in [
            ("NODE_CHANNEL_FD", number),
            ("NODE_CHANNEL_SERIALIZATION_MODE", "json".to_owned()),
            ("NODE_UNIQUE_ID", id.to_string()),
        ] {
            handover.variables.push((name.to_owned(), value));
        }
        handover.descriptors.push(theirs);
        handover.descriptors.push(keep.as_fd().try_clone_to_owned()?);
        thread.send(ClusterCommand::Join {
            owner,
            keep,
            member: JoiningWorker { id, incarnation, channel: ours, state },
        });
        Ok(handover)
    }

    /// Takes workers of an earlier daemon over: those of one app that live, with the descriptors where their vault may be.
    pub(super) fn take_over(
        &self,
        anchor: &AnchorLink,
        (app, spec): (&AppId, &App),
        held: Option<OwnedFd>,
        living: &[(u32, u32, &PidFd)],
        (user, inherited): (SocketUser, Vec<OwnedFd>),
    ) -> io::Result<()> {
        let number = i32::try_from(4 + spec.run.listen.len()).unwrap_or(i32::MAX);
        let found = || living.iter().find_map(|(_, _, process)| process.copy_descriptor(number).ok());
        let unserved = |row: u32, incarnation: u32| {
            if let Some(words) = self.words.get() {
                let _ = words.send(WorkerWord { row, incarnation, said: WorkerSaid::Unserved });
            }
        };
        let found = held.or_else(found).map(ClusterVault::found).transpose();
        let Some((keep, Kept { mut workers, sockets })) = found.ok().flatten() else {
            for (row, incarnation, _) in living {
                unserved(*row, *incarnation);
            }
            return Ok(());
        };
        anchor.hold(vault_key(app), HELD_VAULT, keep.as_fd())?;
        let keep = Arc::new(keep);
        self.names().keeps.insert(app.clone(), Arc::clone(&keep));
        let mut members = Vec::new();
        for (row, incarnation, _) in living {
            match workers.remove(&worker_of(*row)) {
                Some((known, state, channel)) if known == *incarnation => {
                    members.push(JoiningWorker { id: worker_of(*row), incarnation: known, channel, state });
                }
                _ => unserved(*row, *incarnation),
            }
        }
        for id in workers.into_keys().filter(|id| !members.iter().any(|member| member.id == *id)) {
            keep.forget_worker(id);
        }
        self.thread()?.send(ClusterCommand::TakeOver {
            owner: owner(app, spec, user, inherited),
            keep,
            members,
            sockets,
        });
        Ok(())
    }

    /// The process is over, or never came to be.
    pub(super) fn leave(&self, row: u32, incarnation: u32) {
        self.send(ClusterCommand::Leave { id: worker_of(row), incarnation });
    }

    /// The worker gets no more connections.
    pub(super) fn retire(&self, row: u32) {
        self.send(ClusterCommand::Retire { id: worker_of(row) });
    }

    /// The worker gets no more connections, ends those that it has, and leaves its channel: [`WorkerSaid::Left`].
    pub(super) fn drain(&self, row: u32, spec: &App) {
        // Without the hook, some versions of Node drop connections that they have accepted and not read yet.
        self.send(ClusterCommand::Drain { id: worker_of(row), is_quiet_first: !has_drain_hook(&spec.run) });
    }

    /// Says a line to a worker.
    pub(super) fn say(&self, row: u32, line: &str) {
        drop(self.try_say(row, line));
    }

    /// The same; whether its channel has it is answered.
    pub(super) fn try_say(&self, row: u32, line: &str) -> oneshot::Receiver<Result<(), NotSaid>> {
        let (reply, said) = oneshot::channel();
        self.send(ClusterCommand::Say { id: worker_of(row), line: line.to_owned(), reply });
        said
    }

    /// Asks a worker for its metrics. `key` names its process. The answer is the line that it sends; none: it has left.
    pub(super) fn ask_metrics(&self, row: u32, key: String, spec: &App) -> oneshot::Receiver<Result<String, NotSaid>> {
        let (reply, answer) = oneshot::channel();
        let has_hook = has_drain_hook(&spec.run);
        self.send(ClusterCommand::AskMetrics(MetricsQuestion { id: worker_of(row), key, has_hook, reply }));
        answer
    }

    /// What workers of this app have reported as they left, since this was asked last.
    pub(super) fn take_parted(&self, app: &AppId) -> oneshot::Receiver<Vec<PartingWords>> {
        let (reply, parted) = oneshot::channel();
        self.send(ClusterCommand::TakeParted { app: app.clone(), reply });
        parted
    }

    /// Nothing of the app runs or is about to: from now on connections to its sockets are refused.
    pub(super) fn close(&self, anchor: &AnchorLink, app: &AppId) {
        if self.names().keeps.remove(app).is_some() {
            // An anchor that does not listen is about to be replaced.
            let _ = anchor.drop_held(vault_key(app), HELD_VAULT);
            self.send(ClusterCommand::Close { app: app.clone() });
        }
    }

    /// Resolves when everything that was asked for is done: sockets are closed, and their files removed.
    pub(super) async fn settled(&self) {
        let (reply, settled) = oneshot::channel();
        self.send(ClusterCommand::Settle { reply });
        // Without a thread there is nothing to do; a file system that hangs is not waited for.
        let _ = tokio::time::timeout(SETTLE_MAX, settled).await;
    }

    /// The app has another name from now on.
    pub(super) fn rename(&self, anchor: &AnchorLink, from: &AppId, to: &AppId) {
        let mut names = self.names();
        names.rename_starting(from, to);
        let Some(keep) = names.keeps.remove(from) else { return };
        // First the new name: in between it is held twice.
        let _ = anchor.hold(vault_key(to), HELD_VAULT, keep.as_fd());
        let _ = anchor.drop_held(vault_key(from), HELD_VAULT);
        names.keeps.insert(to.clone(), keep);
        // Before anybody joins under the new name.
        self.send(ClusterCommand::Rename { from: from.clone(), to: to.clone() });
    }

    fn send(&self, command: ClusterCommand) {
        if let Some(thread) = self.thread.get() {
            thread.send(command);
        }
    }

    fn thread(&self) -> io::Result<&ThreadHandle> {
        if let Some(thread) = self.thread.get() {
            return Ok(thread);
        }
        let words = self.words.get().cloned().ok_or_else(|| io::Error::other("the supervisor does not run"))?;
        // Two spawning threads at a time must not begin two.
        let _one = self.names();
        if self.thread.get().is_none() {
            let _ours = self.thread.set(thread::start(words)?);
        }
        self.thread.get().ok_or_else(|| io::Error::other("the thread of clusters did not begin"))
    }

    fn keep_of(names: &mut ClusterNames, anchor: &AnchorLink, app: &AppId) -> io::Result<Arc<ClusterVault>> {
        if let Some(keep) = names.keeps.get(app) {
            return Ok(Arc::clone(keep));
        }
        let keep = Arc::new(ClusterVault::new()?);
        anchor.hold(vault_key(app), HELD_VAULT, keep.as_fd())?;
        names.keeps.insert(app.clone(), Arc::clone(&keep));
        Ok(keep)
    }

    fn names(&self) -> MutexGuard<'_, ClusterNames> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known_user(user: Option<&Identity>) -> SocketUser {
    user.map_or(SocketUser::Own, |user| SocketUser::Other(user.clone()))
}

/// What a primary knows of a worker that is about to begin.
fn state_of(run: &Run) -> WorkerState {
    let listen = run.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    WorkerState { listen, ..WorkerState::new(scheduling(run)) }
}

fn owner(app: &AppId, spec: &App, user: SocketUser, inherited: Vec<OwnedFd>) -> SocketOwner {
    SocketOwner { app: app.clone(), user, umask: spec.run.umask.unwrap_or(Run::UMASK), inherited }
}

/// Who accepts: what is declared, else what Node's own variable says.
fn scheduling(run: &Run) -> Scheduling {
    let told = || run.env.get("NODE_CLUSTER_SCHED_POLICY").map(ToString::to_string);
    match run.cluster.scheduling {
        Some(scheduling) => scheduling,
        None if told().as_deref() == Some("none") => Scheduling::Shared,
        None => Scheduling::RoundRobin,
    }
}

/// Whether the drain hook is preloaded: Deno and Bun have no use for it.
pub(super) fn has_drain_hook(run: &Run) -> bool {
    let runtime = run.interpreter.as_deref().or(run.script.as_deref()).unwrap_or_default();
    let name = runtime.rsplit('/').next().unwrap_or_default();
    run.cluster.drain_hook && !["bun", "deno"].contains(&name)
}

/// The same app has the same key under every daemon. Never as small as the number of a row.
pub(super) fn vault_key(app: &AppId) -> u64 {
    Digest::of(app.to_string().as_bytes()).number() | 1 << 63
}

/// A socket that an earlier daemon has opened.
type KeptSocket = (SocketState, OwnedFd);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_being_started_joins_under_the_new_name() {
        let app = |name: &str| AppId::new("shop".parse().unwrap(), name.parse().unwrap());
        let clusters = Clusters::default();
        for (row, name) in [(1, "web"), (2, "web"), (3, "api")] {
            clusters.begin(row, &app(name));
        }
        clusters.names().rename_starting(&app("web"), &app("front"));
        // Another app has the old name by now.
        clusters.begin(4, &app("web"));
        let starting = clusters.names().starting.clone();
        let expected = [(1, "front"), (2, "front"), (3, "api"), (4, "web")];
        assert_eq!(starting, expected.into_iter().map(|(row, name)| (row, app(name))).collect());
    }
}
