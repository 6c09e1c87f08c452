//! The handle of the pump: commands for the thread that moves bytes from pipes to files.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::export::{ExportJournal, WrittenFiles};
use super::file::{OpenFiles, Pour, Splice};
use super::flow::Patience;
use super::sys::{self, PumpWaker};
use super::worker::Worker;
use super::{LogTarget, Notice, StreamKey};
use crate::model::WallTime;

/// Commands that may wait. Only a disk that hangs lets them pile up so far, and then the caller waits.
const COMMANDS_MAX: usize = 2048;
/// Times of output are no finer than this.
const TIME_STEP: Duration = Duration::from_millis(1);

/// What is in a pipe when a process begins came before whatever follows, however late the pump gets to it.
fn just_before() -> WallTime {
    WallTime(sys::wall_now().0.saturating_sub(1))
}

/// What has written into the pipes of a process that is about to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Before {
    /// Nothing: they are new.
    Nothing,
    /// The process before.
    Another,
    /// A hook, whose words belong to this process.
    ItsHook,
}

/// A process that is about to begin.
#[derive(Debug)]
pub struct Begun(Receiver<()>);

impl Begun {
    /// Waits until the pump knows of it, but not for a disk that hangs: then what comes next may count as output of the
    /// process before.
    pub fn wait(self, at_most: Duration) {
        let _ = self.0.recv_timeout(at_most);
    }

    /// The same, and for the next millisecond: the time of what comes next is later than that of all that came before.
    pub fn wait_for_later_times(self, at_most: Duration) {
        self.wait(at_most);
        std::thread::sleep(TIME_STEP);
    }
}

/// What the thread is asked to do.
pub(super) enum PumpCommand {
    Attach(StreamKey, Arc<OwnedFd>, Box<LogTarget>, Option<&'static AtomicU64>),
    Retarget(StreamKey, Box<LogTarget>),
    Detach(StreamKey),
    Drain(Vec<StreamKey>, oneshot::Sender<()>),
    BeginProcess(Vec<StreamKey>, Before, WallTime, SyncSender<()>),
    BeginLine(StreamKey),
    Stop(oneshot::Sender<()>),
}

/// The way to the thread that writes all logs; cheap to clone. The thread ends when the last clone is gone.
#[derive(Clone)]
pub struct Pump {
    sender: Arc<CommandSender>,
    grown: Arc<watch::Sender<u64>>,
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pump")
    }
}

/// The sending end; its drop lets the thread see that nobody is left.
struct CommandSender {
    commands: Option<SyncSender<PumpCommand>>,
    waker: Arc<PumpWaker>,
}

impl Drop for CommandSender {
    fn drop(&mut self) {
        self.commands = None; // before the waker, so that the thread finds the queue closed
        self.waker.wake();
    }
}

impl Pump {
    /// Starts the thread, which keeps at most `files_max` logs open. `notices` is called on it and must not wait.
    ///
    /// # Errors
    /// The kernel refuses a thread, an epoll or an eventfd.
    ///
    /// `journal`: with it, what an earlier daemon was writing from a log is finished before anything else is written.
    pub fn start(
        files_max: usize,
        journal: Option<ExportJournal>,
        notices: impl Fn(Notice) + Send + 'static,
    ) -> io::Result<Self> {
        Self::start_with(Patience::default(), Box::new(Splice), (files_max, journal), notices)
    }

    pub(super) fn start_with(
        patience: Patience,
        pour: Box<dyn Pour>,
        (files_max, journal): (usize, Option<ExportJournal>),
        notices: impl Fn(Notice) + Send + 'static,
    ) -> io::Result<Self> {
        let (commands, inbox) = sync_channel(COMMANDS_MAX);
        let waker = Arc::new(PumpWaker::new()?);
        let grown = Arc::new(watch::Sender::new(0));
        let files = WrittenFiles::new(OpenFiles::new(pour, files_max), journal);
        let worker = Worker::new(inbox, waker.clone(), grown.clone(), files, patience, Box::new(notices))?;
        // To look up the zone of time stamps takes a quarter of a megabyte at once. What is not touched costs nothing.
        std::thread::Builder::new().name("pm-logs".into()).stack_size(2 << 20).spawn(move || worker.run())?;
        Ok(Self { sender: Arc::new(CommandSender { commands: Some(commands), waker }), grown })
    }

    /// Moves what comes out of `pipe` (open for reading and writing, so that it never ends) to the target.
    /// A stream that bore the same key is drained and closed.
    ///
    /// `record`: a number that outlives this process, 0 at first. It holds what was thrown away and not told: whoever
    /// attaches the stream next, with the same record, tells it.
    pub fn attach(
        &self,
        key: StreamKey,
        pipe: impl Into<Arc<OwnedFd>>,
        target: LogTarget,
        record: Option<&'static AtomicU64>,
    ) {
        self.send(PumpCommand::Attach(key, pipe.into(), Box::new(target), record));
    }

    /// Moves everything that comes from now on (give or take a millisecond) to another file, or by other rules.
    /// An unknown key is ignored.
    pub fn retarget(&self, key: StreamKey, target: LogTarget) {
        self.send(PumpCommand::Retarget(key, Box::new(target)));
    }

    /// Moves what is in the pipe now, then closes it.
    pub fn detach(&self, key: StreamKey) {
        self.send(PumpCommand::Detach(key));
    }

    /// Resolves when everything that is in these pipes now stands in the files (or was dropped by policy).
    /// On a full disk that can take forever: wait with a deadline. An error means that the pump has ended.
    pub fn drain(&self, keys: Vec<StreamKey>) -> oneshot::Receiver<()> {
        let (done, drained) = oneshot::channel();
        self.send(PumpCommand::Drain(keys, done));
        drained
    }

    /// What comes next begins a new line, also where a file ends in the middle of one.
    pub fn begin_line(&self, key: StreamKey) {
        self.send(PumpCommand::BeginLine(key));
    }

    /// What comes from now on is of a new process: it begins a line and a part of its own of the log, and its time is not
    /// that of what came before. In a pipe that was in use it is told from what came before only if the process starts
    /// after [`Begun::wait`].
    pub fn begin_process(&self, keys: Vec<StreamKey>, before: Before) -> Begun {
        let (done, begun) = sync_channel(1);
        self.send(PumpCommand::BeginProcess(keys, before, just_before(), done));
        Begun(begun)
    }

    /// Ticks when any file grew.
    pub fn advanced(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }

    /// Ends the thread after the batch in hand and resolves when it is gone. What is in the pipes stays there.
    pub fn shutdown(&self) -> oneshot::Receiver<()> {
        let (done, gone) = oneshot::channel();
        self.send(PumpCommand::Stop(done));
        gone
    }

    /// A pump that has ended drops the command, and with it the pipe and whatever waits for an answer.
    fn send(&self, command: PumpCommand) {
        if let Some(commands) = &self.sender.commands
            && commands.send(command).is_ok()
        {
            self.sender.waker.wake();
        }
    }
}
