//! The anchor's loop: deaths of children, the daemon's messages, and a daemon that is always there.

use std::fmt;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Relaxed, Release};

use super::held::Store;
use super::link::ANCHOR_SOCKET;
use super::protocol::{Arrived, Message, Passed, Refusal, receive};
use super::row::{Row, RowState};
use super::run::DAEMON_LOG_BYTES_MAX;
use super::table::Table;
use crate::model::{Exit, Millis, Moment};
use crate::os::{self, Dead, Heir, SignalFd};

/// A daemon that has lived this long is restarted at once when it dies.
const STABLE: Millis = Millis(10_000);
const FIRST_WAIT: Millis = Millis(10);
const LONGEST_WAIT: Millis = Millis(2_000);
/// Daemons that are started just to take the apps down, after we were told to end.
const LAST_STARTS_MAX: u32 = 3;

const STANDARD_ERROR: RawFd = 2;

/// The anchor's memory.
pub(super) struct Anchor {
    table: Table,
    heir: Heir,
    log: PathBuf,
    signals: SignalFd,
    daemon: Option<Daemon>,
    /// When the next daemon is started, while there is none.
    restart_at: Moment,
    wait: Millis,
    held: Store,
    /// A child may have died since the dead were last looked for. Looking costs time with every living child.
    may_have_dead: bool,
    /// We were told to end: the daemon takes the apps down, then both of us leave.
    is_leaving: bool,
    /// The daemon said that its end, whatever it is, shall be ours.
    ends_with_daemon: bool,
    last_starts: u32,
    is_over: bool,
}

/// The daemon of now.
struct Daemon {
    pid: u32,
    /// `None`: it has closed its end.
    socket: Option<OwnedFd>,
    since: Moment,
}

impl Anchor {
    /// Watches children and signals from now on.
    pub(super) fn new(table: Table, heir: Heir, log: PathBuf) -> io::Result<Self> {
        let signals = SignalFd::blocking(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP])?;
        Ok(Self {
            table,
            heir,
            log,
            signals,
            daemon: None,
            restart_at: Moment(0),
            wait: Millis(0),
            held: Store::new(table.held_cells()),
            may_have_dead: true,
            is_leaving: false,
            ends_with_daemon: false,
            last_starts: 0,
            is_over: false,
        })
    }

    /// Runs until the daemon has left for good.
    pub(super) fn serve(&mut self) {
        while !self.is_over {
            let timeout = if self.daemon.is_some() { None } else { Some(self.restart_at.since(os::now())) };
            let watched = [Some(self.signals.as_fd()), self.socket()];
            let Ok([_signal, has_message]) = os::wait_readable(watched, timeout) else {
                continue;
            };
            while let Some(signal) = self.signals.take() {
                self.on_signal(signal);
            }
            if has_message {
                self.take_messages();
            }
            if self.may_have_dead {
                self.bury_the_dead();
            }
            let is_due = self.daemon.is_none() && !self.is_over && os::now() >= self.restart_at;
            if is_due && let Err(error) = self.start_daemon() {
                self.note(format_args!("the daemon cannot be started: {error}"));
                self.put_off();
            }
        }
    }

    /// Starts a daemon with everything that is held.
    pub(super) fn start_daemon(&mut self) -> io::Result<()> {
        self.cap_log();
        let (ours, theirs) = os::packet_pair()?;
        let pid = self.heir.start(theirs.as_fd(), ANCHOR_SOCKET)?;
        let header = self.table.header();
        header.daemon_pid.store(pid.cast_signed(), Release);
        header.daemon_starts.fetch_add(1, Relaxed);
        self.daemon = Some(Daemon { pid, socket: Some(ours), since: os::now() });
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
            if let Some(daemon) = &self.daemon {
                let _dies_anyway = os::signal_child(daemon.pid, libc::SIGTERM);
            }
        }
    }

    /// Records and reaps every child that has ended.
    fn bury_the_dead(&mut self) {
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
        let lived = self.daemon.take().map_or(Millis(0), |daemon| os::now().since(daemon.since));
        self.table.header().daemon_pid.store(0, Release);
        let exit = os::exit_of(dead.status);
        let is_last = self.is_leaving && self.last_starts >= LAST_STARTS_MAX;
        if exit == Exit::Code(0) || self.ends_with_daemon || is_last {
            self.is_over = true;
            return;
        }
        self.note(format_args!("the daemon ended with {exit}; starting it again"));
        if lived >= STABLE {
            self.wait = Millis(0);
        }
        if exit == Exit::Signal(libc::SIGKILL) {
            // Not its own fault, so it is not punished; the pause keeps a killer from making us spin.
            self.restart_at = os::now().after(if lived >= FIRST_WAIT { Millis(0) } else { FIRST_WAIT });
        } else {
            self.put_off();
        }
    }

    /// The first restart is immediate, the following ones are ever more patient.
    fn put_off(&mut self) {
        self.restart_at = os::now().after(self.wait);
        self.wait = Millis(self.wait.0 * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
    }

    fn take_messages(&mut self) {
        while let Some(socket) = self.socket() {
            match receive(socket) {
                Ok(Some(Arrived::Message(message, passed))) => self.follow(message, passed),
                Ok(Some(Arrived::Unknown)) => self.refuse(0, 0, Refusal::Unknown),
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
                self.refuse(key, kind, Refusal::NoDescriptor);
            }
            (Message::Drop { key, kind }, _) => self.held.release(key, kind),
            (Message::Quit, _) => self.ends_with_daemon = true,
            (Message::Exited | Message::Refused { .. }, _) => self.refuse(0, 0, Refusal::Unknown),
        }
    }

    fn hold(&mut self, key: u64, kind: u32, fd: OwnedFd) {
        if !self.held.hold(key, kind, fd) {
            self.refuse(key, kind, Refusal::Full);
        }
    }

    fn refuse(&self, key: u64, kind: u32, refusal: Refusal) {
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
        if let Ok(log) = os::append_capped(&self.log, DAEMON_LOG_BYTES_MAX, 0o600) {
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
