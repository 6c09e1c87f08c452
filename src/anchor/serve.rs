//! The anchor's loop: reaps children, answers the daemon's messages, and restarts the daemon.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Relaxed, Release};

use super::ending::{self, Ending};
use super::failure::{self, Text};
use super::held::Store;
use super::link::ANCHOR_SOCKET;
use super::protocol::{Arrived, HoldRefusal, Message, Passed, receive};
use super::row::{Row, RowState};
use super::run::DAEMON_LOG_BYTES_MAX;
use super::table::Table;
use crate::model::{Exit, Millis, Moment};
use crate::os::{self, DaemonLauncher, Dead, SignalFd};

/// A daemon that has lived this long is restarted at once when it dies.
const STABLE: Millis = Millis(10_000);
const FIRST_WAIT: Millis = Millis(10);
const LONGEST_WAIT: Millis = Millis(2_000);
/// The same for daemons that cannot start: a request starts one at once.
const LONGEST_WAIT_OF_FAILURES: Millis = Millis(30_000);
/// Daemons that were killed before they were ready are no failure for so long: somebody tries us.
const KILLED_AT_ONCE: Millis = Millis(5_000);
/// A failure of which the daemon said nothing counts from this one on: the first may have been an accident.
const SILENT_FAILURES_MIN: u32 = 2;
/// Failures after which an anchor without any app leaves; the next command starts another one.
const FAILURES_MAX: u32 = 8;
/// Daemons that are started just to take the apps down, after we were told to end.
const LAST_STARTS_MAX: u32 = 3;

const STANDARD_ERROR: RawFd = 2;

/// The anchor's memory.
pub(super) struct Anchor {
    table: Table,
    launcher: DaemonLauncher,
    /// `None`: errors go to our caller.
    log: Option<PathBuf>,
    signals: SignalFd,
    daemon: Option<Daemon>,
    /// When the next daemon is started, while there is none.
    restart_at: Moment,
    wait: Millis,
    held: Store,
    /// A child may have died since the dead were last looked for. Looking costs time with every living child.
    may_have_dead: bool,
    /// The anchor was asked to stop: the daemon stops the apps, then both exit.
    is_leaving: bool,
    /// The daemon said that its end, whatever it is, shall be ours.
    ends_with_daemon: bool,
    last_starts: u32,
    is_over: bool,
    /// Where callers wait while there is no daemon.
    listener: UnixListener,
    /// Why no daemon could begin; `None` as long as the next one is taken to be fine.
    failure: Option<Text>,
    /// Daemons in a row that could not begin.
    failures: u32,
    /// A daemon has answered.
    was_ready: bool,
    /// When there was last a daemon that answered, or (if there was none) when we began.
    ready_until: Moment,
    /// Callers are let in: not while there is no descriptor for them.
    lets_in: bool,
    ending: Option<Ending>,
    /// The caller waits for the anchor, and gets the error of a daemon that cannot start.
    pub(super) is_in_foreground: bool,
    /// Where the service manager listens.
    pub(super) manager: Option<OsString>,
    code: u8,
}

/// The daemon of now.
struct Daemon {
    pid: u32,
    /// `None`: it has closed its end.
    socket: Option<OwnedFd>,
    since: Moment,
    is_ready: bool,
    /// What it said about why it cannot begin.
    reason: Option<Text>,
}

