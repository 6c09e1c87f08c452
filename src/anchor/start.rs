//! Starts an anchor, and with it a daemon, if none is running. For the command line.

use std::ffi::CString;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicI32;

use super::arguments::Arguments;
use super::environment::own_environment;
use super::run::{HELD_BY_OTHER, READY};
use crate::model::{Millis, Moment, StdinMode};
use crate::os::{self, ExecPlan, Home, Mailbox, Output, Parent};

/// How long a first command waits for its daemon. Far beyond any honest boot.
const PATIENCE: Millis = Millis(10_000);
/// Between two looks at a socket that somebody else is about to make.
const PAUSE: Millis = Millis(5);
/// Longest error text of an anchor.
const WORD_BYTES_MAX: u64 = 4096;

/// Why there is no daemon.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program could not be executed.
    #[error("cannot execute `{exe}`")]
    Execute {
        /// The program.
        exe: PathBuf,
        /// The kernel's answer to `execve(2)`.
        source: io::Error,
    },
    /// The anchor said why it cannot run.
    #[error("{message}")]
    Refused {
        /// Its words.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The anchor ended without a word.
    #[error("the daemon for `{home}` exited during startup; see `{log}`")]
    Died {
        /// Which home.
        home: PathBuf,
        /// Where it may have said more.
        log: PathBuf,
    },
    /// It did not get ready.
    #[error("the daemon for `{home}` was not ready after 10 seconds")]
    TimedOut {
        /// Which home.
        home: PathBuf,
    },
    /// The kernel refused something on our side.
    #[error("cannot start a process")]
    System(#[source] io::Error),
}

impl StartError {
    /// What to do about it, as far as the anchor said so.
    pub fn hint(&self) -> Option<String> {
        if let Self::Refused { hint, .. } = self { hint.clone() } else { None }
    }
}

/// Starts the anchor of `home` as `exe anchor --home HOME --ready-fd 1`, detached; returns when its socket accepts
/// connections. If another command was faster, that is as good.
///
/// # Errors
/// No daemon can run there, or none got ready in 10 seconds.
pub fn start(home: &Home, exe: &Path) -> Result<(), StartError> {
    let give_up = os::now().after(PATIENCE);
    while os::now() < give_up {
        if os::connect(&home.socket()).is_ok() {
            return Ok(());
        }
        match launch(home, exe, give_up)?.as_str() {
            READY => return Ok(()),
            // Another one is just starting, or just leaving.
            HELD_BY_OTHER => os::pause(PAUSE),
            "" if os::now() >= give_up => break,
            "" => return Err(StartError::Died { home: home.root.clone(), log: home.daemon_log() }),
            message => {
                let (message, hint) = message.trim_end().split_once('\n').unwrap_or((message.trim_end(), ""));
                let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
                return Err(StartError::Refused { message: message.to_owned(), hint });
            }
        }
    }
    Err(StartError::TimedOut { home: home.root.clone() })
}

/// Starts one anchor and returns its word; empty if it has none to say in time.
fn launch(home: &Home, exe: &Path, give_up: Moment) -> Result<String, StartError> {
    let (reader, writer) = io::pipe().map_err(StartError::System)?;
    let stderr = os::open_null().map_err(StartError::System)?;
    let plan = plan(home, exe, writer.into(), stderr).map_err(StartError::System)?;
    let (pid, errno, stage) = (AtomicI32::new(0), AtomicI32::new(0), AtomicI32::new(0));
    let started = os::spawn(&plan, &Mailbox { pid: &pid, errno: &errno, stage: &stage }, Parent::Caller);
    drop(plan); // and with it our copy of the writing end
    let started = started.map_err(|failed| {
        let _not_there = u32::try_from(pid.into_inner()).map(os::reap);
        StartError::Execute { exe: exe.to_owned(), source: io::Error::from_raw_os_error(failed.errno) }
    })?;
    let left = give_up.since(os::now());
    let [is_ready, _] = os::wait_readable([Some(reader.as_fd()), None], Some(left)).map_err(StartError::System)?;
    let mut word = String::new();
    if is_ready {
        reader.take(WORD_BYTES_MAX).read_to_string(&mut word).map_err(StartError::System)?;
    }
    if word != READY {
        let _still_leaving = os::reap(started);
    }
    Ok(word)
}

fn plan(home: &Home, exe: &Path, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<ExecPlan> {
    let (ready_fd, foreground) = (Some(1), None);
    let argv = Arguments { home: home.root.clone(), is_insisted: home.is_insisted, ready_fd, foreground }.words()?;
    Ok(ExecPlan {
        handed: Vec::new(),
        is_told_its_pid: false,
        program: CString::new(exe.as_os_str().as_bytes())?,
        argv,
        envp: own_environment(home)?,
        cwd: c"/".to_owned(),
        identity: None,
        umask: 0o077,
        stdin: StdinMode::Null,
        output: Output::Opened([stdout, stderr]),
        limits: crate::model::Limits::default(),
        group: None,
        dies_with_caller: false,
    })
}
