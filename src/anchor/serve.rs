//! The anchor's loop: deaths of children, the daemon's messages, and a daemon that is always there.

use std::fmt;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Relaxed, Release};

use super::held::Held;
use super::link::ANCHOR_SOCKET;
use super::protocol::{Arrived, Message, Refusal, receive};
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
    /// How many entries at the start of the held region have ever been used.
    held_used: usize,
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
    socket: OwnedFd,
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
            held_used: 0,
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
            let socket = self.daemon.as_ref().map(|daemon| daemon.socket.as_fd());
            let Ok([_signal, has_message]) = os::wait_readable([Some(self.signals.as_fd()), socket], timeout) else {
                continue;
            };
            while let Some(signal) = self.signals.take() {
                self.on_signal(signal);
            }
            if has_message {
                self.take_messages();
            }
            self.bury_the_dead();
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
        self.daemon = Some(Daemon { pid, socket: ours, since: os::now() });
        if self.is_leaving {
            self.last_starts += 1;
            let _dies_anyway = os::signal_child(pid, libc::SIGTERM);
        }
        Ok(())
    }

    /// SIGCHLD needs nothing: the dead are looked for after every wake-up.
    fn on_signal(&mut self, signal: i32) {
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
        while let Ok(Some(dead)) = os::next_dead_child() {
            if self.daemon.as_ref().is_some_and(|daemon| daemon.pid == dead.pid) {
                self.on_daemon_end(dead);
            } else {
                // First the table, then the kernel may forget: killed in between we would have told it twice, never
                // not at all.
                has_news |= self.record_exit(dead);
            }
            if os::reap(dead.pid).is_err() {
                break;
            }
        }
        if has_news && let Some(daemon) = &self.daemon {
            // A full buffer means that a wake-up waits there already; a dead daemon's successor looks anyway.
            let _pending = Message::Exited.send(daemon.socket.as_fd(), None);
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
        self.put_off();
    }

    /// The first restart is immediate, the following ones are ever more patient.
    fn put_off(&mut self) {
        self.restart_at = os::now().after(self.wait);
        self.wait = Millis(self.wait.0 * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
    }

    fn take_messages(&mut self) {
        while let Some(daemon) = &self.daemon {
            match receive(daemon.socket.as_fd()) {
                Ok(Some(Arrived::Message(message, passed))) => self.follow(message, passed),
                Ok(Some(Arrived::Unknown)) => self.refuse(0, 0, Refusal::Unknown),
                // It has closed its end or died. Either way its death tells; until then there is nothing to read.
                Ok(Some(Arrived::Closed)) => return self.end_daemon(),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// A daemon without a link can do nothing but harm.
    fn end_daemon(&self) {
        if let Some(daemon) = &self.daemon {
            let _dead_already = os::signal_child(daemon.pid, libc::SIGKILL);
        }
    }

    fn follow(&mut self, message: Message, passed: Option<OwnedFd>) {
        match (message, passed) {
            (Message::Hold { key, kind }, Some(fd)) => {
                if !self.hold(key, kind, fd) {
                    self.refuse(key, kind, Refusal::Full);
                }
            }
            (Message::Hold { key, kind }, None) => self.refuse(key, kind, Refusal::NoDescriptor),
            (Message::Drop { key, kind }, _) => self.release(key, kind),
            (Message::Quit, _) => self.ends_with_daemon = true,
            (Message::Exited | Message::Refused { .. }, _) => self.refuse(0, 0, Refusal::Unknown),
        }
    }

    /// Keeps a descriptor for all daemons to come. False if there is no place.
    fn hold(&mut self, key: u64, kind: u32, fd: OwnedFd) -> bool {
        self.release(key, kind);
        let cells = self.table.held_cells();
        let Some(free) = cells.iter().position(|cells| cells.get().is_none()) else { return false };
        if kind == 0 || os::keep_across_exec(fd.as_fd()).is_err() {
            return false;
        }
        cells[free].put(Held { key, kind, fd: fd.into_raw_fd() });
        self.held_used = self.held_used.max(free + 1);
        true
    }

    fn release(&self, key: u64, kind: u32) {
        let is_it = |held: &Held| held.key == key && held.kind == kind;
        for cells in &self.table.held_cells()[..self.held_used] {
            if let Some(held) = cells.get().filter(is_it) {
                cells.clear();
                // SAFETY: it came here through `hold` and has left the store just now, so it is closed once.
                drop(unsafe { OwnedFd::from_raw_fd(held.fd) });
            }
        }
    }

    fn refuse(&self, key: u64, kind: u32, refusal: Refusal) {
        if let Some(daemon) = &self.daemon {
            let _best_effort = Message::Refused { key, kind, refusal }.send(daemon.socket.as_fd(), None);
        }
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
