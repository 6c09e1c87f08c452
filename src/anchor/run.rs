//! The anchor process: boot, one loop, exit.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Relaxed, Release};

use super::arguments::{Arguments, Foreground};
use super::environment::own_environment;
use super::last_end;
use super::link::{ANCHOR_SOCKET, FIXED_END, LISTENER, LOCK, TABLE};
use super::serve::Anchor;
use super::table::Table;
use crate::model::{Digest, with_causes};
use crate::os::{self, DaemonLauncher, FileLimit, Home, HomeError, Lock};

/// Exit code of an anchor that found another one at work in the same home.
pub const ALREADY_RUNNING: u8 = 75;

/// The message of the anchor to its starter: the first and only line on the ready descriptor.
pub(super) const READY: &str = "ok\n";
/// Somebody else holds the lock.
pub(super) const HELD_BY_OTHER: &str = "held\n";

/// With fewer open files a daemon could not look after a single app.
const OPEN_FILES_MIN: u64 = 64;
/// With smaller files there is no room for the table, or for what the store reserves.
const FILE_BYTES_MIN: u64 = 1400 << 10;
const _: () = assert!((Table::BYTES as u64) < FILE_BYTES_MIN);
/// The daemon's log is cut to half of this whenever a daemon is started and it has grown beyond.
pub(super) const DAEMON_LOG_BYTES_MAX: u64 = 4 << 20;

/// Why there is no anchor.
#[derive(Debug, thiserror::Error)]
pub(super) enum BootError {
    #[error("another daemon is running for this home")]
    Held,
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("cannot listen on `{path}`")]
    Socket { path: PathBuf, source: io::Error },
    #[error("the hard limit on open files (`ulimit -Hn`) is {hard}, but at least {OPEN_FILES_MIN} are needed")]
    FewFiles { hard: u64 },
    #[error(
        "the hard limit on the size of a file (`ulimit -Hf`) is {hard} bytes, but at least {FILE_BYTES_MIN} are needed"
    )]
    SmallFiles { hard: u64 },
    #[error("cannot {step}")]
    Step { step: &'static str, source: io::Error },
}

fn enough(limit: Option<FileLimit>) -> Result<(), BootError> {
    if let Some(FileLimit { hard, .. }) = limit.filter(|limit| limit.hard < OPEN_FILES_MIN) {
        return Err(BootError::FewFiles { hard });
    }
    match os::file_size_limit() {
        Ok(hard) if hard < FILE_BYTES_MIN => Err(BootError::SmallFiles { hard }),
        _ => Ok(()),
    }
}

fn at(step: &'static str) -> impl Fn(io::Error) -> BootError {
    move |source| BootError::Step { step, source }
}

/// Runs as the anchor of a home until the daemon stops for good. `ready_fd` gets `ok` or the error.
///
/// The process must be fresh: one thread, no descriptors but stdio and `ready_fd`.
pub fn run(arguments: &Arguments) -> u8 {
    let home = arguments.home();
    os::survive_file_size_limit();
    let Some(foreground) = &arguments.foreground else {
        os::lay_down_attributes();
        return live(&home, arguments.ready_fd, daemon(&home, false));
    };
    // Priority and limits are those that the unit or the container gives on purpose.
    os::wait_for_children();
    match os::raise_file_limit().map_err(at("raise the limit on open files")) {
        Ok(limit) => in_foreground(&home, foreground, limit),
        Err(error) => complain(&with_cause(&error)),
    }
}

fn in_foreground(home: &Home, foreground: &Foreground, limit: FileLimit) -> u8 {
    let reserved = enough(Some(limit)).and_then(|()| reserve_numbers().map_err(at("arrange descriptors")));
    let booted = reserved.and_then(|()| boot(home, daemon(home, true)?, Some(limit), Some(foreground)));
    match booted {
        Ok(mut anchor) => {
            os::release_startup_pages();
            let code = anchor.serve();
            let _best_effort = os::remove_if_there(&home.socket());
            anchor.answer_the_last();
            code
        }
        Err(BootError::Held) => complain(&format!(
            "a daemon is already running for `{}`\n`pm daemon status` shows it, `pm daemon stop` or `pm shutdown` stops it\n",
            home.root.display()
        )),
        Err(error) => complain(&with_cause(&error)),
    }
}

/// To the user or the service manager that waits for us.
fn complain(message: &str) -> u8 {
    let (message, hint) = message.trim_end().split_once('\n').unwrap_or((message.trim_end(), ""));
    os::write_stderr(&format!("error: {message}\n"));
    if !hint.is_empty() {
        os::write_stderr(&format!("  hint: {hint}\n"));
    }
    1
}

/// As [`run`], with any program in the daemon's place.
pub(super) fn live(home: &Home, ready_fd: Option<RawFd>, daemon: Result<DaemonLauncher, BootError>) -> u8 {
    // First of all: the fixed numbers may lie beyond a low limit.
    let limit = os::raise_file_limit().ok();
    // Out of the way of the fixed numbers and of stdio. If there is no room there, nothing else will come there either.
    let ready = ready_fd.and_then(|fd| os::move_above(fd, FIXED_END).or_else(|_| os::adopt(fd)).ok());
    let reserved = enough(limit).and_then(|()| reserve_numbers().map_err(at("arrange descriptors")));
    match reserved.and(daemon).and_then(|daemon| boot(home, daemon, limit, None)) {
        Ok(mut anchor) => {
            report(ready, READY);
            os::release_startup_pages();
            let code = anchor.serve();
            last_end::end(home);
            // Before the lock goes with us: nobody shall connect to a socket without a daemon.
            let _best_effort = os::remove_if_there(&home.socket());
            anchor.answer_the_last();
            code
        }
        Err(BootError::Held) => {
            report(ready, HELD_BY_OTHER);
            ALREADY_RUNNING
        }
        Err(error) => {
            report(ready, &with_cause(&error));
            1
        }
    }
}