impl Anchor {
    /// Watches children and signals from now on.
    pub(super) fn new(
        table: Table,
        launcher: DaemonLauncher,
        log: Option<PathBuf>,
        listener: UnixListener,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let signals = SignalFd::blocking(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP])?;
        Ok(Self {
            table,
            launcher,
            log,
            signals,
            daemon: None,
            restart_at: Moment(0),
            wait: Millis(0),
            held: Store::new(table),
            may_have_dead: true,
            is_leaving: false,
            ends_with_daemon: false,
            last_starts: 0,
            is_over: false,
            listener,
            failure: None,
            failures: 0,
            was_ready: false,
            ready_until: os::now(),
            lets_in: true,
            ending: None,
            is_in_foreground: false,
            manager: None,
            code: 0,
        })
    }

    /// Runs until the daemon has left for good; our exit code.
    pub(super) fn serve(&mut self) -> u8 {
        while !self.is_over {
            let Ok([_signal, has_more]) =
                os::wait_readable([Some(self.signals.as_fd()), self.second()], self.timeout())
            else {
                continue;
            };
            let has_message = has_more && self.daemon.is_some();
            if has_more && self.daemon.is_none() {
                // Somebody asks: the answer is to be that of a daemon of now.
                self.restart_at = os::now();
            }
            while let Some(signal) = self.signals.take() {
                self.on_signal(signal);
            }
            if has_message {
                self.take_messages();
            }
            if self.may_have_dead {
                self.reap_children();
            }
            if let Some(ending) = &mut self.ending {
                self.is_over |= ending.is_over(&self.table);
            } else if self.daemon.is_none() && !self.is_over && os::now() >= self.restart_at {
                self.start_daemon_or_say_why();
            }
        }
        self.code
    }

    /// A service manager that does not listen misses it.
    fn notify_manager(&self, message: &str) {
        if let Some(manager) = &self.manager {
            let _not_listening = os::notify_service_manager(manager, message);
        }
    }

    /// To be called when the path of the socket is gone: earlier callers get an answer.
    pub(super) fn answer_the_last(&mut self) {
        if self.failure.is_some() {
            self.answer_callers();
        }
    }

    /// What is watched besides signals: the daemon, or those who would like to talk to one.
    fn second(&self) -> Option<BorrowedFd<'_>> {
        match &self.daemon {
            Some(daemon) => daemon.socket.as_ref().map(AsFd::as_fd),
            None if self.failure.is_some() && self.lets_in && self.ending.is_none() => Some(self.listener.as_fd()),
            None => None,
        }
    }

    fn timeout(&self) -> Option<Millis> {
        if self.ending.is_some() {
            return Some(ending::LOOK_EVERY);
        }
        if self.daemon.is_some() { None } else { Some(self.restart_at.since(os::now())) }
    }

    fn start_daemon_or_say_why(&mut self) {
        self.lets_in = true;
        if let Err(error) = self.start_daemon() {
            self.note(format_args!("the daemon cannot be started: {error}"));
            self.fail(&Text::format(format_args!("cannot execute `pm`: {error}")));
        }
    }

    /// No daemon for now: callers get the reason, and a start is retried later, or with the next call.
    fn fail(&mut self, reason: &Text) {
        self.failure = Some(*reason);
        self.failures = self.failures.saturating_add(1);
        self.put_off(LONGEST_WAIT_OF_FAILURES);
        self.answer_callers();
        let holds_nothing = || {
            self.table
                .rows()
                .all(|row| !matches!(row.state(), RowState::Spawning | RowState::Running | RowState::Exited))
        };
        if self.is_leaving && self.last_starts >= LAST_STARTS_MAX {
            self.end_without_daemon();
        } else if self.is_in_foreground && !self.was_ready {
            let _caller_gone = writeln!(io::stderr(), "error: the daemon cannot start: {reason}");
            (self.is_over, self.code) = (true, 1);
        } else if self.failures >= FAILURES_MAX && holds_nothing() {
            self.is_over = true;
        }
    }

    fn answer_callers(&mut self) {
        let Some(reason) = self.failure else { return };
        loop {
            match self.listener.accept() {
                Ok((caller, _)) => {
                    if failure::answer(caller, &reason).unwrap_or(false) {
                        self.end_without_daemon();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.lets_in = false;
                    return;
                }
            }
        }
    }

    fn end_without_daemon(&mut self) {
        if self.ending.is_none() {
            self.note(format_args!("exiting without a daemon: the apps are stopped"));
            self.ending = Some(Ending::begin(&self.table));
        }
    }

    /// Starts a daemon with everything that is held.
    pub(super) fn start_daemon(&mut self) -> io::Result<()> {
        self.cap_log();
        let (ours, theirs) = os::packet_pair()?;
        let pid = self.launcher.start(theirs.as_fd(), ANCHOR_SOCKET)?;
        let header = self.table.header();
        header.daemon_pid.store(pid.cast_signed(), Release);
        header.daemon_starts.fetch_add(1, Relaxed);
        let since = os::now();
        self.daemon = Some(Daemon { pid, socket: Some(ours), since, is_ready: false, reason: None });
        if self.is_leaving {
            self.last_starts += 1;
            let _dies_anyway = os::signal_child(pid, libc::SIGTERM);
        }
        Ok(())
    }

    fn on_signal(&mut self, signal: i32) {
        // One SIGCHLD may stand for many.
        self.may_have_dead |= signal == libc::SIGCHLD;
        if signal == libc::SIGTERM || signal == libc::SIGINT {
            self.is_leaving = true;
            self.notify_manager("STOPPING=1");
            if let Some(daemon) = &self.daemon {
                let _dies_anyway = os::signal_child(daemon.pid, libc::SIGTERM);
            } else {
                self.restart_at = os::now();
            }
        }
    }

    /// Records and reaps every child that has ended.
    fn reap_children(&mut self) {
        let mut has_news = false;
        self.may_have_dead = false;
        while let Ok(Some(dead)) = os::next_dead_child() {
            if self.daemon.as_ref().is_some_and(|daemon| daemon.pid == dead.pid) {
                self.on_daemon_end(dead);
            } else {
                // First the table, then the kernel may forget: killed in between we would have told it twice, never
                // not at all.
                has_news |= self.record_exit(dead);
            }
            if os::reap(dead.pid).is_err() {
                self.may_have_dead = true;
                break;
            }
        }
        if has_news {
            // A full buffer means that a wake-up waits there already; a dead daemon's successor looks anyway.
            self.say(Message::Exited);
        }
    }

    /// Escapees and helpers stand in no row: they are reaped and that is all.
    fn record_exit(&self, dead: Dead) -> bool {
        let is_theirs =
            |row: &Row| row.pid() == Some(dead.pid) && matches!(row.state(), RowState::Spawning | RowState::Running);
        self.table.rows().find(is_theirs).is_some_and(|row| row.record_exit(dead.status))
    }

    fn on_daemon_end(&mut self, dead: Dead) {
        // What it sent before it died counts.
        self.take_messages();
        let Some(daemon) = self.daemon.take() else { return };
        let now = os::now();
        let lived = now.since(daemon.since);
        self.table.header().daemon_pid.store(0, Release);
        let exit = os::exit_of(dead.status);
        if exit == Exit::Code(0) || self.ends_with_daemon {
            self.is_over = true;
            return;
        }
        if self.ending.is_some() {
            return;
        }
        self.note(format_args!("the daemon ended with {exit}; restarting it"));
        if daemon.is_ready {
            self.ready_until = now;
        }
        if lived >= STABLE {
            self.wait = Millis(0);
        }
        let is_killed = exit == Exit::Signal(libc::SIGKILL) && daemon.reason.is_none();
        if is_killed && now.since(self.ready_until) < KILLED_AT_ONCE && !self.is_leaving {
            // Not its own fault, so it is not punished; the pause keeps a killer from making us spin.
            self.restart_at = now.after(if lived >= FIRST_WAIT { Millis(0) } else { FIRST_WAIT });
        } else if daemon.is_ready {
            self.put_off(LONGEST_WAIT);
        } else {
            self.on_failed_boot(exit, daemon.reason.as_ref());
        }
        if daemon.is_ready && self.is_leaving && self.last_starts >= LAST_STARTS_MAX {
            self.end_without_daemon();
        }
    }

    fn on_failed_boot(&mut self, exit: Exit, reason: Option<&Text>) {
        if reason.is_none() && self.failures + 1 < SILENT_FAILURES_MIN {
            self.failures += 1;
            self.put_off(LONGEST_WAIT);
            return;
        }
        let silent = match &self.log {
            Some(log) => Text::format(format_args!("it ended with {exit}; see `{}`", log.display())),
            None => Text::format(format_args!("it ended with {exit}; see the standard error of `pm daemon run`")),
        };
        self.fail(reason.unwrap_or(&silent));
    }

    /// The first restart is immediate, the following ones are ever more patient.
    fn put_off(&mut self, longest: Millis) {
        self.restart_at = os::now().after(self.wait);
        self.wait = Millis(self.wait.0 * 2).clamp(FIRST_WAIT, longest);
    }

    fn on_ready(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.is_ready = true;
        }
        if !std::mem::replace(&mut self.was_ready, true) {
            self.notify_manager("READY=1");
        }
        if self.failures > 0 {
            // It was waited for long enough.
            (self.failure, self.failures, self.wait) = (None, 0, Millis(0));
        }
    }

    fn take_messages(&mut self) {
        while let Some(socket) = self.socket() {
            match receive(socket) {
                Ok(Some(Arrived::Message(message, passed))) => self.follow(message, passed),
                Ok(Some(Arrived::Failed(reason))) => {
                    if let Some(daemon) = &mut self.daemon {
                        daemon.reason = Some(reason);
                    }
                }
                Ok(Some(Arrived::Unknown)) => self.refuse(0, 0, HoldRefusal::Unknown),
                Ok(None) => return,
                // It is leaving or dead. Its death tells; until then there is nothing to read.
                Ok(Some(Arrived::Closed)) | Err(_) => break,
            }
        }
        if let Some(daemon) = &mut self.daemon {
            daemon.socket = None;
        }
    }

    fn follow(&mut self, message: Message, passed: Passed) {
        match (message, passed) {
            (Message::Hold { key, kind }, [Some(fd), None]) => self.hold(key, kind, fd),
            (Message::HoldTwo { key, kind }, [Some(first), Some(second)]) => {
                self.hold(key, kind, first);
                self.hold(key, kind + 1, second);
            }
            (Message::Hold { key, kind } | Message::HoldTwo { key, kind }, _) => {
                self.refuse(key, kind, HoldRefusal::NoDescriptor);
            }
            (Message::Drop { key, kind }, _) => self.held.release(key, kind),
            (Message::Quit, _) => self.ends_with_daemon = true,
            (Message::Ready, _) => self.on_ready(),
            (Message::Exited | Message::Failed | Message::Refused { .. }, _) => self.refuse(0, 0, HoldRefusal::Unknown),
        }
    }

    fn hold(&mut self, key: u64, kind: u32, fd: OwnedFd) {
        if !self.held.hold(key, kind, fd) {
            self.refuse(key, kind, HoldRefusal::Full);
        }
    }

    fn refuse(&self, key: u64, kind: u32, refusal: HoldRefusal) {
        self.say(Message::Refused { key, kind, refusal });
    }

    /// Never waits for the daemon.
    fn say(&self, message: Message) {
        if let Some(socket) = self.socket() {
            let _best_effort = message.send(socket, &[]);
        }
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.daemon.as_ref()?.socket.as_ref().map(AsFd::as_fd)
    }

    /// A daemon that dies again and again must not fill the disk with its last words.
    fn cap_log(&self) {
        let Some(log) = &self.log else { return };
        if let Ok(log) = os::append_capped(log, DAEMON_LOG_BYTES_MAX, 0o600) {
            let _stays_as_it_was = os::place(log.as_fd(), STANDARD_ERROR);
        }
    }

    /// One line into the daemon's log, without allocating.
    fn note(&self, text: fmt::Arguments<'_>) {
        let mut line = [0; 200];
        let mut rest = &mut line[..];
        let _cut = writeln!(rest, "pm-anchor[{}]: {text}", self.table.anchor_pid());
        let left = rest.len();
        let _full_disk = io::stderr().write_all(&line[..line.len() - left]);
    }
}