/// The error, what led to it, and in a line of its own what to do about it.
fn with_cause(error: &BootError) -> String {
    let hint = if let BootError::Home(error) = error { error.hint() } else { None };
    let message = with_causes(error);
    hint.map_or_else(|| format!("{message}\n"), |hint| format!("{message}\n{hint}\n"))
}

/// Says its one line and closes the descriptor. That the starter has gone is no reason to stop.
fn report(ready: Option<OwnedFd>, line: &str) {
    if let Some(ready) = ready {
        let _gone = io::Write::write_all(&mut std::fs::File::from(ready), line.as_bytes());
    }
}

fn boot(
    home: &Home,
    launcher: DaemonLauncher,
    limit: Option<FileLimit>,
    foreground: Option<&Foreground>,
) -> Result<Anchor, BootError> {
    let is_new = !os::exists(&home.root);
    home.create()?;
    os::make_files_for_owner_of(home);
    let lock = Lock::try_exclusive(&home.lock()).map_err(at("open the lock of the home"))?.ok_or(BootError::Held)?;
    let log = Some(home.daemon_log()).filter(|_| foreground.is_none());
    detach(log.as_deref())?;
    os::become_subreaper().map_err(at("become the parent of orphans"))?;
    let _cosmetic = os::name_process(c"pm-anchor");
    let table = table(home, limit, is_new)?;
    let path = home.socket();
    let listener = os::listen(&path).map_err(|source| BootError::Socket { path, source })?;
    fixed_numbers(&table, listener.as_fd(), lock.as_fd()).map_err(at("arrange descriptors"))?;
    let manager = foreground.and_then(|foreground| foreground.notify.clone());
    let mut anchor = Anchor::new(table, launcher, log, listener).map_err(at("watch children"))?;
    anchor.is_in_foreground = foreground.is_some();
    anchor.manager = manager;
    anchor.start_daemon().map_err(at("start the daemon"))?;
    Ok(anchor)
}

/// Leaves the terminal, folder and stdio of whoever started us. Errors go to the daemon's log from now on. In the
/// foreground (without a log) terminal and errors are the caller's.
fn detach(log: Option<&Path>) -> Result<(), BootError> {
    std::env::set_current_dir("/").map_err(at("enter the root folder"))?;
    let null = os::open_null().map_err(at("open /dev/null"))?;
    let Some(log) = log else { return os::place(null.as_fd(), 0).map_err(at("arrange stdio")) };
    os::leave_session();
    let log = os::append_capped(log, DAEMON_LOG_BYTES_MAX, 0o600).map_err(at("open the daemon's log"))?;
    for (number, fd) in [(0, null.as_fd()), (1, null.as_fd()), (2, log.as_fd())] {
        os::place(fd, number).map_err(at("arrange stdio"))?;
    }
    Ok(())
}

/// The table of this boot: the mirror's rows if both of us had died, else empty.
fn table(home: &Home, limit: Option<FileLimit>, is_new: bool) -> Result<Table, BootError> {
    let root = os::canonicalize(&home.root).unwrap_or_else(|_| home.root.clone());
    let digest = Digest::of(root.as_os_str().as_bytes());
    let home_id = digest.number();
    let table = Table::create(home_id).map_err(at("create the process table"))?;
    if table.restore(&home.table()).map_err(at("read the mirror of the process table"))? == 0 {
        // Another boot, or nothing: whatever lies there is nobody's.
        os::remove_if_there(&home.table()).map_err(at("remove an old mirror of the process table"))?;
    }
    let header = table.header();
    let is_replacement = u32::from(last_end::begin(home, is_new));
    header.is_replacement.store(is_replacement, Relaxed);
    header.is_look_due.store(is_replacement, Relaxed);
    if let Some(limit) = limit {
        header.open_files_soft.store(limit.soft, Relaxed);
    }
    if let Some(score) = os::lower_own_oom_score() {
        header.oom_score.store(score, Relaxed);
    }
    header.anchor_pid.store(std::process::id().cast_signed(), Release);
    Ok(table)
}

/// Fills the fixed numbers with something harmless, so that nothing that is opened later gets them.
fn reserve_numbers() -> io::Result<()> {
    // The first one opened may have one of these numbers itself: it must be closed before they are placed.
    let null = os::copy_above(os::open_null()?.as_fd(), FIXED_END)?;
    (ANCHOR_SOCKET..FIXED_END).try_for_each(|number| os::place(null.as_fd(), number))
}

/// Puts what every daemon inherits under its fixed number. What was placed stays when the originals are closed.
fn fixed_numbers(table: &Table, listener: BorrowedFd<'_>, lock: BorrowedFd<'_>) -> io::Result<()> {
    os::place(table.fd(), TABLE)?;
    os::place(listener, LISTENER)?;
    os::place(lock, LOCK)
}

/// How a daemon is started: our own program with other words.
fn daemon(home: &Home, is_in_foreground: bool) -> Result<DaemonLauncher, BootError> {
    let program = os::current_exe().map_err(at("find the `pm` program"))?;
    let text = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from).map_err(at("prepare the daemon"));
    let variables = own_environment(home).map_err(at("prepare the daemon"))?;
    let mut words = vec![c"pm".to_owned(), c"daemon".to_owned(), c"run".to_owned(), c"--inherited".to_owned()];
    if is_in_foreground {
        words.push(c"--foreground".to_owned());
    }
    Ok(DaemonLauncher::new(text(program.as_os_str().as_bytes())?, words, variables))
}
